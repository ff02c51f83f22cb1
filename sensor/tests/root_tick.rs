//! What a tick asks of the agent follows what was counted, not how large the table is.
//!
//! One test: memory is that of the whole process.
#![expect(clippy::unwrap_used, reason = "a kernel that fails fails the test")]

#[path = "support/root.rs"]
mod root;

use std::{
    collections::BTreeSet,
    env, fs,
    io::{Write, sink},
    net::Ipv4Addr,
    process::Command,
};

use jiff::Timestamp;
use sensor::{
    bpf::{Buffers, Hook, Kernel, TestRun},
    cidr::Cidr,
    collect::Meter as _,
    counterpart::Meanings,
    epoch::Epoch,
    output::Format,
    prefix::{PrefixSet, SetBuilder},
    state::{Batch, Journal, StateDir},
    summary::{Key, LedgerLabel, Summary, Watched},
    testing::clock::Memory,
};
use sensor_ebpf::abi::{Counter, Direction};

use self::root::is_root;

/// Prefixes of the table.
const PREFIXES: u32 = 250_000;
/// Those with traffic.
const ACTIVE: u32 = 500;
/// Ticks while memory is watched.
const TICKS: usize = 30;
/// Bytes of a batch for each counter in it, and for what else it says.
const BATCH_BYTES: (u64, u64) = (20, 1000);

/// Makes glibc give back at once what is larger than a megabyte, whatever it has learned: what is resident is then in use.
const ALLOCATOR: (&str, &str) = ("GLIBC_TUNABLES", "glibc.malloc.mmap_threshold=1048576");

/// What the agent would need to hold every counter once: the least that a second reading of all takes.
fn dense() -> u64 {
    u64::from(PREFIXES) * u64::from(Direction::COUNT) * (size_of::<Counter>() - size_of::<u64>()) as u64
}

/// First address of prefix number `number`: /24s from 16.0.0.0 on.
fn first(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(0x1000_0000 + (number << 8))
}

/// A packet of 20 bytes and `payload` more from a prefix to itself.
fn frame(number: u32, payload: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00, 0x45, 0];
    frame.extend((20 + payload).to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 59, 0, 0]);
    frame.extend([first(number), first(number)].map(|address| address.octets()).concat());
    frame.resize(frame.len() + usize::from(payload), 0);
    frame
}

/// Prefixes far from each other.
fn active() -> impl Iterator<Item = u32> {
    (0..PREFIXES).step_by((PREFIXES / ACTIVE) as usize)
}

/// The agent without its clock and its interfaces.
struct Agent {
    kernel: Kernel,
    set: PrefixSet,
    journal: Journal,
    epoch: Epoch,
    sequence: u64,
}

impl Agent {
    /// From each of these prefixes to itself.
    fn traffic(&mut self, prefixes: impl Iterator<Item = u32>, payload: u16) {
        let instance = self.kernel.instance(0).unwrap();
        let run = TestRun::prepare(instance, Hook::Inline, Buffers::Several).unwrap();
        for number in prefixes {
            run.run(instance, &frame(number, payload)).unwrap();
        }
    }

    /// As the collector does it.
    fn tick(&mut self, out: &mut dyn Write) -> Summary {
        let reported = &self.journal.baseline(self.epoch).unwrap().reported;
        let delta = self.kernel.since(reported).unwrap();
        let at = Timestamp::UNIX_EPOCH;
        let key = Key { sensor: "edge".to_owned(), epoch: self.epoch, start: at, end: at, sequence: self.sequence };
        let labels = vec![LedgerLabel { interface: "eth0".to_owned(), ..LedgerLabel::default() }];
        let summary = Summary::new(key.clone(), &delta, &self.set, &labels, &Watched::default(), &Meanings::default());
        self.journal.commit(Batch { key, manifest: [7; 32], delta, labels, watched: Watched::default() }).unwrap();
        Format::Jsonl.write(&summary, out).unwrap();
        self.journal.delivered(self.epoch, self.sequence).unwrap();
        self.sequence += 1;
        summary
    }
}

