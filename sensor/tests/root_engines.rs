//! The kernel's program and its twin in this process count alike, whatever the frame.
#![expect(clippy::unwrap_used, reason = "an engine that fails fails the test")]
#![expect(clippy::print_stdout, reason = "how much was compared belongs to the test report")]

#[path = "root_engines/cpus.rs"]
mod cpus;
#[path = "root_engines/lengths.rs"]
mod lengths;
#[path = "support/net.rs"]
mod net;
#[path = "root_engines/pair.rs"]
mod pair;
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
#[path = "support/watched.rs"]
mod watched;
#[path = "support/wild.rs"]
mod wild;

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use sensor::{
    bpf::{Buffers, Hook, Kernel, TestRun},
    capture::{LinkType, Timestamp, write::PcapWriter},
    collect::Meter,
    prefix::RootBits,
    replay::{EngineKind, Options, replay},
};
use sensor_ebpf::{
    abi::{Counter, Direction, PrefixId},
    packet::MAX_OFFSET,
};
use serde_json::Value;
use tempfile::NamedTempFile;

use self::{
    net::{Net, sorted},
    pair::{Captured, ONE_BUFFER, Pair, setting},
    plain::plain,
    random::Random,
    root::is_root,
    sets::List,
};

const SEED: u64 = 20_261;
/// Random frames for each program, unless the environment says otherwise.
const FRAMES: u64 = 20_000;
/// Frames between two comparisons: a comparison takes a grace period, some milliseconds.
const CHUNK: usize = 10_000;
/// Verdicts of XDP (`enum xdp_action`).
const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;

/// Some hundreds of both families, nested and apart.
fn prefixes() -> Vec<Net> {
    let some = |wanted: &str, step: usize| -> Vec<Net> {
        let all = sets::sets(SEED).into_iter();
        all.filter(|(name, _)| *name == wanted).flat_map(|(_, nets)| nets).step_by(step).collect()
    };
    sorted([some("clusters", 3), some("like a routing table", 7)].concat())
}

/// Random frames through all programs of a hook, compared after each chunk. A chunk has a seed of its own, so that the one that
/// failed can be run alone: `SENSOR_SEED` is the first, and `SENSOR_FRAMES` how many frames each program is given.
fn all_count_alike(hook: Hook, verdict: u32) {
    let nets = prefixes();
    let (first_seed, frames) = (setting("SENSOR_SEED", SEED), setting("SENSOR_FRAMES", FRAMES));
    let variants = [(Buffers::Several, false), (Buffers::Several, true), (Buffers::One, false), (Buffers::One, true)];
    let mut pairs = variants.map(|(buffers, replay)| (Pair::new(&nets, hook, buffers, replay), 0));
    let started = Instant::now();
    for (number, start) in (0..frames).step_by(CHUNK).enumerate() {
        let seed = first_seed + number as u64;
        let chunk = Captured::random(seed, CHUNK.min((frames - start) as usize), &nets);
        for ((pair, given), (buffers, replay)) in pairs.iter_mut().zip(variants) {
            let what = || format!("SENSOR_SEED={seed}, chunk {number}, {hook:?}, {buffers:?}, replay {replay}");
            for frame in &chunk {
                if pair.takes(frame) {
                    assert_eq!(pair.count(frame), verdict, "verdict on {frame:?}: {}", what());
                    *given += 1;
                }
            }
            if !pair.agree() {
                panic!("{}: {}", what(), pair.culprit(&chunk));
            }
        }
    }
    for (pair, given) in &mut pairs {
        let seen = pair.kernel.read().unwrap().ledger[0];
        assert_eq!(seen.seen().packets, *given);
        // Random frames that all end in one cell would prove little.
        assert!(seen.matched().packets > frames / 4 && seen.unparsed().packets > frames / 10, "{seen:?}");
    }
    let given: u64 = pairs.iter().map(|(_, given)| given).sum();
    let rate = given as f64 / started.elapsed().as_secs_f64();
    println!("{hook:?}: {given} frames from seed {first_seed} on, {rate:.0} a second by either engine");
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
        // As many neighbours as there is room for: frames that the twin counts would find room where the program has none left.
        for mac in frame.chunks_mut(6).take(2).filter(|mac| mac.len() == 6) {
            mac.copy_from_slice(&[2, 0, 0, 0, 0, random.below(8) as u8]);
        }
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
            interval: Some(Duration::from_secs(10)),
            ..Options::new(vec![file.path().to_owned()], engine, tables::set(&nets))
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
