//! Prefix counters in little memory, and the pass over all of them that every interval begins with.

use sensor_ebpf::abi::Counter;

use super::words::MapWords;

/// Counters that are summed and compared at a time: a page of a map, and little enough to stay in the fastest cache.
pub(super) const BLOCK: usize = 128;

/// The words of a counter that are used, in their order in memory.
pub(super) type Row = [u64; 3];

/// Many counters: 24 bytes each, and none where whole pages of them are zero, because the kernel hands out memory when it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rows(Vec<Row>);

impl Rows {
    /// So many zeros.
    pub(super) fn zero(len: usize) -> Self {
        // Memory that the allocator knows to be zero is not written.
        Self(vec![[0; 3]; len])
    }

    /// What the counters of maps add up to.
    pub(super) fn sum(maps: &MapWords<'_>) -> Self {
        let mut rows = Self::zero(maps.len());
        maps.sums(|first, sums| {
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

    /// Tells of each counter that is another one `now`, in their order, by how much it grew; by nothing where it is less, which is
    /// about to become what it was.
    pub(super) fn growth(&self, now: &Self, mut grown: impl FnMut(usize, Counter)) {
        for (block, now) in now.0.chunks(BLOCK).enumerate() {
            self.block_growth(block * BLOCK, now, &mut grown);
        }
    }

    /// The same of counters in maps, summed as [`Rows::sum`] does.
    pub(super) fn growth_in(&self, maps: &MapWords<'_>, mut grown: impl FnMut(usize, Counter)) {
        maps.sums(|first, now| self.block_growth(first, now, &mut grown));
    }

    fn block_growth(&self, first: usize, now: &[Row], grown: &mut impl FnMut(usize, Counter)) {
        let Some(then) = self.0.get(first..first + now.len()) else { return };
        // In most blocks nothing happened.
        if then == now {
            return;
        }
        for (row, (now, then)) in (first..).zip(now.iter().zip(then)) {
            if now != then {
                grown(row, counter(&std::array::from_fn(|word| growth(then[word], now[word]))));
            }
        }
    }
}

/// How much a counter grew that was `then`; it wraps like the kernel's.
fn growth(then: u64, now: u64) -> u64 {
    let grown = now.wrapping_sub(then);
    if grown.cast_signed() < 0 { 0 } else { grown }
}

fn counter(row: &Row) -> Counter {
    let [packets, bytes, frame_bytes] = *row;
    Counter { packets, bytes, frame_bytes, reserved: 0 }
}

pub(super) fn words(counter: &Counter) -> Row {
    [counter.packets, counter.bytes, counter.frame_bytes]
}
