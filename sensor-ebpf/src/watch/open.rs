//! Counts of undecided flows, kept apart until somebody knows what they are.

use crate::{
    abi::{End, FlowKey, OPEN_PROBES, OPEN_REST},
    state::{Size, Watching},
};

/// An entry of this slice.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    index: u32,
    /// Packets of the flow that were looked at.
    pub(super) looks: u32,
    /// Whether there is one at all.
    pub(super) is_there: bool,
}

/// The entry of a flow, found or made where there is room.
#[inline(always)]
pub(super) fn entry<S: Watching>(state: &mut S, key: FlowKey, now: u32) -> Entry {
    let entries = state.open_entries();
    let first = state.slice() * entries;
    let (mut free, mut rank) = (0, 0);
    for probe in 0..OPEN_PROBES {
        let index = first + ((key.place(entries) + probe) & entries.wrapping_sub(1));
        let Some(open) = state.open(index) else { break };
        if open.key == key.get() {
            return Entry { index, looks: open.looks, is_there: true };
        }
        // Free; read to its end by the agent; or of a flow that has said nothing yet, as those of a flood have not.
        let other = match () {
            () if open.key == 0 => 3,
            () if now.wrapping_sub(open.noted) >= OPEN_REST => 2,
            () if open.looks == 0 => 1,
            () => 0,
        };
        if other > rank {
            (free, rank) = (index, other);
        }
        if rank == 3 {
            break;
        }
    }
    let is_there = rank != 0 && make(state, free, key);
    Entry { index: free, looks: 0, is_there }
}

#[inline(always)]
fn make<S: Watching>(state: &mut S, index: u32, key: FlowKey) -> bool {
    let slice = state.slice();
    let Some(progress) = state.progress(slice) else { return false };
    progress.born = progress.born.wrapping_add(1);
    let born = progress.born;
    let Some(open) = state.open(index) else { return false };
    open.begin(key, born);
    true
}

/// Adds a packet, and notes that its entry changed. False where what its sender had before is told apart no more: it was billed in other rows.
#[inline(always)]
pub(super) fn add<S: Watching>(
    state: &mut S,
    entry: Entry,
    end: End,
    rows: [u32; 2],
    size: Size,
    is_look: bool,
    now: u32,
) -> bool {
    let Some(open) = state.open(entry.index) else { return true };
    let is_same = open.add(end, rows, size);
    open.looks = open.looks.wrapping_add(u32::from(is_look));
    // The first change of each second: whoever reads those of the seconds before has them all.
    let is_noted = open.noted == now;
    open.noted = now;
    if !is_noted {
        state.note_change(entry.index);
    }
    is_same
}
