//! What lights an address, makes a service, makes a class host.

use super::*;

const WATCHED: &str = "10.0.0.1";

fn watched(port: u16) -> (IpAddr, u16) {
    (ip(WATCHED), port)
}

fn far() -> (IpAddr, u16) {
    (ip("198.51.100.1"), 40_000)
}

#[test]
fn scans_and_forged_senders_light_nothing_and_are_counted() {
    let mut sights = sights(Limits::default());
    let probe = Sighting { direction: Direction::In, two_way: false, ..segment(watched(23), SYN, 0) };
    sights.see(&probe);
    sights.see(&Sighting { protocol: UDP, tcp_flags: None, ..probe });
    let forged = Sighting { direction: Direction::Out, opened_by_watched: true, ..probe };
    sights.see(&Sighting { watched: (ip("10.0.0.9"), 1000), ..forged });
    // Verdicts light nothing either.
    let verdict = Verdict::payload(Class::WireGuard);
    sights.see(&Sighting { protocol: UDP, verdict: Some(verdict), ..probe });
    sights.decide(id(1), probe.watched, probe.far, UDP, verdict);
    let taken = sights.take(at(10));
    let [host] = &taken.hosts[..] else { panic!("{taken:?}") };
    assert!(host.active.is_empty() && host.newly_lit_prefixes.is_empty() && !host.incomplete);
    assert_eq!((host.flows, host.one_way_flows, host.asymmetric_flows, host.one_way_share()), (3, 3, 0, 1.0));
    assert_eq!((taken.services, taken.class_hosts, taken.events), (vec![], vec![], vec![]));
    // Of an interval without packets, nothing.
    assert_eq!(sights.take(at(20)), Taken::default());
}

#[test]
fn a_reset_is_active_but_no_service() {
    let mut sights = sights(Limits::default());
    sights.see(&segment(watched(23), RST | ACK, 0));
    sights.see(&segment(watched(24), SYN | ACK | RST, 0));
    sights.see(&segment(watched(25), SYN, 0));
    sights.see(&segment(watched(26), ACK, 0));
    let taken = sights.take(at(10));
    assert_eq!(newly_lit(&taken), [ip(WATCHED)]);
    assert_eq!(taken.hosts[0].active_addresses, 1);
    assert_eq!(taken.services, []);
    assert_eq!(names(&taken), ["newly_lit", "newly_lit_prefix"]);
}

#[test]
fn the_answer_from_outside_lights_who_asked() {
    let mut sights = sights(Limits::default());
    let asked = Sighting {
        direction: Direction::Out,
        two_way: false,
        opened_by_watched: true,
        ..answer(watched(5000), far(), 1)
    };
    sights.see(&asked);
    assert!(sights.take(at(10)).hosts[0].active.is_empty());
    sights.see(&Sighting { direction: Direction::In, two_way: true, at: at(11), ..asked });
    let taken = sights.take(at(20));
    assert_eq!(newly_lit(&taken), [ip(WATCHED)]);
    assert_eq!(taken.services, [], "who asks is no service");
}

#[test]
fn services_are_syn_ack_and_answered_datagrams() {
    let mut sights = sights(Limits::default());
    sights.see(&segment(watched(25), SYN | ACK, 1));
    sights.see(&segment(watched(25), SYN | ACK, 2));
    sights.see(&answer(watched(53), far(), 3));
    // Not from outside, no ports, no protocol with ports, and the other direction of a TCP flow.
    sights.see(&Sighting { opened_by_watched: true, ..segment(watched(26), SYN | ACK, 4) });
    sights.see(&answer(watched(0), far(), 4));
    sights.see(&answer(watched(54), (far().0, 0), 4));
    sights.see(&Sighting { protocol: 1, ..answer(watched(55), far(), 4) });
    sights.see(&Sighting { direction: Direction::In, ..segment(watched(27), SYN | ACK, 4) });
    let taken = sights.take(at(10));
    let found: Vec<_> =
        taken.services.iter().map(|service| (service.port, service.protocol, service.first, service.last)).collect();
    assert_eq!(found, [(25, TCP, at(1), at(2)), (53, UDP, at(3), at(3))]);
    assert!(taken.services.iter().all(|service| service.answers == 1 && service.clients == 1 && service.new));
    assert!(taken.services.iter().all(|service| service.class == Class::Unknown && service.evidence.is_none()));
    assert_eq!(names(&taken), ["newly_lit", "newly_lit_prefix", "service_born", "service_born"]);
    // A connection that goes on moves `last`, a reset to a probe does not, and nothing is born again.
    sights.see(&segment(watched(25), RST, 18));
    assert_eq!(sights.take(at(20)).services, []);
    sights.see(&segment(watched(25), ACK, 25));
    let taken = sights.take(at(30));
    assert_eq!((taken.services.len(), taken.services[0].last, taken.services[0].answers), (1, at(25), 1));
    assert_eq!(names(&taken), Vec::<&str>::new());
}

