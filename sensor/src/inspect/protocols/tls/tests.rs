//! Hellos, whole and in pieces, and records that are none.

use super::*;
use crate::inspect::{
    Flow, Packet, Tcp,
    packet::protocol::{TCP, UDP},
    protocols::testing::{finds_nothing, stands_damage},
};

/// Bytes behind their length of `count` bytes.
fn vector(count: usize, bytes: &[u8]) -> Vec<u8> {
    [&bytes.len().to_be_bytes()[8 - count..], bytes].concat()
}

fn extension(number: u16, body: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &vector(2, body)].concat()
}

/// A handshake message.
pub(in super::super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind][..], &vector(3, body)].concat()
}

/// A record.
pub(in super::super) fn record(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind, 3, 3][..], &vector(2, body)].concat()
}

/// A client's hello without its record.
pub(in super::super) fn client_hello(name: &str, alpn: &[&str], others: &[u16]) -> Vec<u8> {
    let mut extensions = Vec::new();
    if !name.is_empty() {
        let host = [&[0][..], &vector(2, name.as_bytes())].concat();
        extensions.extend(extension(0, &vector(2, &host)));
    }
    if !alpn.is_empty() {
        let list: Vec<u8> = alpn.iter().flat_map(|protocol| vector(1, protocol.as_bytes())).collect();
        extensions.extend(extension(16, &vector(2, &list)));
    }
    for other in others {
        extensions.extend(extension(*other, &[]));
    }
    let ciphers = vector(2, &[0x13, 1, 0x13, 2, 0xc0, 0x2f]);
    let body = [&[3, 3][..], &[7; 32], &vector(1, &[9; 32]), &ciphers, &[1, 0], &vector(2, &extensions)].concat();
    message(1, &body)
}

/// A server's hello without its record.
pub(in super::super) fn server_hello(cipher: [u8; 2], version: u16) -> Vec<u8> {
    let extensions = if version > 0x0303 { extension(43, &version.to_be_bytes()) } else { Vec::new() };
    let old = version.min(0x0303).to_be_bytes();
    message(2, &[&old[..], &[8; 32], &vector(1, &[9; 32]), &cipher, &[0], &vector(2, &extensions)].concat())
}

fn of(said: &[(End, &[u8])]) -> Option<Evidence> {
    judge(&Conversation::of(TCP, [40_000, 8443], said)).map(|verdict| {
        assert_eq!(verdict.class, Class::Tls);
        verdict.evidence
    })
}

#[test]
fn hellos_of_both_ends() {
    let hello = record(22, &client_hello("a.example", &["h2"], &[]));
    let answer = record(22, &server_hello([0x13, 1], 0x0304));
    let other = record(22, &server_hello([0, 5], 0x0303));
    assert_eq!(of(&[(End::Client, &hello)]), Some(Evidence::Payload));
    assert_eq!(of(&[(End::Client, &hello), (End::Server, &answer)]), Some(Evidence::Confirmed));
    // Who is called client is only a guess.
    assert_eq!(of(&[(End::Server, &hello), (End::Client, &answer)]), Some(Evidence::Confirmed));
    // A cipher suite that was never offered agrees with nothing.
    assert_eq!(of(&[(End::Client, &hello), (End::Server, &other)]), Some(Evidence::Payload));
    assert_eq!(of(&[(End::Server, &answer)]), Some(Evidence::Payload));
    let alert = record(21, &[2, 40]);
    assert_eq!(of(&[(End::Client, &hello), (End::Server, &alert)]), Some(Evidence::Confirmed));
}

#[test]
fn a_hello_in_pieces() {
    let message = client_hello("host.example", &["h2", "http/1.1"], &[23, 35]);
    let (first, second) = message.split_at(70);
    let stream = [record(22, first), record(22, second)].concat();
    let (one, two) = stream.split_at(31);
    let conversation = Conversation::of(TCP, [40_000, 443], &[(End::Client, one), (End::Client, two)]);
    let hello = proof(&conversation).unwrap().hello.clone().unwrap();
    assert!(hello.complete);
    assert_eq!(hello.server_name.as_deref(), Some(&b"host.example"[..]));
    assert_eq!(hello.extensions, [0, 16, 23, 35]);
    assert!(hello.offers(|protocol| protocol == b"http/1.1") && !hello.offers(|protocol| protocol == b"h3"));
    // Cut in the list of cipher suites, it is a hello still.
    assert_eq!(of(&[(End::Client, &record(22, &message)[..84])]), Some(Evidence::Payload));
}

/// A conversation of which the beginning was not seen.
fn later(said: &[(End, &[u8])]) -> Option<Evidence> {
    judge(&Conversation::of(TCP, [40_000, 443], said).later()).map(|verdict| verdict.evidence)
}

