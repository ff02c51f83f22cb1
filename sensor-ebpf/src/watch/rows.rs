//! The rows a packet is billed in: found by what they count, or made.

use crate::{
    abi::{Direction, Kind, NetworkId, ROW_PROBES, RowKey, Shed, rows_of_slice, spare_row},
    state::{Size, Watching},
};

/// The key of the row of an undecided packet of a network; 0 where that is none.
#[inline(always)]
pub(super) fn undecided(network: u32, direction: Direction, neighbour: u32) -> u32 {
    NetworkId::new(network).map_or(0, |network| RowKey::new(network, direction, neighbour, Kind::UNDECIDED).word())
}

/// Adds to the rows of these keys, but of that kind.
#[inline(always)]
pub(super) fn add<S: Watching>(state: &mut S, rows: [u32; 2], kind: Kind, size: Size) {
    let rows_each = state.breakdown_rows();
    let slice = state.slice() * rows_of_slice(rows_each, state.networks());
    for row in rows {
        let Some(key) = RowKey::from_word(row) else { continue };
        let key = key.of_kind(kind);
        let first = slice + key.place(rows_each);
        let is_there = state.row_key(first) == Some(u64::from(key.word()));
        let index = if is_there { first } else { state.find_row(key, size) };
        let _ = state.add_row(index, size);
    }
}

/// The index of a row that is new, or not in its first place.
#[inline(always)]
pub fn find_row<S: Watching>(state: &mut S, key: RowKey, size: Size) -> u32 {
    let rows_each = state.breakdown_rows();
    let slice = state.slice() * rows_of_slice(rows_each, state.networks());
    let word = u64::from(key.word());
    for probe in 0..ROW_PROBES {
        let index = slice + (key.place(rows_each).wrapping_add(probe) & rows_each.wrapping_sub(1));
        match state.row_key(index) {
            Some(found) if found == word => return index,
            Some(0) if state.claim_row(index, word) => return index,
            _ => {}
        }
    }
    state.add_shed(Shed::RowRefused, size);
    let Some(network) = key.network() else { return slice };
    let index = slice + spare_row(rows_each, network, key.direction());
    // It is there already, from the second time on.
    state.claim_row(index, RowKey::new(network, key.direction(), 0, Kind::UNDECIDED).word().into());
    index
}