#[test]
fn a_lost_answer_is_known_by_what_comes_after_it() {
    let mut sights = sights(Limits::default());
    sights.see(&Sighting { direction: Direction::In, ..answer(watched(53), far(), 1) });
    sights.see(&Sighting { direction: Direction::In, ..answer(watched(53), far(), 5) });
    let taken = sights.take(at(10));
    assert_eq!((taken.services.len(), taken.services[0].answers, taken.services[0].last), (1, 1, at(1)));
}

#[test]
fn a_service_is_what_the_surest_of_its_flows_are() {
    let mut sights = sights(Limits::default());
    let client = |number: u16| (ip("198.51.100.1"), number);
    let verdicts = [
        Verdict::payload(Class::Tls),
        Verdict::payload(Class::Tls),
        Verdict::payload(Class::Tls),
        Verdict::confirmed(Class::OpenVpn),
        Verdict::confirmed(Class::Http),
        Verdict::confirmed(Class::Http),
    ];
    for (number, verdict) in (1..).zip(verdicts) {
        sights.see(&answer(watched(443), client(number), 1));
        sights.decide(id(1), watched(443), client(number), UDP, verdict);
        sights.decide(id(1), watched(443), client(number), UDP, verdict);
    }
    let taken = sights.take(at(10));
    assert_eq!((taken.services[0].class, taken.services[0].evidence), (Class::Http, Some(Evidence::Confirmed)));
    assert!(
        matches!(taken.events[2].event, Event::ServiceBorn { class: Class::Http, port: 443, .. }),
        "{:?}",
        taken.events
    );
    // One of them turns out to be the other: as many of both, the more particular has it.
    sights.decide(id(1), watched(443), client(6), UDP, Verdict::confirmed(Class::OpenVpn));
    sights.decide(id(1), watched(443), client(5), UDP, Verdict::payload(Class::Unknown));
    sights.see(&answer(watched(443), client(7), 11));
    assert_eq!(sights.take(at(20)).services[0].class, Class::OpenVpn);
}

#[test]
fn a_verdict_that_comes_after_the_interval_is_told() {
    let mut sights = sights(Limits::default());
    sights.see(&answer(watched(53), far(), 9));
    assert_eq!(sights.take(at(10)).services[0].class, Class::Unknown);
    let decide = |sights: &mut Sights, verdict| sights.decide(id(1), watched(53), far(), UDP, verdict);
    decide(&mut sights, Verdict::confirmed(Class::Dns));
    let taken = sights.take(at(20));
    let [service] = &*taken.services else { panic!("{:?}", taken.services) };
    // It answered when it did, and was born once.
    assert_eq!((service.class, service.last, service.answers), (Class::Dns, at(9), 1));
    assert_eq!(taken.events, []);
    // However often it changes.
    for verdict in [Class::Http, Class::Dns].into_iter().cycle().take(1000) {
        decide(&mut sights, Verdict::confirmed(verdict));
    }
    assert_eq!(sights.services.table.telling(), 1);
    assert_eq!(sights.take(at(25)).services[0].class, Class::Dns);
    // What changes nothing is not told.
    decide(&mut sights, Verdict::confirmed(Class::Dns));
    assert_eq!(sights.take(at(30)).services, []);
}

#[test]
fn who_speaks_a_suspicious_class_is_known_by_evidence() {
    let mut sights = sights(Limits::default());
    let flow = |number: u16, verdict: Verdict, seconds| {
        let far = (ip("198.51.100.1"), number);
        Sighting { verdict: Some(verdict), opened_by_watched: true, ..answer(watched(5000), far, seconds) }
    };
    sights.see(&flow(1, Verdict::port(Class::Telnet), 1));
    sights.see(&flow(2, Verdict::payload(Class::Tor), 2));
    sights.see(&flow(3, Verdict::payload(Class::Tor), 3));
    sights.see(&flow(3, Verdict::payload(Class::Tor), 4));
    sights.see(&flow(4, Verdict::confirmed(Class::Tls), 5));
    let found = |taken: &Taken| -> Vec<_> {
        let row =
            |host: &crate::summary::ClassHostRecord| (host.class, host.evidence, host.flows, host.first, host.last);
        taken.class_hosts.iter().map(row).collect()
    };
    let taken = sights.take(at(10));
    let telnet = (Class::Telnet, Evidence::Port, 1, at(1), at(1));
    assert_eq!(found(&taken), [(Class::Tor, Evidence::Payload, 2, at(2), at(4)), telnet]);
    assert_eq!(names(&taken), ["newly_lit", "newly_lit_prefix", "class_seen"], "a guess by port is no event");
    // One is surer now, one was something else after all.
    sights.decide(id(1), watched(5000), (ip("198.51.100.1"), 2), UDP, Verdict::confirmed(Class::Tor));
    sights.decide(id(1), watched(5000), (ip("198.51.100.1"), 3), UDP, Verdict::confirmed(Class::Tls));
    let taken = sights.take(at(20));
    assert_eq!(found(&taken), [(Class::Tor, Evidence::Confirmed, 1, at(2), at(2))]);
    assert_eq!(names(&taken), Vec::<&str>::new());
}

