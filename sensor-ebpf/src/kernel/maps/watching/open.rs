//! Where undecided flows are counted apart.

use core::{
    ptr::read_volatile,
    sync::atomic::{Ordering, compiler_fence},
};

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use sensor_ebpf::abi::{Open, Progress};

use crate::kernel::maps::SIZED_BY_LOADER;

/// Key: slice, place. Value: an undecided flow.
#[map]
static OPEN: Array<Open> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice, place in its list. Value: key in `OPEN`.
#[map]
static CHANGES: Array<u64> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice. Value: how far it is.
#[map]
static PROGRESS: Array<Progress> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// A value of a map that only this CPU changes while the program runs, and that the agent reads.
#[inline(always)]
fn own<'a, T>(map: &'a Array<T>, index: u32) -> Option<&'a mut T> {
    // SAFETY: the verifier proved the pointer to be a whole, aligned map value that lives as long as the program runs; nothing else that runs writes to it.
    map.get_ptr_mut(index).map(|value| unsafe { &mut *value })
}

/// An undecided flow.
#[inline(always)]
pub(super) fn open<'a>(index: u32) -> Option<&'a mut Open> {
    own(&OPEN, index)
}

/// Loads a word of an undecided flow that nobody waits for: its line is on its way when it is asked for.
#[inline(always)]
pub(super) fn expect(index: u32) {
    if let Some(open) = OPEN.get_ptr(index) {
        // SAFETY: the pointer is into a live map value.
        unsafe { read_volatile(&raw const (*open).key) };
    }
}

/// How far a slice is.
#[inline(always)]
pub(super) fn progress<'a>(slice: u32) -> Option<&'a mut Progress> {
    own(&PROGRESS, slice)
}

/// Notes that an entry of a slice with so many of them changed.
#[inline(always)]
pub(super) fn note_change(slice: u32, entries: u32, index: u32) {
    let Some(progress) = progress(slice) else { return };
    let at = progress.changes;
    if let Some(change) = own(&CHANGES, slice * entries + (at as u32 & entries.wrapping_sub(1))) {
        *change = index.into();
    }
    compiler_fence(Ordering::SeqCst);
    progress.changes = at + 1;
}
