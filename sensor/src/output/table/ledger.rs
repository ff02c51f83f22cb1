//! The ledger of an interface side as a line.

use std::{collections::BTreeMap, fmt::Display};

use crate::summary::LedgerRecord;

/// What happened to the frames of one interface side.
pub(super) fn line(ledger: &LedgerRecord) -> String {
    let mut parts = vec![format!("{} matched", ledger.matched_packets), format!("{} other", ledger.other_packets)];
    if ledger.seen_before_packets > 0 {
        parts.push(format!("{} seen before", ledger.seen_before_packets));
    }
    parts.extend(ledger.unparsed.iter().map(|(reason, packets)| format!("{packets} {reason}")));
    let mut line = format!(
        "{} {}: {} frames seen, {} bytes = {}",
        ledger.interface,
        ledger.direction,
        ledger.seen_packets,
        ledger.seen_frame_bytes,
        parts.join(" + ")
    );
    line += &remarks("degraded", &ledger.degraded);
    line += &remarks("of watched traffic not told", &ledger.shed);
    line += &remarks("counted by the native twin", &ledger.replay_fallback);
    line += &remarks("lost before they could be seen", &ledger.lost);
    if let Some(blind) = ledger.blind_ms.filter(|blind| *blind > 0) {
        line += &format!("; BLIND for {:.1} s", blind as f64 / 1e3);
    }
    if ledger.attached == Some(false) {
        line += "; NOT ATTACHED";
    }
    if let Some(nic) = ledger.nic {
        line += &format!("; the interface itself: {} packets, {} bytes", nic.packets, nic.bytes);
    }
    line
}

fn remarks<K: Display>(what: &str, counts: &BTreeMap<K, u64>) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let counts: Vec<String> = counts.iter().map(|(reason, packets)| format!("{packets} {reason}")).collect();
    format!("; {what}: {}", counts.join(", "))
}
