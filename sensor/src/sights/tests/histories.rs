//! What stays known over restarts and configurations.

use proptest::prelude::*;

use super::*;

fn far() -> (IpAddr, u16) {
    (ip("198.51.100.1"), 40_000)
}

/// Some of everything, on two networks.
fn some() -> Sights {
    let mut sights =
        Sights::new(Limits { activity_addresses: 256, ..Limits::default() }, Some(SignedDuration::ZERO), 9);
    sights.configure([(id(1), "a"), (id(2), "b")]);
    let tor = Some(Verdict::confirmed(Class::Tor));
    for (address, port) in [("10.0.0.1", 53), ("10.0.0.1", 54), ("10.0.1.1", 53), ("2001:db8::1", 53)] {
        sights.see(&Sighting { verdict: tor, ..answer((ip(address), port), far(), 1) });
        sights.see(&Sighting { network: id(2), ..answer((ip(address), port), far(), 1) });
    }
    sights
}

#[test]
fn what_is_known_is_no_news_after_a_restart() {
    let mut before = some();
    let news = before.take(at(10));
    assert!(news.events.len() > 10);
    let bytes = before.snapshot();
    let limits = [
        Limits { activity_addresses: 256, ..Limits::default() },
        Limits::default(),
        Limits { activity_addresses: 0, ..Limits::default() },
    ];
    for limits in limits {
        let mut sights = Sights::restore(limits, Some(SignedDuration::ZERO), &bytes).unwrap();
        if limits.activity_addresses > 0 {
            assert_eq!(sights.snapshot(), bytes);
        }
        // The numbers of the networks are others now, and there is a third.
        sights.configure([(id(1), "c"), (id(2), "a"), (id(7), "b")]);
        for address in ["10.0.0.1", "10.0.1.1", "2001:db8::1"] {
            sights.see(&Sighting {
                network: id(2),
                verdict: Some(Verdict::confirmed(Class::Tor)),
                ..answer((ip(address), 53), far(), 20)
            });
            sights.see(&Sighting { network: id(7), ..answer((ip(address), 53), far(), 20) });
        }
        let taken = sights.take(at(30));
        assert_eq!(names(&taken), Vec::<&str>::new());
        assert_eq!(taken.hosts.iter().map(|host| &*host.network).collect::<Vec<_>>(), ["a", "b"]);
        assert!(
            taken.hosts.iter().all(|host| host.active_addresses == 2
                && host.newly_lit.is_empty()
                && host.newly_lit_prefixes.is_empty())
        );
        let service = &taken.services[0];
        assert_eq!(
            (service.first, service.last, service.answers, service.clients, service.new),
            (at(1), at(20), 2, 1, true)
        );
        assert_eq!((service.class, &*service.network), (Class::Tor, "a"));
        assert!(taken.class_hosts.iter().all(|host| host.first == at(1) && host.last == at(20)));
        // The third knows nothing, and neither do the others of what is new.
        sights.see(&answer((ip("10.0.0.1"), 53), far(), 31));
        sights.see(&Sighting { network: id(2), ..answer((ip("10.0.1.2"), 53), far(), 31) });
        assert_eq!(
            names(&sights.take(at(40))),
            ["newly_lit", "newly_lit_prefix", "service_born", "newly_lit", "service_born"]
        );
    }
}

#[test]
fn time_without_an_agent_is_not_learned_in() {
    let learn = Some(SignedDuration::from_secs(15));
    let mut sights = Sights::new(Limits::default(), learn, 7);
    sights.configure([(id(1), "a")]);
    sights.see(&answer((ip("10.0.0.1"), 53), far(), 0));
    sights.take(at(10));
    let mut sights = Sights::restore(Limits::default(), learn, &sights.snapshot()).unwrap();
    sights.configure([(id(1), "a")]);
    sights.see(&answer((ip("10.0.0.2"), 53), far(), 1000));
    assert!(sights.take(at(1006)).events.is_empty());
    sights.see(&answer((ip("10.0.0.3"), 53), far(), 1008));
    assert_eq!(names(&sights.take(at(1010))), ["newly_lit", "service_born"]);
}

