//! Prefix counters in little memory, and the pass over all of them that every interval begins with.

use std::sync::atomic::{AtomicU64, Ordering};

use sensor_ebpf::abi::Counter;

/// Words of a counter in memory: packets, bytes, frame bytes, and one that is not used.
const MAP_WORDS: usize = size_of::<Counter>() / size_of::<u64>();
/// Counters that are summed and compared at a time: a page of a map, and little enough to stay in the fastest cache.
const BLOCK: usize = 128;

/// The words of a counter that are used, in their order in memory.
type Row = [u64; 3];

/// Many counters: 24 bytes each, and none where whole pages of them are zero, because the kernel hands out memory when it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    /// So many zeros.
    pub(super) fn zero(len: usize) -> Self {
        // Memory that the allocator knows to be zero is not written.
        Self(vec![[0; 3]; len])
    }

    /// What the counters of a map, or several maps that count the same, add up to: its words, and theirs.
    pub(super) fn sum(slices: &[&[AtomicU64]]) -> Self {
        let mut rows = Self::zero(counters(slices));
        sums(slices, |first, sums| {
            for (row, sum) in rows.0[first..].iter_mut().zip(sums) {
                if *sum != Row::default() {
                    *row = *sum;
                }
            }
        });
        rows
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The counter there; zero beyond the end.
    pub(super) fn get(&self, row: usize) -> Counter {
        self.0.get(row).map_or_else(Counter::default, counter)
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Counter> {
        self.0.iter().map(counter)
    }

    /// Adds to the counter there; `None` beyond the end.
    pub(super) fn add(&mut self, row: usize, more: &Counter) -> Option<()> {
        let row = self.0.get_mut(row)?;
        // What is zero stays untouched: see the type.
        if !more.is_zero() {
            *row = words(&counter(row).sum(more));
        }
        Some(())
    }

    /// Tells of each counter that is another one `now`, in their order, by how much it grew.
    pub(super) fn growth(&self, now: &Self, mut grown: impl FnMut(usize, Counter)) {
        for (block, now) in now.0.chunks(BLOCK).enumerate() {
            self.block_growth(block * BLOCK, now, &mut grown);
        }
    }

    /// The same of counters in maps, summed as [`Rows::sum`] does.
    pub(super) fn growth_in(&self, slices: &[&[AtomicU64]], mut grown: impl FnMut(usize, Counter)) {
        sums(slices, |first, now| self.block_growth(first, now, &mut grown));
    }

    fn block_growth(&self, first: usize, now: &[Row], grown: &mut impl FnMut(usize, Counter)) {
        let Some(then) = self.0.get(first..first + now.len()) else { return };
        // In most blocks nothing happened.
        if then == now {
            return;
        }
        for (row, (now, then)) in (first..).zip(now.iter().zip(then)) {
            if now != then {
                grown(row, counter(now).since(&counter(then)));
            }
        }
    }
}

/// How many counters there are in maps that count the same.
pub(super) fn counters(slices: &[&[AtomicU64]]) -> usize {
    slices.iter().map(|slice| slice.len() / MAP_WORDS).min().unwrap_or_default()
}

/// Adds up maps that count the same, block by block: where it begins, and the sums.
///
/// Each word is read whole, once; words may be of different moments.
fn sums(slices: &[&[AtomicU64]], mut each: impl FnMut(usize, &[Row])) {
    let end = counters(slices);
    let mut block = [Row::default(); BLOCK];
    for first in (0..end).step_by(BLOCK) {
        let block = &mut block[..BLOCK.min(end - first)];
        block.fill(Row::default());
        for slice in slices {
            let words = &slice[first * MAP_WORDS..(first + block.len()) * MAP_WORDS];
            for (sum, words) in block.iter_mut().zip(words.chunks_exact(MAP_WORDS)) {
                for (sum, word) in sum.iter_mut().zip(words) {
                    *sum = sum.wrapping_add(word.load(Ordering::Relaxed));
                }
            }
        }
        each(first, block);
    }
}

fn counter(row: &Row) -> Counter {
    let [packets, bytes, frame_bytes] = *row;
    Counter { packets, bytes, frame_bytes, reserved: 0 }
}

fn words(counter: &Counter) -> Row {
    [counter.packets, counter.bytes, counter.frame_bytes]
}
