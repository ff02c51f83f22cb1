//! The rows a packet is billed in: found by what they count, or made.

use crate::{
    abi::{
        Direction, Kind, LabelKey, NetworkId, ROW_PROBES, RowKey, Shed, direction_of, network_of, row_place,
        rows_of_slice, spare_row,
    },
    state::{Rows, Size, Watching},
};

/// Keys of the rows of an undecided packet, that of its source and that of its destination; 0 where a network's number is 0.
#[inline(always)]
pub(super) fn undecided([source, destination]: [u32; 2], neighbours: [u32; 2]) -> [u32; 2] {
    let key = |network: u32, direction: Direction, neighbour: u32| {
        NetworkId::new(network).map_or(0, |network| RowKey::new(network, direction, neighbour, Kind::UNDECIDED).word())
    };
    [key(source, Direction::Out, neighbours[0]), key(destination, Direction::In, neighbours[1])]
}

/// Adds to the rows of these keys, but of that kind. Nearly always one of them is 0.
#[inline(always)]
pub(super) fn add<S: Watching>(state: &mut S, [source, destination]: [u32; 2], kind: Kind, size: Size) {
    let mut either = source | destination;
    if RowKey::from_word(source & destination).is_some() {
        add_of_kind(state, destination, kind, size);
        either = source;
    }
    add_of_kind(state, either, kind, size);
}

#[inline(always)]
fn add_of_kind<S: Watching>(state: &mut S, row: u32, kind: Kind, size: Size) {
    let Some(key) = RowKey::from_word(row) else { return };
    add_to(state, Rows::Breakdown, key.of_kind(kind).word(), size);
}

/// Adds to the row of that key.
#[inline(always)]
pub(super) fn add_to<S: Watching>(state: &mut S, rows: Rows, key: u32, size: Size) {
    let rows_each = rows_each(state, rows);
    let slice = state.slice() * rows_of_slice(rows_each, state.networks());
    if !state.add_row(rows, slice + row_place(key, rows_each), key.into(), size) {
        state.add_elsewhere(rows, key, size);
    }
}

/// Adds to a row that is new, or not in its first place.
#[inline(always)]
pub fn add_elsewhere<S: Watching>(state: &mut S, rows: Rows, key: u32, size: Size) {
    let rows_each = rows_each(state, rows);
    let slice = state.slice() * rows_of_slice(rows_each, state.networks());
    let word = u64::from(key);
    for probe in 0..ROW_PROBES {
        let index = slice + (row_place(key, rows_each).wrapping_add(probe) & rows_each.wrapping_sub(1));
        let is_its = match state.row_key(rows, index) {
            Some(0) => state.claim_row(rows, index, word),
            found => found == Some(word),
        };
        if is_its {
            state.add_row(rows, index, word, size);
            return;
        }
    }
    let direction = direction_of(key);
    let Some(network) = network_of(key) else { return };
    let (reason, spare) = match rows {
        Rows::Breakdown => (Shed::RowRefused, RowKey::new(network, direction, 0, Kind::UNDECIDED).word()),
        Rows::Counterparts => (Shed::CounterpartRefused, LabelKey::spare(network, direction).word()),
    };
    state.add_shed(reason, size);
    let index = slice + spare_row(rows_each, network, direction);
    // It is there already, from the second time on.
    state.claim_row(rows, index, spare.into());
    state.add_row(rows, index, spare.into(), size);
}

/// Rows of a slice that are found by key.
#[inline(always)]
fn rows_each<S: Watching>(state: &S, rows: Rows) -> u32 {
    match rows {
        Rows::Breakdown => state.breakdown_rows(),
        Rows::Counterparts => state.counterpart_rows(),
    }
}
