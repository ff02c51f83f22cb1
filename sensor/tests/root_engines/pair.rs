//! Both engines on the same frames.

use std::{collections::BTreeMap, env, ops::Range};

use sensor::{
    bpf::{Buffers, Hook, InterfaceKind, Kernel, LabelPlan, Plan, REPLAY_FLOWS, TestRun},
    collect::{Meter, Reading},
    config::{Counterpart, CounterpartKind, DEFAULT_FLOWS, DEFAULT_MEMORY},
    counterpart::Counterparts,
    lists::Lists,
    native::Native,
    random,
    testing::socket,
    watch::Memory,
};
use sensor_ebpf::{
    abi::{Cell, Counter, LabelKey},
    packet::SliceWindow,
};

use crate::{
    net::Net,
    random::Random,
    tables,
    watched::{attend, rows, samples},
    wild,
};

/// A frame of this many bytes is one buffer in a test run: a page less headroom and `skb_shared_info`.
pub(crate) const ONE_BUFFER: usize = 3_400;

/// A number from the environment, or the default.
pub(crate) fn setting(name: &str, default: u64) -> u64 {
    let text = env::var(name).ok();
    text.map_or(default, |text| text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name}={text}: no number")))
}

/// A frame as a capture has it.
#[derive(Clone, Debug)]
pub(crate) struct Captured {
    pub(crate) bytes: Vec<u8>,
    pub(crate) wire_len: u32,
    pub(crate) frame_len: u32,
}

impl Captured {
    /// Frames of that seed, random and mutated, some of them cut.
    pub(crate) fn random(seed: u64, frames: usize, nets: &[Net]) -> Vec<Self> {
        let mut random = Random::new(seed);
        (0..frames)
            .map(|_| {
                let bytes = wild::frame(&mut random, nets);
                let captured = bytes.len() as u32;
                let more = [0, 0, random.below(3000) as u32, random.below(1 << 31) as u32];
                let wire_len = captured + more[random.below(4) as usize];
                // A link header that the replay put before the frame does not count.
                let frame_len = wire_len - random.below(14) as u32;
                Self { bytes, wire_len, frame_len }
            })
            .collect()
    }
}

/// Fewer than there are networks, directions and labels: what finds none is compared, too.
const COUNTERPART_ROWS: u32 = 1 << 10;

/// Far ends as the prefixes that are counted, each an autonomous system of its own.
fn counterparts(nets: &[Net]) -> Counterparts {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = |(number, net): (usize, &Net)| format!("{}/{},,{}\n", net.first().ip(), net.len, number + 1);
    std::fs::write(file.path(), nets.iter().enumerate().map(line).collect::<String>()).unwrap();
    let file = Counterpart { kind: CounterpartKind::Geo, file: file.path().to_owned() };
    Counterparts::read(&[file], &Lists::default()).unwrap()
}

/// A program of the kernel and the twin, counting for the same prefixes.
pub(crate) struct Pair {
    pub(crate) kernel: Kernel,
    test_run: TestRun,
    pub(crate) native: Native,
    buffers: Buffers,
    replay: bool,
}

impl Pair {
    pub(crate) fn new(nets: &[Net], hook: Hook, buffers: Buffers, replay: bool) -> Self {
        // What is bounded is so for each CPU.
        socket::pin_to_cpu(0).unwrap();
        let set = tables::set(nets);
        let trie = set.trie().unwrap();
        let counterparts = counterparts(nets);
        let labels = Some(LabelPlan { trie: &counterparts.trie, rows: COUNTERPART_ROWS });
        let interfaces = &[InterfaceKind::default()];
        let plan = Plan { set: &set, trie: &trie, interfaces, flows: DEFAULT_FLOWS, labels, memory: DEFAULT_MEMORY };
        let loaded = if replay { Kernel::load_for_replay(&set, &trie, labels) } else { Kernel::load_for(&plan) };
        let mut kernel = loaded.unwrap();
        let test_run = TestRun::prepare(kernel.instance(0).unwrap(), hook, buffers).unwrap();
        let native = Native::watching(trie, &set, if replay { REPLAY_FLOWS } else { DEFAULT_FLOWS });
        let native = native.labelling(counterparts.trie.clone(), COUNTERPART_ROWS);
        let mut native = if replay { native.at_a_tap() } else { native };
        // Which flows share a set is a matter of the key.
        kernel.maps().number_flows_by(random::replay_keys()).unwrap();
        attend(kernel.maps(), 1);
        attend(&mut native, 1);
        Self { kernel, test_run, native, buffers, replay }
    }

