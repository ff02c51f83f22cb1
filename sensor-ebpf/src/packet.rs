//! From the bytes of a frame to what is counted: link layer, IP header, and (for watched packets) ports.
//!
//! Ordinary Rust over a [`Window`]: no context type, every loop and every offset bounded by a named constant.

mod ipv4;
mod ipv6;
mod l4;
mod link;
mod payload;
mod plain;
mod segments;
mod slice;

pub use ipv4::Ipv4;
pub use ipv6::Ipv6;
pub use l4::{Behind, L4, MAX_EXTENSION_HEADERS, Ports, Upper};
pub use link::{ETHERNET_HEADER_LEN, L3, MAX_MPLS_LABELS, MAX_VLAN_TAGS, VLAN_TAG_LEN, is_vlan, link};
pub use payload::{Payload, tcp_flag};
pub use plain::{Plain, plain};
pub use segments::Offload;
pub use slice::SliceWindow;

use crate::abi::{MAX_SAMPLE, Unparsed};

/// Headers that begin beyond this offset are not looked for: a bound, and a mask, that the kernel's verifier can follow.
pub const MAX_OFFSET: usize = 4095;

const _: () = assert!((MAX_OFFSET + 1).is_power_of_two());

/// Bounded access to the bytes of one frame, starting at its link header.
pub trait Window {
    /// `N` bytes from `offset`; `None` where they are not all within reach.
    fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]>;

    /// `N` words of four bytes from `offset`, each in host byte order; `None` where they are not all within reach.
    fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]>;

    /// `N` words of eight bytes from `offset`, each in host byte order; `None` where they are not all within reach.
    fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]>;

    /// How long the frame is. `claimed` is where its headers say that it ends, at the earliest; 0 where they say nothing: finding
    /// out may be cheaper where that is known.
    fn lengths(&self, claimed: u32) -> Lengths;

    /// The same offset, at most [`MAX_OFFSET`], with its value hidden from static analysis.
    ///
    /// The kernel's verifier walks a path of its own for every constant offset a header can stand at; where the constant is
    /// forgotten, the paths meet again. On the host there is nothing to hide from.
    fn obscure(&self, offset: usize) -> usize {
        offset
    }

    /// The same number, with its value hidden likewise: where different ones lead the same way, the verifier walks it once.
    fn forget(&self, number: u32) -> u32 {
        number
    }

    /// Packets on the wire that this one is cut into; more than one where segmentation was put off (GSO). Both lengths are those of
    /// all of them, repeated headers included.
    fn segments(&self) -> u32 {
        1
    }

    /// Bytes within reach, from the link header on; a capture may hold fewer than the wire.
    fn reach(&self) -> u32;

    /// Copies `len` bytes from `offset`; false where they are not all within reach, or more than there is room for.
    fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool;

    /// The tag control information of a VLAN tag that is kept beside the bytes (IEEE 802.1Q).
    fn tag(&self) -> Option<u16> {
        None
    }
}

/// How long a frame is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// From the link header to the end of the frame on the wire; a capture may hold fewer.
    pub wire: u32,
    /// Counted for the frame: the same, less a link header that was added for the replay, or with tags that are kept beside the bytes.
    pub frame: u32,
}

/// Finds the outermost IP header, and says by its version field which one it is: the ethertype only announces IP, and a packet
/// with a whole header is counted whatever announced it.
///
/// # Errors
/// The reason why the frame has none.
#[inline(always)]
pub fn network<W: Window>(window: &W) -> Result<L3, Unparsed> {
    let (L3::V4(offset) | L3::V6(offset)) = link(window)?;
    let offset = window.obscure(offset);
    // Two bytes, because the verifier learns nothing of a packet's range from a comparison for one.
    let [first, _] = window.read::<2>(offset).ok_or(Unparsed::Truncated)?;
    match first >> 4 {
        4 => Ok(L3::V4(offset)),
        6 => Ok(L3::V6(offset)),
        _ => Err(Unparsed::IpVersion),
    }
}

/// Two bytes in network order.
#[inline(always)]
fn be16<W: Window>(window: &W, offset: usize) -> Option<u16> {
    window.read::<2>(offset).map(u16::from_be_bytes)
}

/// How far an IP length field could be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthCheck {
    /// It names an end within the frame.
    Plausible,
    /// It is zero: billed to the end of the frame.
    Zero,
    /// It names an end beyond the frame: billed to the end of the frame.
    OverFrame,
    /// It is less than the header itself: billed as it says.
    UnderHeader,
}

/// Where a packet whose header starts at `offset` and says `stated` ends; 0 where it does not say.
#[inline(always)]
const fn claimed_end(offset: usize, stated: u32) -> u32 {
    if stated == 0 { 0 } else { offset as u32 + stated }
}

/// The billed length of an IP packet whose header starts at `offset` and says `stated`, header included (0 where the field is 0), in
/// a frame of `wire` bytes.
///
/// The rule is in `docs/counting.md`; "frame" is the length on the wire, never the captured bytes.
#[inline(always)]
fn billed_length(wire: u32, segments: u32, offset: usize, stated: u32, header: u32) -> (u32, LengthCheck) {
    let room = wire.saturating_sub((offset as u32).saturating_mul(segments));
    if segments > 1 {
        // The length field is of the packet before it was cut; each of its segments says how long it really is.
        (room, LengthCheck::Plausible)
    } else if stated == 0 {
        (room, LengthCheck::Zero)
    } else if stated > room {
        (room, LengthCheck::OverFrame)
    } else if stated < header {
        (stated, LengthCheck::UnderHeader)
    } else {
        (stated, LengthCheck::Plausible)
    }
}

/// A cross-check shared by the tests of this folder: frames as bytes.
#[cfg(test)]
pub(crate) mod testing {
    use std::vec::Vec;

    /// An Ethernet header of that ethertype.
    pub(crate) fn ethernet(ethertype: u16) -> Vec<u8> {
        let mut frame = std::vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        frame.extend(ethertype.to_be_bytes());
        frame
    }

    /// An IPv4 header of that total length and protocol from 192.0.2.1 to 198.51.100.2.
    pub(crate) fn ipv4(total: u16, protocol: u8) -> Vec<u8> {
        let mut header = std::vec![0x45, 0];
        header.extend(total.to_be_bytes());
        header.extend([0, 1, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2]);
        header
    }

    /// An IPv6 header of that payload length and next header from 2001:db8::1 to 2001:db8:1::2.
    pub(crate) fn ipv6(payload: u16, next_header: u8) -> Vec<u8> {
        let mut header = std::vec![0x60, 0, 0, 0];
        header.extend(payload.to_be_bytes());
        header.extend([next_header, 64]);
        header.extend(core::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).octets());
        header.extend(core::net::Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 2).octets());
        header
    }
}
