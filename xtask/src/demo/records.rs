//! What the sensor said so far, added up, and its table.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// An interval that the end cut shorter has no rate worth showing.
const SHORTEST: Duration = Duration::from_millis(1);

/// Packets, L3 bytes and frame bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) frame_bytes: u64,
}

/// Traffic of prefixes, by CIDR and direction.
pub(super) type Prefixes = BTreeMap<(String, String), Sum>;

/// All records so far.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) prefixes: Prefixes,
    /// What became of the frames: each is in exactly one of matched, other and unparsed.
    pub(super) seen_packets: u64,
    pub(super) seen_frame_bytes: u64,
    pub(super) matched: u64,
    pub(super) other: u64,
    pub(super) unparsed: BTreeMap<String, u64>,
    /// L3 bytes of the newest interval, by CIDR and direction.
    newest: BTreeMap<(String, String), u64>,
}

impl Sum {
    /// The three figures of a JSON object.
    pub(super) fn read(value: &Value) -> Result<Self> {
        let number = |name| number(value, name);
        Ok(Self { packets: number("packets")?, bytes: number("bytes")?, frame_bytes: number("frame_bytes")? })
    }

    /// Adds cell by cell.
    pub(super) fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.frame_bytes += other.frame_bytes;
    }
}

impl Totals {
    /// Takes one line of the sensor; true where it was the last of its interval.
    pub(super) fn take(&mut self, line: &str) -> Result<bool> {
        let record: Value = serde_json::from_str(line).with_context(|| format!("not a record: {line}"))?;
        match record["record"].as_str() {
            Some("prefix") => {
                let sum = Sum::read(&record)?;
                let key = key(&record)?;
                self.newest.insert(key.clone(), sum.bytes);
                self.prefixes.entry(key).or_default().add(sum);
                Ok(false)
            }
            // What the interface sends is written last. Only what it receives is compared: nothing else crosses the wire.
            Some("ledger") if record["direction"] == "tx" => Ok(true),
            Some("ledger") => {
                self.seen_packets += number(&record, "seen_packets")?;
                self.seen_frame_bytes += number(&record, "seen_frame_bytes")?;
                self.matched += number(&record, "matched_packets")?;
                self.other += number(&record, "other_packets")?;
                for (reason, packets) in record["unparsed"].as_object().into_iter().flatten() {
                    *self.unparsed.entry(reason.clone()).or_default() += packets.as_u64().unwrap_or_default();
                }
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// The table, 79 columns wide: traffic so far, and the rate of the newest interval, which was so long; the next one begins.
    pub(super) fn table(&mut self, interval: Duration) -> String {
        let seconds = interval.max(SHORTEST).as_secs_f64();
        let mut table = format!(
            "{:<19}{:>11}{:>11}{:>8}{:>12}{:>10}{:>8}\n",
            "prefix", "in packets", "bytes", "bit/s", "out packets", "bytes", "bit/s"
        );
        let mut prefixes: Vec<&String> = self.prefixes.keys().map(|(prefix, _)| prefix).collect();
        prefixes.dedup();
        for prefix in prefixes {
            let _ = write!(table, "{prefix:<19}");
            for direction in ["in", "out"] {
                let key = (prefix.clone(), direction.to_owned());
                let sum = self.prefixes.get(&key).copied().unwrap_or_default();
                let rate = self.newest.get(&key).copied().unwrap_or_default() as f64 * 8.0 / seconds;
                let _ = write!(table, "{:>11}{:>11}{:>8}", sum.packets, sum.bytes, bits(rate));
            }
            table.push('\n');
        }
        let unparsed: u64 = self.unparsed.values().sum();
        let _ = writeln!(
            table,
            "{} frames seen = {} matched + {} other + {unparsed} unparsed",
            self.seen_packets, self.matched, self.other
        );
        self.newest.clear();
        table
    }
}

/// CIDR and direction of a record.
pub(super) fn key(record: &Value) -> Result<(String, String)> {
    let text = |name| record[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {record}"));
    Ok((text("prefix")?, text("direction")?))
}

/// A whole number of a JSON object.
pub(super) fn number(record: &Value, name: &str) -> Result<u64> {
    record[name].as_u64().with_context(|| format!("no {name} in {record}"))
}

fn bits(rate: f64) -> String {
    if rate >= 1e6 { format!("{:.1} M", rate / 1e6) } else { format!("{:.1} k", rate / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFIX: &str = r#"{"record":"prefix","prefix":"192.0.2.0/24","direction":"in","packets":2,"bytes":250000,"frame_bytes":250028}"#;
    const LEDGER: &str = r#"{"record":"ledger","direction":"rx","seen_packets":5,"seen_frame_bytes":400000,"matched_packets":2,"other_packets":2,"unparsed":{"not_ip":1}}"#;

    #[test]
    fn intervals_add_up_and_the_rate_is_the_newest() {
        let mut totals = Totals::default();
        for _ in 0..2 {
            assert!(!totals.take(PREFIX).unwrap());
            assert!(!totals.take(LEDGER).unwrap());
            assert!(totals.take(&LEDGER.replace(r#""rx""#, r#""tx""#)).unwrap());
        }
        assert_eq!(totals.seen_frame_bytes, 800_000);
        let table = totals.table(Duration::from_secs(2));
        assert!(table.contains("500000"), "{table}");
        assert!(table.contains("1.0 M"), "{table}");
        assert!(table.ends_with("10 frames seen = 4 matched + 4 other + 2 unparsed\n"), "{table}");
        assert!(totals.take("{").is_err());
    }
}
