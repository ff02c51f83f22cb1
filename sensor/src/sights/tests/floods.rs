//! More of everything than there is room for.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;

const MILLION: u32 = 1_000_000;

/// Small enough to be full soon.
const SMALL: Limits = Limits {
    activity_addresses: 512,
    more_activity_addresses: 100,
    activity_prefixes_v6: 100,
    services: 100,
    services_of_address: 10,
    class_hosts: 100,
    flows: 1000,
    events: 50,
};

fn v4(address: u32) -> IpAddr {
    Ipv4Addr::from(address).into()
}

fn hold(sights: &Sights) -> usize {
    let Activity { blocks, singles, wide } = &sights.activity;
    let tables = blocks.len() + singles.len() + wide.len() + sights.services.table.len() + sights.class_hosts.len();
    let ways: usize = sights.networks.iter().map(|(_, network)| network.ways.kept()).sum();
    tables + ways + sights.flows.len() + sights.events.len()
}

#[test]
fn a_million_of_each_keep_memory_flat_and_what_was_there() {
    let mut sights = sights(SMALL);
    let (old, far) = ((v4(0x0a00_0001), 53), (v4(0xc633_6401), 4000));
    let tor = Some(Verdict::confirmed(Class::Tor));
    sights.see(&Sighting { verdict: tor, ..answer(old, far, 0) });
    sights.take(at(10));
    let most = 2 + 100 + 100 + 100 + 100 + 2048 + 1000 + 50;
    for number in 0..MILLION {
        let port = (number % 60_000 + 1) as u16;
        let scattered = number.wrapping_mul(0x9e37_79b1);
        let flood = match number % 4 {
            // Far hosts and ports at the old service, probes of dark addresses by forged sources, services, /64s.
            0 => answer(old, (v4(scattered), port), 20),
            1 => Sighting { two_way: false, direction: Direction::In, ..answer((v4(scattered), port), far, 20) },
            2 => Sighting { verdict: tor, ..answer((v4(scattered), port), far, 20) },
            _ => answer((Ipv6Addr::from(u128::from(scattered) << 64).into(), port), far, 20),
        };
        sights.see(&flood);
        if number % 1000 == 0 {
            assert!(hold(&sights) <= most, "{}", hold(&sights));
        }
    }
    let (losses, firsts) = (sights.losses(), sights.firsts());
    let taken = sights.take(at(30));
    assert!(taken.hosts[0].incomplete);
    // Old ones are where they were.
    let service = taken.services.iter().find(|service| (service.address, service.port) == old).unwrap();
    assert_eq!(service.answers, 1 + u64::from(MILLION) / 4);
    let error = service.clients as f64 / f64::from(MILLION / 4) - 1.0;
    assert!(error.abs() < 0.2, "{error}");
    assert!(sights.class_hosts.get((0, Class::Tor, Evidence::Confirmed, old.0)).is_some());
    // Every one is kept or counted.
    let quarter = u64::from(MILLION) / 4;
    let v4_kept = taken.hosts[0].active_addresses - 1;
    let v6_kept = taken.hosts[0].active_prefixes.len() as u64;
    assert_eq!(losses.addresses + v4_kept + v6_kept, 2 * quarter);
    assert_eq!(losses.services + taken.services.len() as u64 - 1, 2 * quarter);
    assert_eq!(losses.class_hosts + taken.class_hosts.len() as u64, quarter);
    assert_eq!(losses.forgotten, 0);
    let events = taken.events.len() as u64;
    // Of the firsts one of each kind was told before; an IPv6 address has no event of its own.
    assert_eq!((events, losses.events + events + 4 + v6_kept), (50, firsts));
    let error = taken.hosts[0].flows as f64 / f64::from(MILLION) - 1.0;
    assert!(error.abs() < 0.1, "{error}");
    let share = taken.hosts[0].one_way_share();
    assert!((share - 0.25).abs() < 0.05, "{share}");
}

#[test]
fn an_address_that_answers_on_every_port_leaves_room() {
    let mut sights = sights(SMALL);
    let far = (v4(1), 4000);
    (1..=u16::MAX).for_each(|port| sights.see(&answer((v4(0x0a00_0001), port), far, 0)));
    sights.see(&answer((v4(0x0a00_0002), 53), far, 0));
    assert_eq!(sights.losses().crowded_services, 65_535 - 10);
    assert_eq!(sights.take(at(10)).services.len(), 11);
}

#[test]
fn only_long_silence_makes_room() {
    let mut sights = sights(SMALL);
    let far = (v4(1), 4000);
    let day = 86_400;
    // Half of them came back after two hours.
    let know = |sights: &mut Sights, number: u32, seconds| sights.see(&answer((v4(number << 16), 53), far, seconds));
    (0..100).for_each(|number| know(&mut sights, number, 0));
    (0..50).for_each(|number| know(&mut sights, number, 7200));
    let ports = |sights: &Sights| sights.services.table.len();
    sights.take(at(day - 1));
    know(&mut sights, 200, day);
    assert_eq!((ports(&sights), sights.losses().services), (100, 1));
    sights.take(at(day + 1));
    assert_eq!(ports(&sights), 50, "those that were there once made room");
    know(&mut sights, 200, day + 2);
    assert_eq!(names(&sights.take(at(day + 3))).iter().filter(|name| **name == "service_born").count(), 1);
    (300..349).for_each(|number| know(&mut sights, number, day + 4));
    sights.take(at(30 * day));
    assert_eq!(ports(&sights), 50, "an old one that is back within a month stays");
    (400..450).for_each(|number| know(&mut sights, number, 30 * day));
    sights.take(at(30 * day + 7200));
    assert_eq!(ports(&sights), 50);
    assert!(sights.losses().forgotten >= 150);
}

#[test]
fn no_room_at_all_is_no_error() {
    let none = Limits {
        activity_addresses: 0,
        more_activity_addresses: 0,
        activity_prefixes_v6: 0,
        services: 0,
        services_of_address: 0,
        class_hosts: 0,
        flows: 0,
        events: 0,
    };
    let mut sights = sights(none);
    let tor = Some(Verdict::confirmed(Class::Tor));
    (1..100).for_each(|port| sights.see(&Sighting { verdict: tor, ..answer((v4(1), port), (v4(2), port), 0) }));
    let taken = sights.take(at(10));
    assert!(taken.hosts[0].incomplete && taken.services.is_empty() && taken.events.is_empty());
    let losses = sights.losses();
    assert_eq!((losses.addresses, losses.services, losses.class_hosts, losses.events), (99, 99, 99, 1));
}
