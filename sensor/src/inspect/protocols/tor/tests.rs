//! Hellos as Tor makes them, and those of others.

use super::*;
use std::net::IpAddr;

use crate::inspect::{
    End, Flow, Inspector, Listening, Packet, Tcp,
    packet::protocol::TCP,
    protocols::{
        testing::{finds_nothing, stands_damage},
        tls::tests::{client_hello, message, record, server_hello},
    },
};
use sensor_ebpf::class::Evidence;

const WISH: &str = "www.k3vq5zx2mhd7ua.com";

fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap();
    if length < 0x80 { [&[tag, length][..], value].concat() } else { [&[tag, 0x81, length][..], value].concat() }
}

fn name(common: &str, country: bool) -> Vec<u8> {
    let attribute =
        |oid: &[u8], text: &str| der(SET_TAG, &der(0x30, &[der(6, oid), der(0x0c, text.as_bytes())].concat()));
    let country = if country { attribute(&[0x55, 4, 6], "NL") } else { Vec::new() };
    der(0x30, &[attribute(&[0x55, 4, 3], common), country].concat())
}

const SET_TAG: u8 = 0x31;

/// What a server of TLS 1.2 says with such a certificate.
fn server(issuer: &str, subject: &str, country: bool) -> Vec<u8> {
    let fields = [
        der(0xa0, &[2, 1, 2]),
        der(2, &[5; 8]),
        der(0x30, &[6, 1, 1]),
        name(issuer, country),
        der(0x30, &[]),
        name(subject, country),
    ]
    .concat();
    let certificate = der(0x30, &der(0x30, &fields));
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_be_bytes()[1..].to_vec();
    let one = [length(&certificate), certificate].concat();
    let list = [length(&one), one].concat();
    record(22, &[server_hello([0xc0, 0x2f], 0x0303), message(11, &list)].concat())
}

fn judged(hello: &[u8], answer: &[u8]) -> Option<Evidence> {
    let both: [(End, &[u8]); 2] = [(End::Client, hello), (End::Server, answer)];
    let said = if answer.is_empty() { &both[..1] } else { &both[..] };
    judge(&Conversation::of(TCP, [40_000, 9001], said)).map(|verdict| verdict.evidence)
}

#[test]
fn certificates_that_tor_makes() {
    let hello = record(22, &client_hello(WISH, &[], &[10, 11]));
    let own = server("www.pq7lmz2xkav.com", "www.u5hbn3tqyo.net", false);
    assert_eq!(judged(&hello, &own), Some(Evidence::Confirmed));
    // A certificate of an authority, one that names more, and one that lacks the pair of endings.
    assert_eq!(judged(&hello, &server("Some Authority R3", "www.u5hbn3tqyo.net", false)), None);
    assert_eq!(judged(&hello, &server("www.pq7lmz2xkav.com", "www.u5hbn3tqyo.net", true)), None);
    assert_eq!(judged(&hello, &server("www.pq7lmz2xkav.com", "www.u5hbn3tqyo.com", false)), None);
    // A name that looks chosen will do beside such a certificate; a protocol that is offered will not.
    let chosen = record(22, &client_hello("www.example.com", &[], &[]));
    assert_eq!(judged(&chosen, &own), Some(Evidence::Confirmed));
    assert_eq!(judged(&record(22, &client_hello(WISH, &["h2"], &[])), &own), None);
    stands_damage(judge, TCP, 9001, &[(End::Client, &hello), (End::Server, &own)]);
}

