//! Anything that can happen to a spool, in any order, on disks that fail, with agents killed and power lost at any moment.

use super::{
    bench::{Bench, NAMES},
    memory::Fault,
};
use crate::testing::rng::Rng;

/// Histories that are tried.
const HISTORIES: u64 = 200;
/// Agents that follow each other in one.
const LIVES: usize = 4;
/// Things that one does at most, and steps of the disk before it ends.
const EVENTS: usize = 40;
const STEPS: usize = 500;

/// Does something.
fn act(bench: &mut Bench, rng: &mut Rng) {
    let index = rng.below(NAMES.len());
    match rng.below(20) {
        0..8 => bench.append(),
        8..12 => drop(bench.deliver(index, true)),
        12 => drop(bench.deliver(index, false)),
        13 => while bench.deliver(index, true) {},
        14..16 => bench.save(index),
        16 => bench.open(),
        17 => bench.bounds.max_bytes = rng.pick(&[2 << 10, 4 << 10, 8 << 10]),
        _ => bench.merge(),
    }
}

/// Lives through a history; whether anything was merged, and how many records were lost.
fn live(seed: u64) -> (bool, u64) {
    let mut rng = Rng::new(seed);
    let mut bench = Bench::new(4 << 10, None);
    for _ in 0..LIVES {
        let fault = rng.pick(&[Fault::Dead, Fault::Dead, Fault::Once, Fault::Short, Fault::Full, Fault::ReadOnly]);
        bench.disk.fail(Some((bench.disk.steps() + rng.below(STEPS) as u64, fault)));
        for _ in 0..EVENTS {
            if bench.disk.is_dead() {
                break;
            }
            act(&mut bench, &mut rng);
        }
        let disk = if rng.one_in(3) { bench.disk.killed() } else { bench.disk.unplugged(&mut rng) };
        bench = bench.on(disk);
        bench.open();
    }
    let told = bench.finish();
    (told.iter().any(|told| told.has_merged()), told.iter().map(|told| told.lost()).sum())
}

#[test]
fn whatever_happens_each_record_is_told_or_told_as_lost() {
    let (mut merged, mut lost) = (0, 0);
    for seed in 0..HISTORIES {
        println!("seed {seed}");
        let (has_merged, records) = live(seed);
        merged += u64::from(has_merged);
        lost += u64::from(records > 0);
    }
    assert!(merged > HISTORIES / 4 && lost > HISTORIES / 4, "{merged} merged, {lost} lost");
}
