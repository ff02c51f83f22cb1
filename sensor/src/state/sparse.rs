//! A reading without its zeros: what one interval changed is a small part of a full table.

use anyhow::{Result, bail};
use sensor_ebpf::abi::{Cell, Counter, Direction, MAX_EXTERNAL, MAX_PREFIXES, Side};
use serde::{Deserialize, Serialize};

use crate::collect::{LedgerRow, Reading};

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

impl Reading {
    /// The counters that are not zero.
    pub fn sparse(&self) -> SparseReading {
        let counters = self.prefixes.iter().chain(self.ledger.iter().flat_map(|ledger| ledger.cells()));
        let mut steps = Vec::new();
        let mut zeros = 0;
        for counter in counters {
            if counter.is_zero() {
                zeros += 1;
                continue;
            }
            let Counter { packets, bytes, frame_bytes, .. } = *counter;
            steps.push(Step { zeros, packets, bytes, frame_bytes });
            zeros = 0;
        }
        // A reading of more is refused by `check` before anything is made of it.
        let [rows, ledgers] =
            [self.prefixes.len(), self.ledger.len()].map(|len| u32::try_from(len).unwrap_or(u32::MAX));
        SparseReading { rows, ledgers, steps }
    }
}

impl SparseReading {
    /// How many counters are not zero.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The reading with its zeros.
    ///
    /// # Errors
    /// It is larger than any maps are.
    pub fn dense(&self) -> Result<Reading> {
        self.check()?;
        let mut reading = Reading {
            prefixes: vec![Counter::default(); self.rows as usize],
            ledger: vec![LedgerRow::default(); self.ledgers as usize],
        };
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
        let mut place = 0;
        for step in &self.steps {
            place += step.zeros as usize;
            let rows = total.prefixes.len();
            let counter = match total.prefixes.get_mut(place) {
                Some(counter) => Some(counter),
                None => {
                    let cell = place - rows;
                    let ledger = total.ledger.get_mut(cell / Cell::COUNT as usize);
                    ledger.and_then(|ledger| ledger.cells_mut().get_mut(cell % Cell::COUNT as usize))
                }
            };
            let Some(counter) = counter else { bail!("a counter lies outside its reading") };
            let Step { packets, bytes, frame_bytes, .. } = *step;
            *counter = counter.sum(&Counter { packets, bytes, frame_bytes, reserved: 0 });
            place += 1;
        }
        Ok(())
    }

    /// Whether it is of the same counters as `reading`.
    pub(super) fn fits(&self, reading: &Reading) -> bool {
        (self.rows as usize, self.ledgers as usize) == (reading.prefixes.len(), reading.ledger.len())
    }

    /// Refuses what no maps can be the source of, and counters outside the reading.
    pub(super) fn check(&self) -> Result<()> {
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
