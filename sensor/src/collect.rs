//! Readings of the counters, and what was counted between two of them. Pure: no clock, no map, no task.

mod rows;
mod sparse;
#[cfg(test)]
mod tests;
mod words;

use anyhow::{Result, bail};
use sensor_ebpf::abi::{Cell, Counter, Degraded, Direction, Matched, Outcome, PrefixId, Unparsed, prefix_row};

pub use self::sparse::SparseReading;
use self::{rows::Rows, sparse::SparseBuilder};
pub(crate) use self::{sparse::Zeroless, words::MapWords};

/// Something that has counted: the maps of the kernel, the vectors of the native engine.
pub trait Meter {
    /// Everything counted since its start.
    ///
    /// # Errors
    /// The counters cannot be read.
    fn read(&mut self) -> Result<Reading>;

    /// What was counted beyond `reported`, an earlier reading.
    ///
    /// # Errors
    /// The counters cannot be read, or the reading is of others.
    fn since(&mut self, reported: &Reading) -> Result<SparseReading> {
        self.read()?.since(reported)
    }
}

/// Everything counted up to some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Totals over all CPUs, at `prefix_row(0, _, id, direction)`.
    prefixes: Rows,
    /// One ledger per interface side.
    pub ledger: Vec<LedgerRow>,
}

/// The ledger of one interface side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerRow([Counter; Cell::COUNT as usize]);

/// What all prefixes counted together, by [`Direction`].
pub type Totals = [Counter; Direction::COUNT as usize];

impl Reading {
    /// A reading of nothing, for `prefixes` prefixes and `ledgers` ledgers.
    pub fn zero(prefixes: u32, ledgers: usize) -> Self {
        Self::of_rows((prefixes + 1) * Direction::COUNT, ledgers)
    }

    /// The same for so many prefix rows.
    pub(crate) fn of_rows(rows: u32, ledgers: usize) -> Self {
        Self { prefixes: Rows::zero(rows as usize), ledger: vec![LedgerRow::default(); ledgers] }
    }

    /// What maps hold, and their ledgers.
    pub(crate) fn of_maps(prefixes: &MapWords<'_>, ledger: Vec<LedgerRow>) -> Self {
        Self { prefixes: Rows::sum(prefixes), ledger }
    }

    /// The reading of these counters of prefixes, by row, and ledgers.
    pub fn of_counters(prefixes: &[Counter], ledger: Vec<LedgerRow>) -> Self {
        let mut rows = Rows::zero(prefixes.len());
        prefixes.iter().enumerate().for_each(|(row, counter)| {
            rows.add(row, counter);
        });
        Self { prefixes: rows, ledger }
    }

    /// What was counted since `earlier`.
    ///
    /// # Errors
    /// The readings are of different counters.
    pub fn since(&self, earlier: &Self) -> Result<SparseReading> {
        let mut delta = earlier.delta(self.prefixes.len(), &self.ledger)?;
        earlier.prefixes.growth(&self.prefixes, |row, counter| delta.push(row, &counter));
        earlier.ledger_growth(&self.ledger, &mut delta);
        Ok(delta.finish())
    }

    /// What maps hold beyond this reading of them, as [`Reading::of_maps`] takes them. Makes no second reading: memory is only needed
    /// for what was counted.
    ///
    /// # Errors
    /// It is a reading of different counters.
    pub(crate) fn growth_in(&self, maps: &MapWords<'_>, ledger: &[LedgerRow]) -> Result<SparseReading> {
        let mut delta = self.delta(maps.len(), ledger)?;
        self.prefixes.growth_in(maps, |row, counter| delta.push(row, &counter));
        self.ledger_growth(ledger, &mut delta);
        Ok(delta.finish())
    }

    fn delta(&self, rows: usize, ledger: &[LedgerRow]) -> Result<SparseBuilder> {
        if (rows, ledger.len()) != (self.prefixes.len(), self.ledger.len()) {
            bail!("two readings of different counters cannot be compared");
        }
        Ok(SparseBuilder::new(rows, ledger.len()))
    }

    fn ledger_growth(&self, now: &[LedgerRow], delta: &mut SparseBuilder) {
        let cells = now.iter().zip(&self.ledger).flat_map(|(now, then)| now.since(then).0);
        (self.prefixes.len()..).zip(cells).for_each(|(place, counter)| delta.push(place, &counter));
    }

    /// What two meters counted together.
    ///
    /// # Errors
    /// The readings are of different counters.
    pub fn plus(&self, other: &Self) -> Result<Self> {
        if !self.is_like(other) {
            bail!("two readings of different counters cannot be added");
        }
        let mut sum = self.clone();
        other.counters().enumerate().try_for_each(|(place, counter)| sum.add(place, &counter));
        Ok(sum)
    }

    /// Whether both are of as many prefix rows and ledgers.
    pub fn is_like(&self, other: &Self) -> bool {
        (self.prefixes.len(), self.ledger.len()) == (other.prefixes.len(), other.ledger.len())
    }

    /// What all prefixes counted together.
    pub fn totals(&self) -> Totals {
        totals(self.prefixes.iter().enumerate())
    }

    /// The counter of a prefix.
    pub fn prefix(&self, id: PrefixId, direction: Direction) -> Counter {
        self.prefixes.get(prefix_row(0, 0, id, direction) as usize)
    }

    /// The counters, those of the prefixes first, then ledger by ledger its cells.
    fn counters(&self) -> impl Iterator<Item = Counter> {
        self.prefixes.iter().chain(self.ledger.iter().flat_map(|ledger| ledger.0))
    }

    /// Adds to the counter at that place of all counters; `None` beyond their end.
    pub(crate) fn add(&mut self, place: usize, more: &Counter) -> Option<()> {
        let Some(cell) = place.checked_sub(self.prefixes.len()) else { return self.prefixes.add(place, more) };
        let ledger = self.ledger.get_mut(cell / Cell::COUNT as usize)?;
        let total = ledger.0.get_mut(cell % Cell::COUNT as usize)?;
        *total = total.sum(more);
        Some(())
    }
}

/// What counters of prefixes, each with its row, add up to.
pub(crate) fn totals(rows: impl Iterator<Item = (usize, Counter)>) -> Totals {
    rows.fold(Totals::default(), |mut totals, (row, counter)| {
        let total = &mut totals[row % Direction::COUNT as usize];
        *total = total.sum(&counter);
        totals
    })
}

impl LedgerRow {
    /// The counter of a cell.
    pub fn cell(&self, cell: Cell) -> Counter {
        self.0.get(cell.index() as usize).copied().unwrap_or_default()
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
