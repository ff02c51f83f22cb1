//! Another configuration while the sensor runs: read on SIGHUP or by `sensor reload`, in force between two packets. Whatever the moment,
//! every packet is booked once, to the longest prefix of a table that was in force when it was sent, and for the network that this
//! table bills; whatever fails, the old configuration goes on.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "seeds, figures, and why a test was skipped")]

#[path = "root_veth/agent.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod agent;
#[path = "root_reload/answers.rs"]
mod answers;
#[path = "root_reload/bill.rs"]
mod bill;
#[path = "support/clogged.rs"]
mod clogged;
#[path = "support/command.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod command;
#[path = "root_reload/killed.rs"]
mod killed;
#[path = "root_reload/lost.rs"]
mod lost;
#[path = "root_reload/manifest.rs"]
mod manifest;
#[path = "root_reload/maps.rs"]
mod maps;
#[path = "root_life/mount.rs"]
mod mount;
#[path = "support/net.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod net;
#[path = "support/plain.rs"]
mod plain;
#[path = "support/refusal.rs"]
mod refusal;
#[path = "root_reload/refused.rs"]
mod refused;
#[path = "support/root.rs"]
mod root;
#[path = "root_reload/site.rs"]
mod site;
#[path = "root_life/stage.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod stage;
#[path = "root_reload/table.rs"]
mod table;
#[path = "root_veth/totals.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod totals;
#[path = "root_life/traffic.rs"]
#[expect(dead_code, reason = "the stage knows it")]
mod traffic;
#[path = "root_reload/under_traffic.rs"]
mod under_traffic;
#[path = "root_reload/unread.rs"]
mod unread;
#[path = "root_reload/wire.rs"]
mod wire;
