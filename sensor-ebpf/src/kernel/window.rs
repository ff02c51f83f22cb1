//! The only unsafe access to packet memory.

use core::{mem::size_of, ptr::read_volatile};

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
    programs::{TcContext, XdpContext},
};
use sensor_ebpf::packet::{MAX_OFFSET, Window};

use super::maps::is_replay;

/// What the replay puts before a frame, in host byte order: its length on the wire, and the length to count.
type ReplayLengths = [u32; 2];

/// Most bytes of a field that is looked for behind the linear part: tags, labels, extension headers, ports. A whole IP header is
/// not: no driver's first buffer ends within the first hundred bytes, and 40 bytes on the stack cost the common path 8 ns.
const MAX_FIELD_LEN: usize = 8;

/// A frame in kernel memory.
pub(super) struct FrameWindow<M> {
    memory: M,
    wire_len: u32,
    frame_len: u32,
    /// Zero, which neither the compiler nor the verifier can know: the upper half of a length of 64 bits.
    zero: usize,
}

/// Where the bytes of a frame are.
pub(super) trait Memory {
    /// Start and end of the part that is mapped in one piece.
    ///
    /// Read from the context each time: a packet pointer that is kept would carry what the verifier has learnt of its range, and
    /// paths that learnt it differently would not meet again.
    fn linear(&self) -> (usize, usize);

    /// `N` bytes from `offset`, wherever they are. A helper call of some 16 ns, so only where the linear part has ended.
    fn anywhere<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

/// An XDP frame of one buffer.
pub(super) struct OneBuffer(*mut xdp_md);

/// An XDP frame that may have several buffers (Linux 5.18).
pub(super) struct SeveralBuffers(*mut xdp_md);

/// A socket buffer.
pub(super) struct SocketBuffer(*mut __sk_buff);

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
        // SAFETY: the context is the one this program was called with.
        let frame = unsafe { bpf_xdp_get_buff_len(ctx.ctx) };
        Self::new(SeveralBuffers(ctx.ctx), frame).with_replay_lengths(ctx)
    }
}

impl FrameWindow<SocketBuffer> {
    /// The frame of a TC program.
    #[inline(always)]
    pub(super) fn of_socket_buffer(ctx: &TcContext) -> Self {
        let linear = (ctx.data_end() - ctx.data()) as u64;
        Self { wire_len: ctx.len(), frame_len: ctx.len(), ..Self::new(SocketBuffer(ctx.skb.skb), linear) }
    }
}

impl<M> FrameWindow<M> {
    #[inline(always)]
    fn new(memory: M, frame: u64) -> Self {
        Self { memory, wire_len: frame as u32, frame_len: frame as u32, zero: (frame >> 32) as usize }
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
        let [wire_len, frame_len] = unsafe { (lengths as *const ReplayLengths).read_unaligned() };
        Self { wire_len, frame_len, ..self }
    }
}

impl<M: Memory> Window for FrameWindow<M> {
    #[inline(always)]
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        if offset > MAX_OFFSET {
            return None;
        }
        let (data, end) = self.memory.linear();
        let start = data + offset;
        if start + N > end {
            return if N <= MAX_FIELD_LEN { self.memory.anywhere(offset) } else { None };
        }
        // SAFETY: the bytes lie before the end of the linear part, as just checked; an array of bytes needs no alignment.
        Some(unsafe { (start as *const [u8; N]).read() })
    }

    #[inline(always)]
    fn wire_len(&self) -> u32 {
        self.wire_len
    }

    #[inline(always)]
    fn frame_len(&self) -> u32 {
        self.frame_len
    }

    #[inline(always)]
    fn obscure(&self, offset: usize) -> usize {
        (offset + self.zero) & MAX_OFFSET
    }
}

/// Index of the interface that received the packet, 0 where it was made on this machine.
#[inline(always)]
pub(super) fn received_on(ctx: &TcContext) -> u32 {
    // SAFETY: the context is the one this program was called with.
    unsafe { read_volatile(&raw const (*ctx.skb.skb).ingress_ifindex) }
}

/// Both ends of the linear part; the two contexts have the same fields.
macro_rules! linear {
    ($context:expr) => {{
        // SAFETY: the context is the one this program was called with.
        unsafe {
            (
                read_volatile(&raw const (*$context).data) as usize,
                read_volatile(&raw const (*$context).data_end) as usize,
            )
        }
    }};
}

impl Memory for OneBuffer {
    #[inline(always)]
    fn linear(&self) -> (usize, usize) {
        linear!(self.0)
    }

    #[inline(always)]
    fn anywhere<const N: usize>(&self, _offset: usize) -> Option<[u8; N]> {
        None
    }
}

impl Memory for SeveralBuffers {
    #[inline(always)]
    fn linear(&self) -> (usize, usize) {
        linear!(self.0)
    }

    #[inline(always)]
    fn anywhere<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        // SAFETY: the context is the one this program was called with, and the helper writes N bytes.
        let failed = unsafe { bpf_xdp_load_bytes(self.0, offset as u32, bytes.as_mut_ptr().cast(), N as u32) };
        (failed == 0).then(|| from_stack(&bytes))
    }
}

impl Memory for SocketBuffer {
    #[inline(always)]
    fn linear(&self) -> (usize, usize) {
        linear!(self.0)
    }

    #[inline(always)]
    fn anywhere<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
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
