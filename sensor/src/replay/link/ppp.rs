//! Serial links: PPP, Cisco HDLC, frame relay.

use super::{Header, Payload, be16, ethertype};

/// Address and control of PPP in HDLC-like framing (RFC 1662).
const ALL_STATIONS: [u8; 2] = [0xff, 0x03];

/// PPP (RFC 1661), with or without address and control, its protocol field compressed or not.
pub(super) fn ppp(frame: &[u8]) -> Option<Header> {
    let start = if frame.starts_with(&ALL_STATIONS) { ALL_STATIONS.len() } else { 0 };
    let first = *frame.get(start)?;
    // The low bit of the first byte set means that it is the only one.
    let (protocol, len) = if first & 1 == 1 { (u16::from(first), 1) } else { (be16(frame, start)?, 2) };
    let payload = match protocol {
        0x0021 => Payload::Type(ethertype::IPV4),
        0x0057 => Payload::Type(ethertype::IPV6),
        0x0281 => Payload::Type(ethertype::MPLS),
        0x0283 => Payload::Type(ethertype::MPLS_MULTICAST),
        _ => Payload::NotIp,
    };
    Some(Header { len: start + len, payload })
}

/// A serial line: Cisco HDLC where the first byte is one of its addresses, else PPP.
pub(super) fn serial(frame: &[u8]) -> Option<Header> {
    const UNICAST: u8 = 0x0f;
    const MULTICAST: u8 = 0x8f;
    if matches!(frame.first()?, &(UNICAST | MULTICAST)) { cisco(frame) } else { ppp(frame) }
}

/// Cisco HDLC: address, control, ethertype.
pub(super) fn cisco(frame: &[u8]) -> Option<Header> {
    Some(Header { len: 4, payload: Payload::Type(be16(frame, 2)?) })
}

/// Frame relay (RFC 2427): an address of two to four bytes, then a control byte and a protocol number, or Cisco's bare ethertype.
pub(super) fn frame_relay(frame: &[u8]) -> Option<Header> {
    const LAST_ADDRESS_BYTE: u8 = 1;
    const MAX_ADDRESS_LEN: usize = 4;
    const UNNUMBERED: u8 = 0x03;
    const PADDING: u8 = 0x00;
    const SNAP: u8 = 0x80;
    const IPV4: u8 = 0xcc;
    const IPV6: u8 = 0x8e;
    let mut at = 1 + frame.iter().take(MAX_ADDRESS_LEN).position(|byte| byte & LAST_ADDRESS_BYTE != 0)?;
    if *frame.get(at)? != UNNUMBERED {
        return Some(Header { len: at + 2, payload: Payload::Type(be16(frame, at)?) });
    }
    at += 1;
    if *frame.get(at)? == PADDING {
        at += 1;
    }
    Some(match *frame.get(at)? {
        IPV4 => Header { len: at + 1, payload: Payload::Type(ethertype::IPV4) },
        IPV6 => Header { len: at + 1, payload: Payload::Type(ethertype::IPV6) },
        // Organisation and ethertype follow, as behind an LLC header.
        SNAP => Header { len: at + 6, payload: Payload::Type(be16(frame, at + 4)?) },
        _ => Header { len: at + 1, payload: Payload::NotIp },
    })
}
