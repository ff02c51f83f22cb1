//! Records of several intervals as those of one. Pure.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    io::{self, Write},
};

use serde_json::{Map, Value};

/// Kinds of records that add up.
const ADDITIVE: [&str; 5] = ["network", "counterpart", "prefix", "unattributed", "ledger"];
/// Parts of the key that differ between intervals.
const START: &str = "start";
const END: &str = "end";
const SEQUENCE: &str = "sequence";
/// The first sequence that a merged record stands in place of.
const FIRST_SEQUENCE: &str = "first_sequence";
/// What is added up: numbers, and objects of numbers.
const SUMS: [&str; 25] = [
    "packets",
    "bytes",
    "frame_bytes",
    "moved_packets",
    "moved_bytes",
    "moved_frame_bytes",
    "seen_packets",
    "seen_frame_bytes",
    "matched_packets",
    "matched_bytes",
    "matched_src_packets",
    "matched_dst_packets",
    "matched_both_packets",
    "other_packets",
    "other_bytes",
    "seen_before_packets",
    "seen_before_bytes",
    "unparsed",
    "degraded",
    "shed",
    "replay_fallback",
    "lost",
    "blind_ms",
    NIC,
    ATTACHED,
];
/// What the interface says, of a span: without it for a part of that, it says nothing.
const NIC: &str = "nic";
/// How it is at the end.
const ATTACHED: &str = "attached";

/// Records that were added up, and lines that stay.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// By what they are about, as JSON: all of it but sums and what differs between intervals.
    sums: BTreeMap<String, Map<String, Value>>,
    /// In their order.
    others: Vec<u8>,
    key: Option<Key>,
}

/// What merged records share.
#[derive(Debug)]
struct Key {
    start: Value,
    end: Value,
    first_sequence: u64,
    sequence: u64,
}

impl Merged {
    /// Adds lines of an interval that follows; `None`: they are not understood.
    pub(super) fn add(&mut self, lines: &[u8]) -> Option<()> {
        lines.split_inclusive(|byte| *byte == b'\n').try_for_each(|line| self.add_line(line))
    }

    fn add_line(&mut self, line: &[u8]) -> Option<()> {
        let mut record: Map<String, Value> = serde_json::from_slice(line).ok()?;
        let kind = record.get("record")?.as_str()?;
        if !ADDITIVE.contains(&kind) {
            self.others.extend_from_slice(line);
            return Some(());
        }
        let sequence = record.remove(SEQUENCE)?.as_u64()?;
        let first_sequence = record.remove(FIRST_SEQUENCE).map_or(Some(sequence), |first| first.as_u64())?;
        let (start, end) = (record.remove(START)?, record.remove(END)?);
        let key = self.key.get_or_insert(Key { start, end: Value::Null, first_sequence, sequence });
        (key.end, key.sequence) = (end, sequence);
        let mut sums = Map::new();
        for name in SUMS {
            if let Some(value) = record.remove(name) {
                sums.insert(name.to_owned(), value);
            }
        }
        match self.sums.entry(serde_json::to_string(&record).ok()?) {
            Entry::Vacant(entry) => {
                entry.insert(sums);
            }
            Entry::Occupied(mut entry) => add(entry.get_mut(), sums)?,
        }
        Some(())
    }

    /// Writes all of it as lines.
    pub(super) fn write(self, to: &mut impl Write) -> io::Result<()> {
        if let Some(Key { start, end, first_sequence, sequence }) = self.key {
            for (about, sums) in self.sums {
                let mut record: Map<String, Value> = serde_json::from_str(&about)?;
                let sums = sums.into_iter().filter(|(_, value)| !value.is_null());
                record.extend(sums);
                record.insert(START.to_owned(), start.clone());
                record.insert(END.to_owned(), end.clone());
                record.insert(SEQUENCE.to_owned(), sequence.into());
                record.insert(FIRST_SEQUENCE.to_owned(), first_sequence.into());
                let mut line = serde_json::to_vec(&record)?;
                line.push(b'\n');
                to.write_all(&line)?;
            }
        }
        to.write_all(&self.others)
    }
}

