//! The comparison at the end: what the generator sent, what the ledger saw, what the interface counted.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    records::{Prefixes, Sum, Totals, key, number},
    wire::Counters,
};

/// The kernel's `rx_bytes` of a veth with native XDP leaves out the Ethernet header.
const ETHERNET_HEADER_LEN: u64 = 14;

/// What the generator says it sent.
#[derive(Debug, Default)]
pub(super) struct Truth {
    sent: u64,
    frame_bytes: u64,
    unparsed: BTreeMap<String, u64>,
    prefixes: Prefixes,
}

/// The whole comparison as text, and whether nothing differs.
pub(super) struct Verdict {
    pub(super) text: String,
    pub(super) is_equal: bool,
}

impl Truth {
    /// Reads the line the generator ends with.
    pub(super) fn read(line: &str) -> Result<Self> {
        let truth: Value =
            serde_json::from_str(line).with_context(|| format!("not the sums of a generator: {line}"))?;
        let mut prefixes = Prefixes::new();
        for row in truth["prefixes"].as_array().into_iter().flatten() {
            prefixes.insert(key(row)?, Sum::read(row)?);
        }
        let unparsed = truth["unparsed"].as_object().into_iter().flatten();
        Ok(Self {
            sent: number(&truth, "sent")?,
            frame_bytes: Sum::read(&truth["seen"])?.frame_bytes,
            unparsed: unparsed.map(|(reason, times)| (reason.clone(), times.as_u64().unwrap_or_default())).collect(),
            prefixes,
        })
    }

    /// Frames the kernel took from the generator.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }
}

impl Verdict {
    /// Compares all three.
    pub(super) fn new(truth: &Truth, ledger: &Totals, interface: Counters) -> Self {
        let corrected = interface.bytes + ETHERNET_HEADER_LEN * interface.packets;
        let unparsed: u64 = ledger.unparsed.values().sum();
        let mut text = format!("{:<34}{:>12}{:>16}\n", "", "packets", "frame bytes");
        let mut row = |name: &str, packets: Option<u64>, bytes: u64| {
            let packets = packets.map(|packets| packets.to_string()).unwrap_or_default();
            let _ = writeln!(text, "{name:<34}{packets:>12}{bytes:>16}");
        };
        row("generator sent", Some(truth.sent), truth.frame_bytes);
        row("ledger saw", Some(ledger.seen_packets), ledger.seen_frame_bytes);
        row("interface counted (/proc/net/dev)", Some(interface.packets), interface.bytes);
        row("  + 14 x packets", None, corrected);
        let _ = writeln!(
            text,
            "  (with native XDP the kernel counts a veth's bytes without the 14 of each Ethernet header)\n\
             ledger: {} seen = {} matched + {} other + {unparsed} unparsed\n\
             unparsed: {}",
            ledger.seen_packets,
            ledger.matched,
            ledger.other,
            reasons(&ledger.unparsed)
        );

        let of_interface =
            [ledger.seen_packets.abs_diff(interface.packets), ledger.seen_frame_bytes.abs_diff(corrected)];
        let of_truth = [ledger.seen_packets.abs_diff(truth.sent), ledger.seen_frame_bytes.abs_diff(truth.frame_bytes)];
        let (of_prefixes, rows) = prefixes(truth, ledger, &mut text);
        let identity = ledger.matched + ledger.other + unparsed == ledger.seen_packets;
        if !identity {
            text += "the ledger does not add up: seen is not matched + other + unparsed\n";
        }
        if ledger.unparsed != truth.unparsed {
            let _ = writeln!(text, "unparsed frames differ: the generator sent {}", reasons(&truth.unparsed));
        }
        let mut difference = |of: &str, [packets, bytes]: [u64; 2]| {
            let _ = writeln!(text, "{packets} packets and {bytes} bytes of difference between {of}");
        };
        difference("ledger and interface counters", of_interface);
        difference("ledger and generator", of_truth);
        difference(&format!("counters of prefixes and generator, in {rows} rows"), of_prefixes);
        let nothing = [of_interface, of_truth, of_prefixes].iter().flatten().all(|difference| *difference == 0);
        let is_equal = nothing && identity && ledger.unparsed == truth.unparsed && ledger.seen_packets > 0 && rows > 0;
        Self { text, is_equal }
    }
}

/// Packets and L3 bytes that any prefix has too many or too few; each such row is written down.
fn prefixes(truth: &Truth, ledger: &Totals, text: &mut String) -> ([u64; 2], usize) {
    let mut keys: Vec<_> = truth.prefixes.keys().chain(ledger.prefixes.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut difference = [0, 0];
    for key in &keys {
        let sum = |prefixes: &Prefixes| prefixes.get(*key).copied().unwrap_or_default();
        let (sent, counted) = (sum(&truth.prefixes), sum(&ledger.prefixes));
        difference[0] += sent.packets.abs_diff(counted.packets);
        difference[1] += sent.bytes.abs_diff(counted.bytes) + sent.frame_bytes.abs_diff(counted.frame_bytes);
        if sent != counted {
            let _ = writeln!(text, "{} {}: counted {counted:?}, sent {sent:?}", key.0, key.1);
        }
    }
    (difference, keys.len())
}

fn reasons(unparsed: &BTreeMap<String, u64>) -> String {
    unparsed.iter().map(|(reason, times)| format!("{times} {reason}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: &str = r#"{"sent":3,"seen":{"packets":3,"bytes":50,"frame_bytes":180},"unparsed":{"not_ip":1},
        "prefixes":[{"prefix":"192.0.2.0/24","direction":"in","packets":1,"bytes":50,"frame_bytes":64}]}"#;
    const PREFIX: &str =
        r#"{"record":"prefix","prefix":"192.0.2.0/24","direction":"in","packets":1,"bytes":50,"frame_bytes":64}"#;
    const LEDGER: &str = r#"{"record":"ledger","direction":"rx","seen_packets":3,"seen_frame_bytes":180,"matched_packets":1,"other_packets":1,"unparsed":{"not_ip":1}}"#;

    fn verdict(lines: &[&str], interface: Counters) -> Verdict {
        let mut totals = Totals::default();
        for line in lines {
            totals.take(line).unwrap();
        }
        Verdict::new(&Truth::read(TRUTH).unwrap(), &totals, interface)
    }

    #[test]
    fn equal_with_the_correction() {
        let verdict = verdict(&[PREFIX, LEDGER], Counters { packets: 3, bytes: 180 - 3 * 14 });
        assert!(verdict.is_equal, "{}", verdict.text);
        assert!(verdict.text.contains("\n0 packets and 0 bytes of difference between ledger and interface counters\n"));
    }

    #[test]
    fn any_difference_is_one() {
        let right = Counters { packets: 3, bytes: 180 - 3 * 14 };
        let less = PREFIX.replace("50", "49");
        let reason = LEDGER.replace("not_ip", "truncated");
        let sum = LEDGER.replace(r#""other_packets":1"#, r#""other_packets":2"#);
        for (lines, interface) in [
            (vec![PREFIX, LEDGER], Counters { packets: 3, bytes: 180 }),
            (vec![PREFIX, LEDGER], Counters { packets: 2, ..right }),
            (vec![LEDGER], right),
            (vec![&less, LEDGER], right),
            (vec![PREFIX, &reason], right),
            (vec![PREFIX, &sum], right),
            (vec![PREFIX], right),
        ] {
            let verdict = verdict(&lines, interface);
            assert!(!verdict.is_equal, "{lines:?}: {}", verdict.text);
        }
    }
}
