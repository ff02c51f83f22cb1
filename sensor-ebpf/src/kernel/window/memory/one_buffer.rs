//! XDP frames that end with their first buffer.

use core::ptr::write_volatile;

use aya_ebpf::bindings::xdp_md;
use sensor_ebpf::abi::MAX_SAMPLE;

use super::{Memory, field, sized};

/// An XDP frame of one buffer.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct OneBuffer(pub(in crate::kernel) *mut xdp_md);

impl Memory for OneBuffer {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        mapped(self.0, offset)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        mapped::<[u32; N]>(self.0, offset).map(|words| words.map(u32::from_be))
    }

    #[inline(always)]
    fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
        mapped::<[u64; N]>(self.0, offset).map(|words| words.map(u64::from_be))
    }

    #[inline(always)]
    fn reach(&self) -> u32 {
        field!(self.0, data_end) - field!(self.0, data)
    }

    /// In pieces whose sizes the compiler knows: kernels without multi-buffer frames have no helper for it.
    #[inline(always)]
    fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool {
        let len = sized(len) as usize;
        let mut done = 0;
        while done + PIECE <= MAX_SAMPLE {
            if done + PIECE > len {
                break;
            }
            let Some(piece) = mapped::<u64>(self.0, offset + done) else { return false };
            // SAFETY: so many bytes are left behind `done`. Volatile, or the compiler makes it a loop over bytes.
            unsafe { write_volatile(to.as_mut_ptr().add(done).cast::<u64>(), piece) };
            done += PIECE;
        }
        for at in 0..PIECE {
            if done + at >= len || done + at >= MAX_SAMPLE {
                break;
            }
            // With the byte before: the verifier learns nothing of a packet's range from a comparison for one.
            let Some([_, byte]) = mapped::<[u8; 2]>(self.0, (offset + done + at).saturating_sub(1)) else {
                return false;
            };
            to[(done + at) & (MAX_SAMPLE - 1)] = byte;
        }
        true
    }
}

/// Bytes that are copied at a time.
const PIECE: usize = size_of::<u64>();

/// From the part of an XDP frame that is mapped in one piece.
///
/// Its ends are read from the context each time: a packet pointer that is kept would carry what the verifier has learnt of its
/// range, and paths that learnt it differently would not meet again.
#[inline(always)]
pub(super) fn mapped<T>(context: *mut xdp_md, offset: usize) -> Option<T> {
    let start = field!(context, data) as usize + offset;
    if start + size_of::<T>() > field!(context, data_end) as usize {
        return None;
    }
    // SAFETY: the bytes lie before the end of the linear part, as just checked; only plain numbers are asked for.
    Some(unsafe { (start as *const T).read_unaligned() })
}
