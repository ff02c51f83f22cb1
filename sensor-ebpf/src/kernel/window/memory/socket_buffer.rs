//! Socket buffers.

use aya_ebpf::{bindings::__sk_buff, helpers::generated::bpf_skb_load_bytes};
use sensor_ebpf::abi::MAX_SAMPLE;

use super::{Field, Memory, field, sized};

/// A socket buffer.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct SocketBuffer(pub(in crate::kernel) *mut __sk_buff);

/// Words on the stack, for a helper to fill.
#[repr(C, align(8))]
struct Stack<T>(T);

impl SocketBuffer {
    /// Fills them with what begins at `offset`.
    #[inline(always)]
    fn load<T>(&self, offset: usize, into: &mut Stack<T>) -> bool {
        let target = (&raw mut into.0).cast();
        // SAFETY: the context is the one this program was called with, and the helper writes as many bytes as there is room for.
        let failed = unsafe { bpf_skb_load_bytes(self.0.cast(), offset as u32, target, size_of::<T>() as u32) };
        failed == 0
    }
}

impl Memory for SocketBuffer {
    /// By a helper alone: the linear part may end anywhere, after the link header of what a packet socket sends, and with a second
    /// way to each field the verifier gives up.
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut field = Field::<N>::new();
        // SAFETY: the context is the one this program was called with, and the helper writes N bytes.
        let failed = unsafe { bpf_skb_load_bytes(self.0.cast(), offset as u32, field.as_mut_ptr(), N as u32) };
        (failed == 0).then(|| field.bytes())
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        let mut words = Stack([0_u32; N]);
        self.load(offset, &mut words).then(|| words.0.map(u32::from_be))
    }

    #[inline(always)]
    fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
        let mut words = Stack([0_u64; N]);
        self.load(offset, &mut words).then(|| words.0.map(u64::from_be))
    }

    #[inline(always)]
    fn reach(&self) -> u32 {
        field!(self.0, len)
    }

    #[inline(always)]
    fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool {
        // SAFETY: the context is the one this program was called with, and the helper writes as many bytes as there is room for.
        unsafe { bpf_skb_load_bytes(self.0.cast(), offset as u32, to.as_mut_ptr().cast(), sized(len)) == 0 }
    }

    #[inline(always)]
    fn tag(&self) -> Option<u16> {
        if field!(self.0, vlan_present) == 0 { None } else { Some(field!(self.0, vlan_tci) as u16) }
    }
}
