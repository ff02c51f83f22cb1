//! What two engines remember and tell of watched traffic, compared.

use std::collections::BTreeMap;

use sensor::watch::Memory;
use sensor_ebpf::abi::{Counter, RowKey, Sample, Spending};

/// Lets an engine tell of everything.
pub(crate) fn attend(memory: &mut impl Memory, networks: u32) {
    for network in 0..=networks {
        Spending::ALL.into_iter().for_each(|spending| memory.allow(network, spending, u64::MAX, u64::MAX));
    }
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
