//! Cost of a packet in the kernel, by table size and traffic, next to the kernel's own longest-prefix-match trie.
//!
//! Every row is the processor time of `BPF_PROG_TEST_RUN` over a million packets, each with other addresses: a driver writes the next
//! pair of a stream into the frame and tail-calls the program under test, which is the very one that the agent loads. A round runs
//! each row once; a row's figure is the median over rounds, and what it costs beyond an empty program called the same way.
#![expect(clippy::print_stdout, reason = "the report is what a benchmark prints")]

mod bench;
mod live;
mod object;
mod report;
mod rows;
mod table;

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Parser;
use sensor::testing::socket;

use self::{bench::Bench, report::Report};

/// CPU that rows are measured on, and the one beside it.
const CPUS: [usize; 2] = [0, 1];

#[derive(Parser)]
struct Args {
    /// The eBPF object with the programs of the benchmark
    #[arg(long, value_name = "FILE")]
    object: PathBuf,
    /// Rounds, of which the first is not counted
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Only rows whose name contains this, the empty programs, and no run over a veth pair
    #[arg(long, default_value = "")]
    only: String,
    /// Write the results here, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo passes to benchmarks
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    ensure!(args.rounds > 1, "--rounds: at least 2, the first of them warms up");
    socket::pin_to_cpu(CPUS[0])?;
    let mut report = Report::default();
    let mut bench = Bench::load(&args.object, &args.only)?;
    bench.meet()?;
    for round in 0..args.rounds {
        println!("round {round} of {}", args.rounds - 1);
        bench.round(|name, nanos| {
            if round > 0 {
                report.add(name, nanos);
            }
        })?;
    }
    bench.check()?;
    bench.on_two_cpus(args.rounds, &mut report)?;
    drop(bench);
    if args.only.is_empty() {
        live::run(&args.object, args.rounds, &mut report)?;
    }
    report.print();
    args.json.as_deref().map_or(Ok(()), |path| report.write(path))
}
