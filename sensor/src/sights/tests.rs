//! Packets, and what must be known after them.

mod floods;
mod histories;
mod model;
mod rules;

use super::*;

/// 2026, and some seconds.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + seconds).unwrap()
}

fn id(number: u32) -> NetworkId {
    NetworkId::new(number).unwrap()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// One network `a`, of which everything that is seen first is news.
fn sights(limits: Limits) -> Sights {
    let mut sights = Sights::new(limits, Some(SignedDuration::ZERO), 7);
    sights.configure([(id(1), "a")]);
    sights
}

/// The answer of a watched UDP port to a datagram from outside.
fn answer(watched: (IpAddr, u16), far: (IpAddr, u16), seconds: i64) -> Sighting {
    Sighting {
        network: id(1),
        watched,
        far,
        protocol: UDP,
        direction: Direction::Out,
        two_way: true,
        opened_by_watched: false,
        tcp_flags: None,
        payload_len: 100,
        verdict: None,
        at: at(seconds),
    }
}

/// A TCP segment of the watched end in a flow from outside that was heard both ways.
fn segment(watched: (IpAddr, u16), flags: u8, seconds: i64) -> Sighting {
    let far = (ip("198.51.100.1"), 40_000);
    Sighting { protocol: TCP, tcp_flags: Some(flags), payload_len: 0, ..answer(watched, far, seconds) }
}

fn newly_lit(taken: &Taken) -> Vec<IpAddr> {
    taken.hosts.iter().flat_map(|host| host.newly_lit.iter()).map(IpAddr::V4).collect()
}

fn names(taken: &Taken) -> Vec<&'static str> {
    taken.events.iter().map(|record| record.event.name()).collect()
}
