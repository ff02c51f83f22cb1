//! The three kinds of kernel memory a frame stands in, and how each is read.

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::{__sk_buff, xdp_md},
    helpers::generated::{bpf_skb_load_bytes, bpf_xdp_load_bytes},
};

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
    /// Most bytes of a field that is looked for behind the linear part.
    const MAX_FIELD_LEN: usize;

    /// Start and end of the part that is mapped in one piece.
    ///
    /// Read from the context each time: a packet pointer that is kept would carry what the verifier has learnt of its range, and
    /// paths that learnt it differently would not meet again.
    fn linear(&self) -> (usize, usize);

    /// `N` bytes from `offset`, wherever they are. A helper call of some 16 ns, so only where the linear part has ended.
    fn anywhere<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;
}

/// An XDP frame of one buffer.
pub(in crate::kernel) struct OneBuffer(pub(super) *mut xdp_md);

/// An XDP frame that may have several buffers (Linux 5.18).
pub(in crate::kernel) struct SeveralBuffers(pub(super) *mut xdp_md);

/// A socket buffer.
pub(in crate::kernel) struct SocketBuffer(pub(super) *mut __sk_buff);

/// Both ends of the linear part; the two contexts have the same fields.
macro_rules! linear {
    ($context:expr) => {
        (field!($context, data) as usize, field!($context, data_end) as usize)
    };
}

impl Memory for OneBuffer {
    const MAX_FIELD_LEN: usize = 0;

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
    /// Tags, labels, extension headers, ports. A whole IP header is not looked for: no driver's first buffer ends within the first
    /// hundred bytes, and 40 bytes on the stack cost the common path 8 ns.
    const MAX_FIELD_LEN: usize = 8;

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
    /// A whole IPv6 header: packet sockets and lists of fragments leave nothing but the link header in the linear part.
    const MAX_FIELD_LEN: usize = 40;

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
