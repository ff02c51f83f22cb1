//! Neighbours under their names, and what is news of them.

use std::net::IpAddr;

use super::*;
use crate::config::{InterfaceName, Upstream};

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];
const C: [u8; 6] = [2, 0, 0, 0, 0, 0xc];

fn upstream(name: &str, macs: &[[u8; 6]], neighbors: &[&str], vlan: Option<u16>, interface: Option<&str>) -> Upstream {
    Upstream {
        name: name.parse().unwrap(),
        asn: (name == "a").then_some(64500),
        macs: macs.to_vec(),
        neighbors: neighbors.iter().map(|address| address.parse().unwrap()).collect(),
        vlan,
        interface: interface.map(|name| name.parse().unwrap()),
    }
}

fn interfaces(names: &[&str]) -> Vec<InterfaceName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn at(interface: u32, mac: [u8; 6], vlan: Option<u16>) -> Neighbour {
    Neighbour { interface, mac, vlan }
}

fn table(entries: &[(u32, [u8; 6], &str)]) -> NeighbourTable {
    let mut table = NeighbourTable::default();
    entries.iter().for_each(|(interface, mac, address)| table.add(*interface, *mac, address.parse().unwrap()));
    table
}

#[test]
fn all_criteria_hold_and_the_most_win() {
    let upstreams = Upstreams::new(
        &[
            upstream("vrrp", &[A, B], &[], None, None),
            upstream("a", &[A], &[], Some(100), None),
            upstream("ip", &[], &["192.0.2.1", "192.0.2.2"], None, Some("eth1")),
            upstream("second", &[], &[], None, Some("eth1")),
            upstream("tagged", &[], &[], Some(100), None),
        ],
        &interfaces(&["eth0", "eth1"]),
    );
    let table = table(&[(1, C, "192.0.2.2"), (0, C, "192.0.2.1")]);
    for (neighbour, expected) in [
        (at(0, A, None), "vrrp"),
        (at(0, B, Some(7)), "vrrp"),
        (at(0, A, Some(100)), "a"),
        // As many criteria: the first of the file.
        (at(0, B, Some(100)), "vrrp"),
        (at(1, C, Some(100)), "ip"),
        (at(1, [2; 6], Some(100)), "second"),
        (at(0, C, Some(100)), "tagged"),
        (at(0, C, None), "02:00:00:00:00:0c@eth0"),
        (at(0, C, Some(7)), "02:00:00:00:00:0c/7@eth0"),
    ] {
        let name = upstreams.name(&neighbour, &table);
        assert_eq!(&*name.name, expected, "{neighbour:?}");
        assert_eq!((name.asn, name.configured), ((expected == "a").then_some(64500), !expected.contains(':')));
    }
}

#[test]
fn a_capture_knows_no_interface() {
    let upstreams = [upstream("a", &[A], &[], None, Some("eth7")), upstream("b", &[], &[], None, Some("eth7"))];
    let upstreams = Upstreams::new(&upstreams, &[]);
    let name = |mac| upstreams.name(&at(0, mac, None), &NeighbourTable::default()).name;
    assert_eq!((&*name(A), &*name(B)), ("a", "02:00:00:00:00:0b"));
    // Where there are interfaces, it is one of them or none.
    let upstreams = Upstreams::new(&[upstream("a", &[A], &[], None, Some("eth7"))], &interfaces(&["eth0"]));
    assert!(!upstreams.name(&at(0, A, None), &NeighbourTable::default()).configured);
}

#[test]
fn an_unknown_neighbour_is_news_once() {
    let mut upstreams = Upstreams::new(&[upstream("a", &[A], &[], None, None)], &interfaces(&["eth0"]));
    let table = NeighbourTable::default();
    for neighbour in [at(0, A, None), at(0, B, None), at(0, B, None), at(0, B, Some(1))] {
        upstreams.see(&neighbour, &table);
    }
    let name = |name: &str| UpstreamName { name: name.into(), asn: None, configured: false };
    let new = |vlan, text| UpstreamEvent::New { neighbour: at(0, B, vlan), name: name(text) };
    let expected = [new(None, "02:00:00:00:00:0b"), new(Some(1), "02:00:00:00:00:0b/1")];
    assert_eq!(upstreams.changes(&table), expected);
    upstreams.see(&at(0, B, None), &table);
    assert_eq!(upstreams.changes(&table), []);
}

