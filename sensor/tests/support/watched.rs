//! What two engines remember and tell of watched traffic, compared.

use std::collections::BTreeMap;

use sensor::watch::Memory;
use sensor_ebpf::abi::{Clock, Counter, RowKey, Sample, Spending};

/// Lets an engine tell of everything.
pub(crate) fn attend(memory: &mut impl Memory, networks: u32) {
    for network in 0..=networks {
        Spending::ALL.into_iter().for_each(|spending| memory.allow(network, spending, u64::MAX, u64::MAX));
    }
}

/// A clock that stands at one second, from which on everything is told once more.
pub(crate) fn at(now: u32) -> Clock {
    Clock { now, since: now }
}

/// All records that wait.
pub(crate) fn samples(memory: &mut impl Memory) -> Vec<(Sample, Vec<u8>)> {
    let mut samples = Vec::new();
    memory
        .samples(usize::MAX, &mut |sample, payload| {
            samples.push((*sample, payload.to_vec()));
            Ok(())
        })
        .unwrap();
    samples
}

/// What the rows of all slices add up to, by what they count; neighbours by what they are.
pub(crate) fn rows(memory: &impl Memory) -> BTreeMap<String, Counter> {
    let mut sums: BTreeMap<String, Counter> = BTreeMap::new();
    for slice in 0..memory.slices() {
        memory.rows(slice, &mut |row| {
            let key = RowKey::from_word(row.key as u32).unwrap();
            let neighbour = memory.neighbour(slice, key.neighbour());
            let what = format!("{:?} {:?} {neighbour:?} {:?}", key.network(), key.direction(), key.kind().verdict());
            let sum = sums.entry(what).or_default();
            *sum = sum.sum(&row.counter());
        });
    }
    sums
}

/// What all rows count together.
pub(crate) fn total(rows: &BTreeMap<String, Counter>) -> Counter {
    rows.values().fold(Counter::default(), |total, counter| total.sum(counter))
}
