//! Tunnels in echoes, and the pings that are none.

use super::*;
use crate::inspect::protocols::testing::{assert_robust, noise};

fn echo(kind: u8, number: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, 0, 0, 0, 0x12, 0x34];
    bytes.extend(number.to_be_bytes());
    bytes.extend(data);
    bytes
}

fn of(messages: &[(End, Vec<u8>)]) -> Option<Verdict> {
    let messages: Vec<(End, &[u8])> = messages.iter().map(|(from, bytes)| (*from, bytes.as_slice())).collect();
    assert_robust(judge, protocol::ICMP, [0, 0], &messages);
    judge(&Conversation::of(protocol::ICMP, [0, 0], &messages))
}

/// Questions and their answers.
fn pings(data: impl Fn(u16) -> Vec<u8>, answer: impl Fn(u16) -> Vec<u8>) -> Vec<(End, Vec<u8>)> {
    (1..12)
        .flat_map(|number| {
            [(End::Client, echo(8, number, &data(number))), (End::Server, echo(0, number, &answer(number)))]
        })
        .collect()
}

/// What iputils sends: a time, then a pattern.
fn pattern(number: u16, len: usize) -> Vec<u8> {
    let mut data = noise(u64::from(number), 16);
    data.extend((16..len).map(|byte| byte as u8));
    data
}

#[test]
fn pings_of_all_sorts() {
    let linux = |number| pattern(number, 56);
    assert_eq!(of(&pings(linux, linux)), None);
    let windows = |_| b"abcdefghijklmnopqrstuvwabcdefghi".to_vec();
    assert_eq!(of(&pings(windows, windows)), None);
    // Path MTU, answers that are cut to 64 bytes, answers of zeros.
    let mtu = |number| pattern(number, 500 + usize::from(number) * 100);
    assert_eq!(of(&pings(mtu, mtu)), None);
    assert_eq!(of(&pings(mtu, |number| mtu(number)[..56].to_vec())), None);
    assert_eq!(of(&pings(linux, |_| vec![0; 56])), None);
    // Random data of one size (`fping -R`), and small ones.
    let random = |number| noise(u64::from(number), 56);
    assert_eq!(of(&pings(random, random)), None);
    let small = |number| noise(u64::from(number), usize::from(number));
    assert_eq!(of(&pings(small, small)), None);
    assert_eq!(of(&pings(|_| Vec::new(), |_| Vec::new())), None);
}

#[test]
fn tunnels_by_their_behaviour() {
    let data = |number: u16| noise(u64::from(number), 60 + usize::from(number % 5) * 100);
    let other = |number: u16| noise(u64::from(number) + 1000, 400);
    assert_eq!(of(&pings(data, other)), Some(Verdict::confirmed(Class::IcmpTunnel)));
    // A shell whose polls are empty.
    assert_eq!(of(&pings(|_| Vec::new(), |_| b"dir c:".to_vec())), Some(Verdict::confirmed(Class::IcmpTunnel)));
    let one_way: Vec<_> = pings(data, other).into_iter().filter(|(from, _)| *from == End::Client).collect();
    assert_eq!(of(&one_way), Some(Verdict::payload(Class::IcmpTunnel)));
}

#[test]
fn tunnels_by_their_headers() {
    let twice = |kind, data: &[u8]| of(&[1, 2].map(|number| (End::Client, echo(kind, number, data))));
    let payload = Some(Verdict::payload(Class::IcmpTunnel));
    let mut ptunnel = vec![0xD5, 0x20, 0x08, 0x80, 192, 0, 2, 1, 0, 0, 0, 22, 0x40, 0, 0, 0];
    ptunnel.resize(28, 0);
    assert_eq!(twice(8, &ptunnel), payload);
    assert_eq!(of(&[(End::Client, echo(8, 1, &ptunnel))]), None, "one is no tunnel");
    assert_eq!(twice(8, b"hanc\x01\0\0"), payload);
    assert_eq!(twice(8, b"hand\x01\0\0"), None);
    let mut ip = vec![0x45, 0, 0, 24, 0, 1, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 1, 2, 3, 4];
    assert_eq!(twice(8, &ip), None);
    let sum: u32 = ip[..20].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    ip[10..12].copy_from_slice(&(!((sum & 0xFFFF) + (sum >> 16)) as u16).to_be_bytes());
    assert_eq!(twice(8, &ip), payload);
    // The same inside an error is the packet that the error is about.
    assert_eq!(twice(3, &ip), None);
    let six = judge(&Conversation::of(
        protocol::ICMPV6,
        [0, 0],
        &[(End::Client, &echo(128, 1, &ip)), (End::Client, &echo(128, 2, &ip))],
    ));
    assert_eq!(six, payload);
}
