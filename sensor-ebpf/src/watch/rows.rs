//! The rows a packet is billed in: found by what they count, or made.

use crate::{
    abi::{
        Direction, Kind, LabelKey, NetworkId, ROW_PROBES, RowKey, Shed, direction_of, network_of, row_place,
        rows_of_slice, spare_row,
    },
    state::{Rows, Size, Watching},
};

/// The key of the row of an undecided packet of a network; 0 where that is none.
#[inline(always)]
pub(super) fn undecided(network: u32, direction: Direction, neighbour: u32) -> u32 {
    NetworkId::new(network).map_or(0, |network| RowKey::new(network, direction, neighbour, Kind::UNDECIDED).word())
}

/// Adds to the rows of these keys, but of that kind.
#[inline(always)]
pub(super) fn add<S: Watching>(state: &mut S, rows: [u32; 2], kind: Kind, size: Size) {
    for row in rows {
        let Some(key) = RowKey::from_word(row) else { continue };
        add_to(state, Rows::Breakdown, key.of_kind(kind).word(), size);
    }
}

/// Adds to the row of that key.
#[inline(always)]
pub(super) fn add_to<S: Watching>(state: &mut S, rows: Rows, key: u32, size: Size) {
    let rows_each = rows_each(state, rows);
    let slice = state.slice() * rows_of_slice(rows_each, state.networks());
    let first = slice + row_place(key, rows_each);
    let is_there = state.row_key(rows, first) == Some(u64::from(key));
    let index = if is_there { first } else { state.find_row(rows, key, size) };
    let _ = state.add_row(rows, index, size);
}

/// The index of a row that is new, or not in its first place.
#[inline(always)]
pub fn find_row<S: Watching>(state: &mut S, rows: Rows, key: u32, size: Size) -> u32 {
    let rows_each = rows_each(state, rows);
    let slice = state.slice() * rows_of_slice(rows_each, state.networks());
    let word = u64::from(key);
    for probe in 0..ROW_PROBES {
        let index = slice + (row_place(key, rows_each).wrapping_add(probe) & rows_each.wrapping_sub(1));
        match state.row_key(rows, index) {
            Some(found) if found == word => return index,
            Some(0) if state.claim_row(rows, index, word) => return index,
            _ => {}
        }
    }
    let direction = direction_of(key);
    let Some(network) = network_of(key) else { return slice };
    let (reason, spare) = match rows {
        Rows::Breakdown => (Shed::RowRefused, RowKey::new(network, direction, 0, Kind::UNDECIDED).word()),
        Rows::Counterparts => (Shed::CounterpartRefused, LabelKey::spare(network, direction).word()),
    };
    state.add_shed(reason, size);
    let index = slice + spare_row(rows_each, network, direction);
    // It is there already, from the second time on.
    state.claim_row(rows, index, spare.into());
    index
}

/// Rows of a slice that are found by key.
#[inline(always)]
fn rows_each<S: Watching>(state: &S, rows: Rows) -> u32 {
    match rows {
        Rows::Breakdown => state.breakdown_rows(),
        Rows::Counterparts => state.counterpart_rows(),
    }
}
