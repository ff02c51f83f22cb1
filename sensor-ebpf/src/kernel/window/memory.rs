//! The three kinds of kernel memory a frame stands in, and how each is read.

mod one_buffer;
mod several_buffers;
mod socket_buffer;

use core::{arch::asm, ptr::read_volatile};

use sensor_ebpf::{abi::MAX_SAMPLE, packet::Lengths};

pub(in crate::kernel) use self::{one_buffer::OneBuffer, several_buffers::SeveralBuffers, socket_buffer::SocketBuffer};

/// A field of the context, loaded where it stands: the verifier knows each by its place.
macro_rules! field {
    ($context:expr, $field:ident) => {
        // SAFETY: the context is the one this program was called with.
        unsafe { core::ptr::read_volatile(&raw const (*$context).$field) }
    };
}

pub(super) use field;

/// Where the bytes of a frame are.
pub(in crate::kernel) trait Memory {
    /// `N` bytes from `offset`, at most [`MAX_OFFSET`](sensor_ebpf::packet::MAX_OFFSET); `None` where they are not all to be had.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// `N` words of four bytes, likewise, in host byte order.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;

    /// `N` words of eight bytes, likewise.
    fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]>;

    /// How long the frame is, given how long it is as far as it is mapped or said to be, and where its headers claim it to end.
    #[inline(always)]
    fn lengths(&self, known: Lengths, _claimed: u32) -> Lengths {
        known
    }

    /// Bytes within reach in all.
    fn reach(&self) -> u32;

    /// Copies `len` bytes, one at least and at most as many as there is room for; false where they are not all to be had.
    fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool;

    /// What a tag says that is kept beside the bytes.
    #[inline(always)]
    fn tag(&self) -> Option<u16> {
        None
    }
}

/// A length of one to [`MAX_SAMPLE`], in a way that the verifier sees.
#[inline(always)]
fn sized(len: u32) -> u32 {
    let mut len = u64::from(len);
    // SAFETY: no instruction; the compiler forgets what it knows of the number, and keeps the comparison.
    unsafe { asm!("/* {len} */", len = inout(reg) len, options(nostack, preserves_flags)) };
    if len == 0 || len > MAX_SAMPLE as u64 { 1 } else { len as u32 }
}

/// Bytes on the stack, for a helper to fill.
#[repr(C, align(4))]
struct Field<const N: usize>([u8; N]);

impl<const N: usize> Field<N> {
    const WORD: usize = size_of::<u32>();

    #[inline(always)]
    const fn new() -> Self {
        Self([0; N])
    }

    #[inline(always)]
    fn as_mut_ptr(&mut self) -> *mut core::ffi::c_void {
        self.0.as_mut_ptr().cast()
    }

    /// The bytes, read in whole words or one by one: on the stack the verifier takes no unaligned access, which the object is
    /// compiled to use elsewhere.
    #[inline(always)]
    fn bytes(&self) -> [u8; N] {
        let start = self.0.as_ptr();
        if !N.is_multiple_of(Self::WORD) {
            // SAFETY: each element of an array can be read.
            return core::array::from_fn(|at| unsafe { read_volatile(start.add(at)) });
        }
        let mut bytes = [0; N];
        for (at, word) in bytes.chunks_exact_mut(Self::WORD).enumerate() {
            // SAFETY: the array is aligned for words, and this one is within it: there are as many as in the copy.
            word.copy_from_slice(&unsafe { read_volatile(start.cast::<u32>().add(at)) }.to_ne_bytes());
        }
        bytes
    }
}
