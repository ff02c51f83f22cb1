//! The only unsafe access to packet memory.

mod memory;

use core::mem::size_of;

use aya_ebpf::programs::{TcContext, XdpContext};
use sensor_ebpf::packet::{Lengths, MAX_OFFSET, Offload, VLAN_TAG_LEN, Window};

use self::memory::{Memory, OneBuffer, SeveralBuffers, SocketBuffer, field};
use super::maps::is_replay;

/// What the replay puts before a frame, in host byte order: its length on the wire, and the length to count.
type ReplayLengths = [u32; 2];

/// A frame in kernel memory.
pub(super) struct FrameWindow<M> {
    memory: M,
    /// As far as they are known beforehand.
    lengths: Lengths,
    segments: u32,
    /// Zero, which neither the compiler nor the verifier can know: the upper half of a length of 64 bits.
    zero: usize,
}

impl FrameWindow<OneBuffer> {
    /// The frame of an XDP program for one buffer.
    #[inline(always)]
    pub(super) fn of_one_buffer(ctx: &XdpContext) -> Self {
        Self::new(OneBuffer(ctx.ctx), (ctx.data_end() - ctx.data()) as u64).with_replay_lengths(ctx)
    }
}

impl FrameWindow<SeveralBuffers> {
    /// The frame of an XDP program for several buffers.
    #[inline(always)]
    pub(super) fn of_several_buffers(ctx: &XdpContext) -> Self {
        Self::new(SeveralBuffers(ctx.ctx), (ctx.data_end() - ctx.data()) as u64).with_replay_lengths(ctx)
    }
}

impl FrameWindow<SocketBuffer> {
    /// The frame of a TC program, as long as it is on the wire once it was cut into segments and its tag put into the bytes.
    #[inline(always)]
    pub(super) fn of_socket_buffer(ctx: &TcContext) -> Self {
        let skb = ctx.skb.skb;
        let offload = Offload {
            len: field!(skb, len),
            wire_len: field!(skb, wire_len),
            gso_size: field!(skb, gso_size),
            gso_segs: field!(skb, gso_segs),
        };
        let (wire, segments) = (offload.wire_len(), offload.segments());
        let tag = if field!(skb, vlan_present) == 0 { 0 } else { VLAN_TAG_LEN as u32 };
        let linear = (ctx.data_end() - ctx.data()) as u64;
        let lengths = Lengths { wire, frame: wire + tag * segments };
        Self { lengths, segments, ..Self::new(SocketBuffer(skb), linear) }
    }
}

impl<M> FrameWindow<M> {
    #[inline(always)]
    fn new(memory: M, mapped: u64) -> Self {
        let lengths = Lengths { wire: mapped as u32, frame: mapped as u32 };
        Self { memory, lengths, segments: 1, zero: (mapped >> 32) as usize }
    }

    #[inline(always)]
    fn with_replay_lengths(self, ctx: &XdpContext) -> Self {
        if !is_replay() {
            return self;
        }
        let lengths = ctx.metadata();
        if lengths + size_of::<ReplayLengths>() > ctx.metadata_end() {
            return self;
        }
        // SAFETY: the metadata holds both words, as just checked.
        let [wire, frame] = unsafe { (lengths as *const ReplayLengths).read_unaligned() };
        Self { lengths: Lengths { wire, frame }, ..self }
    }
}

impl<M: Memory> Window for FrameWindow<M> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        self.memory.read(offset)
    }

    #[inline(always)]
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
        if offset > MAX_OFFSET { None } else { self.memory.words(offset) }
    }

    #[inline(always)]
    fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
        if offset > MAX_OFFSET { None } else { self.memory.double_words(offset) }
    }

    #[inline(always)]
    fn lengths(&self, claimed: u32) -> Lengths {
        if is_replay() { self.lengths } else { self.memory.lengths(self.lengths, claimed) }
    }

    #[inline(always)]
    fn segments(&self) -> u32 {
        self.segments
    }

    #[inline(always)]
    fn obscure(&self, offset: usize) -> usize {
        (offset + self.zero) & MAX_OFFSET
    }
}

/// Index of the interface that received the packet, 0 where it was made on this machine.
#[inline(always)]
pub(super) fn received_on(ctx: &TcContext) -> u32 {
    field!(ctx.skb.skb, ingress_ifindex)
}
