//! Everything around a sensor fails, again and again: the agent itself, its collectors, its disk. Once all of it is well again, each collector has what was
//! sent, to the byte, and no record under two contents.
//!
//! What was acknowledged for a collector and died in its socket is lost to IPFIX, which has no answers ([decision 25]): the collector here knows each such
//! record, and no other one may be missing. With the feature `kafka` there is a third collector, librdkafka's own cluster.
//!
//! [decision 25]: ../../docs/decisions/0025-ipfix.md
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "seeds, what was done, and why a test was skipped")]

#[path = "root_veth/agent.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod agent;
#[path = "support/authority.rs"]
mod authority;
#[path = "support/ballast.rs"]
mod ballast;
#[path = "root_chaos/certificates.rs"]
mod certificates;
#[path = "root_chaos/check.rs"]
mod check;
#[path = "root_chaos/clickhouse.rs"]
mod clickhouse;
#[path = "support/command.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod command;
#[path = "root_chaos/disk.rs"]
mod disk;
#[path = "root_chaos/driver.rs"]
mod driver;
#[path = "root_chaos/ipfix.rs"]
mod ipfix;
#[cfg(feature = "kafka")]
#[path = "root_chaos/kafka.rs"]
mod kafka;
#[path = "root_life/mount.rs"]
mod mount;
#[path = "support/root.rs"]
mod root;
#[path = "root_chaos/run.rs"]
mod run;
#[path = "root_chaos/server.rs"]
mod server;
#[path = "root_chaos/site.rs"]
mod site;
#[path = "root_life/stage.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod stage;
#[path = "root_veth/totals.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod totals;
#[path = "root_life/traffic.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod traffic;
