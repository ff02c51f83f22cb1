//! Prefix counters as they stand in maps: the sums of their slices, and of what CPUs have still to add to them.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use sensor_ebpf::abi::{Counter, Pending};

use super::rows::{BLOCK, Row, words};

/// Words of a counter in memory: packets, bytes, frame bytes, and one that is not used.
const COUNTER_WORDS: usize = size_of::<Counter>() / size_of::<u64>();
/// Words of a line of what is still to be added.
const PENDING_WORDS: usize = size_of::<Pending>() / size_of::<u64>();
/// How often a line is read that changes meanwhile. One that always does is of a CPU that adds all the time: what it lacks is its last packet.
const TRIES: usize = 4;

/// The words of maps that count the same, one for each slice, and of the lines of what the CPUs of each have still to add.
#[derive(Clone, Debug)]
pub(crate) struct MapWords<'a> {
    slices: Vec<&'a [AtomicU64]>,
    pending: Vec<&'a [AtomicU64]>,
}

/// What waits to be added to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Waiting {
    slice: usize,
    turn: u64,
    row: usize,
    more: Row,
}

impl<'a> MapWords<'a> {
    /// Of slices of `rows` counters each; the lines may be none, where nothing is ever left to be added.
    pub(crate) fn new(counters: &'a [AtomicU64], rows: usize, pending: &'a [AtomicU64]) -> Self {
        Self {
            slices: counters.chunks_exact((rows * COUNTER_WORDS).max(1)).collect(),
            pending: pending.chunks_exact(PENDING_WORDS).collect(),
        }
    }

    /// How many counters there are.
    pub(super) fn len(&self) -> usize {
        self.slices.first().map_or(0, |slice| slice.len() / COUNTER_WORDS)
    }

    /// Adds up the slices and what waits, block by block: where it begins, and the sums.
    ///
    /// Each word is read whole, once; words may be of different moments. No packet is in a sum twice, and one that a sum lacks, though
    /// an earlier one had it, is about to be added: such a sum is less than the earlier one.
    pub(super) fn sums(&self, mut each: impl FnMut(usize, &[Row])) {
        let waiting = self.waiting();
        let mut waiting = waiting.as_slice();
        let mut block = [Row::default(); BLOCK];
        for first in (0..self.len()).step_by(BLOCK) {
            let block = &mut block[..BLOCK.min(self.len() - first)];
            block.fill(Row::default());
            for slice in &self.slices {
                let words = &slice[first * COUNTER_WORDS..(first + block.len()) * COUNTER_WORDS];
                for (sum, words) in block.iter_mut().zip(words.chunks_exact(COUNTER_WORDS)) {
                    for (sum, word) in sum.iter_mut().zip(words) {
                        *sum = sum.wrapping_add(word.load(Ordering::Relaxed));
                    }
                }
            }
            let here = waiting.partition_point(|waiting| waiting.row < first + block.len());
            let (those, behind) = waiting.split_at(here);
            waiting = behind;
            // Only what was not added before the counter was read is certain not to be in it.
            for Waiting { row, more, .. } in those.iter().filter(|waiting| self.still_waits(waiting)) {
                for (sum, more) in block[row - first].iter_mut().zip(more) {
                    *sum = sum.wrapping_add(*more);
                }
            }
            each(first, block);
        }
    }

    /// What waits now, by row.
    fn waiting(&self) -> Vec<Waiting> {
        let mut all: Vec<Waiting> = Vec::new();
        for (slice, line) in self.pending.iter().enumerate() {
            let Some((turn, pending)) = (0..TRIES).find_map(|_| consistent(line)) else { continue };
            // Rows are numbered through all slices.
            let own = slice * self.len()..(slice + 1) * self.len();
            let left = pending.left().filter(|(row, _)| own.contains(row));
            all.extend(left.map(|(row, more)| Waiting { slice, turn, row: row - own.start, more: words(&more) }));
        }
        all.sort_unstable_by_key(|waiting| waiting.row);
        all
    }

    /// Whether it was not added yet when whatever was read before this call was read.
    fn still_waits(&self, waiting: &Waiting) -> bool {
        fence(Ordering::Acquire);
        self.pending[waiting.slice][0].load(Ordering::Acquire) == waiting.turn
    }
}

#[cfg(test)]
mod tests;

/// A line as it was at one moment, and its turn; `None` where it changed meanwhile.
fn consistent(line: &[AtomicU64]) -> Option<(u64, Pending)> {
    let turn = line[0].load(Ordering::Acquire);
    let words: [u64; PENDING_WORDS] = std::array::from_fn(|word| line[word].load(Ordering::Relaxed));
    fence(Ordering::Acquire);
    let same = turn.is_multiple_of(2) && line[0].load(Ordering::Acquire) == turn;
    same.then(|| (turn, bytemuck::cast(words)))
}