#[test]
fn records_in_the_middle() {
    let data = record(23, &[0xa5; 40]);
    let two = [record(23, &[0xa5; 40]), record(23, &[0x5a; 50])].concat();
    assert_eq!(later(&[(End::Client, &data)]), Some(Evidence::Payload));
    assert_eq!(later(&[(End::Client, &data), (End::Server, &two)]), Some(Evidence::Confirmed));
    assert_eq!(later(&[(End::Client, &two[..60])]), Some(Evidence::Payload));
    // One header of which the record goes on says too little.
    assert_eq!(later(&[(End::Client, &data[..30])]), None);
    // The next header is none.
    assert_eq!(later(&[(End::Client, &[&data[..], b"HTTP/1.1"].concat())]), None);
    // From the start it was something else.
    assert_eq!(of(&[(End::Server, b"220 mail.example ESMTP\r\n"), (End::Client, &data)]), None);
}

#[test]
fn a_protocol_that_turns_to_tls() {
    let hello = record(22, &client_hello("a.example", &[], &[]));
    let answer = record(22, &server_hello([0x13, 1], 0x0304));
    let said: [(End, &[u8]); 4] =
        [(End::Server, b"ready\0"), (End::Client, b"begin"), (End::Client, &hello), (End::Server, &answer)];
    let conversation = Conversation::of(TCP, [40_000, 3306], &said);
    assert_eq!(judge(&conversation), None);
    assert_eq!(judge_upgraded(&conversation), Some(Verdict::payload(Class::Tls)));
    assert_eq!(judge_upgraded(&Conversation::of(TCP, [40_000, 3306], &said[..3])), None);
    finds_nothing(judge_upgraded, 3306);
}

#[test]
fn hellos_of_ssl_2() {
    let hello = |version: u16, challenge: u8| {
        let body = [&[1][..], &version.to_be_bytes(), &[0, 6, 0, 0, 0, challenge], &[1; 6], &[2; 16]].concat();
        [&(0x8000 | body.len() as u16).to_be_bytes()[..], &body].concat()
    };
    assert_eq!(of(&[(End::Client, &hello(2, 16))]), Some(Evidence::Payload));
    assert_eq!(of(&[(End::Client, &hello(0x0301, 16))]), Some(Evidence::Payload));
    assert_eq!(of(&[(End::Client, &hello(2, 17))]), None);
    assert_eq!(of(&[(End::Client, &hello(9, 16))]), None);
    let answer = record(22, &server_hello([0, 5], 0x0301));
    assert_eq!(of(&[(End::Client, &hello(0x0301, 16)), (End::Server, &answer)]), Some(Evidence::Confirmed));
}

#[test]
fn what_is_not_tls() {
    // DTLS, a length without a hello, and a hello of a protocol of the same first bytes.
    assert_eq!(of(&[(End::Client, &[22, 0xfe, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 90, 1])]), None);
    assert_eq!(of(&[(End::Client, &[22, 3, 1, 0, 60, 1, 9, 9, 9, 9, 9, 9])]), None);
    assert_eq!(of(&[(End::Client, b"GET / HTTP/1.1\r\n\r\n")]), None);
    let hello = record(22, &client_hello("a.example", &[], &[]));
    assert_eq!(judge(&Conversation::of(UDP, [1, 443], &[(End::Client, &hello)])), None);
}

#[test]
fn noise_is_not_tls() {
    finds_nothing(judge, 443);
    let hello = record(22, &client_hello("a.example", &["h2"], &[]));
    let answer = record(22, &server_hello([0x13, 1], 0x0304));
    stands_damage(judge, TCP, 443, &[(End::Client, &hello), (End::Server, &answer)]);
}

/// What was found of a connection is not said of the next one of the same ports.
#[test]
fn a_connection_that_begins_anew_is_read_anew() {
    let end = |last, port| (std::net::IpAddr::from([192, 0, 2, last]), port);
    let flow = Flow { protocol: TCP, source: end(1, 40_000), destination: end(2, 443) };
    let hello = record(22, &client_hello("www.example.com", &[], &[]));
    let segment = |sequence, flags, payload| {
        let tcp = Some(Tcp { sequence, flags });
        Packet { flow, length: 0, tcp, payload, payload_len: <[u8]>::len(payload) as u32 }
    };
    let mut conversation = Conversation::new(&segment(0, 2, &[]));
    let mut has_hello = |packet: &Packet<'_>| {
        conversation.hear(packet, End::Client);
        proof(&conversation).is_some_and(|proof| proof.hello.is_some())
    };
    assert!(!has_hello(&segment(0, 2, &[])));
    assert!(has_hello(&segment(1, 24, &hello)));
    assert!(!has_hello(&segment(70_000, 2, &[])));
    assert!(has_hello(&segment(70_001, 24, &hello)));
}
