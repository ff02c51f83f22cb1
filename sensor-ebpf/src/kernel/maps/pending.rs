//! Additions that wait for the next packet of their CPU.

use core::{arch::asm, ptr};

use sensor_ebpf::{abi::Pending, state::Size};

/// Lets `add` have what the packet before has left, and leaves what this one adds: `size` to each of `rows` that is not 0.
/// `None` where a row was not to be had: this packet is then told of what was the one's before.
#[inline(always)]
pub(super) fn exchange(
    pending: *mut Pending,
    rows: [u32; 2],
    size: Size,
    add: impl Fn(u32, Size) -> Option<()>,
) -> Option<()> {
    // SAFETY: the verifier proved the pointer to be a whole, aligned map value that lives as long as the program runs. Nothing else on
    // this CPU writes to it meanwhile: softirqs are off, and netpoll calls drivers without a budget to receive.
    unsafe {
        let left = (*pending).rows;
        let turn = (*pending).turn;
        ptr::write_volatile(&raw mut (*pending).turn, turn + 1);
        in_this_order();
        let was = Size { packets: (*pending).packets, bytes: (*pending).bytes, frame_bytes: (*pending).frame_bytes };
        let mut found = Some(());
        for row in left {
            if row != 0 && add(row, was).is_none() {
                found = None;
            }
        }
        (*pending).rows = rows;
        (*pending).packets = size.packets;
        (*pending).bytes = size.bytes;
        (*pending).frame_bytes = size.frame_bytes;
        in_this_order();
        ptr::write_volatile(&raw mut (*pending).turn, turn + 2);
        found
    }
}

/// Keeps the compiler from moving a store across; the loader defers nothing on processors that would.
#[inline(always)]
fn in_this_order() {
    // SAFETY: no instruction.
    unsafe { asm!("", options(nostack, preserves_flags)) };
}
