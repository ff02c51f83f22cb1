//! The agent: loads the packet engine into the kernel, reads its counters, writes summaries; or replays captures through it.
//!
//! `docs/architecture.md` has the map and the invariants.

pub mod anomaly;
pub mod bpf;
pub mod capture;
pub mod cidr;
pub mod cli;
pub mod collect;
pub mod config;
pub mod control;
pub mod counterpart;
pub mod epoch;
pub mod export;
pub mod flows;
pub mod inspect;
pub mod interval;
pub mod lists;
pub mod logging;
pub mod metrics;
pub mod native;
pub mod output;
pub mod own;
pub mod pipeline;
pub mod prefix;
pub mod preflight;
pub mod random;
pub mod replay;
pub mod report;
pub mod sights;
pub mod spool;
pub mod state;
pub mod store;
pub mod study;
pub mod summary;
pub mod table_file;
#[cfg(feature = "testing")]
pub mod testing;
pub mod upstream;
pub mod warehouse;
pub mod watch;
