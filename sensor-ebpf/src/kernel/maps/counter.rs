//! How a counter is added to.

use core::arch::asm;

use sensor_ebpf::{abi::Counter, state::Size};

/// Adds what one packet counts, atomically where the counter is `shared`.
#[inline(always)]
pub(super) fn add(counter: *mut Counter, size: Size, shared: bool) {
    // SAFETY: the verifier proved the pointer to be a whole, aligned map value that lives as long as the program runs.
    unsafe {
        add_word(&raw mut (*counter).packets, size.packets, shared);
        add_word(&raw mut (*counter).bytes, size.bytes, shared);
        add_word(&raw mut (*counter).frame_bytes, size.frame_bytes, shared);
    }
}

/// Adds to one word.
///
/// # Safety
/// `word` must be valid for reads and writes and aligned.
#[inline(always)]
pub(super) unsafe fn add_word(word: *mut u64, by: u32, shared: bool) {
    if !shared {
        // SAFETY: the caller vouches for the pointer; no other CPU adds to this slice, and nothing interrupts the program that would.
        unsafe { *word += u64::from(by) };
        return;
    }
    // Assembly, because `core` has no `fetch_add` for a target without compare-and-swap, and because the form without a result
    // loads on Linux 5.10.
    // SAFETY: the caller vouches for the pointer; the instruction touches nothing else.
    unsafe {
        asm!("lock *(u64 *)({word} + 0) += {by}", word = in(reg) word, by = in(reg) u64::from(by), options(nostack, preserves_flags));
    }
}
