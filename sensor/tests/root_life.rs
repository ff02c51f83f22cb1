//! What outlives the agent: killed at any moment, swapped under traffic, configured anew, detached - every frame that was sent is in
//! the records exactly once, once those that were written again are taken for one.
//!
//! Each test has namespaces and a BPF file system of its own, which vanish with it.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "seeds, and why a test was skipped")]

#[path = "root_veth/agent.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod agent;
#[path = "support/ballast.rs"]
mod ballast;
#[path = "support/clogged.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod clogged;
#[path = "support/command.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod command;
#[path = "root_life/detach.rs"]
mod detach;
#[path = "root_life/export.rs"]
mod export;
#[path = "root_life/foreign.rs"]
mod foreign;
#[path = "root_life/full.rs"]
mod full;
#[path = "root_life/handover.rs"]
mod handover;
#[path = "root_life/kill.rs"]
mod kill;
#[path = "root_life/metrics.rs"]
mod metrics;
#[path = "root_life/mount.rs"]
mod mount;
#[path = "root_life/own.rs"]
mod own;
#[path = "root_life/pins.rs"]
mod pins;
#[path = "support/refusal.rs"]
mod refusal;
#[path = "root_life/refused.rs"]
mod refused;
#[path = "support/root.rs"]
mod root;
#[path = "root_life/stage.rs"]
mod stage;
#[path = "root_life/store.rs"]
mod store;
#[path = "root_life/strays.rs"]
mod strays;
#[path = "root_veth/totals.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod totals;
#[path = "root_life/traffic.rs"]
mod traffic;
#[path = "root_life/watched.rs"]
mod watched;
