//! All records of one run added up, and compared with what was sent.

use std::collections::BTreeMap;

use sensor::testing::truth::{Sum, Tally};
use serde_json::Value;

/// The kernel's `rx_bytes` of a veth with native XDP leaves it out.
pub(crate) const ETHERNET_HEADER: u64 = 14;

/// The sums over all intervals.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) ledgers: BTreeMap<String, Ledger>,
    pub(crate) prefixes: BTreeMap<(String, String), Sum>,
    pub(crate) networks: BTreeMap<(String, String), Sum>,
}

/// Of one interface.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    cells: BTreeMap<String, u64>,
    unparsed: BTreeMap<String, u64>,
    degraded: BTreeMap<String, u64>,
    nic: Option<(u64, u64)>,
}

impl Totals {
    /// Adds up, and checks that the intervals are one history without gaps.
    pub(crate) fn of(records: &[Value]) -> Self {
        let mut totals = Self::default();
        let mut last: Option<&Value> = None;
        for record in records {
            if let Some(last) = last.filter(|last| last["sequence"] != record["sequence"]) {
                assert_eq!(last["epoch"], record["epoch"]);
                assert_eq!(last["end"], record["start"]);
                assert_eq!(number(last, "sequence") + 1, number(record, "sequence"));
            }
            last = Some(record);
            match text(record, "record").as_str() {
                "ledger" => totals.ledgers.entry(text(record, "interface")).or_default().add(record),
                kind @ ("prefix" | "network") => {
                    let rows = if kind == "prefix" { &mut totals.prefixes } else { &mut totals.networks };
                    rows.entry((text(record, kind), text(record, "direction"))).or_default().add(sum(record));
                }
                kind => panic!("a record of an unknown kind: {kind}"),
            }
        }
        totals
    }

    /// Packets of one direction over all prefixes.
    fn direction(&self, direction: &str) -> u64 {
        self.prefixes.iter().filter(|((_, other), _)| other == direction).map(|(_, sum)| sum.packets).sum()
    }

    /// The ledger of one interface.
    pub(crate) fn ledger(&self, interface: &str) -> &Ledger {
        self.ledgers.get(interface).unwrap_or_else(|| panic!("no ledger of {interface}: {:?}", self.ledgers.keys()))
    }

    /// The prefixes, against the truth of everything that was sent.
    pub(crate) fn check_prefixes(&self, truth: &Tally) {
        let mut different = Vec::new();
        let mut keys: Vec<_> = self.prefixes.keys().chain(truth.prefixes.keys()).collect();
        keys.sort();
        keys.dedup();
        for key in keys {
            let (counted, sent) = (self.prefixes.get(key), truth.prefixes.get(key));
            if counted != sent {
                different.push(format!("{key:?}: counted {counted:?}, sent {sent:?}"));
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
        let cell = |name: &str| self.ledgers.values().map(|ledger| ledger.cell(name)).sum::<u64>();
        let both = cell("matched_both_packets");
        assert_eq!(self.direction("in"), cell("matched_dst_packets") + both);
        assert_eq!(self.direction("out"), cell("matched_src_packets") + both);
    }
}

impl Ledger {
    fn add(&mut self, record: &Value) {
        for (name, value) in record.as_object().unwrap() {
            if name.ends_with("_packets") || name.ends_with("_bytes") {
                *self.cells.entry(name.clone()).or_default() += value.as_u64().unwrap();
            }
        }
        for (reasons, name) in [(&mut self.unparsed, "unparsed"), (&mut self.degraded, "degraded")] {
            for (reason, packets) in record[name].as_object().unwrap() {
                *reasons.entry(reason.clone()).or_default() += packets.as_u64().unwrap();
            }
        }
        let nic = &record["nic"];
        let (packets, bytes) = self.nic.unwrap_or_default();
        self.nic = Some((packets + number(nic, "packets"), bytes + number(nic, "bytes")));
    }

    fn cell(&self, name: &str) -> u64 {
        *self.cells.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.cells))
    }

    /// Frames seen.
    pub(crate) fn seen(&self) -> u64 {
        self.cell("seen_packets")
    }

    /// Every cell against the truth, the identities, and the interface's own counters, whose bytes leave out so many of each frame.
    pub(crate) fn check(&self, truth: &Tally, left_out: u64) {
        let expected = [
            ("seen_packets", truth.seen.packets),
            ("seen_frame_bytes", truth.seen.frame_bytes),
            ("matched_packets", truth.matched().packets),
            ("matched_bytes", truth.matched().bytes),
            ("matched_src_packets", truth.source_only.packets),
            ("matched_dst_packets", truth.destination_only.packets),
            ("matched_both_packets", truth.both.packets),
            ("other_packets", truth.other.packets),
            ("other_bytes", truth.other.bytes),
            ("seen_before_packets", 0),
            ("seen_before_bytes", 0),
        ];
        let expected: BTreeMap<String, u64> = expected.map(|(name, value)| (name.to_owned(), value)).into();
        assert_eq!(self.cells, expected, "the ledger, and what was sent");
        assert_eq!(
            (&self.unparsed, &self.degraded),
            (&truth.unparsed, &truth.degraded),
            "the ledger, and what was sent"
        );

        let unparsed: u64 = self.unparsed.values().sum();
        assert_eq!(self.seen(), self.cell("matched_packets") + self.cell("other_packets") + unparsed);
        let matched =
            ["matched_src_packets", "matched_dst_packets", "matched_both_packets"].map(|name| self.cell(name));
        assert_eq!(self.cell("matched_packets"), matched.iter().sum::<u64>());

        let (packets, bytes) = self.nic.expect("the ledger has the interface's own counters");
        assert_eq!(packets, self.seen(), "packets of the interface, and of the ledger");
        assert_eq!(
            bytes + left_out * packets,
            self.cell("seen_frame_bytes"),
            "bytes of the interface, and of the ledger"
        );
    }
}

fn text(record: &Value, name: &str) -> String {
    record[name].as_str().unwrap_or_else(|| panic!("no {name} in {record}")).to_owned()
}

fn number(record: &Value, name: &str) -> u64 {
    record[name].as_u64().unwrap_or_else(|| panic!("no {name} in {record}"))
}

fn sum(record: &Value) -> Sum {
    let number = |name| number(record, name);
    Sum { packets: number("packets"), bytes: number("bytes"), frame_bytes: number("frame_bytes") }
}