/// Highest resident memory since the last call, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    // Linux 4.0: begins anew with what is resident now.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    1024 * peak.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap()
}

#[test]
fn a_tick_costs_what_was_counted() {
    const NAME: &str = "a_tick_costs_what_was_counted";
    if !is_root(NAME) {
        return;
    }
    if env::var_os(ALLOCATOR.0).is_none() {
        let mut again = Command::new(env::current_exe().unwrap());
        assert!(again.args([NAME, "--exact", "--nocapture"]).env(ALLOCATOR.0, ALLOCATOR.1).status().unwrap().success());
        return;
    }
    let mut builder = SetBuilder::default();
    for number in 0..PREFIXES {
        builder.account(Cidr::new(first(number).into(), 24).unwrap());
    }
    let set = builder.build().unwrap();
    let mut kernel = Kernel::load(&set, &set.trie().unwrap(), 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let state = StateDir::open(folder.path()).unwrap();
    let mut journal = state.journal().unwrap();
    let epoch = Epoch::draw().unwrap();
    let empty = Memory::now().unwrap();
    journal.begin(epoch, &kernel.read().unwrap(), Timestamp::UNIX_EPOCH).unwrap();
    let mut agent = Agent { kernel, set, journal, epoch, sequence: 0 };
    let journal_len = || fs::metadata(folder.path().join("journal")).unwrap().len();

    let quiet = agent.tick(&mut sink());
    assert_eq!((quiet.prefixes.len(), quiet.networks.len()), (0, 0), "nothing was counted");
    let unused = Memory::now().unwrap().anonymous.saturating_sub(empty.anonymous);
    assert!(unused < dense() / 4, "{unused} bytes for counters that are all zero");

    // Records of the prefixes with traffic and of no other, in the journal too.
    let before = journal_len();
    agent.traffic(active(), 100);
    agent.traffic(active(), 0);
    let mut out = Vec::new();
    let counted = agent.tick(&mut out);
    let expected: BTreeSet<String> = active().map(|number| format!("{}/24", first(number))).collect();
    for direction in Direction::ALL {
        let records = || counted.prefixes.iter().filter(|record| record.direction == direction);
        assert_eq!(records().map(|record| record.prefix.to_string()).collect::<BTreeSet<_>>(), expected);
        assert!(records().all(|record| (record.count.packets, record.count.bytes) == (2, 140)), "{direction:?}");
    }
    assert_eq!(counted.prefixes.len(), 2 * expected.len());
    let lines = out.split(|byte| *byte == b'\n').filter(|line| line.starts_with(br#"{"record":"prefix""#));
    assert_eq!(lines.count(), 2 * expected.len());
    let (each, once) = BATCH_BYTES;
    let batch = journal_len() - before;
    assert!(batch < each * 2 * expected.len() as u64 + once, "{batch} bytes for {} counters", 2 * expected.len());
    assert_eq!(agent.tick(&mut sink()).prefixes.len(), 0, "what was reported is reported once");

    // Memory, once every counter is in use and the first ticks have touched what they will.
    agent.traffic(0..PREFIXES, 0);
    assert_eq!(agent.tick(&mut sink()).prefixes.len(), 2 * PREFIXES as usize);
    agent.traffic(active(), 0);
    assert_eq!(agent.tick(&mut sink()).prefixes.len(), 2 * expected.len());
    let steady = Memory::now().unwrap();
    peak();
    for _ in 0..TICKS {
        agent.traffic(active(), 0);
        agent.tick(&mut sink());
    }
    let (after, peak) = (Memory::now().unwrap(), peak());
    let (grown, more) = (after.anonymous.saturating_sub(steady.anonymous), peak.saturating_sub(steady.resident()));
    println!("{steady:?}; after {TICKS} ticks {grown} bytes more, at most {more}; {} would hold all counters", dense());
    assert!(grown < dense() / 4, "{grown} bytes more after {TICKS} ticks");
    assert!(more < dense() / 2, "{more} bytes more during a tick, where {} hold all counters", dense());
}
