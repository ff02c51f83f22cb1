//! `cargo xtask <task>`: the same commands on a laptop and in CI.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Tasks of the sensor workspace.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
enum Task {
    /// Find or install what the eBPF object needs: a Rust with its core library's source, and bpf-linker
    Setup,
    /// Build the eBPF object and say what is in it
    BuildEbpf,
    /// Show the sensor at work between two network namespaces, and compare it with the kernel's own counters
    Demo {
        /// The part that runs as root, with the programs of this folder; the task starts it by itself
        #[arg(long, hide = true, value_name = "FOLDER")]
        stage: Option<PathBuf>,
    },
    /// Measure what a packet, a table and a tick cost, next to the kernel's own prefix trie
    Bench {
        /// Write the results here, too
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Rounds of each part; each has its own default
        #[arg(long, value_name = "N")]
        rounds: Option<u32>,
        /// Only packets in the kernel, and of those only rows whose name contains this
        #[arg(long, value_name = "NAME")]
        only: Option<String>,
    },
    /// Run every test: the plain ones as you, those that need root through sudo
    Test {
        /// Those alone that collectors take part in which others wrote; installs what they need
        #[command(subcommand)]
        part: Option<Part>,
    },
    /// Formatting, lints for host and BPF target, documentation, licences, tidy
    Check,
    /// The house rules alone: file sizes, module docs, markers, links, ABI hash
    Tidy,
}

/// Tests that can be run by themselves.
#[derive(Clone, Copy, Subcommand)]
enum Part {
    /// Real collectors: nfdump, pmacct, tshark, libfixbuf, python3-ipfix, a Kafka broker, ClickHouse, Prometheus, a browser
    Collectors,
}

fn main() -> ExitCode {
    let result = match Task::parse() {
        Task::Setup => xtask::setup::setup().map(drop),
        Task::BuildEbpf => xtask::ebpf::build_and_describe(),
        Task::Demo { stage: None } => xtask::demo::demo(),
        Task::Demo { stage: Some(programs) } => xtask::demo::stage(&programs),
        Task::Bench { json, rounds, only } => xtask::bench::bench(json.as_deref(), rounds, only.as_deref()),
        Task::Test { part: None } => xtask::test::test(),
        Task::Test { part: Some(Part::Collectors) } => xtask::test::collectors(),
        Task::Check => xtask::check::check(),
        Task::Tidy => xtask::tidy::tidy().map(drop),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

/// One line of causes, not anyhow's list: a backtrace says nothing about a missing package.
#[expect(clippy::print_stderr, reason = "the only error output of a task")]
fn report(error: &anyhow::Error) {
    eprintln!("error: {error:#}");
}
