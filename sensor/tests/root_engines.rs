//! The kernel's program and its twin in this process count alike, whatever the frame.
#![expect(clippy::unwrap_used, reason = "an engine that fails fails the test")]
#![expect(clippy::print_stdout, reason = "how much was compared belongs to the test report")]

#[path = "support/net.rs"]
mod net;
#[path = "support/plain.rs"]
mod plain;
#[path = "support/random.rs"]
mod random;
#[path = "support/root.rs"]
mod root;
#[path = "support/sets.rs"]
mod sets;
#[path = "support/tables.rs"]
mod tables;
#[path = "support/wild.rs"]
mod wild;

use std::{io::Write as _, time::Duration};

use sensor::{
    bpf::{Buffers, Hook, Kernel, TestRun},
    capture::{LinkType, Timestamp, write::PcapWriter},
    collect::{Meter, Reading},
    native::Native,
    output::Format,
    prefix::RootBits,
    replay::{EngineKind, Options, replay},
};
use sensor_ebpf::{
    abi::{Cell, Counter, Direction, PrefixId},
    packet::{MAX_OFFSET, SliceWindow},
};
use serde_json::Value;
use tempfile::NamedTempFile;

use self::{
    net::{Net, sorted},
    plain::plain,
    random::Random,
    root::is_root,
    sets::List,
};

const SEED: u64 = 20_261;
/// Random frames for each program.
const FRAMES: usize = 20_000;
/// Frames between two comparisons.
const CHUNK: usize = 2_000;
/// A frame of this many bytes is one buffer in a test run: a page less headroom and `skb_shared_info`.
const ONE_BUFFER: usize = 3_400;
/// Verdicts of XDP (`enum xdp_action`).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// A frame as a capture has it.
#[derive(Clone, Debug)]
struct Captured {
    bytes: Vec<u8>,
    wire_len: u32,
    frame_len: u32,
}

/// Both engines on the same prefixes.
struct Pair {
    kernel: Kernel,
    test_run: TestRun,
    native: Native,
    replay: bool,
}

impl Pair {
    fn new(nets: &[Net], hook: Hook, buffers: Buffers, replay: bool) -> Self {
        let set = tables::set(nets);
        let trie = set.trie().unwrap();
        let mut kernel =
            if replay { Kernel::load_for_replay(&set, &trie) } else { Kernel::load(&set, &trie, 1) }.unwrap();
        let test_run = TestRun::prepare(kernel.instance(0).unwrap(), hook, buffers).unwrap();
        Self { kernel, test_run, native: Native::new(trie, set.len()), replay }
    }

