//! Handshakes without structure, and what has some.

use super::*;
use crate::{
    inspect::{
        packet::protocol::{TCP, UDP},
        protocols::testing::{bytes, noise, stands_damage},
    },
    testing::rng::Rng,
};

/// Random bytes by turns, of these sizes, in segments.
fn of(seed: u64, port: u16, sizes: &[usize]) -> Conversation {
    said(TCP, port, &random(seed, sizes))
}

fn random(seed: u64, sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut rng = Rng::new(seed);
    sizes.iter().map(|size| bytes(&mut rng, *size)).collect()
}

fn said(protocol: u8, port: u16, flights: &[Vec<u8>]) -> Conversation {
    let ends = End::ALL.into_iter().cycle();
    let segments: Vec<(End, &[u8])> =
        flights.iter().zip(ends).flat_map(|(flight, end)| flight.chunks(1400).map(move |chunk| (end, chunk))).collect();
    Conversation::of(protocol, [40_000, port], &segments)
}

const SHADOWSOCKS: [usize; 4] = [590, 3500, 140, 800];
const OBFS4: [usize; 5] = [5100, 3300, 620, 1900, 300];

fn class(conversation: &Conversation) -> Option<Class> {
    judge(conversation).map(|verdict| {
        assert_eq!(verdict, Verdict::payload(verdict.class));
        verdict.class
    })
}

#[test]
fn a_handshake_inside() {
    let found =
        |sizes: &[usize], port| (1..400).filter_map(|seed| class(&of(seed * 7919, port, sizes))).collect::<Vec<_>>();
    let shadowsocks = found(&SHADOWSOCKS, 8388);
    assert!(shadowsocks.len() > 385 && shadowsocks.iter().all(|class| *class == Class::Shadowsocks));
    let obfs4 = found(&OBFS4, 9443);
    assert!(obfs4.len() > 385 && obfs4.iter().all(|class| *class == Class::Obfs4));
    assert!(found(&SHADOWSOCKS, 443).len() > 385);
}

#[test]
fn sizes_that_do_not_fit() {
    for sizes in [
        // Too short, one way, an upload, messages by turns, padding with nothing behind it, an answer that is short.
        &[60, 60, 60][..],
        &[590],
        &[100_000, 40, 100_000],
        &[300, 300, 300, 300],
        &[5100, 3300, 60, 60, 60],
        &[400, 200, 90],
    ] {
        assert_eq!(class(&of(99, 8388, sizes)), None, "{sizes:?}");
    }
    // A messenger on the port of HTTPS.
    assert_eq!(class(&of(99, 443, &[340, 900, 130])), None);
}

#[test]
fn others_are_left_out() {
    for port in [22, 25, 80, 853, 993, 1935, 4662, 5222, 6881] {
        assert_eq!(class(&of(99, port, &SHADOWSOCKS)), None, "{port}");
    }
    assert_eq!(class(&said(UDP, 8388, &random(99, &SHADOWSOCKS))), None);
    assert_eq!(class(&of(99, 8388, &SHADOWSOCKS).later()), None);
    // The server speaks first.
    let late = random(99, &SHADOWSOCKS);
    let segments =
        [(End::Server, late[1].as_slice()), (End::Client, &late[0]), (End::Server, &late[1]), (End::Client, &late[2])];
    assert_eq!(class(&Conversation::of(TCP, [40_000, 8388], &segments)), None);
}

#[test]
fn bytes_that_mean_something() {
    let with = |place: usize, bytes: &[u8]| {
        let mut flights = random(99, &SHADOWSOCKS);
        flights[place][..bytes.len()].copy_from_slice(bytes);
        class(&said(TCP, 8388, &flights))
    };
    assert_eq!(with(0, &[]), Some(Class::Shadowsocks));
    // Lengths in both orders, a name, a line of text, padding; and the same of the server.
    for place in [0, 1] {
        assert_eq!(with(place, &[0, 0, 2, 0x4e]), None);
        assert_eq!(with(place, &[0x4e, 2, 0, 0]), None);
        assert_eq!(with(place, b"MAGIC1"), None);
        assert_eq!(with(place, b"\x91a line of text that goes on"), None);
        assert_eq!(with(place, &[0x91, 0x44, 0xaa, 0xaa, 0xaa]), None);
        assert_eq!(with(place, &[0xff; 300]), None);
        assert_eq!(with(place, &[0x11; 300]), None);
    }
    // Text in an encoding without letters that print, and base 64.
    let cyrillic: Vec<u8> = "совершенно обычный текст ".bytes().cycle().take(590).collect();
    assert_eq!(with(0, &cyrillic), None);
    let base64: Vec<u8> = noise(5, 590).into_iter().map(|byte| b'A' + byte % 26).collect();
    assert_eq!(with(0, &base64), None);
}

#[test]
fn damage_is_stood() {
    let flights = random(7, &[300, 800, 100]);
    let ends = End::ALL.into_iter().cycle();
    let segments: Vec<(End, &[u8])> = ends.zip(&flights).map(|(end, flight)| (end, flight.as_slice())).collect();
    stands_damage(judge, TCP, 8388, &segments);
}
