//! Another prefix table in force while packets run: each is counted once, under the old id or the new one.
#![expect(clippy::unwrap_used, reason = "a kernel that fails fails the test")]

#[path = "support/net.rs"]
mod net;
#[path = "support/over.rs"]
mod over;
#[path = "support/plain.rs"]
mod plain;
#[path = "support/root.rs"]
mod root;
#[path = "support/tables.rs"]
mod tables;

use std::{
    collections::HashSet,
    fs,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use aya::programs::{TestRun as _, TestRunOptions, Xdp, loaded_programs};
use aya_obj::programs::XdpAttachType;
use sensor::{
    bpf::{Buffers, Hook, Kernel, NO_MANIFEST, TestRun, wait_for_programs},
    collect::{Meter, Reading},
    prefix::RootBits,
};
use sensor_ebpf::abi::{Direction, PrefixId};

use self::{
    net::{Address, Net, sorted},
    over::Over,
    plain::plain,
    root::is_root,
};

/// Prefixes whose addresses are sent to.
const PREFIXES: usize = 300;
/// Tables put in force one after the other.
const TABLES: usize = 6;
/// Ids by which each table moves those of the one before.
const STEP: usize = 40;
/// Frames that must have been counted under each of them.
const FRAMES_EACH: u64 = 2_000;

/// Shorter than any grace period that is not hurried, longer than writing one small table takes more or less than another time.
const HURRIED: Duration = Duration::from_millis(2);

/// One test at a time: the program of a kernel is found among those of this process.
static ALONE: Mutex<()> = Mutex::new(());

/// Ids of the programs that this process holds.
fn programs() -> HashSet<u32> {
    let mut ids = HashSet::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap() {
        // The descriptor of the listing itself is gone by now.
        let Ok(text) = fs::read_to_string(entry.unwrap().path()) else { continue };
        ids.extend(text.lines().filter_map(|line| line.strip_prefix("prog_id:")?.trim().parse::<u32>().ok()));
    }
    ids
}

/// A kernel whose program can also be run beside it, which its own `&mut` does not allow.
fn load(nets: &[Net]) -> (Kernel, Xdp) {
    let before = programs();
    let set = tables::set(nets);
    let mut kernel = Kernel::load(&set, &set.trie().unwrap(), 1).unwrap();
    TestRun::prepare(kernel.instance(0).unwrap(), Hook::Inline, Buffers::Several).unwrap();
    let ours: Vec<u32> = programs().difference(&before).copied().collect();
    assert_eq!(ours.len(), 1, "one program was loaded");
    let info = loaded_programs().map(Result::unwrap).find(|info| info.id() == ours[0]).unwrap();
    let program = Xdp::from_program_info(info, "sensor_inline_frags".into(), XdpAttachType::Interface).unwrap();
    (kernel, program)
}

fn run(program: &Xdp, frame: &[u8]) {
    let options = TestRunOptions { data_in: Some(frame), ..TestRunOptions::new() };
    assert_eq!(program.test_run(options).unwrap().return_value, 2);
}

/// The prefixes whose addresses are sent to: at the root, in nodes and with runs of their own.
fn targets() -> Vec<Net> {
    let number = |at: usize| (at as u128 / 2) << 96;
    (0..PREFIXES)
        .map(|at| match at % 4 {
            0 => Net::new(true, 0x1400_0000 << 96 | number(at) << 16, 16),
            2 => Net::new(true, 0x3000_0000 << 96 | number(at), 32),
            1 => Net::new(false, 0x2001_0db8 << 96 | (at as u128) << 64, 64),
            _ => Net::new(false, 0x2001_0db8_ffff << 80 | at as u128, 128),
        })
        .collect()
}

/// Table number `table`: of the same size as the others, with more prefixes before the targets of each family and fewer behind
/// them, which moves the id of every target up by `STEP` from table to table.
fn nets_of(table: usize) -> Vec<Net> {
    let filler = |v4: bool, place: usize| Net::new(v4, (place as u128) << 112, 16);
    let mut nets = targets();
    for place in 0..TABLES * STEP {
        let start = if place < table * STEP { 0 } else { 0xf000 };
        nets.extend([filler(true, start + place), filler(false, start + place)]);
    }
    sorted(nets)
}

/// The address in each target, and its id in a table.
fn ids(table: usize) -> Vec<(Address, PrefixId)> {
    let nets = nets_of(table);
    let place = |target: &Net| nets.iter().position(|net| net == target).unwrap() as u32;
    targets().iter().map(|target| (target.first(), PrefixId::new(place(target) + 1).unwrap())).collect()
}

/// Packets toward the prefix of an id.
fn packets(reading: &Reading, id: PrefixId) -> u64 {
    reading.prefix(id, Direction::In).packets
}

#[test]
fn every_packet_is_counted_once_under_the_old_table_or_the_new() {
    if !is_root("every_packet_is_counted_once_under_the_old_table_or_the_new") {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut kernel, program) = load(&nets_of(0));
    // From an address in no table, each frame longer than the one before: no two add the same bytes.
    let nowhere = |v4| Address { v4, bits: 0xee00 << 112 };
    let targets = ids(0);
    let lengths = targets.iter().map(|(target, _)| if target.v4 { 20 } else { 40 }).zip(0_u64..);
    let frames: Vec<(Vec<u8>, u64)> = (targets.iter().zip(lengths))
        .map(|((target, _), (header, more))| (plain(nowhere(target.v4), *target, more as usize), header + more))
        .collect();
    let (rounds, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let mut frozen: Vec<(Reading, HashSet<PrefixId>)> = Vec::new();
    thread::scope(|scope| {
        let _over = Over(&stop);
        let runner = scope.spawn(|| {
            while !stop.load(Ordering::Acquire) {
                for (frame, _) in &frames {
                    run(&program, frame);
                }
                rounds.fetch_add(1, Ordering::AcqRel);
            }
        });
        for table in 1..TABLES {
            // The runner must be in full swing under the table in force, with flips at any place of its round.
            let wanted = rounds.load(Ordering::Acquire) + FRAMES_EACH.div_ceil(PREFIXES as u64);
            while rounds.load(Ordering::Acquire) < wanted && !runner.is_finished() {
                thread::yield_now();
            }
            let now: HashSet<PrefixId> = ids(table).into_iter().map(|(_, id)| id).collect();
            kernel.maps().publish(&tables::set(&nets_of(table)).trie().unwrap(), NO_MANIFEST).unwrap();
            let old = ids(table - 1).into_iter().map(|(_, id)| id).filter(|id| !now.contains(id)).collect();
            frozen.push((kernel.read().unwrap(), old));
        }
        let wanted = rounds.load(Ordering::Acquire) + 2;
        while rounds.load(Ordering::Acquire) < wanted && !runner.is_finished() {
            thread::yield_now();
        }
        // An id that only an older table gave to a target moves no more, however long the runner goes on.
        let last = kernel.read().unwrap();
        for (before, old) in &frozen {
            assert_eq!(old.len(), 2 * STEP);
            for id in old {
                assert_eq!(packets(&last, *id), packets(before, *id), "{id:?} after its table was replaced");
            }
        }
    });
    let reading = kernel.read().unwrap();
    let rounds = rounds.load(Ordering::Acquire);
    let per_round: u64 = frames.iter().map(|(_, bytes)| bytes).sum();
    let all = (1..=nets_of(0).len() as u32).filter_map(PrefixId::new);
    let counted = all
        .map(|id| reading.prefix(id, Direction::In))
        .fold((0, 0), |(packets, bytes), counter| (packets + counter.packets, bytes + counter.bytes));
    assert_eq!(counted, (rounds * PREFIXES as u64, rounds * per_round));
    assert_eq!(reading.ledger[0].seen().packets, rounds * PREFIXES as u64);
    assert_eq!(reading.ledger[0].matched().bytes, rounds * per_round);
    println!("{} frames, {} tables", rounds * PREFIXES as u64, TABLES);
}

#[test]
fn after_publish_only_the_new_ids_count() {
    if !is_root("after_publish_only_the_new_ids_count") {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut kernel, program) = load(&nets_of(0));
    let nowhere = |v4| Address { v4, bits: 0xee00 << 112 };
    for table in 0..TABLES {
        if table > 0 {
            kernel.maps().publish(&tables::set(&nets_of(table)).trie().unwrap(), NO_MANIFEST).unwrap();
        }
        let before = kernel.read().unwrap();
        for (target, _) in ids(table) {
            run(&program, &plain(nowhere(target.v4), target, 8));
        }
        let delta = kernel.read().unwrap().since(&before).unwrap().dense().unwrap();
        let live: HashSet<PrefixId> = ids(table).into_iter().map(|(_, id)| id).collect();
        for id in (1..=nets_of(0).len() as u32).filter_map(PrefixId::new) {
            assert_eq!(packets(&delta, id), u64::from(live.contains(&id)), "{id:?} under table {table}");
        }
    }
}

/// Half of all durations are shorter.
fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    durations[durations.len() / 2]
}

/// The half that the next table is written into is one that no program looks into any more: with programs that run by themselves,
/// putting a table in force takes longer by what waiting for those takes that run.
#[test]
fn putting_a_table_in_force_waits_for_the_programs_that_run() {
    if !is_root("putting_a_table_in_force_waits_for_the_programs_that_run") {
        return;
    }
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let set = tables::set(&nets_of(0));
    let trie = set.trie().unwrap();
    let (mut live, mut replay) =
        (Kernel::load(&set, &trie, 1).unwrap(), Kernel::load_for_replay(&set, &trie, None).unwrap());
    let (mut waits, mut flips, mut writes) = (Vec::new(), Vec::new(), Vec::new());
    let timed = |work: &mut dyn FnMut()| {
        let began = Instant::now();
        work();
        began.elapsed()
    };
    for _ in 0..21 {
        waits.push(timed(&mut || wait_for_programs().unwrap()));
        flips.push(timed(&mut || live.maps().publish(&trie, NO_MANIFEST).unwrap()));
        writes.push(timed(&mut || replay.maps().publish(&trie, NO_MANIFEST).unwrap()));
    }
    let (wait, flip, write) = (median(waits), median(flips), median(writes));
    println!("waiting takes {wait:?}, putting in force {flip:?}, of which writing {write:?}");
    if wait < HURRIED {
        return println!("SKIP: this kernel waits too short a time (rcu_expedited) to tell it from writing a table");
    }
    // Grace periods differ by a factor of two; without one the difference is the noise of writing.
    assert!(flip > write + wait / 4, "{flip:?} is no longer than {write:?} by {wait:?}");
}

/// The old table goes on counting after `refused` was not taken.
fn stays_in_force(refused: &[Net], root_bits: Option<RootBits>, message: &str) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut kernel, program) = load(&nets_of(1));
    let set = tables::set(refused);
    let trie = root_bits.map_or_else(|| set.trie().unwrap(), |bits| tables::trie(&set, bits));
    let result = kernel.maps().publish(&trie, NO_MANIFEST);
    let error = format!("{:#}", result.expect_err("a table that the maps were not made for must be refused"));
    assert!(error.contains(message) && error.contains("restart the sensor"), "{error}");
    // Twice: neither half of the table may have been touched.
    for table in [1, 2] {
        let before = kernel.read().unwrap();
        for (target, _) in ids(table) {
            run(&program, &plain(Address { v4: target.v4, bits: 0xee00 << 112 }, target, 8));
        }
        let delta = kernel.read().unwrap().since(&before).unwrap().dense().unwrap();
        assert!(ids(table).into_iter().all(|(_, id)| packets(&delta, id) == 1), "table {table}");
        kernel.maps().publish(&tables::set(&nets_of(2)).trie().unwrap(), NO_MANIFEST).unwrap();
    }
}

#[test]
fn a_table_of_too_many_nodes_is_refused_and_the_old_one_stays() {
    if is_root("a_table_of_too_many_nodes_is_refused_and_the_old_one_stays") {
        let more = (0..8000).map(|at: u128| Net::new(true, 0x0a00_0000 << 96 | at << 104, 25));
        stays_in_force(&sorted(nets_of(1).into_iter().chain(more).collect()), None, "does not fit");
    }
}

#[test]
fn a_table_under_other_roots_is_refused_and_the_old_one_stays() {
    if is_root("a_table_under_other_roots_is_refused_and_the_old_one_stays") {
        stays_in_force(&nets_of(1), Some(RootBits { v4: 16, v6: 24 }), "roots");
    }
}

#[test]
fn a_table_of_more_prefixes_than_counters_is_refused_and_the_old_one_stays() {
    if is_root("a_table_of_more_prefixes_than_counters_is_refused_and_the_old_one_stays") {
        // All of them end in the root: no node more, so the nodes do not give it away.
        let more = (0..2000).map(|at: u128| Net::new(true, (0x4000 + at) << 112, 16));
        stays_in_force(&sorted(nets_of(1).into_iter().chain(more).collect()), None, "does not fit");
    }
}
