//! What the agent says on standard error; standard output belongs to the records.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

/// What is logged unless `RUST_LOG` says otherwise. Messages about single packets are at debug and below.
const DEFAULT_FILTER: &str = "info";

/// Starts logging; the level comes from `RUST_LOG`. Messages of the eBPF programs arrive under the target `sensor_bpf`.
pub fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        .with_target(false)
        .init();
}

/// The last words: one line with the whole chain of causes.
#[expect(clippy::print_stderr, reason = "the error of the command stands alone, whatever the log level")]
pub fn fatal(error: &anyhow::Error) {
    eprintln!("sensor: {error:#}");
}
