//! The only unsafe access to packet memory.

use core::mem::size_of;

use aya_ebpf::{
    helpers::generated::bpf_xdp_get_buff_len,
    programs::{TcContext, XdpContext},
};
use sensor_ebpf::packet::{MAX_OFFSET, Window};

use super::maps::is_replay;

/// What the replay puts before a frame, in host byte order.
type ReplayLengths = [u32; 2];

/// The frame of an XDP program of one buffer.
pub(super) struct SingleBuffer(Linear);

/// The frame of an XDP program that may have more buffers behind the linear part.
pub(super) struct MultiBuffer(Linear);

/// The frame of a TC program.
pub(super) struct TcWindow(Linear);

impl SingleBuffer {
    #[inline(always)]
    pub(super) fn new(ctx: &XdpContext) -> Self {
        Self(Linear::of_xdp(ctx, (ctx.data_end() - ctx.data()) as u64))
    }
}

impl MultiBuffer {
    #[inline(always)]
    pub(super) fn new(ctx: &XdpContext) -> Self {
        // SAFETY: the context is the one this program was called with.
        let frame = unsafe { bpf_xdp_get_buff_len(ctx.ctx) };
        Self(Linear::of_xdp(ctx, frame))
    }
}

impl TcWindow {
    #[inline(always)]
    pub(super) fn new(ctx: &TcContext) -> Self {
        let linear = Linear::new(ctx.data(), ctx.data_end(), (ctx.data_end() - ctx.data()) as u64);
        Self(Linear { wire_len: ctx.len(), frame_len: ctx.len(), ..linear })
    }
}

/// The three windows differ in where their lengths come from, not in how bytes are read.
macro_rules! window {
    ($name:ident) => {
        impl Window for $name {
            #[inline(always)]
            fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
                self.0.read(offset)
            }

            #[inline(always)]
            fn wire_len(&self) -> u32 {
                self.0.wire_len
            }

            #[inline(always)]
            fn frame_len(&self) -> u32 {
                self.0.frame_len
            }

            #[inline(always)]
            fn obscure(&self, offset: usize) -> usize {
                self.0.obscure(offset)
            }
        }
    };
}

window!(SingleBuffer);
window!(MultiBuffer);
window!(TcWindow);

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
    fn obscure(&self, offset: usize) -> usize {
        (offset + self.zero) & MAX_OFFSET
    }

    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        let start = self.data + offset;
        if start + N > self.end {
            return None;
        }
        // SAFETY: the bytes lie before the end of the linear part, as just checked; an array of bytes needs no alignment.
        Some(unsafe { (start as *const [u8; N]).read() })
    }
}
