//! L2TP over UDP: version 2 (RFC 2661 section 3.1) and version 3 (RFC 3931 section 4.1.2). L2TP straight over IP has a number of its own, see `ip.rs`.
//!
//! Confirmed: control messages of one end go to the tunnel or connection that the other end assigned. Payload: a control message that begins with the
//! Message Type pair, on any port; on port 1701 also one without pairs or with wrong bits, and data of one session with PPP inside.
//!
//! False alarms: none known. Not seen: data on another port than 1701, pairs that are hidden (they come behind the Message Type).

use sensor_ebpf::class::Class;

use super::bytes::{u16_at, u32_at};
use crate::inspect::{Conversation, End, Message, Verdict};

/// The port of L2TP.
const PORT: u16 = 1701;
/// Type, length and sequence bits, which a control message has, and no other.
const CONTROL: u8 = 0xC8;
/// The two of these without which nobody can read it.
const CONTROL_LEAST: u8 = 0xC0;
/// Bytes of a control header.
const HEADER: usize = 12;
/// Bytes of the Message Type pair.
const PAIR: usize = 8;
/// The highest message type: RFC 2661 section 3.2 ends at 16, some came later.
const MAX_TYPE: u16 = 28;
/// Assigned Tunnel ID (version 2).
const ASSIGNED_TUNNEL: u16 = 9;
/// Assigned Control Connection ID (version 3).
const ASSIGNED_CONNECTION: u16 = 61;
/// Pairs of a message that are looked at.
const MAX_PAIRS: usize = 32;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_udp() {
        return None;
    }
    let agrees = End::ALL.iter().any(|end| {
        let mut assigned = conversation.messages_of(*end).filter_map(assigned);
        assigned
            .any(|id| conversation.messages_of(end.other()).filter(|it| is_control(it)).any(|it| to(it) == Some(id)))
    });
    if agrees {
        return Some(Verdict::confirmed(Class::L2tp));
    }
    let is_usual = conversation.has_port(PORT);
    let mut messages = conversation.messages().iter();
    let is_one = messages.any(|message| is_control(message) || is_usual && (is_bare(message) || is_data(message)));
    is_one.then_some(Verdict::payload(Class::L2tp))
}

fn version(message: &Message) -> Option<u8> {
    message.bytes.get(1).copied().filter(|version| [2, 3].contains(version))
}

/// Whether it is a control message whose first pair is a message type.
fn is_control(message: &Message) -> bool {
    let bytes = message.bytes.as_slice();
    let length = u16_at(bytes, 2).map_or(0, u32::from);
    bytes.first() == Some(&CONTROL)
        && version(message).is_some()
        && length == message.len
        && u16_at(bytes, HEADER).is_some_and(|head| head & 0x3FFF == PAIR as u16)
        && u32_at(bytes, HEADER + 2) == Some(0)
        && u16_at(bytes, HEADER + 6).is_some_and(|kind| (1..=MAX_TYPE).contains(&kind))
}

/// Whether it is an acknowledgement without pairs, or a control message with wrong bits.
fn is_bare(message: &Message) -> bool {
    let bytes = message.bytes.as_slice();
    let length = u16_at(bytes, 2).map_or(0, u32::from);
    let is_control = bytes.first().is_some_and(|first| first & CONTROL_LEAST == CONTROL_LEAST);
    is_control && version(message).is_some() && (HEADER as u32..=message.len).contains(&length)
}

/// Whether it is version 2 data with PPP inside.
fn is_data(message: &Message) -> bool {
    let bytes = message.bytes.as_slice();
    let Some(flags) = u16_at(bytes, 0) else { return false };
    // Type and reserved bits are clear, the version is 2.
    if flags & 0xB4FF != 2 {
        return false;
    }
    let length = if flags & 0x4000 != 0 { 2 } else { 0 };
    let sequence = if flags & 0x0800 != 0 { 4 } else { 0 };
    let offset = if flags & 0x0200 != 0 { 2 } else { 0 };
    let header = 6 + length + sequence + offset;
    if length > 0 && u16_at(bytes, 2).map(u32::from) != Some(message.len) {
        return false;
    }
    // Address and control, which may be left out, and the number of the protocol inside: IP, IPv6, LCP, PAP, CHAP, IPCP, IPV6CP, CCP.
    let protocol = match u16_at(bytes, header) {
        Some(0xFF03) => u16_at(bytes, header + 2),
        first => first,
    };
    matches!(protocol, Some(0x0021 | 0x0057 | 0xC021 | 0xC023 | 0xC223 | 0x8021 | 0x8057 | 0x80FD))
}