/// Adds what a later record of the same says; `None`: it is of another shape.
fn add(sums: &mut Map<String, Value>, mut later: Map<String, Value>) -> Option<()> {
    if !(sums.contains_key(NIC) && later.contains_key(NIC)) && (sums.contains_key(NIC) || later.contains_key(NIC)) {
        // From here on it is known that it is not known.
        sums.insert(NIC.to_owned(), Value::Null);
        later.remove(NIC);
    }
    for (name, value) in later {
        match sums.entry(name.as_str()) {
            serde_json::map::Entry::Vacant(entry) => {
                entry.insert(value);
            }
            serde_json::map::Entry::Occupied(mut entry) if name == ATTACHED => *entry.get_mut() = value,
            serde_json::map::Entry::Occupied(mut entry) => match (entry.get_mut(), value) {
                (Value::Null, _) => {}
                (Value::Object(parts), Value::Object(more)) => add(parts, more)?,
                (sum, more) => *sum = sum.as_u64()?.checked_add(more.as_u64()?)?.into(),
            },
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(lines: &[&str]) -> Option<Vec<Value>> {
        let mut merged = Merged::default();
        lines.iter().try_for_each(|line| merged.add(format!("{line}\n").as_bytes()))?;
        let mut text = vec![];
        merged.write(&mut text).unwrap();
        Some(String::from_utf8(text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_adds_up_is_one_record_and_the_rest_stays() {
        let lines = [
            r#"{"record":"prefix","epoch":"e","start":"1","end":"2","sequence":1,"prefix":"p","direction":"in","packets":1,"bytes":20}"#,
            r#"{"record":"prefix","epoch":"e","start":"1","end":"2","sequence":1,"prefix":"q","direction":"in","packets":5,"bytes":50}"#,
            r#"{"record":"event","epoch":"e","start":"1","end":"2","sequence":1,"event":"newly_lit"}"#,
            r#"{"record":"prefix","epoch":"e","start":"2","end":"4","sequence":3,"first_sequence":2,"prefix":"p","direction":"in","packets":2,"bytes":30}"#,
            r#"{"record":"prefix","epoch":"e","start":"2","end":"4","sequence":3,"first_sequence":2,"prefix":"p","direction":"out","packets":4,"bytes":7}"#,
            r#"{"record":"network","epoch":"e","start":"2","end":"4","sequence":3,"network":"n","packets":0,"bytes":0,"moved_packets":9}"#,
        ];
        let expected = [
            r#"{"record":"prefix","epoch":"e","start":"1","end":"4","sequence":3,"first_sequence":1,"prefix":"p","direction":"in","packets":3,"bytes":50}"#,
            r#"{"record":"prefix","epoch":"e","start":"1","end":"4","sequence":3,"first_sequence":1,"prefix":"p","direction":"out","packets":4,"bytes":7}"#,
            r#"{"record":"prefix","epoch":"e","start":"1","end":"4","sequence":3,"first_sequence":1,"prefix":"q","direction":"in","packets":5,"bytes":50}"#,
            r#"{"record":"network","epoch":"e","start":"1","end":"4","sequence":3,"first_sequence":1,"network":"n","packets":0,"bytes":0,"moved_packets":9}"#,
        ];
        let mut records = merged(&lines).unwrap();
        assert_eq!(records.pop(), Some(value(lines[2])));
        records.sort_by_key(Value::to_string);
        let mut expected: Vec<Value> = expected.iter().map(|line| value(line)).collect();
        expected.sort_by_key(Value::to_string);
        assert_eq!(records, expected);
    }

    #[test]
    fn ledgers_add_up_by_reason_and_say_no_more_than_was_known() {
        let line = |sequence: u64, rest: &str| {
            format!(r#"{{"record":"ledger","start":"s","end":"e","sequence":{sequence},"interface":"x",{rest}}}"#)
        };
        let nic = r#""nic":{"packets":7,"bytes":70}"#;
        let all = [
            line(1, &format!(r#""seen_packets":3,"unparsed":{{"a":1}},"attached":true,{nic}"#)),
            line(2, &format!(r#""seen_packets":4,"unparsed":{{"a":2,"b":3}},"attached":false,"blind_ms":5,{nic}"#)),
        ];
        let record =
            |lines: &[String]| merged(&lines.iter().map(String::as_str).collect::<Vec<_>>()).unwrap().remove(0);
        let sum = record(&all);
        assert_eq!(sum["nic"], value(r#"{"packets":14,"bytes":140}"#));
        assert_eq!(sum["unparsed"], value(r#"{"a":3,"b":3}"#));
        assert_eq!((&sum["seen_packets"], &sum["attached"], &sum["blind_ms"]), (&7.into(), &false.into(), &5.into()));
        for at in 0..3 {
            let mut lines = vec![all[0].clone(), all[1].clone()];
            lines.insert(at, line(3, r#""seen_packets":1"#));
            assert_eq!(record(&lines).get("nic"), None, "{at}");
        }
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let number = r#"{"record":"prefix","start":"1","end":"2","sequence":1,"packets":18446744073709551615}"#;
        for lines in [&["x"][..], &["{}"], &[r#"{"record":"prefix"}"#], &[number, number]] {
            assert_eq!(merged(lines), None, "{lines:?}");
        }
    }
}
