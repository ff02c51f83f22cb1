//! Tunnels by their names, what looks like them, and floods of names.

mod time;

use std::net::{IpAddr, Ipv4Addr};

use super::{message::kind, *};
use crate::inspect::{Flow, packet::protocol::UDP, protocols::testing::noise};

fn query(name: &str, kind: u16) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.push(0);
    bytes.extend(kind.to_be_bytes());
    bytes.extend([0, 1]);
    bytes
}

/// What flows, by number, were found to have taken part, and the ends that did.
type Found = HashMap<FlowId, u8>;

fn observe(names: &mut Names, found: &mut Found, flow: u32, payload: &[u8], from: End) {
    observe_at(names, found, flow, payload, from, 0);
}

fn observe_at(names: &mut Names, found: &mut Found, flow: u32, payload: &[u8], from: End, now: u32) {
    let id = FlowId::of(flow);
    let address = IpAddr::from(Ipv4Addr::LOCALHOST);
    let flow = Flow { protocol: UDP, source: (address, 1), destination: (address, 53) };
    let packet = Packet { flow, length: 0, tcp: None, payload, payload_len: payload.len() as u32 };
    for (id, ends) in names.observe(id, &packet, from, now) {
        *found.entry(id).or_default() |= ends;
    }
}

/// What each flow is after these names were asked for, each in a flow of its own.
fn of(asked: &[(String, u16)]) -> Vec<bool> {
    let (mut names, mut found) = (Names::default(), Found::new());
    for (flow, (name, kind)) in asked.iter().enumerate() {
        observe(&mut names, &mut found, flow as u32, &query(name, *kind), End::Client);
    }
    (0..asked.len()).map(|flow| found.contains_key(&FlowId::of(flow as u32))).collect()
}

