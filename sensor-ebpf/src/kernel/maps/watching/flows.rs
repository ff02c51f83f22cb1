//! Where flows are remembered.

use core::{
    arch::asm,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use sensor_ebpf::abi::{FlowSet, WAYS};

use crate::kernel::maps::SIZED_BY_LOADER;

/// Key: set. Value: its flows.
#[map]
static FLOWS: Array<FlowSet> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// See [`Watching::flow_tags`](sensor_ebpf::state::Watching::flow_tags).
#[inline(always)]
pub(super) fn tags(set: u32) -> Option<[u64; WAYS]> {
    FLOWS.get_ptr(set).map(tags_of)
}

#[inline(always)]
fn tags_of(set: *const FlowSet) -> [u64; WAYS] {
    // SAFETY: the callers hand over a pointer to a live map value; each word is read whole.
    unsafe {
        let tags = &raw const (*set).tags;
        [
            read_volatile((*tags).as_ptr()),
            read_volatile((*tags).as_ptr().add(1)),
            read_volatile((*tags).as_ptr().add(2)),
            read_volatile((*tags).as_ptr().add(3)),
        ]
    }
}

/// Tag and state of one way.
#[inline(always)]
pub(super) fn way(set: u32, way: u32) -> (u64, u64) {
    FLOWS.get_ptr(set).map_or((0, 0), |set| way_of(set, way))
}

#[inline(always)]
fn way_of(set: *const FlowSet, way: u32) -> (u64, u64) {
    let way = way as usize & (WAYS - 1);
    // SAFETY: the callers hand over a pointer to a live map value, and the way is within it; each word is read whole.
    unsafe {
        (
            read_volatile((&raw const (*set).tags).cast::<u64>().add(way)),
            read_volatile((&raw const (*set).states).cast::<u64>().add(way)),
        )
    }
}

/// Tag and state of the way that is chosen by the tags of its set.
#[inline(always)]
pub(super) fn chosen(set: u32, choose: impl FnOnce([u64; WAYS]) -> u32) -> (u64, u64) {
    let Some(set) = FLOWS.get_ptr(set) else { return (0, 0) };
    let tags = tags_of(set);
    way_of(set, choose(tags))
}

/// Stores a tag.
#[inline(always)]
pub(super) fn set_tag(set: u32, way: u32, word: u64) {
    let way = way as usize & (WAYS - 1);
    if let Some(set) = FLOWS.get_ptr_mut(set) {
        // SAFETY: the pointer is into a live map value, and the way within it; the word is stored whole.
        unsafe { write_volatile((&raw mut (*set).tags).cast::<u64>().add(way), word) };
    }
}

/// Stores a state.
#[inline(always)]
pub(super) fn set_state(set: u32, way: u32, word: u64) {
    let way = way as usize & (WAYS - 1);
    if let Some(set) = FLOWS.get_ptr_mut(set) {
        // SAFETY: as above.
        unsafe { write_volatile((&raw mut (*set).states).cast::<u64>().add(way), word) };
    }
}

/// Stores a state where it is still that one.
#[inline(always)]
pub(super) fn change_state(set: u32, way: u32, from: u64, to: u64) {
    let way = way as usize & (WAYS - 1);
    let Some(set) = FLOWS.get_ptr_mut(set) else { return };
    // Linux 5.12, as the functions that this is called from.
    // SAFETY: the pointer is into a live map value, and the way within it, aligned for words; the instruction touches nothing else.
    unsafe {
        let word = (&raw mut (*set).states).cast::<u64>().add(way);
        asm!("r0 = cmpxchg_64({word} + 0, r0, {to})", word = in(reg) word, to = in(reg) to, inout("r0") from => _, options(nostack));
    }
}
