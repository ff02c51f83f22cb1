//! What the agent's tick costs with a full table: reading, naming, committing and writing one interval.
//!
//! `cargo bench -p sensor --bench agent -- --json FILE`, as root. Nothing is attached: the program is run on frames that this makes.
//! Medians are of processor time, kernel included: a tick waits for a grace period and for the disk, and so does this.
#![expect(clippy::print_stdout, reason = "the figures are what a benchmark prints")]

use std::{
    fs,
    fs::File,
    io::{BufWriter, Write as _},
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use clap::Parser;
use jiff::Timestamp;
use sensor::{
    bpf::{self, Buffers, Hook, Kernel, TestRun},
    cidr::Cidr,
    collect::Meter as _,
    counterpart::Meanings,
    epoch::Epoch,
    output::Format,
    prefix::{PrefixSet, SetBuilder},
    state::{Batch, Journal, StateDir},
    summary::{Key, LedgerLabel, Summary, Watched},
    testing::{
        clock::{self, Memory},
        rng::Rng,
    },
};
use serde_json::{Value, json};

/// Ticks before memory is looked at again.
const STEADY: usize = 20;

#[derive(Parser)]
struct Arguments {
    /// Prefixes of the table
    #[arg(long, default_value_t = 1_000_000)]
    prefixes: u32,
    /// Of which so many have traffic in a usual interval
    #[arg(long, default_value_t = 50_000)]
    active: u32,
    /// Intervals of each kind
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Where to write the medians
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
}

/// The agent without its clock and its interfaces.
struct Agent {
    kernel: Kernel,
    set: PrefixSet,
    journal: Journal,
    epoch: Epoch,
    sequence: u64,
    out: BufWriter<File>,
    state: (StateDir, tempfile::TempDir),
}

/// What a tick cost.
#[derive(Clone, Copy)]
struct Cost {
    parts: [Step; PARTS.len()],
    /// Bytes that the journal grew by; 0 where it was rewritten.
    journal: u64,
}

#[derive(Clone, Copy)]
struct Step {
    processor: Duration,
    wall: Duration,
}

const PARTS: [&str; 4] = ["snapshot", "summary", "commit", "format"];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if !bpf::may_load() {
        println!("SKIP the tick: needs root");
        return Ok(());
    }
    let agent = &mut Agent::new(arguments.prefixes)?;
    let mut random = Rng::new(20261);
    println!(
        "{} prefixes, processor time and time on the wall, medians of {} intervals",
        arguments.prefixes, arguments.rounds
    );
    let mut rows = Vec::new();
    agent.tick()?;
    for (name, active) in [("idle", 0), ("50k", arguments.active), ("all", arguments.prefixes)] {
        let interval = |_| {
            agent.touch(active, &mut random)?;
            agent.tick()
        };
        let costs = (0..arguments.rounds).map(interval).collect::<Result<Vec<Cost>>>()?;
        report(name, &costs, &mut rows);
    }
    let before = Memory::now()?;
    for _ in 0..STEADY {
        agent.touch(arguments.active, &mut random)?;
        agent.tick()?;
    }
    let after = Memory::now()?;
    println!("memory: {before:?}, and {STEADY} intervals later {after:?}");
    if let Some(file) = arguments.json {
        let memory = [("rss_1m", after.resident()), ("rss_1m_own", after.anonymous)];
        let memory = memory.map(|(name, bytes)| json!({ "name": name, "bytes": bytes }));
        fs::write(file, json!({ "rows": rows, "memory": memory }).to_string())?;
    }
    Ok(())
}

