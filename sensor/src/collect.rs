//! Readings of the counters, and what was counted between two of them. Pure: no clock, no map, no task.

use anyhow::{Result, bail};
use sensor_ebpf::abi::{Cell, Counter, Degraded, Direction, Matched, Outcome, PrefixId, Unparsed, prefix_row};

/// Something that has counted: the maps of the kernel, the vectors of the native engine.
pub trait Meter {
    /// Everything counted since its start.
    ///
    /// # Errors
    /// The counters cannot be read.
    fn read(&mut self) -> Result<Reading>;
}

/// Everything counted up to some moment, or between two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Totals over all CPUs, at `prefix_row(0, _, id, direction)`.
    pub prefixes: Vec<Counter>,
    /// One ledger per interface side.
    pub ledger: Vec<LedgerRow>,
}

/// The ledger of one interface side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerRow([Counter; Cell::COUNT as usize]);

/// What all prefixes counted together, by [`Direction`].
pub type Totals = [Counter; Direction::COUNT as usize];

impl Reading {
    /// What was counted since `earlier`.
    ///
    /// # Errors
    /// The readings are of different counters.
    pub fn since(&self, earlier: &Self) -> Result<Self> {
        if self.prefixes.len() != earlier.prefixes.len() || self.ledger.len() != earlier.ledger.len() {
            bail!("two readings of different counters cannot be compared");
        }
        Ok(Self {
            prefixes: self.prefixes.iter().zip(&earlier.prefixes).map(|(now, then)| now.since(then)).collect(),
            ledger: self.ledger.iter().zip(&earlier.ledger).map(|(now, then)| now.since(then)).collect(),
        })
    }

    /// What two meters counted together.
    ///
    /// # Errors
    /// The readings are of different counters.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        if self.prefixes.len() != other.prefixes.len() || self.ledger.len() != other.ledger.len() {
            bail!("two readings of different counters cannot be added");
        }
        Ok(Self {
            prefixes: self.prefixes.iter().zip(&other.prefixes).map(|(one, two)| one.sum(two)).collect(),
            ledger: self.ledger.iter().zip(&other.ledger).map(|(one, two)| one.plus(two)).collect(),
        })
    }

    /// A reading of nothing, for `prefixes` prefixes and `ledgers` ledgers.
    pub fn zero(prefixes: u32, ledgers: usize) -> Self {
        let rows = (prefixes + 1) * Direction::COUNT;
        Self { prefixes: vec![Counter::default(); rows as usize], ledger: vec![LedgerRow::default(); ledgers] }
    }

    /// What all prefixes counted together.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for (row, counter) in self.prefixes.iter().enumerate() {
            let total = &mut totals[row % Direction::COUNT as usize];
            *total = total.sum(counter);
        }
        totals
    }

    /// The counter of a prefix.
    pub fn prefix(&self, id: PrefixId, direction: Direction) -> Counter {
        self.prefixes.get(prefix_row(0, 0, id, direction) as usize).copied().unwrap_or_default()
    }
}

impl LedgerRow {
    /// The counter of a cell.
    pub fn cell(&self, cell: Cell) -> Counter {
        self.0.get(cell.index() as usize).copied().unwrap_or_default()
    }

    /// The counters of all cells, at [`Cell::index`].
    pub fn cells(&self) -> &[Counter] {
        &self.0
    }

    /// The counters of all cells, at [`Cell::index`].
    pub fn cells_mut(&mut self) -> &mut [Counter] {
        &mut self.0
    }

    /// Adds to a cell.
    pub fn add(&mut self, cell: Cell, counter: Counter) {
        if let Some(total) = self.0.get_mut(cell.index() as usize) {
            *total = total.sum(&counter);
        }
    }

    /// Cell by cell the sum.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|cell| self.0[cell].sum(&other.0[cell])))
    }

    /// Cell by cell what was counted since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self(std::array::from_fn(|cell| self.0[cell].since(&earlier.0[cell])))
    }

    /// The counter of an outcome.
    pub fn outcome(&self, outcome: Outcome) -> Counter {
        self.cell(Cell::outcome(outcome))
    }

    /// The counter of a degradation.
    pub fn degraded(&self, reason: Degraded) -> Counter {
        self.cell(Cell::degraded(reason))
    }

    /// Packets with an address in the table.
    pub fn matched(&self) -> Counter {
        sum(Matched::ALL.iter().map(|kind| self.outcome(Outcome::Matched(*kind))))
    }

    /// Frames without a countable IP header.
    pub fn unparsed(&self) -> Counter {
        sum(Unparsed::ALL.iter().map(|reason| self.outcome(Outcome::Unparsed(*reason))))
    }

    /// Every frame the hook saw: each lands in exactly one outcome, so this is their sum.
    pub fn seen(&self) -> Counter {
        let others = [Outcome::Other, Outcome::SeenBefore].map(|outcome| self.outcome(outcome));
        self.matched().sum(&sum(others.into_iter())).sum(&self.unparsed())
    }
}

fn sum(counters: impl Iterator<Item = Counter>) -> Counter {
    counters.fold(Counter::default(), |total, counter| total.sum(&counter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(packets: u64) -> Counter {
        Counter { packets, bytes: packets * 100, frame_bytes: packets * 114, reserved: 0 }
    }

    #[test]
    fn seen_is_the_sum_of_the_outcomes_and_nothing_else() {
        let mut row = LedgerRow::default();
        for (packets, cell) in (1..).zip(Cell::all()) {
            row.add(cell, counter(packets));
        }
        let outcomes = Matched::ALL.len() + 2 + Unparsed::ALL.len();
        assert_eq!(row.seen(), counter((1..=outcomes as u64).sum()));
        assert_eq!(row.matched(), counter(1 + 2 + 3));
    }

    #[test]
    fn deltas_survive_a_wrap() {
        let then = Reading { prefixes: vec![counter(0), Counter { packets: u64::MAX, ..counter(1) }], ledger: vec![] };
        let now = Reading { prefixes: vec![counter(0), Counter { packets: 1, ..counter(3) }], ledger: vec![] };
        assert_eq!(now.since(&then).unwrap().prefixes[1].packets, 2);
    }

    #[test]
    fn readings_of_other_counters_are_refused() {
        let one = Reading { prefixes: vec![Counter::default()], ledger: vec![] };
        assert!(one.since(&Reading::default()).is_err());
        assert!(one.plus(&Reading::default()).is_err());
    }
}
