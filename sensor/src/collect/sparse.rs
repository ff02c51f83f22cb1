//! A reading without its zeros: what one interval changed is a small part of a full table.

use anyhow::{Context as _, Result, bail};
use sensor_ebpf::abi::{Cell, Counter, Direction, MAX_EXTERNAL, MAX_PREFIXES, PrefixId, Side};
use serde::{
    Deserialize, Serialize, Serializer,
    ser::{SerializeSeq as _, SerializeStruct as _},
};

use super::{LedgerRow, Reading, Totals, totals};

/// Most prefix rows of a reading: those of the largest table.
const MAX_ROWS: u32 = (MAX_PREFIXES + 1) * Direction::COUNT;
/// Most ledgers of a reading: one for each side of each interface.
const MAX_LEDGERS: u32 = MAX_EXTERNAL * Side::COUNT;

/// A [`Reading`] as the counters in it that are not zero.
///
/// The counters are one row: those of the prefixes, then ledger by ledger its cells.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct SparseReading {
    rows: u32,
    ledgers: u32,
    steps: Vec<Step>,
}

/// A counter, and how many zeros are before it: small numbers take few bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Step {
    zeros: u32,
    packets: u64,
    bytes: u64,
    frame_bytes: u64,
}

/// A reading that is written as a [`SparseReading`] without becoming one: that of a full table takes 64 MB.
pub(crate) struct Zeroless<'a>(pub(crate) &'a Reading);

struct Steps<'a>(&'a Reading);

impl Serialize for Zeroless<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let SparseReading { rows, ledgers, .. } =
            SparseBuilder::new(self.0.prefixes.len(), self.0.ledger.len()).finish();
        let mut reading = serializer.serialize_struct("SparseReading", 3)?;
        reading.serialize_field("rows", &rows)?;
        reading.serialize_field("ledgers", &ledgers)?;
        reading.serialize_field("steps", &Steps(self.0))?;
        reading.end()
    }
}

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let used = self.0.counters().filter(|counter| !counter.is_zero()).count();
        let mut steps = serializer.serialize_seq(Some(used))?;
        let mut zeros = 0;
        for counter in self.0.counters() {
            if counter.is_zero() {
                zeros += 1;
                continue;
            }
            steps.serialize_element(&Step::new(zeros, &counter))?;
            zeros = 0;
        }
        steps.end()
    }
}

/// As read from a file, before its numbers are believed.
#[derive(Deserialize)]
struct Raw {
    rows: u32,
    ledgers: u32,
    steps: Vec<Step>,
}

impl TryFrom<Raw> for SparseReading {
    type Error = anyhow::Error;

    fn try_from(raw: Raw) -> Result<Self> {
        let reading = Self { rows: raw.rows, ledgers: raw.ledgers, steps: raw.steps };
        reading.check()?;
        Ok(reading)
    }
}

impl Step {
    fn new(zeros: u32, counter: &Counter) -> Self {
        let Counter { packets, bytes, frame_bytes, .. } = *counter;
        Self { zeros, packets, bytes, frame_bytes }
    }
}

impl Reading {
    /// The counters that are not zero.
    pub fn sparse(&self) -> SparseReading {
        let mut sparse = SparseBuilder::new(self.prefixes.len(), self.ledger.len());
        self.counters().enumerate().for_each(|(place, counter)| sparse.push(place, &counter));
        sparse.finish()
    }
}

/// Collects the counters of a reading, in their order.
pub(super) struct SparseBuilder {
    reading: SparseReading,
    /// Place of the counter behind the last one.
    next: usize,
}

impl SparseBuilder {
    /// Nothing yet, of so many prefix rows and ledgers.
    pub(super) fn new(rows: usize, ledgers: usize) -> Self {
        // A reading of more is refused by `check` before anything is made of it.
        let [rows, ledgers] = [rows, ledgers].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        Self { reading: SparseReading { rows, ledgers, steps: Vec::new() }, next: 0 }
    }

