//! IPsec over UDP: IKE (RFC 2408 section 3.1, RFC 7296 section 3.1) and ESP behind its ports (RFC 3948), and IKE over TCP (RFC 8229 section 3). ESP and
//! AH straight over IP have numbers of their own, see `ip.rs`.
//!
//! Confirmed: both ends send IKE headers with the same SPI of the initiator. Payload: one IKE header, whose length is that of the datagram unless a port
//! is 500 or 4500, where the other fields are enough and what is malformed is IPsec, too; on port 4500 ESP packets of one SPI whose numbers rise.
//!
//! False alarms: none known. Not seen: a single ESP packet in UDP, NAT keepalives alone, and IKE whose version, exchange or flags do not exist.

use sensor_ebpf::class::Class;

use super::bytes::{distinct, u32_at};
use crate::inspect::{Conversation, End, Message, Verdict};

/// The port of IKE.
const PORT: u16 = 500;
/// The one behind address translation: IKE behind four zero bytes, or ESP.
const NAT_PORT: u16 = 4500;
/// Bytes of an IKE header.
const HEADER: usize = 28;
/// What a TCP connection begins with.
const TCP_PREFIX: &[u8] = b"IKETCP";
/// SPIs up to this one are reserved (RFC 4303 section 2.1).
const MAX_RESERVED_SPI: u32 = 255;
/// ESP packets of one end that say something.
const MIN_ESP: usize = 2;
/// How far sequence numbers get ahead between two packets that were seen.
const MAX_STEP: u32 = 1 << 12;
/// SPI, sequence number and the smallest tag.
const ESP_LEAST: u32 = 8 + 12;

/// An IKE header.
struct Ike {
    initiator: [u8; 8],
    /// Whether the length in it is that of the message.
    fits: bool,
    /// Whether its exchange is one that is in use.
    known: bool,
    /// Whether it opens a negotiation: nobody has answered.
    opens: bool,
}

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if conversation.is_tcp() {
        let is_prefix = End::ALL.iter().any(|end| conversation.stream(*end).starts_with(TCP_PREFIX));
        return is_prefix.then_some(Verdict::payload(Class::Ipsec));
    }
    if !conversation.is_udp() {
        return None;
    }
    let is_usual = conversation.has_port(PORT) || conversation.has_port(NAT_PORT);
    // Malformed on the port of IKE: in a first message whatever the standard leaves room for, in others what it has.
    let first = conversation.messages().first().filter(|_| is_usual).and_then(ike);
    if first.is_some() && !conversation.is_two_way() {
        return Some(Verdict::payload(Class::Ipsec));
    }
    let of = |end| {
        let all = conversation.messages_of(end).filter_map(ike);
        all.filter(|ike| is_usual && ike.known || ike.fits && distinct(&ike.initiator) > 2)
    };
    if of(End::Client).any(|one| of(End::Server).any(|other| one.initiator == other.initiator)) {
        return Some(Verdict::confirmed(Class::Ipsec));
    }
    let is_ike = End::ALL.iter().any(|end| of(*end).any(|ike| is_usual || ike.opens));
    let is_esp = || conversation.has_port(NAT_PORT) && End::ALL.iter().any(|end| is_esp(conversation, *end));
    (is_ike || is_esp()).then_some(Verdict::payload(Class::Ipsec))
}

fn ike(message: &Message) -> Option<Ike> {
    let all = message.bytes.as_slice();
    let (bytes, len) = match all.strip_prefix(&[0; 4]) {
        // No initiator calls itself zero, but malformed messages do: then it is the header that decides where it begins.
        Some(behind) if header(all).is_none() => (behind, message.len.saturating_sub(4)),
        _ => (all, message.len),
    };
    let (initiator, opens) = header(bytes)?;
    let known = matches!(bytes.get(18)?, 1..=6 | 32..=44);
    Some(Ike { initiator, known, fits: u32_at(bytes, 24) == Some(len), opens })
}

/// The initiator's SPI and whether it opens a negotiation, where what is fixed in a header fits.
fn header(bytes: &[u8]) -> Option<([u8; 8], bool)> {
    let header: &[u8; HEADER] = bytes.first_chunk()?;
    let [next, version, exchange, flags] = [header[16], header[17], header[18], header[19]];
    let is_header = match version {
        // Exchanges of ISAKMP and its domain of interpretation; encryption, commit and authentication only.
        0x10 => matches!(exchange, 1..=6 | 31..=239) && flags & 0xF8 == 0 && (next <= 22 || next >= 128),
        // SA_INIT to GSA_INBAND_REKEY (IANA); response, version and initiator.
        0x20 => matches!(exchange, 34..=44) && flags & 0xC7 == 0 && (next == 0 || (33..=54).contains(&next)),
        _ => false,
    };
    let opens = header[..8] != [0; 8]
        && header[8..16] == [0; 8]
        && match version {
            0x10 => next == 1 && matches!(exchange, 1 | 2 | 4) && header[20..24] == [0; 4],
            _ => exchange == 34 && flags == 8 && header[20..24] == [0; 4],
        };
    is_header
        .then_some(([header[0], header[1], header[2], header[3], header[4], header[5], header[6], header[7]], opens))
}