    /// Gives a frame to both and returns the kernel's verdict.
    fn count(&mut self, frame: &Captured) -> u32 {
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

    fn agree(&mut self) -> bool {
        self.kernel.read().unwrap() == self.native.read().unwrap()
    }

    /// Which of `frames` the engines count differently: one that did not agree is given to both again.
    fn culprit(&mut self, frames: &[Captured]) -> String {
        for frame in frames {
            let before = (self.kernel.read().unwrap(), self.native.read().unwrap());
            self.count(frame);
            let kernel = self.kernel.read().unwrap().since(&before.0).unwrap();
            let native = self.native.read().unwrap().since(&before.1).unwrap();
            if kernel != native {
                let hex: String = frame.bytes.iter().take(200).map(|byte| format!("{byte:02x}")).collect();
                let (len, wire) = (frame.bytes.len(), frame.wire_len);
                return format!("{len} bytes of {wire}: {hex}\nkernel {}\nnative {}", cells(&kernel), cells(&native));
            }
        }
        "none of them by itself".to_owned()
    }
}

/// What a frame added to the ledger.
fn cells(reading: &Reading) -> String {
    let cells = Cell::all().map(|cell| (cell.index(), reading.ledger[0].cell(cell)));
    let used = cells.filter(|(_, counter)| !counter.is_zero());
    used.map(|(index, counter)| format!("cell {index}: {} bytes", counter.bytes)).collect::<Vec<_>>().join(", ")
}

/// Some hundreds of both families, nested and apart.
fn prefixes() -> Vec<Net> {
    let some = |wanted: &str, step: usize| -> Vec<Net> {
        let all = sets::sets(SEED).into_iter();
        all.filter(|(name, _)| *name == wanted).flat_map(|(_, nets)| nets).step_by(step).collect()
    };
    sorted([some("clusters", 3), some("like a routing table", 7)].concat())
}

fn frames(nets: &[Net]) -> Vec<Captured> {
    let mut random = Random::new(SEED);
    (0..FRAMES)
        .map(|_| {
            let bytes = wild::frame(&mut random, nets);
            let captured = bytes.len() as u32;
            let wire_len =
                captured + [0, 0, random.below(3000) as u32, random.below(1 << 31) as u32][random.below(4) as usize];
            // A link header that the replay put before the frame does not count.
            let frame_len = wire_len - random.below(14) as u32;
            Captured { bytes, wire_len, frame_len }
        })
        .collect()
}

fn all_count_alike(hook: Hook, verdict: u32) {
    let nets = prefixes();
    let frames = frames(&nets);
    let mut given = 0;
    for (buffers, replay) in
        [(Buffers::Several, false), (Buffers::Several, true), (Buffers::One, false), (Buffers::One, true)]
    {
        let mut pair = Pair::new(&nets, hook, buffers, replay);
        let fits = |frame: &&Captured| buffers == Buffers::Several || frame.bytes.len() <= ONE_BUFFER;
        let frames: Vec<Captured> = frames.iter().filter(fits).cloned().collect();
        for chunk in frames.chunks(CHUNK) {
            for frame in chunk {
                assert_eq!(pair.count(frame), verdict, "seed {SEED}, {hook:?}, {buffers:?}, replay {replay}");
            }
            if !pair.agree() {
                panic!("seed {SEED}, {hook:?}, {buffers:?}, replay {replay}: {}", pair.culprit(chunk));
            }
        }
        let seen = pair.kernel.read().unwrap().ledger[0];
        assert_eq!(seen.seen().packets, frames.len() as u64);
        // Random frames that all end in one cell would prove little.
        assert!(seen.matched().packets > 5_000 && seen.unparsed().packets > 2_000, "{seen:?}");
        given += frames.len();
    }
    println!("{given} frames");
}

#[test]
fn inline_programs_pass_and_count_as_their_twin() {
    if is_root("inline_programs_pass_and_count_as_their_twin") {
        all_count_alike(Hook::Inline, XDP_PASS);
    }
}

#[test]
fn mirror_programs_drop_and_count_as_their_twin() {
    if is_root("mirror_programs_drop_and_count_as_their_twin") {
        all_count_alike(Hook::Mirror, XDP_DROP);
    }
}

/// A chain of extension headers, two of them long, with the ports at that offset of the frame.
fn with_ports_at(offset: usize, nets: &[Net], padding: usize) -> Captured {
    let watched = nets.iter().step_by(3).find(|net| !net.v4).unwrap().first();
    let mut bytes = plain(watched, watched, 0);
    bytes[20] = 60;
    let chain = offset - bytes.len();
    let first = (chain / 2).next_multiple_of(8);
    for (len, next) in [(first, 60), (chain - first, 17)] {
        let start = bytes.len();
        bytes.resize(start + len, 0);
        bytes[start..start + 2].copy_from_slice(&[next, (len / 8 - 1) as u8]);
    }
    bytes.extend([0, 53, 0, 53, 0, 8, 0, 0]);
    let payload = (bytes.len() - 54) as u16;
    bytes[18..20].copy_from_slice(&payload.to_be_bytes());
    bytes.resize(bytes.len() + padding, 0);
    let len = bytes.len() as u32;
    Captured { bytes, wire_len: len, frame_len: len }
}

#[test]
fn headers_far_into_the_frame_are_read_alike() {
    if !is_root("headers_far_into_the_frame_are_read_alike") {
        return;
    }
    let nets = prefixes();
    for (buffers, replay) in [(Buffers::Several, false), (Buffers::Several, true), (Buffers::One, true)] {
        let mut pair = Pair::new(&nets, Hook::Inline, buffers, replay);
        for padding in [0, 40, 4096] {
            let offsets = (70..MAX_OFFSET).step_by(8);
            let mut frames: Vec<Captured> = offsets.map(|offset| with_ports_at(offset, &nets, padding)).collect();
            frames.retain(|frame| buffers == Buffers::Several || frame.bytes.len() <= ONE_BUFFER);
            for frame in &frames {
                pair.count(frame);
            }
            if !pair.agree() {
                panic!("{buffers:?}, replay {replay}: {}", pair.culprit(&frames));
            }
        }
    }
}

/// Every address of interest, as source of one frame and destination of another, against the list.
fn lookups_match_the_list(nets: &[Net], root_bits: RootBits) {
    let set = tables::set(nets);
    let trie = tables::trie(&set, root_bits);
    let mut kernel = Kernel::load(&set, &trie, 1).unwrap();
    let test_run = TestRun::prepare(kernel.instance(0).unwrap(), Hook::Inline, Buffers::Several).unwrap();
    let list = List::new(nets.iter().copied().enumerate());
    let mut random = Random::new(SEED);
    let addresses = sets::addresses(nets, &mut random, 4000);
    let mut expected = vec![[Counter::default(); 2]; nets.len()];
    for family in [true, false] {
        let of_family: Vec<_> = addresses.iter().copied().filter(|address| address.v4 == family).collect();
        for pair in of_family.windows(2) {
            let payload = random.below(64) as usize;
            let frame = plain(pair[0], pair[1], payload);
            test_run.run(kernel.instance(0).unwrap(), &frame).unwrap();
            let bytes = frame.len() as u64 - 14;
            let one = Counter { packets: 1, bytes, frame_bytes: frame.len() as u64, reserved: 0 };
            for (address, direction) in [(pair[0], Direction::Out), (pair[1], Direction::In)] {
                if let Some(place) = list.longest(address) {
                    let total = &mut expected[place][direction as usize];
                    *total = total.sum(&one);
                }
            }
        }
    }
    let reading = kernel.read().unwrap();
    for (place, (net, expected)) in nets.iter().zip(&expected).enumerate() {
        let id = PrefixId::new(place as u32 + 1).unwrap();
        let counted = Direction::ALL.map(|direction| reading.prefix(id, direction));
        assert_eq!(counted, *expected, "seed {SEED}, {root_bits:?}: {}/{}, in and out", net.first().ip(), net.len);
    }
    println!("{} prefixes, {} addresses, {root_bits:?}", nets.len(), addresses.len());
}

#[test]
fn the_kernel_counts_every_address_for_its_longest_prefix() {
    if !is_root("the_kernel_counts_every_address_for_its_longest_prefix") {
        return;
    }
    let mut nets = sorted(sets::sets(SEED).into_iter().flat_map(|(_, nets)| nets).collect());
    // Without the default routes, which would hide an address that is found nowhere.
    nets.retain(|net| net.len > 1);
    lookups_match_the_list(&nets, RootBits { v4: 16, v6: 24 });
    lookups_match_the_list(&nets, RootBits { v4: 24, v6: 16 });
}

#[test]
fn a_replay_by_either_engine_is_the_same_history() {
    if !is_root("a_replay_by_either_engine_is_the_same_history") {
        return;
    }
    let nets = prefixes();
    let mut random = Random::new(SEED);
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    for turn in 0..2_000 {
        let mut frame = wild::frame(&mut random, &nets);
        match turn % 500 {
            // Fewer bytes than the kernel takes, and more.
            100 => frame.truncate(10),
            200 => frame.resize(80_000, 0),
            _ => {}
        }
        let at = Timestamp::from_parts(1_795_255_200 + turn / 50, 0);
        writer.write_frame(at, frame.len() as u32 + random.below(100) as u32, &frame).unwrap();
    }
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(&writer.into_inner()).unwrap();
    let records = |engine| -> Vec<Value> {
        let options = Options {
            captures: vec![file.path().to_owned()],
            engine,
            set: tables::set(&nets),
            sensor: "twins".to_owned(),
            interval: Some(Duration::from_secs(10)),
            format: Format::Jsonl,
        };
        let mut out = Vec::new();
        replay(&options, &mut out).unwrap();
        str::from_utf8(&out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (mut kernel, native) = (records(EngineKind::Kernel), records(EngineKind::Native));
    let mut fallbacks = 0;
    for record in &mut kernel {
        let Some(left_out) = record.as_object_mut().unwrap().remove("replay_fallback") else { continue };
        fallbacks += left_out.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum::<u64>();
    }
    assert_eq!(fallbacks, 8, "frames that the twin counted for the kernel");
    assert_eq!(kernel.len(), native.len());
    for (kernel, native) in kernel.iter().zip(&native) {
        assert_eq!(kernel, native);
    }
    assert!(native.iter().filter(|record| record["record"] == "ledger").count() == 4, "four intervals");
}
