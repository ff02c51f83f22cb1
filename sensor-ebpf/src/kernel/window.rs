//! The only unsafe access to packet memory.

use core::{mem::size_of, ptr::read_volatile};

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::{TcContext, XdpContext},
};
use sensor_ebpf::packet::{MAX_OFFSET, Window};

use super::maps::is_replay;

/// What the replay puts before a frame, in host byte order.
type ReplayLengths = [u32; 2];

/// Most bytes of a field that is looked for behind the linear part: tags, labels, extension headers, ports. A whole IP header is
/// not: no driver's first buffer ends within the first hundred bytes, and 40 bytes on the stack cost the common path 8 ns.
const MAX_FIELD_LEN: usize = 8;

/// A frame: what is mapped in one piece, and a way to the rest.
pub(super) struct FrameWindow<R> {
    linear: Linear,
    rest: R,
}

/// How to read what lies behind the linear part. A helper call of some 16 ns, so only where the linear part has ended.
pub(super) trait Rest {
    /// `N` bytes from `offset`.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

/// There is nothing behind the linear part.
pub(super) struct Nothing;

/// Further buffers of an XDP frame (Linux 5.18).
pub(super) struct Buffers(*mut xdp_md);

/// Fragments of a socket buffer.
pub(super) struct Fragments(*mut __sk_buff);

impl FrameWindow<Nothing> {
    /// The frame of an XDP program of one buffer.
    #[inline(always)]
    pub(super) fn of_one_buffer(ctx: &XdpContext) -> Self {
        Self { linear: Linear::of_xdp(ctx, (ctx.data_end() - ctx.data()) as u64), rest: Nothing }
    }
}

impl FrameWindow<Buffers> {
    /// The frame of an XDP program that may have several buffers.
    #[inline(always)]
    pub(super) fn of_several_buffers(ctx: &XdpContext) -> Self {
        // SAFETY: the context is the one this program was called with.
        let frame = unsafe { bpf_xdp_get_buff_len(ctx.ctx) };
        Self { linear: Linear::of_xdp(ctx, frame), rest: Buffers(ctx.ctx) }
    }
}

impl FrameWindow<Fragments> {
    /// The frame of a TC program.
    #[inline(always)]
    pub(super) fn of_socket_buffer(ctx: &TcContext) -> Self {
        let linear = Linear::new(ctx.data(), ctx.data_end(), (ctx.data_end() - ctx.data()) as u64);
        let linear = Linear { wire_len: ctx.len(), frame_len: ctx.len(), ..linear };
        Self { linear, rest: Fragments(ctx.skb.skb) }
    }
}

impl<R: Rest> Window for FrameWindow<R> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        match self.linear.read(offset) {
            None if N <= MAX_FIELD_LEN => self.rest.read(offset),
            bytes => bytes,
        }
    }

    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.linear.wire_len
    }

    #[inline(always)]
    fn frame_len(&self) -> u32 {
        self.linear.frame_len
    }

    #[inline(always)]
    fn obscure(&self, offset: usize) -> usize {
        (offset + self.linear.zero) & MAX_OFFSET
    }
}

impl Rest for Nothing {
    #[inline(always)]
    fn read<const N: usize>(&self, _offset: usize) -> Option<[u8; N]> {
        None
    }
}

impl Rest for Buffers {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the context is the one this program was called with, and the helper writes N bytes.
        let failed = unsafe { bpf_xdp_load_bytes(self.0, offset as u32, bytes.as_mut_ptr().cast(), N as u32) };
        (failed == 0).then(|| from_stack(&bytes))
    }
}

impl Rest for Fragments {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the context is the one this program was called with, and the helper writes N bytes.
        let failed = unsafe { bpf_skb_load_bytes(self.0.cast(), offset as u32, bytes.as_mut_ptr().cast(), N as u32) };
        (failed == 0).then(|| from_stack(&bytes))
    }
}

/// The bytes, read one by one: on the stack the verifier takes no unaligned access, which the object is compiled to use elsewhere.
#[inline(always)]
fn from_stack<const N: usize>(bytes: &[u8; N]) -> [u8; N] {
    // SAFETY: each element of an array can be read.
    core::array::from_fn(|at| unsafe { read_volatile(&raw const bytes[at]) })
}

/// The part of a frame that is mapped in one piece.
struct Linear {
    data: usize,
    end: usize,
    wire_len: u32,
    frame_len: u32,
    /// Zero, which neither the compiler nor the verifier can know: the upper half of a length of 64 bits.
    zero: usize,
}

impl Linear {
    #[inline(always)]
    fn new(data: usize, end: usize, frame: u64) -> Self {
        Self { data, end, wire_len: frame as u32, frame_len: frame as u32, zero: (frame >> 32) as usize }
    }

    #[inline(always)]
    fn of_xdp(ctx: &XdpContext, frame: u64) -> Self {
        let linear = Self::new(ctx.data(), ctx.data_end(), frame);
        if !is_replay() {
            return linear;
        }
        let lengths = ctx.metadata();
        if lengths + size_of::<ReplayLengths>() > ctx.metadata_end() {
            return linear;
        }
        // SAFETY: the metadata holds both words, as just checked.
        let [wire_len, frame_len] = unsafe { (lengths as *const ReplayLengths).read_unaligned() };
        Self { wire_len, frame_len, ..linear }
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let start = self.data + offset;
        if start + N > self.end {
            return None;
        }
        // SAFETY: the bytes lie before the end of the linear part, as just checked; an array of bytes needs no alignment.
        Some(unsafe { (start as *const [u8; N]).read() })
    }
}
