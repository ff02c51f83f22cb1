//! All records of one run added up, and compared with what was sent.

#[path = "../support/networks.rs"]
pub(crate) mod networks;

use std::collections::BTreeMap;

use sensor::testing::truth::{Sum, Tally};
use serde_json::Value;

use self::networks::{ROW, SEEN, moves};

/// The kernel's `rx_bytes` of a veth with native XDP leaves it out.
pub(crate) const ETHERNET_HEADER: u64 = 14;

/// The sequence of totals whose place in the history nobody knows.
const OUT_OF_SEQUENCE: u64 = (1 << 53) - 1;

/// The sums over all intervals.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    /// By interface and side.
    pub(crate) ledgers: BTreeMap<(String, String), Ledger>,
    pub(crate) prefixes: BTreeMap<(String, String), Sum>,
    /// By name and direction, whatever the upstream and the class.
    pub(crate) networks: BTreeMap<(String, String), Sum>,
    moved: BTreeMap<(String, String), Sum>,
    /// By direction.
    pub(crate) unattributed: BTreeMap<String, Sum>,
    /// Sums of the prefixes of one epoch.
    pub(crate) epochs: BTreeMap<String, BTreeMap<(String, String), Sum>>,
    /// Records that were written more than once.
    pub(crate) repeated: usize,
}

/// Of one side of an interface.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    cells: BTreeMap<String, u64>,
    unparsed: BTreeMap<String, u64>,
    degraded: BTreeMap<String, u64>,
    nic: Option<(u64, u64)>,
}

impl Totals {
    /// Adds up what is left once records that were written again are taken for one, and checks that those were identical, and that
    /// the intervals of each epoch are one history without gaps.
    pub(crate) fn of(records: &[Value]) -> Self {
        let mut totals = Self::default();
        let mut unique: BTreeMap<String, &Value> = BTreeMap::new();
        let mut intervals: BTreeMap<(String, u64), (&Value, &Value)> = BTreeMap::new();
        for record in records {
            if SEEN.contains(&text(record, "record").as_str()) {
                continue;
            }
            let names = ["sensor", "epoch", "sequence", "record", "interface", "prefix", "network", "direction"];
            let names = names.into_iter().chain(ROW);
            let key = names.map(|name| record[name].to_string()).collect::<Vec<_>>().join(" ");
            if let Some(earlier) = unique.insert(key, record) {
                assert_eq!(earlier, record, "the same key, and another record");
                totals.repeated += 1;
                continue;
            }
            let (epoch, span) = (text(record, "epoch"), (&record["start"], &record["end"]));
            let earlier = intervals.insert((epoch.clone(), number(record, "sequence")), span);
            assert!(earlier.is_none_or(|earlier| earlier == span), "two spans of one interval: {earlier:?}, {record}");
            totals.add(epoch, record);
        }
        let in_sequence = || intervals.iter().filter(|((_, sequence), _)| *sequence != OUT_OF_SEQUENCE);
        let mut last: Option<(&String, &u64, &Value)> = None;
        for ((epoch, sequence), (start, end)) in in_sequence() {
            match last.filter(|(last, ..)| *last == epoch) {
                None => assert_eq!(*sequence, 0, "the first interval of {epoch}"),
                Some((_, last, last_end)) => {
                    assert_eq!((last + 1, last_end), (*sequence, *start), "a gap between intervals of {epoch}");
                }
            }
            last = Some((epoch, sequence, end));
        }
        let Self { networks, moved, .. } = &mut totals;
        moved.iter().for_each(|(key, moved)| networks.get_mut(key).unwrap().take(*moved));
        totals
    }

    fn add(&mut self, epoch: String, record: &Value) {
        let named = |name: &str| (text(record, name), text(record, "direction"));
        let add = |rows: &mut BTreeMap<_, Sum>, name| rows.entry(named(name)).or_default().add(sum(record));
        match text(record, "record").as_str() {
            "ledger" => self.ledgers.entry(named("interface")).or_default().add(record),
            "network" => {
                add(&mut self.networks, "network");
                self.moved.entry(named("network")).or_default().add(moves(record));
            }
            "prefix" => {
                add(&mut self.prefixes, "prefix");
                add(self.epochs.entry(epoch).or_default(), "prefix");
            }
            "unattributed" => {
                self.unattributed.entry(text(record, "direction")).or_default().add(sum(record));
            }
            kind => panic!("a record of an unknown kind: {kind}"),
        }
    }

