//! The counters of one set of maps, mapped into this process and summed over their CPU slices.

use std::path::Path;

use anyhow::Result;
use sensor_ebpf::abi::{Cell, Control, Counter, Direction, Pending, ledger_row, map_name};

use super::{array::MappedArray, layout::Layout, pinned::open_array};
use crate::collect::{LedgerRow, MapWords, Reading, SparseReading};

/// Prefix counters and ledgers.
#[derive(Debug)]
pub(crate) struct Counters {
    layout: Layout,
    prefixes: MappedArray<Counter>,
    pending: MappedArray<Pending>,
    ledger: MappedArray<Counter>,
}

impl Counters {
    /// Maps the maps pinned in `directory`, which must be of this layout.
    pub(crate) fn open(directory: &Path, layout: Layout) -> Result<Self> {
        let prefixes = open_array(directory, &layout, map_name::PREFIXES)?;
        let pending = open_array(directory, &layout, map_name::PENDING)?;
        let ledger = open_array(directory, &layout, map_name::LEDGER)?;
        Ok(Self { layout, prefixes, pending, ledger })
    }

    /// Everything counted in maps that no program counts in any more.
    pub(crate) fn read_at_rest(&self) -> Reading {
        let slots = 0..self.layout.ledger_slots();
        let ledger = slots.map(|slot| self.bank(slot, 0).plus(&self.bank(slot, 1))).collect();
        self.read(ledger)
    }

    /// What one bank of a ledger holds.
    pub(crate) fn bank(&self, slot: u32, bank: u32) -> LedgerRow {
        debug_assert!(bank < Control::BANKS);
        let mut row = LedgerRow::default();
        let slices = self.layout.slices();
        for slice in 0..slices {
            for cell in Cell::all() {
                let index = ledger_row(slot, bank, slice, slices, cell);
                row.add(cell, self.ledger.load(index as usize).unwrap_or_default());
            }
        }
        row
    }

    /// What the prefix counters and these ledgers hold.
    pub(crate) fn read(&self, ledger: Vec<LedgerRow>) -> Reading {
        Reading::of_maps(&self.words(), ledger)
    }

    /// What they hold beyond `reported`.
    ///
    /// # Errors
    /// That is a reading of different counters.
    pub(crate) fn since(&self, reported: &Reading, ledger: &[LedgerRow]) -> Result<SparseReading> {
        reported.growth_in(&self.words(), ledger)
    }

    fn words(&self) -> MapWords<'_> {
        let rows = (self.layout.prefix_capacity() * Direction::COUNT) as usize;
        MapWords::new(self.prefixes.words(), rows, self.pending.words())
    }
}
