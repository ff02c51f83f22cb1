//! What must have been counted, from the truth of each frame and a table searched entry by entry.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Serialize;

use super::frames::{Frame, Packet, Truth};
use crate::cidr::Cidr;

/// Prefixes, and whose ports are looked at.
#[derive(Clone, Debug, Default)]
pub struct Table {
    watched: Vec<Cidr>,
    all: Vec<Cidr>,
}

/// Packets, L3 bytes and frame bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Sum {
    /// Packets.
    pub packets: u64,
    /// L3 bytes.
    pub bytes: u64,
    /// Frame bytes.
    pub frame_bytes: u64,
}

/// Everything that must have been counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All frames; `bytes` are the L3 bytes of those that have any.
    pub seen: Sum,
    /// The source alone is in the table.
    pub source_only: Sum,
    /// The destination alone is in the table.
    pub destination_only: Sum,
    /// Both are.
    pub both: Sum,
    /// Neither is.
    pub other: Sum,
    /// Frames by the reason why they have no countable IP header.
    pub unparsed: BTreeMap<String, u64>,
    /// Packets by what is wrong with them.
    pub degraded: BTreeMap<String, u64>,
    /// Packets by prefix and `in` or `out`.
    pub prefixes: BTreeMap<(String, String), Sum>,
}

impl Table {
    /// A table of watched prefixes and of such that are only counted; one may be both.
    pub fn new(watched: &[Cidr], counted: &[Cidr]) -> Self {
        Self { watched: watched.to_vec(), all: [watched, counted].concat() }
    }

    /// All prefixes.
    pub fn prefixes(&self) -> &[Cidr] {
        &self.all
    }

    /// The longest prefix that holds an address.
    fn longest(&self, address: IpAddr) -> Option<Cidr> {
        let holding = self.all.iter().filter(|cidr| holds(**cidr, address));
        holding.max_by_key(|cidr| cidr.prefix_len()).copied()
    }

    fn is_watched(&self, address: IpAddr) -> bool {
        self.watched.iter().any(|cidr| holds(*cidr, address))
    }
}

/// Whether the leading bits agree. Not the sensor's own comparison, which is under test.
fn holds(cidr: Cidr, address: IpAddr) -> bool {
    let (difference, len) = match (cidr.address(), address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u128::from(network.to_bits() ^ address.to_bits()) << 96, cidr.prefix_len())
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits() ^ address.to_bits(), cidr.prefix_len()),
        _ => return false,
    };
    (0..len).all(|bit| difference & (1 << (127 - bit)) == 0)
}

impl Sum {
    /// Adds cell by cell.
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.frame_bytes += other.frame_bytes;
    }

    /// Takes off cell by cell what was added before.
    pub fn take(&mut self, other: Self) {
        self.packets -= other.packets;
        self.bytes -= other.bytes;
        self.frame_bytes -= other.frame_bytes;
    }
}

impl Tally {
    /// Counts one frame.
    pub fn count(&mut self, table: &Table, frame: &Frame) {
        let frame_bytes = frame.bytes.len() as u64;
        match frame.truth {
            Truth::Packet(packet) => {
                let sum = Sum { packets: 1, bytes: packet.bytes, frame_bytes };
                self.seen.add(sum);
                self.book(table, &packet, sum);
            }
            Truth::Unparsed(reason) => {
                self.seen.add(Sum { packets: 1, bytes: 0, frame_bytes });
                *self.unparsed.entry(reason.to_owned()).or_default() += 1;
            }
        }
    }

