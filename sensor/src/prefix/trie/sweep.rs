//! From sorted prefixes to the places where the longest of them changes, in one pass over both.

use sensor_ebpf::abi::Entry;

/// Prefixes around a slot, at most: one for each length up to 24 bits, and what is around them all.
const MAX_NESTED: usize = 26;

/// Walks over the slots of a root or a node, from the first to the last.
///
/// Prefixes that cover whole slots are laid down in sorted order, so that each one is inside what was laid down around it.
pub(super) struct Sweep {
    /// Slots before this are done.
    done: u32,
    len: u32,
    /// Where each cover around the slot to come ends, the innermost last; their ends only get nearer.
    covers: [(u32, Entry); MAX_NESTED],
    nested: usize,
}

impl Sweep {
    /// Over `len` slots, which are `inherited` where nothing else covers them.
    pub(super) fn new(inherited: Entry, len: u32) -> Self {
        Self { done: 0, len, covers: [(len, inherited); MAX_NESTED], nested: 0 }
    }

    /// Covers the slots from `first` to before `end`. `emit` is told of each slot that differs from the one before it, which takes a
    /// caller that puts something at every slot it asks for, and no entry twice.
    pub(super) fn cover(&mut self, first: u32, end: u32, entry: Entry, emit: &mut impl FnMut(u32, Entry)) {
        self.at(first, emit);
        // What ends where the new one does is not seen again.
        if self.covers[self.nested].0 > end {
            self.nested += 1;
        }
        self.covers[self.nested] = (end, entry);
    }

    /// What covers `slot` so far.
    pub(super) fn at(&mut self, slot: u32, emit: &mut impl FnMut(u32, Entry)) -> Entry {
        loop {
            while self.covers[self.nested].0 <= self.done && self.nested > 0 {
                self.nested -= 1;
            }
            let (end, entry) = self.covers[self.nested];
            if self.done >= slot {
                return entry;
            }
            emit(self.done, entry);
            self.done = end.min(slot);
        }
    }

    /// Gives one slot an entry of its own.
    pub(super) fn point(&mut self, slot: u32, entry: Entry, emit: &mut impl FnMut(u32, Entry)) {
        self.at(slot, emit);
        emit(slot, entry);
        self.done = slot + 1;
    }

    /// Goes on to the last slot.
    pub(super) fn finish(mut self, emit: &mut impl FnMut(u32, Entry)) {
        self.at(self.len, emit);
    }
}
