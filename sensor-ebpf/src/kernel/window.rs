//! The only unsafe access to packet memory.

mod memory;

use core::mem::size_of;

use aya_ebpf::bindings::xdp_md;
use sensor_ebpf::{
    abi::MAX_SAMPLE,
    packet::{Lengths, MAX_OFFSET, Offload, VLAN_TAG_LEN, Window},
};

use self::memory::{Memory, field};
pub(super) use self::memory::{OneBuffer, SeveralBuffers, SocketBuffer};
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
    pub(super) fn of_one_buffer(memory: OneBuffer) -> Self {
        Self::new(memory, mapped(memory.0)).with_replay_lengths(memory.0)
    }
}

impl FrameWindow<SeveralBuffers> {
    /// The frame of an XDP program for several buffers.
    #[inline(always)]
    pub(super) fn of_several_buffers(memory: SeveralBuffers) -> Self {
        Self::new(memory, mapped(memory.0)).with_replay_lengths(memory.0)
    }
}

impl FrameWindow<SocketBuffer> {
    /// The frame of a TC program, as long as it is on the wire once it was cut into segments and its tag put into the bytes.
    #[inline(always)]
    pub(super) fn of_socket_buffer(memory: SocketBuffer) -> Self {
        let skb = memory.0;
        let offload = Offload {
            len: field!(skb, len),
            wire_len: field!(skb, wire_len),
            gso_size: field!(skb, gso_size),
            gso_segs: field!(skb, gso_segs),
        };
        let (wire, segments) = (offload.wire_len(), offload.segments());
        let tag = if field!(skb, vlan_present) == 0 { 0 } else { VLAN_TAG_LEN as u32 };
        let linear = u64::from(field!(skb, data_end)) - u64::from(field!(skb, data));
        let lengths = Lengths { wire, frame: wire + tag * segments };
        Self { lengths, segments, ..Self::new(memory, linear) }
    }
}

impl<M> FrameWindow<M> {
    #[inline(always)]
    fn new(memory: M, mapped: u64) -> Self {
        let lengths = Lengths { wire: mapped as u32, frame: mapped as u32 };
        Self { memory, lengths, segments: 1, zero: (mapped >> 32) as usize }
    }

    #[inline(always)]
    fn with_replay_lengths(self, context: *mut xdp_md) -> Self {
        if !is_replay() {
            return self;
        }
        let lengths = field!(context, data_meta) as usize;
        if lengths + size_of::<ReplayLengths>() > field!(context, data) as usize {
            return self;
        }
        // SAFETY: the metadata holds both words, as just checked.
        let [wire, frame] = unsafe { (lengths as *const ReplayLengths).read_unaligned() };
        Self { lengths: Lengths { wire, frame }, ..self }
    }
}

/// Bytes of an XDP frame that are mapped in one piece.
#[inline(always)]
fn mapped(context: *mut xdp_md) -> u64 {
    u64::from(field!(context, data_end)) - u64::from(field!(context, data))
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
    fn reach(&self) -> u32 {
        self.memory.reach()
    }

    #[inline(always)]
    fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool {
        offset <= MAX_OFFSET && self.memory.copy(offset, len, to)
    }

    #[inline(always)]
    fn tag(&self) -> Option<u16> {
        self.memory.tag()
    }

    #[inline(always)]
    fn forget(&self, number: u32) -> u32 {
        number.wrapping_add(self.zero as u32)
    }

    #[inline(always)]
    fn obscure(&self, offset: usize) -> usize {
        (offset + self.zero) & MAX_OFFSET
    }
}

/// Index of the interface that received the packet, 0 where it was made on this machine.
#[inline(always)]
pub(super) fn received_on(memory: SocketBuffer) -> u32 {
    field!(memory.0, ingress_ifindex)
}
