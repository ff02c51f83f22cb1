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
    /// Packets of the flow that were counted here.
    pub(super) packets: u32,
    /// Whether there is one at all.
    pub(super) is_there: bool,
    /// Whether what another flow had there was perhaps not read.
    pub(super) is_taken: bool,
}

/// How well an entry makes room: it is free; the agent has read it to its end; or perhaps not, but it is of the same flow, or of one that has said
/// nothing yet, as those of a flood have not.
const FREE: u32 = 4;
const READ: u32 = 3;
const SAME_FLOW: u32 = 2;
const SILENT: u32 = 1;

/// Begins to load what is rarely in a cache, and will be asked for.
#[inline(always)]
pub(super) fn expect<S: Watching>(state: &S, key: FlowKey) {
    let entries = state.open_entries();
    state.expect_open(state.slice() * entries + key.place(entries));
}

/// The entry of what an end of a flow sends in these rows, found or made where there is room.
#[inline(always)]
pub(super) fn entry<S: Watching>(state: &mut S, key: FlowKey, end: End, rows: [u32; 2], now: u32) -> Entry {
    let entries = state.open_entries();
    let first = state.slice() * entries;
    let (mut free, mut rank, mut looks) = (0, 0, 0);
    for probe in 0..OPEN_PROBES {
        let index = first + ((key.place(entries) + probe) & entries.wrapping_sub(1));
        let Some(open) = state.open(index) else { break };
        if open.key == key.get() {
            if open.holds(end, rows) {
                let [low, high] = &open.ends;
                let packets = low.packets.wrapping_add(high.packets);
                return Entry {
                    index,
                    looks: open.looks.wrapping_add(looks),
                    packets,
                    is_there: true,
                    is_taken: false,
                };
            }
            looks = open.looks.wrapping_add(looks);
        }
        let other = match () {
            () if open.key == 0 => FREE,
            () if now.wrapping_sub(open.noted) >= OPEN_REST => READ,
            () if open.key == key.get() => SAME_FLOW,
            () if open.looks == 0 => SILENT,
            () => 0,
        };
        if other > rank {
            (free, rank) = (index, other);
        }
        if rank == FREE {
            break;
        }
    }
    let is_there = rank != 0 && make(state, free, key);
    Entry { index: free, looks, packets: 0, is_there, is_taken: is_there && rank < READ }
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

/// Adds a packet, and notes that its entry changed.
#[inline(always)]
pub(super) fn add<S: Watching>(
    state: &mut S,
    entry: Entry,
    end: End,
    rows: [u32; 2],
    size: Size,
    is_look: bool,
    now: u32,
) {
    let Some(open) = state.open(entry.index) else { return };
    open.add(end, rows, size);
    open.looks = open.looks.wrapping_add(u32::from(is_look));
    // The first change of each second: whoever reads those of the seconds before has them all.
    let is_noted = open.noted == now;
    open.noted = now;
    if !is_noted {
        state.note_change(entry.index);
    }
}
