//! All records of one or several runs added up: each batch once, by its key, and each interface side for itself.

#[path = "networks.rs"]
mod networks;

use std::collections::{BTreeMap, BTreeSet};

use sensor::testing::truth::{Sum, Tally};
use serde_json::Value;

use self::networks::{ROW, SEEN, moves};

/// The sums over all intervals.
#[derive(Debug, Default)]
pub(crate) struct Books {
    /// By interface and side.
    ledgers: BTreeMap<(String, String), Ledger>,
    /// By CIDR and direction.
    pub(crate) prefixes: BTreeMap<(String, String), Sum>,
    /// By name and direction, whatever the upstream and the class.
    pub(crate) networks: BTreeMap<(String, String), Sum>,
}

/// Of one interface side.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    cells: BTreeMap<String, u64>,
    /// What the interface's own counters say, where each interval had them.
    pub(crate) nic: Option<u64>,
    /// Intervals without them.
    pub(crate) without_nic: u64,
    /// Intervals in which nothing was counted for a time.
    pub(crate) blind: u64,
}

impl Books {
    /// Adds up, and checks the identities of each record.
    pub(crate) fn of(records: &[Value]) -> Self {
        let mut books = Self::default();
        let mut known = BTreeSet::new();
        let mut moved = BTreeMap::<_, Sum>::new();
        for record in records {
            let kind = text(record, "record");
            if SEEN.contains(&kind.as_str()) {
                continue;
            }
            let name = text(record, if kind == "ledger" { "interface" } else { &kind });
            let (side, epoch) = (text(record, "direction"), text(record, "epoch"));
            // A batch that was perhaps not delivered comes again, the same.
            if !known.insert((
                epoch,
                number(record, "sequence"),
                kind.clone(),
                name.clone(),
                side.clone(),
                ROW.map(|name| record[name].to_string()),
            )) {
                continue;
            }
            match kind.as_str() {
                "ledger" => books.ledgers.entry((name, side)).or_default().add(record),
                "prefix" => books.prefixes.entry((name, side)).or_default().add(sum(record)),
                "network" => {
                    books.networks.entry((name.clone(), side.clone())).or_default().add(sum(record));
                    moved.entry((name, side)).or_default().add(moves(record));
                }
                kind => panic!("a record of an unknown kind: {kind}"),
            }
        }
        moved.iter().for_each(|(key, moved)| books.networks.get_mut(key).unwrap().take(*moved));
        for direction in ["in", "out"] {
            let billed = books.billed(direction);
            let matched = if direction == "in" { "matched_dst_packets" } else { "matched_src_packets" };
            let external = books.ledgers.values().filter(|ledger| ledger.cell("external") > 0);
            let matched = external.map(|ledger| ledger.cell(matched) + ledger.cell("matched_both_packets"));
            assert_eq!(billed, matched.sum::<u64>(), "prefixes {direction}, and what the ledgers say of them");
        }
        books
    }

    fn billed(&self, direction: &str) -> u64 {
        self.prefixes.iter().filter(|((_, other), _)| other == direction).map(|(_, sum)| sum.packets).sum()
    }

    /// The ledger of one side, `rx` or `tx`.
    pub(crate) fn ledger(&self, interface: &str, side: &str) -> &Ledger {
        let key = (interface.to_owned(), side.to_owned());
        self.ledgers.get(&key).unwrap_or_else(|| panic!("no ledger {key:?}: {:?}", self.ledgers.keys()))
    }

    /// Milliseconds that nothing was counted at an interface.
    pub(crate) fn blind_ms(&self, interface: &str) -> u64 {
        self.ledger(interface, "rx").cell("blind_ms")
    }

    /// The prefixes against the truth of everything that was to be billed.
    pub(crate) fn check_prefixes(&self, truth: &Tally) {
        let keys: BTreeSet<_> = self.prefixes.keys().chain(truth.prefixes.keys()).collect();
        let different: Vec<_> = keys
            .into_iter()
            .map(|key| (key, self.prefixes.get(key), truth.prefixes.get(key)))
            .filter(|(_, counted, sent)| counted != sent)
            .map(|(key, counted, sent)| format!("{key:?}: counted {counted:?}, sent {sent:?}"))
            .collect();
        assert!(different.is_empty(), "{}", different.join("\n"));
    }
}

impl Ledger {
    fn add(&mut self, record: &Value) {
        for (name, value) in record.as_object().unwrap() {
            if name.ends_with("_packets") || name.ends_with("_bytes") || name == "blind_ms" {
                *self.cells.entry(name.clone()).or_default() += value.as_u64().unwrap();
            }
        }
        let unparsed: u64 =
            record["unparsed"].as_object().unwrap().values().map(|packets| packets.as_u64().unwrap()).sum();
        *self.cells.entry("unparsed".to_owned()).or_default() += unparsed;
        *self.cells.entry("external".to_owned()).or_default() += u64::from(record["role"] == "external");
        let cell = |name| number(record, name);
        let outcomes = cell("matched_packets") + cell("other_packets") + cell("seen_before_packets") + unparsed;
        assert_eq!(cell("seen_packets"), outcomes, "{record}");
        let matched = ["matched_src_packets", "matched_dst_packets", "matched_both_packets"].map(cell);
        assert_eq!(cell("matched_packets"), matched.iter().sum::<u64>(), "{record}");
        match record["nic"]["packets"].as_u64() {
            Some(packets) => *self.nic.get_or_insert(0) += packets,
            None => self.without_nic += 1,
        }
        self.blind += u64::from(record["blind_ms"].as_u64() > Some(0));
    }

    /// A cell by its name in the records; `unparsed` of all reasons together.
    pub(crate) fn cell(&self, name: &str) -> u64 {
        self.cells.get(name).copied().unwrap_or_default()
    }

    /// Frames, and their bytes.
    pub(crate) fn seen(&self) -> (u64, u64) {
        (self.cell("seen_packets"), self.cell("seen_frame_bytes"))
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