    /// Whether the program can be given a frame.
    pub(crate) fn takes(&self, frame: &Captured) -> bool {
        self.buffers == Buffers::Several || frame.bytes.len() <= ONE_BUFFER
    }

    /// Gives a frame to both and returns the kernel's verdict.
    pub(crate) fn count(&mut self, frame: &Captured) -> u32 {
        let Captured { bytes, wire_len, frame_len } = frame;
        let instance = self.kernel.instance(0).unwrap();
        if self.replay {
            self.native.count(&SliceWindow::captured(bytes, *wire_len, *frame_len));
            self.test_run.run_captured(instance, bytes, *wire_len, *frame_len).unwrap()
        } else {
            self.native.count(&SliceWindow::whole(bytes));
            self.test_run.run(instance, bytes).unwrap()
        }
    }

    pub(crate) fn agree(&mut self) -> bool {
        let told = samples(self.kernel.maps()) == samples(&mut self.native);
        let billed = rows(self.kernel.maps()) == rows(&self.native);
        let far = counterpart_rows(self.kernel.maps());
        // Of random frames some meet, and more find no row.
        let billed = billed && !far.is_empty() && far == counterpart_rows(&self.native);
        told && billed && self.kernel.read().unwrap() == self.native.read().unwrap()
    }

    /// Which of `frames` the engines count differently: given to both again, by halves, because reading takes a grace period.
    pub(crate) fn culprit(&mut self, frames: &[Captured]) -> String {
        let mut suspects = 0..frames.len();
        while suspects.len() > 1 {
            let middle = suspects.start + suspects.len() / 2;
            let (first, second) = (suspects.start..middle, middle..suspects.end);
            let (kernel, native) = self.added(&frames[first.clone()]);
            suspects = if kernel == native { second } else { first };
        }
        self.describe(frames, suspects)
    }

    /// What these frames add to the counters of either.
    fn added(&mut self, frames: &[Captured]) -> (Reading, Reading) {
        let before = (self.kernel.read().unwrap(), self.native.read().unwrap());
        for frame in frames.iter() {
            if self.takes(frame) {
                self.count(frame);
            }
        }
        let after = (self.kernel.read().unwrap(), self.native.read().unwrap());
        let added = |after: Reading, before| after.since(before).and_then(|added| added.dense()).unwrap();
        (added(after.0, &before.0), added(after.1, &before.1))
    }

    fn describe(&mut self, frames: &[Captured], suspects: Range<usize>) -> String {
        let Some(frame) = frames.get(suspects.start) else { return "no frame".to_owned() };
        let (kernel, native) = self.added(&frames[suspects.clone()]);
        if kernel == native {
            return "no frame by itself".to_owned();
        }
        let hex: String = frame.bytes.iter().take(200).map(|byte| format!("{byte:02x}")).collect();
        let (len, wire) = (frame.bytes.len(), frame.wire_len);
        let (number, kernel, native) = (suspects.start, cells(&kernel), cells(&native));
        format!("frame {number} of {len} bytes, {wire} on the wire: {hex}\nkernel {kernel}\nnative {native}")
    }
}

/// What a frame added to the ledger.
fn cells(reading: &Reading) -> String {
    let cells = Cell::all().map(|cell| (cell.index(), reading.ledger[0].cell(cell)));
    let used = cells.filter(|(_, counter)| !counter.is_zero());
    used.map(|(index, counter)| format!("cell {index}: {} bytes", counter.bytes)).collect::<Vec<_>>().join(", ")
}

/// What the rows of counterparts of all slices add up to.
fn counterpart_rows(memory: &impl Memory) -> BTreeMap<LabelKey, Counter> {
    let mut sums: BTreeMap<LabelKey, Counter> = BTreeMap::new();
    for slice in 0..memory.slices() {
        memory.counterparts(slice, &mut |row| {
            let sum = sums.entry(LabelKey::from_word(row.key as u32).unwrap()).or_default();
            *sum = sum.sum(&row.counter());
        });
    }
    sums
}