/// The tunnel or connection that a control message is for.
fn to(message: &Message) -> Option<u32> {
    match version(message)? {
        2 => u16_at(&message.bytes, 4).map(u32::from),
        _ => u32_at(&message.bytes, 4),
    }
    .filter(|id| *id != 0)
}

/// The tunnel or connection that a control message assigns.
fn assigned(message: &Message) -> Option<u32> {
    if !is_control(message) {
        return None;
    }
    let mut pairs = message.bytes.get(HEADER..)?;
    for _ in 0..MAX_PAIRS {
        let length = usize::from(u16_at(pairs, 0)? & 0x3FF);
        let (pair, rest) = pairs.split_at_checked(length.max(6))?;
        let value = match (u16_at(pair, 2)?, u16_at(pair, 4)?, length) {
            (0, ASSIGNED_TUNNEL, 8) => u16_at(pair, 6).map(u32::from),
            (0, ASSIGNED_CONNECTION, 10) => u32_at(pair, 6),
            _ => None,
        };
        if let Some(value) = value {
            return Some(value).filter(|id| *id != 0);
        }
        pairs = rest;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{packet::protocol::UDP, protocols::testing::assert_robust};

    fn control(version: u8, to: [u8; 4], kind: u8, pairs: &[u8]) -> Vec<u8> {
        let length = (20 + pairs.len()) as u8;
        let mut bytes = vec![0xC8, version, 0, length];
        bytes.extend(to);
        bytes.extend([0, 0, 0, 0, 0x80, 8, 0, 0, 0, 0, 0, kind]);
        bytes.extend(pairs);
        bytes
    }

    fn of(ports: [u16; 2], messages: &[(End, &[u8])]) -> Option<Verdict> {
        judge(&Conversation::of(UDP, ports, messages))
    }

    #[test]
    fn answers_go_to_what_was_assigned() {
        for (version, to, pair) in [
            (2, [0, 7, 0, 0], &[0x80, 8, 0, 0, 0, 9, 0, 7][..]),
            (3, [0, 0, 0, 7], &[0x80, 10, 0, 0, 0, 61, 0, 0, 0, 7]),
        ] {
            let [request, reply] = [control(version, [0; 4], 1, pair), control(version, to, 2, &[])];
            let messages: [(End, &[u8]); 2] = [(End::Client, &request), (End::Server, &reply)];
            assert_eq!(of([40000, 40001], &messages), Some(Verdict::confirmed(Class::L2tp)));
            assert_eq!(of([40000, 40001], &messages[..1]), Some(Verdict::payload(Class::L2tp)));
            assert_robust(judge, UDP, [40000, 40001], &messages);
        }
    }

    #[test]
    fn what_only_its_port_makes_certain() {
        let bare: &[u8] = &[0xC8, 2, 0, 12, 0, 7, 0, 0, 0, 1, 0, 1];
        let data: &[u8] = &[0, 2, 0, 7, 0, 9, 0xFF, 3, 0, 0x21, 0x45];
        let long: &[u8] = &[0x40, 2, 0, 12, 0, 7, 0, 9, 0, 0x21, 0x45, 0];
        for bytes in [bare, data, long] {
            assert_eq!(of([40000, 1701], &[(End::Client, bytes)]), Some(Verdict::payload(Class::L2tp)));
            assert_eq!(of([40000, 1702], &[(End::Client, bytes)]), None);
        }
        assert_eq!(of([40000, 1701], &[(End::Client, b"GET / HTTP/1.1\r\n")]), None);
        assert_eq!(of([40000, 1701], &[(End::Client, &[0, 2, 0, 7, 0, 9, 0xFF, 3, 0xAA, 0x21])]), None);
    }
}