    /// Packets of one direction over all prefixes.
    fn direction(&self, direction: &str) -> u64 {
        self.prefixes.iter().filter(|((_, other), _)| other == direction).map(|(_, sum)| sum.packets).sum()
    }

    /// The ledger of what an interface received.
    pub(crate) fn ledger(&self, interface: &str) -> &Ledger {
        self.side(interface, "rx")
    }

    /// The ledger of one side of an interface.
    pub(crate) fn side(&self, interface: &str, side: &str) -> &Ledger {
        let ledger = self.ledgers.get(&(interface.to_owned(), side.to_owned()));
        ledger.unwrap_or_else(|| panic!("no ledger of {interface} {side}: {:?}", self.ledgers.keys()))
    }

    /// The prefixes, against the truth of everything that was sent.
    pub(crate) fn check_prefixes(&self, truth: &Tally) {
        self.check_prefixes_but(truth, &[]);
        let cell = |name: &str| self.ledgers.values().map(|ledger| ledger.cell(name)).sum::<u64>();
        let both = cell("matched_both_packets");
        assert_eq!(self.direction("in"), cell("matched_dst_packets") + both);
        assert_eq!(self.direction("out"), cell("matched_src_packets") + both);
    }

    /// The prefixes but for some, which were not always counted.
    pub(crate) fn check_prefixes_but(&self, truth: &Tally, but: &[&str]) {
        let mut different = Vec::new();
        let mut keys: Vec<_> = self.prefixes.keys().chain(truth.prefixes.keys()).collect();
        keys.retain(|(prefix, _)| !but.contains(&prefix.as_str()));
        assert!(!keys.is_empty());
        keys.sort();
        keys.dedup();
        for key in keys {
            let (counted, sent) = (self.prefixes.get(key), truth.prefixes.get(key));
            if counted != sent {
                different.push(format!("{key:?}: counted {counted:?}, sent {sent:?}"));
            }
        }
        assert!(different.is_empty(), "{}", different.join("\n"));
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
        // An interval that began without an agent has no second witness.
        if let nic @ Value::Object(_) = &record["nic"] {
            let (packets, bytes) = self.nic.unwrap_or_default();
            self.nic = Some((packets + number(nic, "packets"), bytes + number(nic, "bytes")));
        }
    }

    fn cell(&self, name: &str) -> u64 {
        *self.cells.get(name).unwrap_or_else(|| panic!("no {name} in {:?}", self.cells))
    }

    /// Frames and their bytes, whatever they were counted as.
    pub(crate) fn check_seen(&self, truth: &Tally) {
        let seen = (self.seen(), self.cell("seen_frame_bytes"));
        assert_eq!(seen, (truth.seen.packets, truth.seen.frame_bytes), "the ledger, and what was sent");
        assert_eq!(self.unparsed, truth.unparsed, "the ledger, and what was sent");
    }

    /// Frames seen.
    pub(crate) fn seen(&self) -> u64 {
        self.cell("seen_packets")
    }

    /// Every cell against the truth, the identities, and the interface's own counters, whose bytes leave out so many of each frame.
    pub(crate) fn check(&self, truth: &Tally, left_out: u64) {
        self.check_cells(truth);
        let (packets, bytes) = self.nic.expect("the ledger has the interface's own counters");
        assert_eq!(packets, self.seen(), "packets of the interface, and of the ledger");
        assert_eq!(
            bytes + left_out * packets,
            self.cell("seen_frame_bytes"),
            "bytes of the interface, and of the ledger"
        );
    }

    /// Every cell against the truth, and the identities.
    pub(crate) fn check_cells(&self, truth: &Tally) {
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