#[test]
fn one_way_flows_are_told_from_asymmetric_ones() {
    let mut sights = sights(Limits::default());
    let half = |port, direction, flags| Sighting { direction, two_way: false, ..segment(watched(port), flags, 0) };
    sights.see(&half(1, Direction::In, SYN));
    sights.see(&half(2, Direction::In, SYN));
    sights.see(&half(2, Direction::In, ACK));
    sights.see(&half(3, Direction::In, SYN | ACK));
    sights.see(&half(4, Direction::In, RST | ACK));
    sights.see(&half(5, Direction::In, ACK));
    sights.see(&half(5, Direction::Out, ACK));
    sights.see(&segment(watched(6), ACK, 0));
    let ways = OneWay { flows: 6, one_way: 4, asymmetric: 1 };
    assert_eq!(sights.one_way().collect::<Vec<_>>(), [("a", ways)]);
    let host = &sights.take(at(10)).hosts[0];
    assert_eq!((host.flows, host.one_way_flows, host.asymmetric_flows), (6, 4, 1));
}

#[test]
fn ipv6_lights_by_64() {
    let mut sights = sights(Limits::default());
    for address in ["2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1", "::ffff:10.0.0.1"] {
        sights.see(&answer((ip(address), 5353), far(), 0));
    }
    let taken = sights.take(at(10));
    let prefixes =
        ["::/64", "2001:db8::/64", "2001:db8:0:1::/64"].map(|prefix| prefix.parse::<crate::cidr::Cidr>().unwrap());
    assert_eq!(taken.hosts[0].active_prefixes, prefixes);
    assert_eq!(taken.hosts[0].newly_lit_prefixes, prefixes);
    assert!(taken.hosts[0].active.is_empty());
    assert_eq!(names(&taken).iter().filter(|name| **name == "newly_lit_prefix").count(), 3);
    sights.see(&answer((ip("2001:db8::2"), 5353), far(), 11));
    let taken = sights.take(at(20));
    assert_eq!(taken.hosts[0].active_prefixes, prefixes[1..2]);
    assert_eq!(taken.hosts[0].newly_lit_prefixes, []);
}

#[test]
fn firsts_are_initial_while_learning() {
    let learn = |seconds| {
        let mut sights = Sights::new(Limits::default(), seconds, 7);
        sights.configure([(id(1), "a")]);
        sights.see(&answer(watched(53), far(), 0));
        let first = sights.take(at(10));
        sights.see(&Sighting { verdict: Some(Verdict::confirmed(Class::Dns)), ..answer(watched(54), far(), 12) });
        sights.see(&answer((ip("10.0.0.2"), 53), far(), 12));
        [first, sights.take(at(20))]
    };
    let [first, second] = learn(Some(SignedDuration::from_secs(10)));
    assert!(first.hosts[0].initial && !first.services[0].new && first.events.is_empty());
    assert!(!second.hosts[0].initial && second.services.iter().all(|service| service.new));
    assert_eq!(names(&second), ["service_born", "newly_lit", "service_born"]);
    assert!(learn(None).iter().all(|taken| taken.events.is_empty() && taken.hosts[0].initial));
    let [first, _] = learn(Some(SignedDuration::ZERO));
    assert_eq!(names(&first), ["newly_lit", "newly_lit_prefix", "service_born"]);
}

#[test]
fn what_was_measured_counts_for_another_learning_time() {
    let mut sights = Sights::new(Limits::default(), Some(SignedDuration::from_secs(100)), 7);
    sights.configure([(id(1), "a")]);
    sights.see(&answer(watched(53), far(), 0));
    assert!(sights.take(at(10)).events.is_empty());
    sights.learn_for(Some(SignedDuration::from_secs(10)));
    sights.see(&answer(watched(54), far(), 12));
    assert_eq!(names(&sights.take(at(20))), ["service_born"]);
    sights.learn_for(None);
    sights.see(&answer(watched(55), far(), 22));
    assert!(sights.take(at(30)).events.is_empty());
}
