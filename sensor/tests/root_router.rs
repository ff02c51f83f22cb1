//! A router, not a link: two upstream networks and an inside one, several interfaces attached. What crosses the border is billed once,
//! wherever it comes from and wherever it goes, and stands in the ledger of each interface that it crosses.
//!
//! Each test has namespaces and a BPF file system of its own, which vanish with it.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "figures, and why a test was skipped")]

#[expect(dead_code, reason = "other ways to start an agent")]
#[path = "root_veth/agent.rs"]
mod agent;
#[expect(dead_code, reason = "what tests of other things ask for")]
#[path = "support/books.rs"]
mod books;
#[path = "root_router/bridge.rs"]
mod bridge;
#[path = "root_router/forwarded.rs"]
mod forwarded;
#[path = "support/over.rs"]
mod over;
#[path = "root_router/packets.rs"]
mod packets;
#[expect(dead_code, reason = "what tests of other things ask for")]
#[path = "support/pinned.rs"]
mod pinned;
#[path = "support/root.rs"]
mod root;
#[path = "root_router/sockets.rs"]
mod sockets;
#[path = "root_router/stage.rs"]
mod stage;