fn hex(seed: u64, len: usize) -> String {
    noise(seed, len.div_ceil(2)).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn many(kind: u16, name: impl Fn(u64) -> String) -> Vec<(String, u16)> {
    (0..40).map(|nth| (name(nth), kind)).collect()
}

#[test]
fn tunnels_by_their_names() {
    for asked in [
        // iodine, dns2tcp, dnscat2 under a domain, long names for addresses.
        many(kind::NULL, |nth| format!("pae{nth}iciei.t.example.com")),
        many(kind::KEY, |nth| format!("GQ5v{nth}9ABA.t.example.com")),
        many(kind::TXT, |nth| format!("q+Z8{nth}waBA.example.com")),
        many(kind::MX, |nth| format!("{}.example.co.uk", hex(nth, 18))),
        many(1, |nth| format!("{}.{}.example.com", hex(nth, 60), hex(nth + 99, 30))),
    ] {
        assert!(of(&asked).iter().all(|is| *is), "{:?}", asked[0]);
    }
    // What waits: polls of iodine and dnscat2, a hundred different names.
    let poll =
        |nth: u64| (format!("p{}.t.example.com", hex(nth, 8).replace(|c: char| c.is_ascii_digit(), "o")), kind::CNAME);
    let asked: Vec<_> = (0..150).map(poll).collect();
    assert_eq!(of(&asked).iter().filter(|is| !**is).count(), 0, "{:?}", &asked[..3]);
    let poll = |nth: u64| (format!("{}.www.example.com", hex(nth, 34)), 1);
    assert!(of(&(0..150).map(poll).collect::<Vec<_>>()).iter().all(|is| *is));
    assert_eq!(of(&[(format!("dnscat.{}", hex(1, 60)), 5)]), [true]);
    assert_eq!(of(&[("AAAA.=auth.example.com".into(), 16)]), [true]);
}

#[test]
fn what_looks_like_a_tunnel() {
    for asked in [
        many(kind::TXT, |nth| format!("{}.sophosxl.net", hex(nth, 60))),
        many(kind::TXT, |nth| format!("{nth}.2.0.192.list.example.org")),
        many(kind::TXT, |nth| format!("selector{nth}x9._domainkey.example{nth}.com")),
        many(kind::SRV, |nth| format!("_ldap._tcp.{}.domains._msdcs.example.com", hex(nth, 36))),
        many(12, |nth| format!("{}.ip6.arpa", hex(nth, 32).chars().map(String::from).collect::<Vec<_>>().join("."))),
        many(1, |nth| format!("host{nth}.region.example.com")),
        many(1, |nth| format!("www.some-quite-long-name-of-a-host-in-words-{nth}.example.com")),
        many(1, |nth| format!("{}.cdn.example.net", hex(nth, 16))),
        many(1, |nth| hex(nth, 12)),
        // The same name again and again.
        many(kind::TXT, |_| format!("{}.example.com", hex(1, 60))),
        many(kind::NULL, |_| "nullnull.example.com".into()),
    ] {
        assert!(!of(&asked).contains(&true), "{:?}", asked[0]);
    }
}

#[test]
fn texts_under_a_busy_domain_are_no_tunnel() {
    // One of five names of a domain that is asked for all day; the same ones without the others are a tunnel's.
    for many in [60, 400, 5000_u64] {
        let name = |nth: u64| {
            let kind = if nth.is_multiple_of(5) { kind::TXT } else { 1 };
            (format!("harbour{}.provider.example", nth * 7919 % 100_000), kind)
        };
        let all: Vec<_> = (0..many).map(name).collect();
        assert!(!of(&all).contains(&true), "{many}");
        let texts: Vec<_> = all.into_iter().filter(|(_, kind)| *kind == kind::TXT).collect();
        assert!(of(&texts).iter().all(|is| *is), "{many}");
    }
    // A site beside the tunnel hides nothing.
    let mut beside = many(kind::TXT, |nth| format!("q+Z8{nth}waBA.example.com"));
    beside.extend((0..20).map(|nth| (format!("host{nth}.example.com"), 1)));
    assert!(of(&beside).iter().all(|is| *is));
}

#[test]
fn the_first_answer_of_iodine_is_enough() {
    let answer = |kind: u16, data: &[u8]| {
        let mut bytes = query("vaaaakaqxyzw.t.example.com", kind);
        (bytes[2], bytes[7]) = (0x84, 1);
        bytes.extend([0xc0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 0, 0, data.len() as u8]);
        bytes.extend(data);
        bytes
    };
    let found_by = |answer: &[u8]| {
        let (mut names, mut found) = (Names::default(), Found::new());
        let question = query("vaaaakaqxyzw.t.example.com", kind::NULL);
        observe(&mut names, &mut found, 0, &question, End::Client);
        observe(&mut names, &mut found, 0, answer, End::Server);
        // The domain is known from then on.
        observe(&mut names, &mut found, 1, &query("paaa.t.example.com", kind::NULL), End::Client);
        [0, 1].map(|flow| found.get(&FlowId::of(flow)).copied())
    };
    for word in ["VACK", "VNAK", "VFUL"] {
        assert_eq!(found_by(&answer(kind::NULL, &[word.as_bytes(), &[1, 2, 3, 4, 0]].concat())), [Some(3), Some(1)]);
    }
    let whole = answer(kind::NULL, b"VACK\x01\x02\x03\x04\x00");
    for other in [
        answer(kind::TXT, b"VACK\x01\x02\x03\x04\x00"),
        answer(kind::NULL, b"VACK\x01\x02\x03\x04"),
        answer(kind::NULL, b"VOID\x01\x02\x03\x04\x00"),
        whole[..whole.len() - 1].to_vec(),
        whole[..20].to_vec(),
    ] {
        assert_eq!(found_by(&other), [None, None], "{other:?}");
    }
}

#[test]
fn names_that_are_asked_for_again() {
    // Hashes of a content network, for two kinds of addresses, and hosts called by their addresses.
    let both = |nth: u64| [1, 28].map(|kind| (format!("{}.safeframe.example.com", hex(nth, 32)), kind));
    assert!(!of(&(0..200).flat_map(both).collect::<Vec<_>>()).contains(&true));
    let host = |nth: u64| (format!("host-192-0-2-{nth}.dynamic.subscribers.of.a.provider.example.com"), 1);
    assert!(!of(&(0..200).map(host).collect::<Vec<_>>()).contains(&true));
}

#[test]
fn only_flows_that_took_part() {
    let mut asked = many(kind::NULL, |nth| format!("{}.t.example.com", hex(nth, 20)));
    asked.push(("www.example.com".into(), 1));
    asked.push(("example.com".into(), kind::MX));
    asked.push(("another.example.org".into(), 1));
    let found = of(&asked);
    assert!(found[..40].iter().all(|is| *is));
    assert_eq!(found[40..], [false; 3]);
}

#[test]
fn confirmed_by_both_ends() {
    let (mut names, mut found) = (Names::default(), Found::new());
    for nth in 0..4 {
        let query = query(&format!("{}.t.example.com", hex(nth, 20)), kind::NULL);
        observe(&mut names, &mut found, 0, &query, End::Client);
        observe(&mut names, &mut found, 1, &query, End::Client);
        observe(&mut names, &mut found, 1, &query, End::Server);
    }
    assert_eq!([0, 1, 2].map(|flow| found.get(&FlowId::of(flow)).copied()), [Some(1), Some(3), None]);
}

#[test]
fn a_million_names_take_no_more_memory() {
    let (mut names, mut found) = (Names::default(), Found::new());
    for nth in 0..1_000_000u64 {
        observe(
            &mut names,
            &mut found,
            (nth % 1000) as u32,
            &query(&format!("a{nth}.b{}.com", nth.wrapping_mul(77)), 1),
            End::Client,
        );
    }
    assert!(names.domains.len() <= MAX_DOMAINS && names.elder.len() <= MAX_DOMAINS);
    assert!(names.overflow() > 900_000 && names.tunnels.is_empty() && found.is_empty());
    // And a tunnel is still found.
    for nth in 0..4 {
        observe(&mut names, &mut found, 7, &query(&format!("{}.t.example.com", hex(nth, 20)), kind::NULL), End::Client);
    }
    assert!(found.contains_key(&FlowId::of(7)));
    // Many names of one domain.
    for nth in 0..100_000u64 {
        observe(&mut names, &mut found, nth as u32, &query(&format!("host{nth}.example.org"), 1), End::Client);
    }
    assert!(names.domains.values().all(|domain| domain.parts() <= 256));
    let parts = names.domains.values().chain(names.elder.values()).map(Domain::parts).sum::<usize>();
    assert!(parts == names.parts && parts <= MAX_PARTS);
}

/// A minute by which those names count no more.
const LATER: u32 = 200;

/// Tunnels without end: those that are asked for are kept, the others make room.
#[test]
fn tunnels_are_forgotten_once_nobody_asks_for_them() {
    let (mut names, mut found) = (Names::default(), Found::new());
    let asks = |names: &mut Names, found: &mut Found, flow, domain: u64, nth, now| {
        let query = query(&format!("{}.t{domain}.com", hex(nth, 20)), kind::NULL);
        observe_at(names, found, flow, &query, End::Client, now);
    };
    for domain in 0..5 * MAX_TUNNELS as u64 {
        for nth in 0..8 {
            asks(&mut names, &mut found, 1, domain, nth, 0);
        }
        // Every flow that asks for the first one is known by its one name.
        let flow = 100 + domain as u32;
        asks(&mut names, &mut found, flow, 0, domain, 0);
        assert!(found.contains_key(&FlowId::of(flow)), "{domain}");
        assert!(names.tunnels.len() <= MAX_TUNNELS && names.elder_tunnels.len() <= MAX_TUNNELS);
    }
    // Hours later the names themselves count no more. The first is still known, with one question of a flow that asked for none before; the last is, too; the second is not.
    for (flow, domain) in [(3, 0), (4, 5 * MAX_TUNNELS as u64 - 1), (5, 1)] {
        asks(&mut names, &mut found, flow, domain, 99, LATER);
    }
    assert_eq!([3, 4, 5].map(|flow| found.contains_key(&FlowId::of(flow))), [true, true, false]);
}

#[test]
fn noise_is_nothing() {
    let (mut names, mut found) = (Names::default(), Found::new());
    for seed in 0..2000 {
        let mut bytes = query("abcdefgh.t.example.com", kind::TXT);
        let noise = noise(seed, bytes.len());
        bytes.iter_mut().zip(&noise).filter(|(_, noise)| **noise % 8 == 0).for_each(|(byte, noise)| *byte = *noise);
        bytes.truncate(seed as usize % 64);
        observe(&mut names, &mut found, 0, &bytes, End::Client);
        observe(&mut names, &mut found, 1, &noise, End::Client);
    }
    assert!(!found.contains_key(&FlowId::of(1)));
}
