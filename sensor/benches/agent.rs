//! What the agent's tick costs with a full table: reading, naming, committing and writing one interval.
//!
//! `cargo bench -p sensor --bench agent -- --json FILE`, as root. Nothing is attached: the program is run on frames that this makes.
//! Medians are of processor time, kernel included: a tick waits for a grace period and for the disk, and so does this.
#![expect(clippy::print_stdout, reason = "the figures are what a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a kernel that fails ends the benchmark")]

use std::{
    fs,
    fs::File,
    io::{BufWriter, Write as _},
    net::Ipv4Addr,
    path::PathBuf,
    time::{Duration, Instant},
};

use clap::Parser;
use jiff::Timestamp;
use sensor::{
    bpf::{self, Buffers, Hook, Kernel, TestRun},
    cidr::Cidr,
    collect::Meter as _,
    epoch::Epoch,
    output::Format,
    prefix::{PrefixSet, SetBuilder},
    state::{Batch, Journal, StateDir},
    summary::{Key, LedgerLabel, Summary},
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
#[derive(Clone, Copy, Default)]
struct Cost {
    parts: [Step; PARTS.len()],
    /// Bytes that the journal grew by; 0 where it was rewritten.
    journal: u64,
}

#[derive(Clone, Copy, Default)]
struct Step {
    processor: Duration,
    wall: Duration,
}

const PARTS: [&str; 4] = ["snapshot", "summary", "commit", "format"];

fn main() {
    let arguments = Arguments::parse();
    if !bpf::may_load() {
        println!("SKIP the tick: needs root");
        return;
    }
    let agent = &mut Agent::new(arguments.prefixes);
    let mut random = Rng::new(20261);
    println!(
        "{} prefixes, processor time and time on the wall, medians of {} intervals",
        arguments.prefixes, arguments.rounds
    );
    let mut rows = Vec::new();
    agent.tick();
    for (name, active) in [("idle", 0), ("50k", arguments.active), ("all", arguments.prefixes)] {
        let interval = |_| {
            agent.touch(active, &mut random);
            agent.tick()
        };
        let costs: Vec<Cost> = (0..arguments.rounds).map(interval).collect();
        report(name, &costs, &mut rows);
    }
    let before = Memory::now().unwrap();
    for _ in 0..STEADY {
        agent.touch(arguments.active, &mut random);
        agent.tick();
    }
    let after = Memory::now().unwrap();
    println!("memory: {before:?}, and {STEADY} intervals later {after:?}");
    if let Some(file) = arguments.json {
        let memory = [("rss_1m", after.resident()), ("rss_1m_own", after.anonymous)];
        let memory = memory.map(|(name, bytes)| json!({ "name": name, "bytes": bytes }));
        fs::write(file, json!({ "rows": rows, "memory": memory }).to_string()).unwrap();
    }
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
    fn new(prefixes: u32) -> Self {
        let mut builder = SetBuilder::default();
        builder.watch("customer", (0..prefixes).step_by(20).map(cidr)).unwrap();
        (0..prefixes).for_each(|number| builder.account(cidr(number)));
        let set = builder.build().unwrap();
        let mut kernel = Kernel::load(&set, &set.trie().unwrap(), 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let mut journal = state.journal().unwrap();
        let epoch = Epoch::draw().unwrap();
        let reported = kernel.read().unwrap();
        journal.begin(epoch, &reported, Timestamp::now()).unwrap();
        let out = BufWriter::new(File::options().write(true).open("/dev/null").unwrap());
        Self { kernel, set, journal, epoch, sequence: 0, out, state: (state, folder) }
    }

    /// Traffic of `active` prefixes, as source and as destination.
    fn touch(&mut self, active: u32, random: &mut Rng) {
        if active == 0 {
            return;
        }
        let instance = self.kernel.instance(0).unwrap();
        let run = TestRun::prepare(instance, Hook::Inline, Buffers::Several).unwrap();
        let stride = self.set.len() / active;
        let first = random.below(stride as usize) as u32;
        for number in (first..self.set.len()).step_by(stride as usize) {
            run.run(instance, &frame(number)).unwrap();
        }
    }

    fn journal_len(&self) -> u64 {
        fs::metadata(self.state.0.path().join("journal")).map_or(0, |file| file.len())
    }

    /// As the collector does it.
    fn tick(&mut self) -> Cost {
        let before = self.journal_len();
        let mut cost = Cost::default();
        let mut parts = cost.parts.iter_mut();
        let mut part = || Watch::start(parts.next().unwrap());
        let watch = part();
        let reported = &self.journal.baseline(self.epoch).unwrap().reported;
        let delta = self.kernel.since(reported).unwrap();
        drop(watch);
        let watch = part();
        let at = Timestamp::now();
        let key = Key { sensor: "edge-1".to_owned(), epoch: self.epoch, start: at, end: at, sequence: self.sequence };
        let labels = [0, 1].map(|slot| LedgerLabel { slot, interface: "eth0".to_owned(), ..LedgerLabel::default() });
        let summary = Summary::new(key.clone(), &delta, &self.set, &labels);
        drop(watch);
        let watch = part();
        self.journal.commit(Batch { key, manifest: [7; 32], delta, labels: labels.to_vec() }).unwrap();
        drop(watch);
        let watch = part();
        Format::Jsonl.write(&summary, &mut self.out).unwrap();
        self.out.flush().unwrap();
        drop(watch);
        let len = self.journal_len();
        cost.journal = len.saturating_sub(before);
        self.journal.delivered(self.epoch, self.sequence).unwrap();
        self.sequence += 1;
        cost
    }
}

/// Measures until it is dropped.
struct Watch<'a> {
    step: &'a mut Step,
    processor: Duration,
    wall: Instant,
}

impl<'a> Watch<'a> {
    fn start(step: &'a mut Step) -> Self {
        Self { step, processor: clock::thread_time().unwrap(), wall: Instant::now() }
    }
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        *self.step = Step { processor: clock::thread_time().unwrap() - self.processor, wall: self.wall.elapsed() };
    }
}

/// Prefix `number` of a table: /24s all over the address space.
fn cidr(number: u32) -> Cidr {
    Cidr::new(network(number).into(), 24).unwrap()
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
