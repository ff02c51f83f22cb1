//! Behind the IP header: extension headers and ports.

use super::{MAX_OFFSET, Window};
use crate::abi::Degraded;

/// IPv6 extension headers followed, within the first [`MAX_OFFSET`] bytes, before a packet counts as `extension_depth`.
pub const MAX_EXTENSION_HEADERS: usize = 8;

/// Protocol numbers (IANA registry).
mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const DCCP: u8 = 33;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const DESTINATION: u8 = 60;
    pub(super) const SCTP: u8 = 132;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const UDP_LITE: u8 = 136;
    pub(super) const HIP: u8 = 139;
    pub(super) const SHIM6: u8 = 140;
}

/// The upper-layer protocol and where its header starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upper {
    /// IANA protocol number.
    pub protocol: u8,
    /// Offset of its first byte in the frame.
    pub offset: usize,
}

/// What an IP header says of what is behind it: what it takes to find the upper layer later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// Protocol number, or that of the first extension header.
    pub protocol: u8,
    /// Whether there may be extension headers: of IPv6.
    pub has_extensions: bool,
    /// Whether it is a fragment that is not the first.
    pub is_later_fragment: bool,
    /// Offset of its first byte in the frame.
    pub offset: usize,
    /// Where the packet ends, counted from the link header.
    pub end: u32,
}

impl Behind {
    /// Nothing at all.
    pub const NOTHING: Self = Self { protocol: 0, has_extensions: false, is_later_fragment: false, offset: 0, end: 0 };

    /// The upper layer: protocol and, where the packet carries them, ports.
    ///
    /// # Errors
    /// The reason why the ports are not to be had.
    #[inline(always)]
    pub fn l4<W: Window>(&self, window: &W) -> Result<L4, Degraded> {
        if self.is_later_fragment {
            return Err(Degraded::LaterFragment);
        }
        let first = Upper { protocol: self.protocol, offset: self.offset };
        let upper = if self.has_extensions { skip_extensions(window, first)? } else { first };
        ports(window, upper)
    }
}

/// Ports in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Ports {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
}

impl Ports {
    /// Of what has none.
    pub const NONE: Self = Self { source: 0, destination: 0 };
}

/// The upper layer of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct L4 {
    /// Protocol and place.
    pub upper: Upper,
    /// Ports, of a protocol that has some.
    pub ports: Option<Ports>,
}

/// Reads the ports where the protocol has them: they are the first four bytes of all of these.
#[inline(always)]
fn ports<W: Window>(window: &W, upper: Upper) -> Result<L4, Degraded> {
    let has_ports =
        matches!(upper.protocol, protocol::TCP | protocol::UDP | protocol::DCCP | protocol::SCTP | protocol::UDP_LITE);
    if !has_ports {
        return Ok(L4 { upper, ports: None });
    }
    let [s0, s1, d0, d1] = window.read::<4>(upper.offset).ok_or(Degraded::L4Truncated)?;
    let ports = Ports { source: u16::from_be_bytes([s0, s1]), destination: u16::from_be_bytes([d0, d1]) };
    Ok(L4 { upper, ports: Some(ports) })
}

/// Follows IPv6 extension headers (RFC 8200 section 4, lengths by RFC 6564). The Authentication Header is an upper layer, as it is in IPv4: what it
/// covers is IPsec's.
#[inline(always)]
fn skip_extensions<W: Window>(window: &W, first: Upper) -> Result<Upper, Degraded> {
    let Upper { protocol: mut next, mut offset } = first;
    for _ in 0..=MAX_EXTENSION_HEADERS {
        let unit = match next {
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6 => 8,
            protocol::FRAGMENT => 0,
            _ => return Ok(Upper { protocol: next, offset }),
        };
        let [following, len, fragment_high, fragment_low] = window.read::<4>(offset).ok_or(Degraded::L4Truncated)?;
        offset += match unit {
            0 => {
                if u16::from_be_bytes([fragment_high, fragment_low]) >> 3 != 0 {
                    return Err(Degraded::LaterFragment);
                }
                8
            }
            _ => (usize::from(len) + 1) * 8,
        };
        next = following;
        if offset > MAX_OFFSET {
            return Err(Degraded::ExtensionDepth);
        }
        offset = window.obscure(offset);
    }
    Err(Degraded::ExtensionDepth)
}