#[test]
fn another_mac_for_the_same_address_is_no_other_upstream() {
    let mut upstreams = Upstreams::new(&[], &interfaces(&["eth0"]));
    let address: IpAddr = "192.0.2.1".parse().unwrap();
    let first = table(&[(0, A, "192.0.2.1")]);
    upstreams.see(&at(0, A, None), &first);
    assert_eq!(upstreams.changes(&first).len(), 1);
    assert_eq!(upstreams.changes(&first), []);
    // Nobody asked for a while.
    assert_eq!(upstreams.changes(&NeighbourTable::default()), []);
    for (before, now) in [(A, B), (B, C), (C, A), (A, C)] {
        let table = table(&[(0, now, "192.0.2.1")]);
        assert_eq!(upstreams.changes(&table), [UpstreamEvent::MacChanged { interface: 0, address, before, now }]);
        let neighbour = at(0, now, None);
        assert_eq!(&*upstreams.name(&neighbour, &table).name, "02:00:00:00:00:0a");
        upstreams.see(&neighbour, &table);
        assert_eq!(upstreams.changes(&table), []);
    }
    // The same address behind another interface is another neighbour.
    assert_eq!(upstreams.changes(&table(&[(1, B, "192.0.2.1")])), []);
}

#[test]
fn a_configured_name_stays_with_new_hardware() {
    let named = [upstream("a", &[A], &[], None, None), upstream("ip", &[], &["192.0.2.2"], None, None)];
    let mut upstreams = Upstreams::new(&named, &interfaces(&["eth0"]));
    upstreams.changes(&table(&[(0, A, "192.0.2.1"), (0, B, "192.0.2.2")]));
    let now = table(&[(0, C, "192.0.2.1"), (0, [2; 6], "192.0.2.2")]);
    assert_eq!(upstreams.changes(&now).len(), 2);
    for (mac, name) in [(C, "a"), ([2; 6], "ip")] {
        assert_eq!(&*upstreams.name(&at(0, mac, None), &now).name, name);
        upstreams.see(&at(0, mac, None), &now);
    }
    assert_eq!(upstreams.changes(&now), []);
}

#[test]
fn routers_that_answer_by_turns_are_no_change() {
    let mut upstreams = Upstreams::new(&[], &interfaces(&["eth0"]));
    let both = table(&[(0, A, "192.0.2.1"), (0, B, "192.0.2.1")]);
    assert_eq!(upstreams.changes(&both), []);
    assert_eq!(upstreams.changes(&table(&[(0, B, "192.0.2.1")])), []);
    assert_eq!(upstreams.changes(&both), []);
}

#[test]
fn a_flood_of_neighbours_is_bounded() {
    let mut upstreams = Upstreams::new(&[], &interfaces(&["eth0"]));
    let mut table = NeighbourTable::default();
    for number in 0..100_000u32 {
        let [_, b, c, d] = number.to_be_bytes();
        let mac = [2, 0, 0, b, c, d];
        upstreams.see(&at(0, mac, None), &NeighbourTable::default());
        table.add(0, mac, IpAddr::from([10, b, c, d]));
        table.add(0, mac, IpAddr::from([10, b, c, d]));
    }
    assert_eq!(upstreams.overflow(), 100_000 - MAX_LEARNED as u64);
    assert_eq!(table.overflow(), 2 * (100_000 - MAX_NEIGHBOURS as u64));
    assert_eq!(upstreams.changes(&table).len(), MAX_LEARNED);
    assert!(upstreams.changes(&table).is_empty());
}

#[test]
fn neighbours_are_known_by_the_names_of_their_interfaces() {
    let interfaces = |names: &[&str]| names.iter().map(|name| name.parse().unwrap()).collect::<Vec<InterfaceName>>();
    let neighbour = |interface| Neighbour { interface, mac: [2, 0, 0, 0, 0, 9], vlan: None };
    let nobody = NeighbourTable::default();
    let mut upstreams = Upstreams::default();
    upstreams.configure(Upstreams::new(&[], &interfaces(&["eth0", "eth1"])));
    upstreams.see(&neighbour(1), &nobody);
    assert_eq!(upstreams.changes(&nobody).len(), 1);
    // A restart with other interfaces: the neighbour at eth1 is still the one that was announced, and one at eth0 is news.
    let mut upstreams = Upstreams::with_known(upstreams.known());
    upstreams.configure(Upstreams::new(&[], &interfaces(&["eth1", "eth0"])));
    upstreams.see(&neighbour(0), &nobody);
    assert_eq!(upstreams.changes(&nobody).len(), 0);
    upstreams.see(&neighbour(1), &nobody);
    assert_eq!(upstreams.changes(&nobody).len(), 1);
    // One that is gone is forgotten.
    upstreams.configure(Upstreams::new(&[], &interfaces(&["eth0"])));
    assert_eq!(upstreams.firsts(), 1);
}

#[test]
fn several_at_once_are_no_neighbour() {
    let nobody = NeighbourTable::default();
    let mut upstreams = Upstreams::default();
    for mac in [[0xff; 6], [0x33, 0x33, 0, 0, 0, 1]] {
        let several = Neighbour { interface: 0, mac, vlan: None };
        upstreams.see(&several, &nobody);
        assert_eq!(&*upstreams.name(&several, &nobody).name, "multicast");
    }
    assert_eq!((upstreams.changes(&nobody).len(), upstreams.firsts()), (0, 0));
}
