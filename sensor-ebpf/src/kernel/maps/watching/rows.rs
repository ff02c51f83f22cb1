//! Rows that are found by what they count, and the neighbours in them.

use core::{
    arch::asm,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use sensor_ebpf::{
    abi::{Neighbour, Row},
    state::{Rows, Size},
};

use crate::kernel::maps::{SIZED_BY_LOADER, counter, settings::shared};

/// Key: slice, place. Value: a counter with its key.
#[map]
static BREAKDOWN: Array<Row> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice, place. Value: a counter with its key.
#[map]
static COUNTERPARTS: Array<Row> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice, place. Value: a neighbour.
#[map]
static NEIGHBOURS: Array<Neighbour> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// The neighbour in a place.
#[inline(always)]
pub(super) fn neighbour(index: u32) -> Option<Neighbour> {
    let neighbour = NEIGHBOURS.get_ptr(index)?;
    // SAFETY: the pointer is into a live map value; each word is read whole.
    unsafe {
        Some(Neighbour {
            address: read_volatile(&raw const (*neighbour).address),
            interface: read_volatile(&raw const (*neighbour).interface),
        })
    }
}

/// Gives a free place to a neighbour; false where it is another's.
#[inline(always)]
pub(super) fn claim_neighbour(index: u32, neighbour: Neighbour) -> bool {
    let Some(entry) = NEIGHBOURS.get_ptr_mut(index) else { return false };
    // SAFETY: the pointer is into a live map value, aligned for words.
    unsafe {
        // Whoever else looks meanwhile finds another neighbour there, and goes on.
        if !claim(&raw mut (*entry).interface, neighbour.interface) {
            return false;
        }
        write_volatile(&raw mut (*entry).address, neighbour.address);
    }
    true
}

/// A row.
#[inline(always)]
fn row(rows: Rows, index: u32) -> Option<*mut Row> {
    match rows {
        Rows::Breakdown => BREAKDOWN.get_ptr_mut(index),
        Rows::Counterparts => COUNTERPARTS.get_ptr_mut(index),
    }
}

/// Whose a row is.
#[inline(always)]
pub(super) fn key(rows: Rows, index: u32) -> Option<u64> {
    // SAFETY: the pointer is into a live map value; the word is read whole.
    row(rows, index).map(|row| unsafe { read_volatile(&raw const (*row).key) })
}

/// Gives a free row a key; false where it has another one.
#[inline(always)]
pub(super) fn claim_row(rows: Rows, index: u32, key: u64) -> bool {
    // SAFETY: the pointer is into a live map value, aligned for words.
    row(rows, index).is_some_and(|row| unsafe { claim(&raw mut (*row).key, key) })
}

/// Adds to a row where it has that key; false where it has another one.
#[inline(always)]
pub(super) fn add(rows: Rows, index: u32, key: u64, size: Size) -> bool {
    let Some(row) = row(rows, index) else { return false };
    // SAFETY: the pointer is into a live map value; the word is read whole.
    if unsafe { read_volatile(&raw const (*row).key) } != key {
        return false;
    }
    counter::add(row.cast(), size, shared());
    true
}

/// Gives a word that is zero this value; false where it is another one.
///
/// # Safety
/// `word` must be valid for reads and writes and aligned.
#[inline(always)]
unsafe fn claim(word: *mut u64, value: u64) -> bool {
    if !shared() {
        // SAFETY: the caller vouches for the pointer; no other CPU claims words of this slice.
        unsafe {
            if read_volatile(word) != 0 {
                return false;
            }
            write_volatile(word, value);
        }
        return true;
    }
    let mut found: u64 = 0;
    // Linux 5.12; where nothing is shared, the verifier does not come here.
    // SAFETY: the caller vouches for the pointer; the instruction touches nothing else.
    unsafe {
        asm!("r0 = cmpxchg_64({word} + 0, r0, {value})", word = in(reg) word, value = in(reg) value, inout("r0") found, options(nostack));
    }
    found == 0 || found == value
}
