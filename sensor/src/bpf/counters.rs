//! The counters of one set of maps, mapped into this process and summed over their CPU slices.

use std::path::Path;

use anyhow::Result;
use sensor_ebpf::abi::{Cell, Control, Counter, Direction, PrefixId, ledger_row, map_name, prefix_row};

use super::{array::MappedArray, layout::Layout, pinned::open_array};
use crate::collect::{LedgerRow, Reading};

/// Prefix counters and ledgers.
#[derive(Debug)]
pub(crate) struct Counters {
    layout: Layout,
    prefixes: MappedArray<Counter>,
    ledger: MappedArray<Counter>,
}

impl Counters {
    /// Maps both maps pinned in `directory`, which must be of this layout.
    pub(crate) fn open(directory: &Path, layout: Layout) -> Result<Self> {
        let prefixes = open_array(directory, &layout, map_name::PREFIXES)?;
        let ledger = open_array(directory, &layout, map_name::LEDGER)?;
        Ok(Self { layout, prefixes, ledger })
    }

    /// Everything counted in maps that no program counts in any more.
    pub(crate) fn read_at_rest(&self) -> Reading {
        let slots = 0..self.layout.ledger_slots();
        let ledger = slots.map(|slot| self.bank(slot, 0).plus(&self.bank(slot, 1))).collect();
        Reading { prefixes: self.prefix_rows(), ledger }
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

    /// Totals over all slices, at `id * 2 + direction`.
    pub(crate) fn prefix_rows(&self) -> Vec<Counter> {
        let capacity = self.layout.prefix_capacity();
        let mut rows = vec![Counter::default(); (capacity * Direction::COUNT) as usize];
        for slice in 0..self.layout.slices() {
            for id in (1..capacity).filter_map(PrefixId::new) {
                for direction in Direction::ALL {
                    let row = prefix_row(slice, capacity, id, direction);
                    let counted = self.prefixes.load(row as usize).unwrap_or_default();
                    let total = &mut rows[prefix_row(0, capacity, id, direction) as usize];
                    *total = total.sum(&counted);
                }
            }
        }
        rows
    }
}
