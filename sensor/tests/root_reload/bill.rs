//! What must be in the records: exactly, of packets that were under way under one table alone; within bounds, of those around a reload.

use std::collections::{BTreeMap, BTreeSet};

use sensor::testing::truth::Sum;
use serde_json::Value;

use crate::{
    table::{Booking, Model, steady_names},
    totals::networks::{ROW, SEEN, moves},
    wire::{ON_THEIR_WAY, Packet},
};

/// By prefix and network.
type Sums = BTreeMap<Booking, Sum>;

/// What was sent, and under which tables.
pub(crate) struct Bill {
    packets: Vec<Packet>,
    /// Up to which packet it is known.
    known: u64,
    /// The table in force.
    model: Model,
    /// What is certain.
    certain: Sums,
    /// What may be booked under one table or the other.
    either: Sums,
    sent: Sum,
}

impl Bill {
    /// Nothing was sent yet; this table is in force.
    pub(crate) fn new(packets: Vec<Packet>, model: Model) -> Self {
        let (certain, either) = (Sums::new(), Sums::new());
        Self { packets, known: 0, model, certain, either, sent: Sum::default() }
    }

    /// Nothing was under way when another table came into force; so many packets were sent before.
    pub(crate) fn at_rest(&mut self, sent: u64, next: Model) {
        self.pass(sent, None);
        self.model = next;
    }

    /// Another table came into force between two moments, by how many packets were sent then.
    pub(crate) fn between(&mut self, asked: u64, answered: u64, next: Model) {
        self.pass(asked.saturating_sub(ON_THEIR_WAY).max(self.known), None);
        self.pass(answered, Some(&next));
        self.model = next;
    }

    /// So many packets were sent by now, while the table was in force, or where there is an `other` either of them.
    fn pass(&mut self, upto: u64, other: Option<&Model>) {
        assert!(upto >= self.known, "{upto} {}", self.known);
        let count = self.packets.len() as u64;
        let (first, last) = (self.known, upto);
        for (place, packet) in (0..).zip(&self.packets) {
            // Of the packets numbered from `first` to `last`, those that are this one.
            let times = |upto: u64| upto / count + u64::from(upto % count > place);
            let sum = scaled(packet.sum, times(last) - times(first));
            if sum.packets == 0 {
                continue;
            }
            self.sent.add(sum);
            let one = self.model.booking(packet.target);
            let two = other.map_or_else(|| one.clone(), |other| other.booking(packet.target));
            if one == two {
                one.into_iter().for_each(|booking| self.certain.entry(booking).or_default().add(sum));
            } else {
                one.into_iter().chain(two).for_each(|booking| self.either.entry(booking).or_default().add(sum));
            }
        }
        self.known = upto;
    }

    /// The records of everything that was sent. Where nothing was ever under way around a reload, each sum must be exact.
    pub(crate) fn check(mut self, sent: u64, records: &[Value]) {
        self.pass(sent, None);
        let (prefixes, networks) = sums(records);
        let total: u64 = prefixes.values().map(|sum| sum.packets).sum();
        assert_eq!(
            ledgers(records),
            (self.sent.packets, total),
            "seen and matched, against what was sent and what was booked"
        );
        let keys: BTreeSet<&Booking> = self.certain.keys().chain(self.either.keys()).chain(prefixes.keys()).collect();
        let mut wrong = Vec::new();
        for key in keys {
            let of = |sums: &Sums| sums.get(key).copied().unwrap_or_default();
            let (counted, least, more) = (of(&prefixes), of(&self.certain), of(&self.either));
            let within = |part: fn(Sum) -> u64| (part(least)..=part(least) + part(more)).contains(&part(counted));
            if ![|sum: Sum| sum.packets, |sum: Sum| sum.bytes, |sum: Sum| sum.frame_bytes].into_iter().all(within) {
                wrong.push(format!("{key:?}: counted {counted:?}, must be {least:?} and up to {more:?} more"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        for name in steady_names() {
            let of = |sums: &Sums| {
                sums.iter().filter(|((prefix, _), _)| *prefix == name).map(|(_, sum)| *sum).collect::<Vec<_>>()
            };
            assert_eq!(of(&prefixes), of(&self.certain), "{name}, which no reload touches");
        }
        let mut billed: BTreeMap<&str, Sum> = BTreeMap::new();
        for ((_, network), sum) in &prefixes {
            network.iter().for_each(|network| billed.entry(network).or_default().add(*sum));
        }
        let networks: BTreeMap<&str, Sum> = networks.iter().map(|(name, sum)| (name.as_str(), *sum)).collect();
        assert_eq!(networks, billed, "networks, and their prefixes");
        let either: u64 = self.either.values().map(|sum| sum.packets).sum();
        println!("{} packets sent, {either} of them around a reload of their prefix", self.sent.packets);
    }

    /// How many packets were not certain.
    pub(crate) fn uncertain(&self) -> u64 {
        self.either.values().map(|sum| sum.packets).sum()
    }
}

/// Packets seen, and those with a destination in the table, by the ledgers of what was received.
fn ledgers(records: &[Value]) -> (u64, u64) {
    let mut known = BTreeSet::new();
    let ledgers = records.iter().filter(|record| record["record"] == "ledger" && record["direction"] == "rx");
    let ledgers =
        ledgers.filter(|record| known.insert(["epoch", "sequence", "interface"].map(|name| record[name].to_string())));
    ledgers.fold((0, 0), |(seen, matched), record| {
        let number = |name: &str| record[name].as_u64().unwrap();
        (seen + number("seen_packets"), matched + number("matched_dst_packets") + number("matched_both_packets"))
    })
}

fn scaled(sum: Sum, times: u64) -> Sum {
    Sum { packets: sum.packets * times, bytes: sum.bytes * times, frame_bytes: sum.frame_bytes * times }
}

/// Records added up, each once: prefixes by their network, and networks.
fn sums(records: &[Value]) -> (Sums, BTreeMap<String, Sum>) {
    let (mut prefixes, mut networks) = (Sums::new(), BTreeMap::<String, Sum>::new());
    let (mut known, mut moved) = (BTreeSet::new(), BTreeMap::<String, Sum>::new());
    for record in records {
        let text = |name: &str| record[name].as_str();
        let kind = text("record").unwrap();
        if kind == "ledger" || SEEN.contains(&kind) {
            continue;
        }
        let key = ["epoch", "sequence", "record", "prefix", "network", "direction"].into_iter().chain(ROW);
        if !known.insert(key.map(|name| record[name].to_string()).collect::<Vec<_>>()) {
            continue;
        }
        assert_eq!(text("direction"), Some("in"), "packets from nowhere: {record}");
        let number = |name: &str| record[name].as_u64().unwrap();
        let sum = Sum { packets: number("packets"), bytes: number("bytes"), frame_bytes: number("frame_bytes") };
        match kind {
            "prefix" => {
                let network = text("network").map(|name| {
                    *crate::table::NETWORKS.iter().chain([&crate::table::STEADY]).find(|known| **known == name).unwrap()
                });
                prefixes.entry((text("prefix").unwrap().to_owned(), network)).or_default().add(sum);
            }
            "network" => {
                let name = text("network").unwrap();
                networks.entry(name.to_owned()).or_default().add(sum);
                moved.entry(name.to_owned()).or_default().add(moves(record));
            }
            kind => panic!("a record of an unexpected kind: {kind}: {record}"),
        }
    }
    moved.iter().for_each(|(name, moved)| networks.get_mut(name).unwrap().take(*moved));
    (prefixes, networks)
}
