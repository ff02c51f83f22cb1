//! What collectors have in the end, against each other and against what was sent.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use sensor::testing::truth::Sum;
use serde_json::Value;

use crate::{agent::eventually, site::Site, traffic::Truth};

/// The key of a record about a prefix.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) epoch: String,
    pub(crate) sequence: u64,
    pub(crate) prefix: String,
    pub(crate) direction: String,
}

/// When intervals were first heard of: by epoch and sequence their end, and the moment.
#[derive(Debug, Default)]
pub(crate) struct Seen(BTreeMap<(String, u64), (Timestamp, Timestamp)>);

impl Seen {
    pub(crate) fn note(&mut self, key: &Key, end: Timestamp) {
        self.at((key.epoch.clone(), key.sequence), end);
    }

    pub(crate) fn note_line(&mut self, record: &Value) {
        let text = |name: &str| record[name].as_str().unwrap();
        self.at((text("epoch").to_owned(), record["sequence"].as_u64().unwrap()), text("end").parse().unwrap());
    }

    fn at(&mut self, key: (String, u64), end: Timestamp) {
        self.0.entry(key).or_insert_with(|| (end, Timestamp::now()));
    }

    /// The end of the last one.
    pub(crate) fn last_end(&self) -> Option<Timestamp> {
        self.0.values().map(|(end, _)| *end).max()
    }

    /// How many ended within that time, and the longest that one of them took to arrive.
    pub(crate) fn delay(&self, from: Timestamp, until: Timestamp) -> (usize, Duration) {
        let within = self.0.values().filter(|(end, _)| (from..until).contains(end));
        let delays: Vec<Duration> = within.map(|(end, at)| at.duration_since(*end).unsigned_abs()).collect();
        (delays.len(), delays.into_iter().max().unwrap_or_default())
    }
}

/// Everything is well, and everything was sent: waits until each collector has it, and compares.
pub(crate) fn check(site: &Site, truth: &Truth) {
    // Nothing is appended any more.
    let mut left = vec![];
    let all = eventually(|| {
        left = missing(site);
        left.is_empty()
    });
    assert!(all, "{} records that a collector has not, such as {:?}", left.len(), left.first());

    let (lines, rows) = rows(site);
    let prefixes = prefixes(&rows);
    let book = site.book.lock().unwrap();
    assert!(book.wrong.is_empty(), "{:#?}", book.wrong);
    let mut lost = 0;
    for (key, sum) in &prefixes {
        match book.prefixes.get(key) {
            Some(had) => assert_eq!(had, sum, "{key:?}: IPFIX, and ClickHouse"),
            None => lost += 1,
        }
    }
    let strange = book.prefixes.keys().find(|key| !prefixes.contains_key(*key));
    assert!(strange.is_none(), "IPFIX alone has {strange:?}");
    println!(
        "ipfix: {} records by their key, {} came again, {} sessions, {} were in sockets that died, {lost} of them never came again",
        book.prefixes.len(),
        book.repeated,
        book.sessions,
        book.unread.len()
    );
    assert_eq!(book.not_sent, 0, "records that the sensor says it could not send");

    let store = site.store.lock().unwrap();
    assert!(store.wrong.is_empty(), "{:#?}", store.wrong);
    println!(
        "clickhouse: {} records, {} in {} INSERTs came again and were known by their token",
        lines.len(),
        store.repeated.1,
        store.repeated.0
    );
    #[cfg(feature = "kafka")]
    {
        let (had, repeated) = site.kafka.had();
        println!("kafka: {} records, {repeated} came again", had.len());
        assert!(
            had.into_iter().collect::<std::collections::BTreeSet<_>>() == lines.iter().cloned().collect(),
            "Kafka, and ClickHouse"
        );
    }

    site.stage.keep(&rows);
    let totals = site.stage.check(&site.settings, truth);
    assert_eq!((totals.epochs.len(), totals.repeated), (1, 0), "one life of the counters, and tokens alone are enough");
    let losses = rows.iter().filter(|row| row["event"] == "loss");
    let losses: Vec<String> = losses.map(Value::to_string).collect();
    assert!(losses.is_empty(), "{losses:#?}");
    let tells = |message: &&String| {
        ["pieces before this one are lost", "not in the spool"].iter().any(|part| message.contains(part))
    };
    let said: Vec<&String> = site.messages.iter().filter(tells).collect();
    assert!(said.is_empty(), "{said:#?}");
}

/// The intervals that began and ended within one of these times, and how much longer than the second of the configuration one of them was. A tick that
/// is up to half a second late is not to be seen.
pub(crate) fn ticks(site: &Site, times: &[[Timestamp; 2]]) -> (usize, Duration) {
    let mut intervals = BTreeMap::new();
    for row in rows(site).1.iter().filter(|row| row["record"] == "ledger") {
        let [start, end] = ["start", "end"].map(|name| row[name].as_str().unwrap().parse::<Timestamp>().unwrap());
        if times.iter().any(|[from, until]| start >= *from && end <= *until) {
            let late = end.duration_since(start).unsigned_abs().saturating_sub(Duration::from_secs(1));
            intervals.insert(row["sequence"].as_u64().unwrap(), late);
        }
    }
    (intervals.len(), intervals.into_values().max().unwrap_or_default())
}

/// Records that ClickHouse has and another collector has not, but for those that it may lose.
fn missing(site: &Site) -> Vec<String> {
    let prefixes = prefixes(&rows(site).1);
    let book = site.book.lock().unwrap();
    let keys = prefixes.keys().filter(|key| !book.prefixes.contains_key(*key) && !book.unread.contains(*key));
    #[cfg_attr(not(feature = "kafka"), expect(unused_mut, reason = "there are more collectors with Kafka"))]
    let mut missing: Vec<String> = keys.map(|key| format!("{key:?}")).collect();
    #[cfg(feature = "kafka")]
    {
        let had: std::collections::BTreeSet<String> = site.kafka.had().0.into_iter().collect();
        missing.extend(rows(site).0.into_iter().filter(|line| !had.contains(line)));
    }
    missing
}

/// What ClickHouse has.
fn rows(site: &Site) -> (Vec<String>, Vec<Value>) {
    let lines = site.store.lock().unwrap().lines();
    let rows = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    (lines, rows)
}

fn prefixes(rows: &[Value]) -> BTreeMap<Key, Sum> {
    let mut sums = BTreeMap::new();
    for row in rows.iter().filter(|row| row["record"] == "prefix") {
        let (text, number) =
            (|name: &str| row[name].as_str().unwrap().to_owned(), |name: &str| row[name].as_u64().unwrap());
        let key = Key {
            epoch: text("epoch"),
            sequence: number("sequence"),
            prefix: text("prefix"),
            direction: text("direction"),
        };
        let sum = Sum { packets: number("packets"), bytes: number("bytes"), frame_bytes: number("frame_bytes") };
        assert_eq!(sums.insert(key, sum), None, "twice: {row}");
    }
    sums
}
