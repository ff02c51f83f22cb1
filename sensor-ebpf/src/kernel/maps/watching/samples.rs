//! What the agent is told of packets, and how much.

use core::{arch::asm, ptr::read_volatile};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::bpf_ringbuf_output,
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use sensor_ebpf::{
    abi::{Budget, MAX_SAMPLE, Sample, Spending, budget_row},
    packet::Window,
};

use crate::kernel::maps::{SIZED_BY_LOADER, counter};

/// Key: network, spending. Value: records that may be made, and were.
#[map]
static BUDGETS: Array<Budget> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Records for the agent.
#[map]
static SAMPLES: RingBuf = RingBuf::with_byte_size(SIZED_BY_LOADER, 0);

/// A record while it is made.
#[map]
static SCRATCH: PerCpuArray<Record> = PerCpuArray::with_max_entries(1, 0);

#[repr(C)]
struct Record {
    head: Sample,
    payload: [u8; MAX_SAMPLE],
}

/// Whether a network has something left to spend.
#[inline(always)]
pub(super) fn may_spend(network: u32, spending: Spending) -> bool {
    // SAFETY: the pointer is into a live map value; each word is read whole.
    BUDGETS.get_ptr(budget_row(network, spending)).is_some_and(|budget| unsafe {
        read_volatile(&raw const (*budget).spent) < read_volatile(&raw const (*budget).allowed)
    })
}

/// Spends one record.
#[inline(always)]
pub(super) fn spend(network: u32, spending: Spending) {
    if let Some(budget) = BUDGETS.get_ptr_mut(budget_row(network, spending)) {
        // SAFETY: the pointer is into a live map value, aligned for words; all CPUs share it.
        unsafe { counter::add_word(&raw mut (*budget).spent, 1, true) };
    }
}

/// Hands over a record with what the packet has from `offset`; false where there is no room.
#[inline(always)]
pub(super) fn sample<W: Window>(window: &W, sample: Sample, offset: usize) -> bool {
    let Some(record) = SCRATCH.get_ptr_mut(0) else { return false };
    // SAFETY: the pointer is to this CPU's own map value, which nothing else uses while the program runs.
    let record = unsafe { &mut *record };
    record.head = sample;
    if sample.captured > 0 && !window.copy(offset, sample.captured, &mut record.payload) {
        record.head.captured = 0;
    }
    let len = size_of::<Sample>() as u64 + bounded(record.head.captured);
    // SAFETY: the record has so many bytes, as `bounded` says.
    unsafe { bpf_ringbuf_output((&raw const SAMPLES).cast_mut().cast(), (&raw mut *record).cast(), len, 0) == 0 }
}

/// At most [`MAX_SAMPLE`], in a way that the verifier sees.
#[inline(always)]
fn bounded(len: u32) -> u64 {
    let mut len = u64::from(len);
    // SAFETY: no instruction; the compiler forgets what it knows of the number, and keeps the comparison.
    unsafe { asm!("/* {len} */", len = inout(reg) len, options(nostack, preserves_flags)) };
    if len > MAX_SAMPLE as u64 { 0 } else { len }
}
