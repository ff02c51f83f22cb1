//! Disks that fail at any step: what was appended is there, what was refused is there whole or not at all, and what is lost is told exactly.

use super::{
    super::disk::Disk as _,
    bench::{Bench, ROOMY},
    memory::{Fault, Memory},
};
use crate::testing::rng::Rng;

/// Small enough for all that a spool does: 12 intervals are merged, and more are given up.
const MAX_BYTES: u64 = 4 << 10;
/// Power losses that are tried at each step.
const POWER_LOSSES: u64 = 3;

/// Everything that a spool does, as far as a disk lets it.
fn live(bench: &mut Bench) {
    for round in 0..3 {
        (0..7).for_each(|_| bench.append());
        bench.deliver(0, true);
        bench.deliver(0, false);
        bench.merge();
        while bench.deliver(0, true) {}
        bench.save(0);
        bench.append();
        bench.merge();
        if round == 1 {
            bench.deliver(1, true);
            bench.deliver(1, true);
            bench.save(1);
        }
        bench.open();
    }
    if bench.bounds.max_bytes < ROOMY {
        bench.bounds.max_bytes = MAX_BYTES / 3;
    }
    bench.open();
    bench.append();
}

/// How many steps that takes.
fn steps(max_bytes: u64) -> u64 {
    let mut bench = Bench::new(max_bytes, None);
    live(&mut bench);
    let steps = bench.disk.steps();
    let told = bench.finish();
    let [quick, slow] = [&told[0], &told[1]];
    assert!(max_bytes == ROOMY || slow.has_merged() && slow.lost() > 0, "{quick:?} {slow:?}");
    assert!(steps > 100, "{steps}");
    steps
}

fn fail_at_every_step(fault: Fault) {
    let mut refused = 0;
    for max_bytes in [MAX_BYTES, ROOMY] {
        for at in 0..steps(max_bytes) {
            let mut bench = Bench::new(max_bytes, Some((at, fault)));
            live(&mut bench);
            refused += bench.refused;
            let told = bench.finish();
            told.iter().for_each(|told| assert_eq!(told.lost_in_vain(), 0, "{fault:?} at step {at}"));
        }
    }
    assert!(refused > 0);
}

#[test]
fn a_step_that_fails_once() {
    fail_at_every_step(Fault::Once);
}

#[test]
fn a_write_that_stops_in_the_middle() {
    fail_at_every_step(Fault::Short);
}

#[test]
fn a_disk_that_is_full() {
    fail_at_every_step(Fault::Full);
}

#[test]
fn a_disk_that_is_read_only() {
    fail_at_every_step(Fault::ReadOnly);
}

#[test]
fn a_full_disk_holds_neither_a_delivery_nor_a_start_up() {
    let mut bench = Bench::new(ROOMY, None);
    (0..4).for_each(|_| bench.append());
    // Killed in the middle of an append, on a disk that is full since.
    let path = bench.disk.paths().into_iter().find(|path| path.extension().is_some_and(|end| end == "open")).unwrap();
    let file = bench.disk.open(&path).unwrap();
    file.write_all_at(b"the beginning of a piece", file.len().unwrap()).unwrap();
    bench.disk.fail(Some((0, Fault::Full)));
    bench.open();
    assert!(bench.is_well() && !bench.try_append() && !bench.try_append());
    let mut delivered = 0;
    while bench.deliver(0, true) {
        delivered += 1;
    }
    bench.save(0);
    bench.open();
    assert!(delivered > 4 && bench.is_well() && !bench.deliver(0, true));
    bench.disk.fail(None);
    assert!(bench.try_append());
    bench.finish();
}

/// Ends at every step, and goes on with what `leave` leaves of the disk.
fn end_at_every_step(leave: impl Fn(&Memory, u64) -> Memory, times: u64) {
    for max_bytes in [MAX_BYTES, ROOMY] {
        for at in 0..steps(max_bytes) {
            let mut bench = Bench::new(max_bytes, Some((at, Fault::Dead)));
            live(&mut bench);
            (0..times).for_each(|time| drop(bench.on(leave(&bench.disk, at * times + time)).finish()));
        }
    }
}

#[test]
fn an_agent_that_is_killed_at_any_step() {
    end_at_every_step(|disk, _| disk.killed(), 1);
}

#[test]
fn power_that_is_lost_at_any_step() {
    end_at_every_step(|disk, seed| disk.unplugged(&mut Rng::new(seed)), POWER_LOSSES);
}
