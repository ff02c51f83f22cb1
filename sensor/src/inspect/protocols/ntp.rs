//! Network Time Protocol, versions 1 to 4 (RFC 1059, RFC 1119, RFC 1305, RFC 5905; SNTP RFC 4330), over UDP: time (modes 1 to 5), control
//! (mode 6, RFC 9327), and ntpd's private mode (7, its `ntp_request.h`). The shape of the header counts at port 123 only.
//!
//! An answer that repeats the time (or the number) of the question is `confirmed`, at any port. False alarms: other protocols that use port
//! 123 to get through and whose first bytes look like it. Cannot see: NTS's key exchange, which is TLS.

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, End, Message, Verdict};

/// The port.
const PORT: u16 = 123;
/// Bytes of a header of time, and where its times are (RFC 5905 section 7.3).
const TIME: usize = 48;
const ORIGIN: std::ops::Range<usize> = 24..32;
const TRANSMIT: std::ops::Range<usize> = 40..48;
/// A stratum above is reserved; polls are powers of two of seconds.
const MAX_STRATUM: u8 = 16;
const POLLS: std::ops::RangeInclusive<i8> = -8..=24;
/// The longest that is believed, with extension fields.
const MAX_TIME: u32 = 1280;
/// Modes.
const ACTIVE: u8 = 1;
const PASSIVE: u8 = 2;
const CLIENT: u8 = 3;
const SERVER: u8 = 4;
const BROADCAST: u8 = 5;
const CONTROL: u8 = 6;
const PRIVATE: u8 = 7;
/// Bytes of a control header (RFC 9327 section 2), and what an authenticator and padding may add.
const CONTROL_HEADER: usize = 12;
const MAX_TRAILER: usize = 32;
/// Bytes of a private header, and the implementations: universal, and two of ntpd.
const PRIVATE_HEADER: usize = 8;
const IMPLEMENTATIONS: [u8; 3] = [0, 2, 3];
/// Messages of each end that are compared.
const MAX_TOLD: usize = 8;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_udp() {
        return None;
    }
    let told = |end| conversation.messages_of(end).take(MAX_TOLD).filter(|message| is_ntp(message));
    let agree = End::ALL
        .iter()
        .any(|end| told(*end).any(|ask| told(end.other()).any(|answer| answers(&answer.bytes, &ask.bytes))));
    if agree {
        return Some(Verdict::confirmed(Class::Ntp));
    }
    // Every packet is of the shape, or it is another protocol's.
    let at_port = conversation.has_port(PORT) && !conversation.messages().is_empty();
    (at_port && conversation.messages().iter().all(is_ntp)).then_some(Verdict::payload(Class::Ntp))
}

fn mode(bytes: &[u8]) -> Option<u8> {
    let first = bytes.first()?;
    ((1..=4).contains(&(first >> 3 & 7))).then_some(first & 7)
}

fn is_ntp(message: &Message) -> bool {
    let bytes = &message.bytes[..];
    match mode(bytes) {
        Some(ACTIVE..=BROADCAST) => {
            let fits = message.len >= TIME as u32 && message.len <= MAX_TIME && message.len.is_multiple_of(4);
            matches!(bytes, [_, stratum, poll, ..] if *stratum <= MAX_STRATUM && POLLS.contains(&poll.cast_signed()))
                && fits
        }
        Some(CONTROL) => {
            let Some([_, _, _, _, _, _, _, _, _, _, a, b]) = bytes.first_chunk::<CONTROL_HEADER>() else {
                return false;
            };
            let end = CONTROL_HEADER + usize::from(u16::from_be_bytes([*a, *b]));
            (end..=end + MAX_TRAILER).contains(&(message.len as usize))
                && bytes.first().is_some_and(|first| first >> 6 == 0)
        }
        Some(PRIVATE) => {
            let Some([_, _, implementation, _, _, items, zero, size]) = bytes.first_chunk::<PRIVATE_HEADER>() else {
                return false;
            };
            let items = usize::from(*items) * usize::from(*size);
            IMPLEMENTATIONS.contains(implementation) && zero >> 4 == 0 && message.len as usize >= PRIVATE_HEADER + items
        }
        _ => false,
    }
}