/// Prints what the parts of these ticks cost, and notes the medians.
fn report(name: &str, costs: &[Cost], rows: &mut Vec<Value>) {
    let median = |of: &dyn Fn(&Cost) -> Duration| {
        let mut times: Vec<Duration> = costs.iter().map(of).collect();
        times.sort();
        times[times.len() / 2]
    };
    println!("{name}");
    for (part, called) in PARTS.iter().enumerate() {
        let (processor, wall) = (median(&|cost| cost.parts[part].processor), median(&|cost| cost.parts[part].wall));
        println!("  {called:9} {:>10}  {:>10}", milliseconds(processor), milliseconds(wall));
    }
    let tick = median(&|cost| cost.parts.iter().map(|step| step.processor).sum());
    let mut written: Vec<u64> = costs.iter().map(|cost| cost.journal).collect();
    written.sort_unstable();
    println!("  tick      {:>10}; {} bytes of journal", milliseconds(tick), written[written.len() / 2]);
    for (what, time) in [("snapshot", median(&|cost| cost.parts[0].processor)), ("tick", tick)] {
        rows.push(json!({ "name": format!("{what}_1m_{name}"), "median_ns": time.as_nanos() as u64 }));
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

impl Agent {
    fn new(prefixes: u32) -> Result<Self> {
        let mut builder = SetBuilder::default();
        let all = (0..prefixes).map(cidr).collect::<Result<Vec<Cidr>>>()?;
        builder.watch("customer", all.iter().copied().step_by(20))?;
        builder.account_all(all);
        let set = builder.build()?;
        let mut kernel = Kernel::load(&set, &set.trie()?, 1)?;
        let folder = tempfile::tempdir()?;
        let state = StateDir::open(folder.path())?;
        let mut journal = state.journal()?;
        let epoch = Epoch::draw()?;
        let reported = kernel.read()?;
        journal.begin(epoch, &reported, Timestamp::now())?;
        let out = BufWriter::new(File::options().write(true).open("/dev/null")?);
        Ok(Self { kernel, set, journal, epoch, sequence: 0, out, state: (state, folder) })
    }

    /// Traffic of `active` prefixes, as source and as destination.
    fn touch(&mut self, active: u32, random: &mut Rng) -> Result<()> {
        if active == 0 {
            return Ok(());
        }
        let instance = self.kernel.instance(0)?;
        let run = TestRun::prepare(instance, Hook::Inline, Buffers::Several)?;
        let stride = self.set.len() / active;
        let first = random.below(stride as usize) as u32;
        for number in (first..self.set.len()).step_by(stride as usize) {
            run.run(instance, &frame(number))?;
        }
        Ok(())
    }

    fn journal_len(&self) -> u64 {
        fs::metadata(self.state.0.path().join("journal")).map_or(0, |file| file.len())
    }

    /// As the collector does it.
    fn tick(&mut self) -> Result<Cost> {
        let before = self.journal_len();
        let Self { kernel, set, journal, epoch, sequence, out, .. } = self;
        let baseline = journal.baseline(*epoch).context("the journal has no baseline")?;
        let (snapshot, delta) = timed(|| kernel.since(&baseline.reported))?;
        let at = Timestamp::now();
        let key = Key { sensor: "edge-1".to_owned(), epoch: *epoch, start: at, end: at, sequence: *sequence };
        let labels = [0, 1].map(|slot| LedgerLabel { slot, interface: "eth0".to_owned(), ..LedgerLabel::default() });
        let (name, summary) =
            timed(|| Ok(Summary::new(key.clone(), &delta, set, &labels, &Watched::default(), &Meanings::default())))?;
        let batch = Batch { key, manifest: [7; 32], delta, labels: labels.to_vec(), watched: Watched::default() };
        let (commit, ()) = timed(|| journal.commit(batch))?;
        let (format, ()) = timed(|| {
            Format::Jsonl.write(&summary, out)?;
            Ok(out.flush()?)
        })?;
        journal.delivered(*epoch, *sequence)?;
        *sequence += 1;
        let journal = self.journal_len().saturating_sub(before);
        Ok(Cost { parts: [snapshot, name, commit, format], journal })
    }
}

/// Does some work; what it cost, and what came of it.
fn timed<T>(work: impl FnOnce() -> Result<T>) -> Result<(Step, T)> {
    let (processor, wall) = (clock::thread_time()?, Instant::now());
    let result = work()?;
    Ok((Step { processor: clock::thread_time()? - processor, wall: wall.elapsed() }, result))
}

/// Prefix `number` of a table: /24s all over the address space.
fn cidr(number: u32) -> Result<Cidr> {
    Ok(Cidr::new(network(number).into(), 24)?)
}

fn network(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits((number * 13 + (1 << 16)) << 8)
}

/// A frame from that prefix to itself.
fn frame(number: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0, 0, 20, 0, 1, 0, 0, 64, 59, 0, 0];
    frame.extend(network(number).octets());
    frame.extend(network(number).octets());
    frame
}