#[test]
fn cells_in_tls_1_3() {
    let answer = record(22, &server_hello([0x13, 1], 0x0304));
    let hello = record(22, &client_hello(WISH, &[], &[]));
    let with = |start: &[u8], lengths: &[usize]| {
        lengths.iter().fold(start.to_vec(), |stream, length| [stream, record(23, &vec![0xa5; *length])].concat())
    };
    let opened = with(&hello, &[69, 28]);
    assert_eq!(judged(&opened, &with(&answer, &[23, 600, 69, 531])), Some(Evidence::Confirmed));
    assert_eq!(judged(&with(&hello, &[69, 1045]), &with(&answer, &[23, 531])), Some(Evidence::Confirmed));
    assert_eq!(judged(&opened, &with(&answer, &[23, 600, 69, 4000])), None);
    assert_eq!(judged(&with(&hello, &[69, 120]), &with(&answer, &[531])), None);
    assert_eq!(judged(&opened, &answer), None);
}

#[test]
fn a_client_alone() {
    let of = |name: &str, extensions: &[u16]| judged(&record(22, &client_hello(name, &[], extensions)), &[]);
    assert_eq!(of(WISH, &[10, 11, 13, 35]), Some(Evidence::Payload));
    // What browsers send; names that someone chose; another ending.
    assert_eq!(of(WISH, &[10, 5, 18]), None);
    for name in
        ["www.wikipedia.com", "www.w3schools.com", "www.24hours7days.com", "www.k3vq5zx2mhd7ua.org", "www.h2o.com"]
    {
        assert_eq!(of(name, &[10, 11]), None, "{name}");
    }
    // Once there is an answer it must say so, too.
    let hello = record(22, &client_hello(WISH, &[], &[]));
    assert_eq!(judged(&hello, &record(21, &[2, 40])), None);
}

#[test]
fn noise_is_no_link() {
    finds_nothing(judge, 9001);
}

type Socket = (IpAddr, u16);

fn tcp(source: Socket, destination: Socket, sequence: u32, payload: &[u8]) -> Packet<'_> {
    let flow = Flow { protocol: TCP, source, destination };
    let payload_len = payload.len() as u32;
    Packet { flow, length: 40 + payload_len, tcp: Some(Tcp { sequence, flags: 24 }), payload, payload_len }
}

/// TLS is known with its answer; where a client asks for such a name as Tor's do, its cells are waited for; a hello may come in pieces.
#[test]
fn what_may_be_inside_is_waited_for() {
    let listening = |name: &str, alpn: &[&str], cut: usize| {
        let hello = record(22, &client_hello(name, alpn, &[]));
        let answer = record(22, &server_hello([0x13, 1], 0x0304));
        let (client, server) = ((IpAddr::from([192, 0, 2, 1]), 40_000), (IpAddr::from([192, 0, 2, 2]), 443));
        let mut inspector = Inspector::default();
        let syn = Packet { tcp: Some(Tcp { sequence: 0, flags: 2 }), ..tcp(client, server, 0, &[]) };
        inspector.look(&syn, 0);
        inspector.look(&tcp(client, server, 1, &hello[..cut]), 0);
        inspector.look(&tcp(client, server, 1 + cut as u32, &hello[cut..]), 0);
        let look = inspector.look(&tcp(server, client, 1, &answer), 0).unwrap();
        assert_eq!(look.verdict.map(|verdict| verdict.evidence), Some(Evidence::Confirmed));
        // Records of any size.
        let data = record(23, &[0xa5; 100]);
        let more = (0..100_u32).map(|nth| 1 + (answer.len() + nth as usize * data.len()) as u32);
        let mut looks = more.map(|sequence| inspector.look(&tcp(server, client, sequence, &data), 0).unwrap());
        let mut further = || looks.position(|look| look.listening == Listening::Closed).map(|nth| nth + 1);
        if look.listening == Listening::Closed { Some(0) } else { further() }
    };
    assert_eq!(listening("www.example.org", &[], 20), Some(0));
    assert_eq!(listening("www.k3vq5zx2mhd7ua.com", &["h2"], 20), Some(0));
    // All 24 messages are there then, and one stream has no more room.
    assert_eq!(listening("www.k3vq5zx2mhd7ua.com", &[], 20), Some(24));
}