    /// Adds the counter at that place, which is behind those before it.
    pub(super) fn push(&mut self, place: usize, counter: &Counter) {
        if counter.is_zero() {
            return;
        }
        debug_assert!(place >= self.next);
        self.reading.steps.push(Step::new((place - self.next) as u32, counter));
        self.next = place + 1;
    }

    pub(super) fn finish(self) -> SparseReading {
        self.reading
    }
}

impl SparseReading {
    /// Totals without names, as what was counted beyond `reported`: in the rows that no prefix has.
    pub fn of_totals(totals: &Totals, reported: &Reading) -> Self {
        let mut sparse = SparseBuilder::new(reported.prefixes.len().max(totals.len()), reported.ledger.len());
        totals.iter().enumerate().for_each(|(row, counter)| sparse.push(row, counter));
        sparse.finish()
    }

    /// How many counters are not zero.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The counters of prefixes that are not zero, by id.
    pub fn prefixes(&self) -> impl Iterator<Item = (PrefixId, Direction, Counter)> {
        self.rows().filter_map(|(row, counter)| {
            let id = PrefixId::new(row as u32 / Direction::COUNT)?;
            Some((id, Direction::ALL[row % Direction::ALL.len()], counter))
        })
    }

    /// The ledgers, with their zeros.
    pub fn ledger(&self) -> Vec<LedgerRow> {
        let mut ledger = Reading { ledger: vec![LedgerRow::default(); self.ledgers as usize], ..Reading::default() };
        for (place, counter) in self.counters() {
            if let Some(cell) = place.checked_sub(self.rows as usize) {
                ledger.add(cell, &counter);
            }
        }
        ledger.ledger
    }

    /// What all prefixes counted together.
    pub fn totals(&self) -> Totals {
        totals(self.rows())
    }

    /// The reading with its zeros.
    ///
    /// # Errors
    /// It is larger than any maps are.
    pub fn dense(&self) -> Result<Reading> {
        self.check()?;
        let mut reading = Reading::of_rows(self.rows, self.ledgers as usize);
        self.add_to(&mut reading)?;
        Ok(reading)
    }

    /// Adds it to a reading of the same counters.
    ///
    /// # Errors
    /// The reading is of others; it is unchanged then.
    pub fn add_to(&self, total: &mut Reading) -> Result<()> {
        if !self.fits(total) {
            bail!("two readings of different counters cannot be added");
        }
        for (place, counter) in self.counters() {
            total.add(place, &counter).context("a counter lies outside its reading")?;
        }
        Ok(())
    }

    /// Those of prefixes that are not zero, each with its row.
    fn rows(&self) -> impl Iterator<Item = (usize, Counter)> {
        let rows = self.rows as usize;
        self.counters().take_while(move |(place, _)| *place < rows)
    }

    /// Those that are not zero, each with its place among all.
    fn counters(&self) -> impl Iterator<Item = (usize, Counter)> {
        let mut next = 0;
        self.steps.iter().map(move |step| {
            let Step { zeros, packets, bytes, frame_bytes } = *step;
            let place = next + zeros as usize;
            next = place + 1;
            (place, Counter { packets, bytes, frame_bytes, reserved: 0 })
        })
    }

    /// Whether it is of the same counters as `reading`.
    pub(crate) fn fits(&self, reading: &Reading) -> bool {
        (self.rows as usize, self.ledgers as usize) == (reading.prefixes.len(), reading.ledger.len())
    }

    /// Refuses what no maps can be the source of, and counters outside the reading.
    pub(crate) fn check(&self) -> Result<()> {
        if self.rows > MAX_ROWS || self.ledgers > MAX_LEDGERS {
            bail!(
                "a reading of {} rows and {} ledgers is larger than {MAX_ROWS} and {MAX_LEDGERS}",
                self.rows,
                self.ledgers
            );
        }
        let end = u64::from(self.rows) + u64::from(self.ledgers) * u64::from(Cell::COUNT);
        let used: u64 = self.steps.iter().map(|step| u64::from(step.zeros) + 1).sum();
        if used > end {
            bail!("a counter lies outside its reading");
        }
        Ok(())
    }
}
