//! The three kinds of kernel memory a frame stands in, and how each is read.

use core::{
    arch::asm,
    ptr::{read_volatile, write_volatile},
};

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_get_buff_len, bpf_xdp_load_bytes},
};
use sensor_ebpf::{abi::MAX_SAMPLE, packet::Lengths};

/// Most bytes of a field that is looked for behind the first buffer: tags, labels, extension headers, ports. A whole IP header is
/// not: no driver's first buffer ends within the first hundred bytes, and 40 bytes on the stack cost the common path 8 ns.
const MAX_FIELD_LEN: usize = 8;

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

/// Shortest frame on an Ethernet without its check sequence (IEEE 802.3): what is shorter was cut into buffers, or never was on a wire.
const MIN_FRAME_LEN: u32 = 60;
/// No driver goes on behind its first buffer before that holds so much, but for headers that it splits off.
const MIN_FULL_BUFFER: u32 = 1024;

/// An XDP frame of one buffer.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct OneBuffer(pub(in crate::kernel) *mut xdp_md);

/// An XDP frame that may have several buffers (Linux 5.18).
#[derive(Clone, Copy)]
pub(in crate::kernel) struct SeveralBuffers(pub(in crate::kernel) *mut xdp_md);

/// A socket buffer.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct SocketBuffer(pub(in crate::kernel) *mut __sk_buff);

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

/// A length of one to [`MAX_SAMPLE`], in a way that the verifier sees.
#[inline(always)]
fn sized(len: u32) -> u32 {
    let mut len = u64::from(len);
    // SAFETY: no instruction; the compiler forgets what it knows of the number, and keeps the comparison.
    unsafe { asm!("/* {len} */", len = inout(reg) len, options(nostack, preserves_flags)) };
    if len == 0 || len > MAX_SAMPLE as u64 { 1 } else { len as u32 }
}

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

/// From the part of an XDP frame that is mapped in one piece.
///
/// Its ends are read from the context each time: a packet pointer that is kept would carry what the verifier has learnt of its
/// range, and paths that learnt it differently would not meet again.
#[inline(always)]
fn mapped<T>(context: *mut xdp_md, offset: usize) -> Option<T> {
    let start = field!(context, data) as usize + offset;
    if start + size_of::<T>() > field!(context, data_end) as usize {
        return None;
    }
    // SAFETY: the bytes lie before the end of the linear part, as just checked; only plain numbers are asked for.
    Some(unsafe { (start as *const T).read_unaligned() })
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
