//! Headers that only wrap another link layer.

use super::{Header, Payload, ethertype, header, le16, le32};
use crate::capture::LinkType;

/// Per-packet information: version, flags, length of the whole header, link type behind it (all little-endian).
pub(super) fn ppi(frame: &[u8]) -> Option<Header> {
    inner(frame, usize::from(le16(frame, 2)?), le32(frame, 4)?)
}

/// Darwin's `pktap`: length of the whole header, kind of record, link type behind it.
pub(super) fn pktap(frame: &[u8]) -> Option<Header> {
    inner(frame, usize::try_from(le32(frame, 0)?).ok()?, le32(frame, 8)?)
}

/// Linux' NFLOG: address family, version, resource id, then attributes of which one is the packet.
pub(super) fn nflog(frame: &[u8]) -> Option<Header> {
    const FIXED_LEN: usize = 4;
    const ATTRIBUTE_HEADER_LEN: usize = 4;
    const PAYLOAD: u16 = 9;
    const ALIGNMENT: usize = 4;
    const IPV4: u8 = 2;
    const IPV6: u8 = 10;
    let family = *frame.first()?;
    let mut at = FIXED_LEN;
    loop {
        let len = usize::from(le16(frame, at)?);
        if le16(frame, at + 2)? == PAYLOAD {
            let payload = match family {
                IPV4 => Payload::Type(ethertype::IPV4),
                IPV6 => Payload::Type(ethertype::IPV6),
                _ => Payload::NotIp,
            };
            return Some(Header { len: at + ATTRIBUTE_HEADER_LEN, payload });
        }
        // An attribute is at least its own header, so the walk ends.
        at += len.max(ATTRIBUTE_HEADER_LEN).next_multiple_of(ALIGNMENT);
    }
}

/// The header of the link layer inside, unless that is a container itself: one level is what is ever captured.
fn inner(frame: &[u8], len: usize, link_type: u32) -> Option<Header> {
    let rest = frame.get(len..)?;
    let link_type = LinkType::from(link_type);
    if matches!(link_type, LinkType::Other(super::number::PPI | super::number::PKTAP)) {
        return Some(Header { len, payload: Payload::NotIp });
    }
    let inside = header(link_type, rest).unwrap_or(Header { len: 0, payload: Payload::NotIp });
    Some(Header { len: len + inside.len, payload: inside.payload })
}
