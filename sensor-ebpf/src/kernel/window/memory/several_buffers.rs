//! XDP frames that may go on behind their first buffer.

use aya_ebpf::{
    bindings::xdp_md,
    helpers::generated::{bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
};
use sensor_ebpf::{abi::MAX_SAMPLE, packet::Lengths};

use super::{Field, Memory, OneBuffer, one_buffer::mapped, sized};

/// Most bytes of a field that is looked for behind the first buffer: tags, labels, extension headers, ports. A whole IP header is
/// not: no driver's first buffer ends within the first hundred bytes, and 40 bytes on the stack cost the common path 8 ns.
const MAX_FIELD_LEN: usize = 8;

/// Shortest frame on an Ethernet without its check sequence (IEEE 802.3): what is shorter was cut into buffers, or never was on a wire.
const MIN_FRAME_LEN: u32 = 60;
/// No driver goes on behind its first buffer before that holds so much, but for headers that it splits off.
const MIN_FULL_BUFFER: u32 = 1024;

/// An XDP frame that may have several buffers (Linux 5.18).
#[derive(Clone, Copy)]
pub(in crate::kernel) struct SeveralBuffers(pub(in crate::kernel) *mut xdp_md);

impl Memory for SeveralBuffers {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let found: Option<[u8; N]> = mapped(self.0, offset);
        if found.is_some() || N > MAX_FIELD_LEN {
            return found;
        }
        // A helper call of some 16 ns, so only where the first buffer has ended.
        let mut field = Field::<N>::new();
        // SAFETY: the context is the one this program was called with, and the helper writes N bytes.
        let failed = unsafe { bpf_xdp_load_bytes(self.0, offset as u32, field.as_mut_ptr(), N as u32) };
        (failed == 0).then(|| field.bytes())
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        OneBuffer(self.0).words(offset)
    }

    #[inline(always)]
    fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
        OneBuffer(self.0).double_words(offset)
    }

    /// By a helper call of some 8 ns only where there may be more buffers than one: the first is full, or ends before the packet.
    #[inline(always)]
    fn lengths(&self, known: Lengths, claimed: u32) -> Lengths {
        let mapped = known.wire;
        if claimed != 0 && claimed <= mapped && mapped >= MIN_FRAME_LEN && mapped < MIN_FULL_BUFFER {
            return known;
        }
        let whole = self.reach();
        Lengths { wire: whole, frame: whole }
    }

    #[inline(always)]
    fn reach(&self) -> u32 {
        // SAFETY: the context is the one this program was called with.
        unsafe { bpf_xdp_get_buff_len(self.0) as u32 }
    }

    #[inline(always)]
    fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool {
        // SAFETY: the context is the one this program was called with, and the helper writes as many bytes as there is room for.
        unsafe { bpf_xdp_load_bytes(self.0, offset as u32, to.as_mut_ptr().cast(), sized(len)) == 0 }
    }
}