    fn book(&mut self, table: &Table, packet: &Packet, sum: Sum) {
        let source = table.longest(packet.source);
        let destination = table.longest(packet.destination);
        for (prefix, direction) in [(source, "out"), (destination, "in")] {
            if let Some(prefix) = prefix {
                self.prefixes.entry((prefix.to_string(), direction.to_owned())).or_default().add(sum);
            }
        }
        let outcome = match (source, destination) {
            (Some(_), None) => &mut self.source_only,
            (None, Some(_)) => &mut self.destination_only,
            (Some(_), Some(_)) => &mut self.both,
            (None, None) => &mut self.other,
        };
        outcome.add(sum);
        let watched = table.is_watched(packet.source) || table.is_watched(packet.destination);
        let port_trouble = packet.port_trouble.filter(|_| watched);
        for trouble in [packet.length_trouble, port_trouble].into_iter().flatten() {
            *self.degraded.entry(trouble.to_owned()).or_default() += 1;
        }
    }

    /// Adds what another sender sent.
    pub fn add(&mut self, other: &Self) {
        self.seen.add(other.seen);
        self.source_only.add(other.source_only);
        self.destination_only.add(other.destination_only);
        self.both.add(other.both);
        self.other.add(other.other);
        for (reason, times) in &other.unparsed {
            *self.unparsed.entry(reason.clone()).or_default() += times;
        }
        for (reason, times) in &other.degraded {
            *self.degraded.entry(reason.clone()).or_default() += times;
        }
        for (key, sum) in &other.prefixes {
            self.prefixes.entry(key.clone()).or_default().add(*sum);
        }
    }

    /// Packets with an address in the table.
    pub fn matched(&self) -> Sum {
        let mut matched = self.source_only;
        matched.add(self.destination_only);
        matched.add(self.both);
        matched
    }

    /// Packets of all prefixes in one direction, `in` or `out`.
    pub fn direction(&self, direction: &str) -> Sum {
        let mut total = Sum::default();
        self.prefixes.iter().filter(|((_, other), _)| other == direction).for_each(|(_, sum)| total.add(*sum));
        total
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let parse = |text: &str| text.parse().unwrap();
        Table::new(&[parse("192.0.2.0/24")], &[parse("192.0.2.128/25"), parse("2001:db8::/32"), parse("0.0.0.0/0")])
    }

    fn packet(source: &str, destination: &str) -> Frame {
        let truth = Packet {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            bytes: 50,
            length_trouble: None,
            port_trouble: Some("later_fragment"),
        };
        Frame { bytes: vec![0; 64], truth: Truth::Packet(truth) }
    }

    #[test]
    fn the_longest_prefix_has_it() {
        let longest = |address: &str| table().longest(address.parse().unwrap()).map(|cidr| cidr.to_string());
        assert_eq!(longest("192.0.2.127").unwrap(), "192.0.2.0/24");
        assert_eq!(longest("192.0.2.128").unwrap(), "192.0.2.128/25");
        assert_eq!(longest("203.0.113.1").unwrap(), "0.0.0.0/0");
        assert_eq!(longest("2001:db8:ffff::").unwrap(), "2001:db8::/32");
        assert_eq!(longest("2001:db9::"), None);
        assert_eq!(longest("::192.0.2.1"), None);
    }

    #[test]
    fn a_packet_is_booked_once_and_billed_twice() {
        let mut tally = Tally::default();
        tally.count(&table(), &packet("192.0.2.1", "192.0.2.129"));
        tally.count(&table(), &packet("2001:db8::1", "2001:db9::1"));
        tally.count(&table(), &Frame { bytes: vec![0; 14], truth: Truth::Unparsed("truncated") });
        let one = Sum { packets: 1, bytes: 50, frame_bytes: 64 };
        assert_eq!((tally.both, tally.source_only), (one, one));
        assert_eq!(tally.seen, Sum { packets: 3, bytes: 100, frame_bytes: 142 });
        assert_eq!(tally.prefixes[&("192.0.2.128/25".to_owned(), "in".to_owned())], one);
        assert_eq!(tally.direction("out").packets, 2);
        assert_eq!(tally.degraded["later_fragment"], 1, "the second packet is not watched");
        let mut twice = tally.clone();
        twice.add(&tally);
        assert_eq!(twice.matched().packets, 4);
        assert_eq!(twice.unparsed["truncated"], 2);
    }
}