/// Whether a message of an end answers one of the other.
fn answers(answer: &[u8], ask: &[u8]) -> bool {
    let Some((of_answer, of_ask)) = mode(answer).zip(mode(ask)) else { return false };
    match (of_answer, of_ask) {
        (SERVER, CLIENT) | (PASSIVE | ACTIVE, ACTIVE) => {
            let repeated = answer.get(ORIGIN).zip(ask.get(TRANSMIT));
            repeated.is_some_and(|(origin, transmit)| origin == transmit && transmit.iter().any(|byte| *byte != 0))
        }
        // Opcode and number are the same, the response bit is not.
        (CONTROL, CONTROL) => match (answer, ask) {
            ([_, a, a0, a1, ..], [_, b, b0, b1, ..]) => {
                [a0, a1] == [b0, b1] && a >> 7 == 1 && a & 31 == b & 31 && b >> 7 == 0
            }
            _ => false,
        },
        (PRIVATE, PRIVATE) => match (answer, ask) {
            ([a, _, a2, a3, ..], [b, _, b2, b3, ..]) => [a2, a3] == [b2, b3] && a >> 7 == 1 && b >> 7 == 0,
            _ => false,
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    fn time(first: u8, origin: u8, transmit: u8) -> Vec<u8> {
        let mut bytes = vec![0; TIME];
        bytes[0] = first;
        bytes[ORIGIN].fill(origin);
        bytes[TRANSMIT].fill(transmit);
        bytes
    }

    fn told(ports: [u16; 2], client: &[u8], server: &[u8]) -> Option<Verdict> {
        judge(&udp(ports, &[(End::Client, client), (End::Server, server)]))
    }

    #[test]
    fn an_answer_repeats_the_time_of_the_question() {
        let (ask, answer) = (time(0x23, 0, 7), time(0x24, 7, 9));
        assert_eq!(told([40_000, 50_000], &ask, &answer), Some(Verdict::confirmed(Class::Ntp)));
        assert_eq!(told([123, 123], &answer, &ask), Some(Verdict::confirmed(Class::Ntp)));
        assert_eq!(told([40_000, 123], &ask, &time(0x24, 8, 9)), Some(Verdict::payload(Class::Ntp)));
        assert_eq!(told([40_000, 50_000], &ask, &time(0x24, 8, 9)), None);
        assert_eq!(told([40_000, 123], &time(0x1b, 0, 0), &time(0x1c, 0, 9)), Some(Verdict::payload(Class::Ntp)));
    }

    #[test]
    fn control_and_private_modes() {
        let control = [0x16, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
        let answer = [0x16, 0x81, 0, 5, 0, 0, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4];
        assert_eq!(told([40_000, 123], &control, &answer), Some(Verdict::confirmed(Class::Ntp)));
        let list = [0x17, 0, 3, 42, 0, 0, 0, 0];
        let many = [&[0x97, 0, 3, 42, 0, 2, 0, 4][..], &[1; 8]].concat();
        assert_eq!(told([40_000, 123], &list, &many), Some(Verdict::confirmed(Class::Ntp)));
        assert_eq!(judge(&udp([123, 80], &[(End::Client, &many)])), Some(Verdict::payload(Class::Ntp)));
    }

    #[test]
    fn what_only_looks_like_it() {
        // Versions 0 and 7, a stratum that does not exist, too short, not of whole words, a handshake of WireGuard, one of OpenVPN.
        let mut stratum = time(0x23, 0, 7);
        stratum[1] = 99;
        let odd = [time(0x23, 0, 7), vec![0]].concat();
        let wireguard = [&[1, 0, 0, 0][..], &[9; 144]].concat();
        for bytes in
            [&time(3, 0, 7)[..], &time(0x3b, 0, 7), &stratum, &time(0x23, 0, 7)[..40], &odd, &wireguard, &[0x38; 42]]
        {
            assert_eq!(judge(&udp([40_000, 123], &[(End::Client, bytes)])), None);
        }
        assert_eq!(judge(&tcp([40_000, 123], &[(End::Client, &time(0x23, 0, 7))])), None);
        bears_anything(judge, [40_000, 123], &[&time(0x23, 0, 7), &[0x97, 0, 3, 42, 0, 2, 0, 4], &[0x16; 12]]);
    }
}
