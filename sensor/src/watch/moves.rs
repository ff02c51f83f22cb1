//! What is told under another kind than programs billed it as.

use std::collections::BTreeMap;

use sensor_ebpf::abi::{Counter, Kind};

use super::row::{Billed, RowChange, RowId};

/// What came into rows and left others since the last interval ended. Each packet that comes into one leaves another, so that together they change
/// nothing.
#[derive(Debug, Default)]
pub(super) struct Moves(BTreeMap<RowId, RowChange>);

impl Moves {
    /// Something that was told as one kind is told as another.
    pub(super) fn add(&mut self, billed: Billed, from: Kind, to: Kind, counter: &Counter) {
        let [from, to] = [from, to].map(|kind| RowId { billed, kind });
        let row = self.row(from);
        row.out = row.out.sum(counter);
        let row = self.row(to);
        row.into = row.into.sum(counter);
    }

    /// Together with what programs counted.
    pub(super) fn take(&mut self, counted: impl Iterator<Item = (RowId, Counter)>) -> Vec<RowChange> {
        for (id, counter) in counted {
            self.row(id).counted = counter;
        }
        std::mem::take(&mut self.0).into_values().collect()
    }

    /// Puts back what was taken and not told; what programs counted is read again.
    pub(super) fn put_back(&mut self, rows: &[RowChange]) {
        for change in rows {
            let row = self.row(change.id);
            (row.into, row.out) = (row.into.sum(&change.into), row.out.sum(&change.out));
        }
    }

    fn row(&mut self, id: RowId) -> &mut RowChange {
        self.0.entry(id).or_insert(RowChange::none(id))
    }
}