/// Whether an end sends ESP in UDP: one SPI, numbers that rise.
fn is_esp(conversation: &Conversation, end: End) -> bool {
    let mut count = 1;
    let mut before: Option<(u32, u32)> = None;
    for message in conversation.messages_of(end).filter(|message| message.len > 1) {
        let (Some(spi), Some(number)) = (u32_at(&message.bytes, 0), u32_at(&message.bytes, 4)) else { return false };
        if spi <= MAX_RESERVED_SPI || message.len < ESP_LEAST {
            return false;
        }
        if before.is_some_and(|(of, last)| of == spi && (1..=MAX_STEP).contains(&number.wrapping_sub(last))) {
            count += 1;
        }
        before = Some((spi, number));
    }
    count >= MIN_ESP && count * 2 > conversation.messages_of(end).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{
        packet::protocol::{TCP, UDP},
        protocols::testing::{assert_robust, noise},
    };

    fn ike(responder: u8, head: [u8; 4], len: usize) -> Vec<u8> {
        let mut bytes = vec![1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0, responder];
        bytes.extend(head);
        bytes.extend([0, 0, 0, 0, 0, 0]);
        bytes.extend((len as u16).to_be_bytes());
        bytes.resize(len, 0);
        bytes
    }

    fn of(ports: [u16; 2], messages: &[(End, &[u8])]) -> Option<Verdict> {
        judge(&Conversation::of(UDP, ports, messages))
    }

    #[test]
    fn both_versions() {
        for [asks, answers] in [[[1, 0x10, 2, 0]; 2], [[33, 0x20, 34, 8], [33, 0x20, 34, 0x20]]] {
            let [question, answer] = [ike(0, asks, 80), ike(9, answers, 90)];
            let messages: [(End, &[u8]); 2] = [(End::Client, &question), (End::Server, &answer)];
            for ports in [[500, 500], [40000, 40001]] {
                assert_eq!(of(ports, &messages), Some(Verdict::confirmed(Class::Ipsec)));
                assert_eq!(of(ports, &messages[..1]), Some(Verdict::payload(Class::Ipsec)));
            }
            assert_robust(judge, UDP, [500, 500], &messages);
            // Behind address translation.
            let marked = [&[0; 4][..], &question].concat();
            assert_eq!(of([40000, 4500], &[(End::Client, &marked)]), Some(Verdict::payload(Class::Ipsec)));
        }
    }

    #[test]
    fn malformed_where_the_port_says_so() {
        let mut bytes = ike(0, [33, 0x20, 34, 8], 80);
        bytes.pop();
        assert_eq!(of([40000, 500], &[(End::Client, &bytes)]), Some(Verdict::payload(Class::Ipsec)));
        assert_eq!(of([40000, 501], &[(End::Client, &bytes)]), None);
        for head in [
            [33, 0x30, 34, 8],
            [33, 0x20, 33, 8],
            [33, 0x20, 34, 9],
            [32, 0x20, 34, 8],
            [1, 0x10, 7, 0],
            [1, 0x10, 2, 8],
        ] {
            assert_eq!(of([40000, 500], &[(End::Client, &ike(0, head, 80))]), None, "{head:?}");
        }
    }

    #[test]
    fn esp_in_udp() {
        let esp = |number: u8| [&[9, 8, 7, 6, 0, 0, 1, number][..], &noise(u64::from(number), 60)].concat();
        let [one, two] = [esp(1), esp(2)];
        let messages: [(End, &[u8]); 3] = [(End::Client, &one), (End::Client, &[0xFF]), (End::Client, &two)];
        assert_eq!(of([40000, 4500], &messages), Some(Verdict::payload(Class::Ipsec)));
        assert_eq!(of([40000, 4501], &messages), None);
        assert_eq!(of([40000, 4500], &messages[..2]), None);
        assert_eq!(of([40000, 4500], &[(End::Client, &two), (End::Client, &one)]), None);
        assert_robust(judge, UDP, [40000, 4500], &messages);
    }

    #[test]
    fn over_tcp() {
        let of = |bytes| judge(&Conversation::of(TCP, [40000, 4500], &[(End::Client, bytes)]));
        assert_eq!(of(b"IKETCP\0\x50"), Some(Verdict::payload(Class::Ipsec)));
        assert_eq!(of(b"GET / HTTP/1.1"), None);
    }
}
