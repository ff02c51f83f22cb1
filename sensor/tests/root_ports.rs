//! Interfaces that come and go under a running agent: renamed, taken down, deleted, made anew, moved away, many at once. Every frame
//! that an interface receives while a program is attached is counted, and the ledger tells for how long none was.
//!
//! Each test has namespaces and a BPF file system of its own, which vanish with it.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "figures, and why a test was skipped")]

#[expect(dead_code, reason = "other ways to start an agent")]
#[path = "root_veth/agent.rs"]
mod agent;
#[path = "root_ports/away.rs"]
mod away;
#[path = "support/books.rs"]
mod books;
#[path = "root_ports/many.rs"]
mod many;
#[path = "root_ports/names.rs"]
mod names;
#[path = "support/over.rs"]
mod over;
#[path = "support/pinned.rs"]
mod pinned;
#[path = "root_ports/recreated.rs"]
mod recreated;
#[path = "support/root.rs"]
mod root;
#[path = "root_ports/site.rs"]
mod site;
