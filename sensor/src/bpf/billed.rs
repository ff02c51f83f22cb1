//! The breakdown of watched traffic, the neighbours in it, and counterparts, mapped into this process.

use std::path::Path;

use anyhow::Result;
use sensor_ebpf::abi::{MAX_NEIGHBOURS, Neighbour, Row, map_name, rows_of_slice};

use super::{array::MappedArray, layout::Layout, pinned::open_array};
use crate::watch::Rows;

/// The user-space end of these maps.
#[derive(Debug)]
pub(super) struct Billed {
    slices: u32,
    /// Of a slice.
    rows_of_slice: u32,
    rows: MappedArray<Row>,
    /// Of a slice; 0: far ends are not told apart.
    counterparts_of_slice: u32,
    counterparts: MappedArray<Row>,
    neighbours: MappedArray<Neighbour>,
}

impl Billed {
    /// Maps those pinned in `directory`, which must be of this layout.
    pub(super) fn open(directory: &Path, layout: &Layout) -> Result<Self> {
        let (sizes, labels) = (layout.watched(), layout.labels());
        let counterparts_of_slice = if labels.rows == 0 { 0 } else { rows_of_slice(labels.rows, sizes.networks) };
        Ok(Self {
            slices: layout.slices(),
            rows_of_slice: rows_of_slice(sizes.breakdown_rows, sizes.networks),
            rows: open_array(directory, layout, map_name::BREAKDOWN)?,
            counterparts_of_slice,
            counterparts: open_array(directory, layout, map_name::COUNTERPARTS)?,
            neighbours: open_array(directory, layout, map_name::NEIGHBOURS)?,
        })
    }
}

impl Rows for Billed {
    fn slices(&self) -> u32 {
        self.slices
    }

    fn rows(&self, slice: u32, each: &mut dyn FnMut(&Row)) {
        used(&self.rows, slice, self.rows_of_slice, each);
    }

    fn counterparts(&self, slice: u32, each: &mut dyn FnMut(&Row)) {
        used(&self.counterparts, slice, self.counterparts_of_slice, each);
    }

    fn neighbour(&self, slice: u32, number: u32) -> Option<Neighbour> {
        let place = number.checked_sub(1).filter(|place| *place < MAX_NEIGHBOURS)?;
        let neighbour = self.neighbours.load((slice * MAX_NEIGHBOURS + place) as usize)?;
        (neighbour.interface != 0).then_some(neighbour)
    }
}

/// Rows of a slice of so many that count something.
fn used(rows: &MappedArray<Row>, slice: u32, rows_of_slice: u32, each: &mut dyn FnMut(&Row)) {
    let first = slice * rows_of_slice;
    let rows = (first..first + rows_of_slice).filter_map(|row| rows.load(row as usize));
    rows.filter(|row| row.key != 0).for_each(|row| each(&row));
}
