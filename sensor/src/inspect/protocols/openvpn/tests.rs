//! Handshakes of all shapes, and what looks like them.

use super::*;
use crate::inspect::{
    packet::protocol::{TCP, UDP},
    protocols::testing::{assert_robust, noise},
};

const TIME: [u8; 4] = [0x66, 0x11, 0x22, 0x33];

/// A packet with this opcode, session and HMAC; `acknowledged` is the session of the other end.
fn packet(opcode: u8, session: u64, hmac: usize, acknowledged: Option<u64>) -> Vec<u8> {
    let mut bytes = vec![opcode << 3];
    bytes.extend(session.to_be_bytes());
    if hmac > 0 {
        bytes.extend(noise(hmac as u64, hmac));
        bytes.extend([0, 0, 0, 1]);
        bytes.extend(TIME);
    }
    match acknowledged {
        None => bytes.push(0),
        Some(session) => {
            bytes.extend([1, 0, 0, 0, 0]);
            bytes.extend(session.to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes
}

fn crypt(opcode: u8, session: u64, id: [u8; 4], rest: usize) -> Vec<u8> {
    let mut bytes = vec![opcode << 3];
    bytes.extend(session.to_be_bytes());
    bytes.extend(id);
    bytes.extend(TIME);
    bytes.extend(noise(session, 32 + rest));
    bytes
}

const ONE: u64 = 0x0123_4567_89AB_CDEF;
const OTHER: u64 = 0xFEDC_BA98_7654_3210;

fn of(messages: &[(End, &[u8])]) -> Option<Verdict> {
    judge(&Conversation::of(UDP, [40000, 443], messages))
}

#[test]
fn a_session_id_comes_back() {
    for hmac in [0, 16, 20, 28, 32, 48, 64] {
        let [question, answer] = [packet(7, ONE, hmac, None), packet(8, OTHER, hmac, Some(ONE))];
        let messages: [(End, &[u8]); 2] = [(End::Client, &question), (End::Server, &answer)];
        assert_eq!(of(&messages), Some(Verdict::confirmed(Class::OpenVpn)), "{hmac}");
        assert_eq!(of(&messages[..1]), Some(Verdict::payload(Class::OpenVpn)), "{hmac}");
        assert_eq!(of(&messages[1..]), Some(Verdict::payload(Class::OpenVpn)), "{hmac}");
        assert_robust(judge, UDP, [40000, 1194], &messages);
        // A capture that begins later.
        let [control, ack] = [packet(4, ONE, hmac, None), packet(5, OTHER, hmac, Some(ONE))];
        assert_eq!(of(&[(End::Server, &control), (End::Client, &ack)]), Some(Verdict::confirmed(Class::OpenVpn)));
        assert_eq!(of(&[(End::Server, &control)]), None);
    }
}

#[test]
fn over_tcp() {
    let frame = |packet: Vec<u8>| [&(packet.len() as u16).to_be_bytes()[..], &packet].concat();
    let [question, answer] = [frame(packet(7, ONE, 20, None)), frame(packet(8, OTHER, 20, Some(ONE)))];
    let messages: [(End, &[u8]); 2] = [(End::Client, &question), (End::Server, &answer)];
    let of = |messages: &[(End, &[u8])]| judge(&Conversation::of(TCP, [40000, 443], messages));
    assert_eq!(of(&messages), Some(Verdict::confirmed(Class::OpenVpn)));
    assert_eq!(of(&messages[1..]), Some(Verdict::payload(Class::OpenVpn)));
    assert_eq!(of(&[(End::Client, &question[2..])]), None);
    assert_robust(judge, TCP, [40000, 1194], &messages);
}

#[test]
fn resets_of_tls_crypt() {
    let payload = Some(Verdict::payload(Class::OpenVpn));
    assert_eq!(of(&[(End::Client, &crypt(7, ONE, [0, 0, 0, 1], 5))]), payload);
    assert_eq!(of(&[(End::Server, &crypt(8, ONE, [0, 0, 0, 1], 17))]), payload);
    assert_eq!(of(&[(End::Client, &crypt(10, ONE, [0x0F, 0, 0, 1], 400))]), payload);
    assert_eq!(of(&[(End::Client, &crypt(7, ONE, [0, 0, 0, 1], 4))]), None);
    assert_eq!(of(&[(End::Client, &crypt(7, ONE, [0, 1, 0, 1], 5))]), None);
    let messages = [crypt(10, ONE, [0x0F, 0, 0, 1], 400), crypt(8, ONE, [0, 0, 0, 1], 23)];
    assert_robust(judge, UDP, [40000, 1194], &[(End::Client, &messages[0]), (End::Server, &messages[1])]);
}

#[test]
fn data_on_its_port() {
    let data = |id: u8| [&[0x48, 0, 0, 7, 0, 0, 1, id][..], &noise(u64::from(id), 60)].concat();
    let packets = [1, 2, 3, 5].map(data);
    let messages: Vec<(End, &[u8])> = packets.iter().map(|packet| (End::Client, packet.as_slice())).collect();
    assert_eq!(judge(&Conversation::of(UDP, [40000, 1194], &messages)), Some(Verdict::payload(Class::OpenVpn)));
    assert_eq!(of(&messages), None);
}

#[test]
fn what_looks_like_it() {
    // QUIC short headers, whose first bytes are those of opcode 8.
    let quic: Vec<Vec<u8>> =
        (0..20).map(|nth| [&[0x40 | nth as u8 & 7, 1, 2, 3, 4, 5, 6, 7, 8][..], &noise(nth, 50)].concat()).collect();
    let both = |nth: usize| if nth.is_multiple_of(2) { End::Client } else { End::Server };
    let messages: Vec<(End, &[u8])> =
        quic.iter().enumerate().map(|(nth, bytes)| (both(nth), bytes.as_slice())).collect();
    assert_eq!(of(&messages), None);
    assert_eq!(of(&[(End::Client, &[0x38; 14])]), None);
    assert_eq!(of(&[(End::Client, b"8 bytes of text and more of it")]), None);
    let mut zero = packet(7, 0, 0, None);
    zero[3] = 1;
    assert_eq!(of(&[(End::Client, &zero)]), None);
}