#[test]
fn a_network_without_a_name_is_counted() {
    let mut sights = sights(Limits::default());
    sights.see(&Sighting { network: id(3), ..answer((ip("10.0.0.1"), 53), far(), 0) });
    sights.decide(id(3), (ip("10.0.0.1"), 53), far(), UDP, Verdict::payload(Class::Dns));
    assert_eq!(sights.losses().unnamed, 2);
    assert_eq!(sights.take(at(10)), Taken::default());
}

#[test]
fn a_network_of_old_makes_room_with_all_it_held() {
    let mut sights = some();
    sights.take(at(10));
    // All names there can be, but for `b`.
    let names =
        |from: u32| (2..=networks::MAX_NAMES as u32).map(move |number| (id(number), format!("{}", from + number)));
    sights.configure(names(0).chain([(id(1), "b".to_owned())]));
    sights.see(&answer((ip("10.0.0.1"), 53), far(), 11));
    assert!(sights.take(at(20)).events.is_empty(), "b was still known");
    // One of the new ones has the place of `a`: nothing of it is left there.
    for number in 2..=networks::MAX_NAMES as u32 {
        sights.see(&Sighting { network: id(number), ..answer((ip("10.0.0.1"), 54), far(), 21) });
    }
    let taken = sights.take(at(30));
    assert_eq!(taken.services.len(), networks::MAX_NAMES - 1);
    assert!(taken.services.iter().all(|service| service.first == at(21) && service.class == Class::Unknown));
    assert!(taken.class_hosts.is_empty());
    assert_eq!(
        sights.activity.blocks.len() + sights.activity.singles.len() + sights.activity.wide.len(),
        1 + 1 + 1 + networks::MAX_NAMES - 1
    );
}

#[test]
fn damaged_bytes_are_an_error() {
    let bytes = some().snapshot();
    let restore = |bytes: &[u8]| Sights::restore(Limits::default(), None, bytes).map(|_| ());
    assert_eq!(restore(&bytes), Ok(()));
    for len in 0..bytes.len() {
        assert!(restore(&bytes[..len]).is_err(), "{len}");
    }
    for place in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place] ^= 1 << (place % 8);
        let found = restore(&bytes);
        assert!(
            matches!((place, found), (8..12, Err(SnapshotError::Version(_))) | (_, Err(SnapshotError::Damaged))),
            "{place}"
        );
    }
    assert_eq!(restore(&[&bytes[..], &[0]].concat()), Err(SnapshotError::Damaged));
    let long = vec![0; (256 << 20) + 1];
    assert_eq!(restore(&long), Err(SnapshotError::Length(long.len())));
}

proptest! {
    /// Also where somebody made the check sum right.
    #[test]
    fn no_bytes_are_a_panic(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4), cut in any::<prop::sample::Index>()) {
        let mut bytes = some().snapshot();
        for (place, byte) in &places {
            let place = 16 + place.index(bytes.len() - 16);
            bytes[place] = *byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(16 + cut.index(bytes.len() - 16));
        }
        let crc = crc32fast::hash(&bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        if let Ok(mut sights) = Sights::restore(Limits::default(), None, &bytes) {
            sights.configure([(id(1), "a"), (id(2), "b")]);
            for port in [53, 54] {
                sights.see(&answer((ip("10.0.0.1"), port), far(), 40));
                sights.decide(id(1), (ip("10.0.0.1"), port), far(), UDP, Verdict::confirmed(Class::Tor));
                sights.decide(id(1), (ip("10.0.0.1"), port), far(), UDP, Verdict::payload(Class::Tor));
            }
            sights.take(at(50));
        }
    }
}
