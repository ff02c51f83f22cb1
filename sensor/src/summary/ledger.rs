//! Every frame of an interface side by what became of it, and what never came.

use std::collections::BTreeMap;

use sensor_ebpf::abi::{Cell, Degraded, Matched, Outcome, Shed, Side, Unparsed};
use serde::{Deserialize, Serialize};

use crate::{collect::LedgerRow, config::Role};

/// Every frame of one interface side, by what became of it: seen = matched + other + seen_before + unparsed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LedgerRecord {
    /// Interface, or capture.
    pub interface: String,
    /// Side of the interface: `rx` or `tx`.
    pub direction: &'static str,
    /// `external` or `internal`; an internal interface bills no prefix. Of a running sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// Frames that the hook saw.
    pub seen_packets: u64,
    /// Their bytes, link header included.
    pub seen_frame_bytes: u64,
    /// Packets with an address in the table.
    pub matched_packets: u64,
    /// Their L3 bytes.
    pub matched_bytes: u64,
    /// Of the matched: those with the source alone in the table.
    pub matched_src_packets: u64,
    /// Of the matched: those with the destination alone in the table.
    pub matched_dst_packets: u64,
    /// Of the matched: those with both.
    pub matched_both_packets: u64,
    /// IP packets with no address in the table.
    pub other_packets: u64,
    /// Their L3 bytes.
    pub other_bytes: u64,
    /// IP packets that an external interface received, and billed there; their addresses were not looked up again.
    pub seen_before_packets: u64,
    /// Their L3 bytes.
    pub seen_before_bytes: u64,
    /// Frames without a countable IP header, by reason.
    pub unparsed: BTreeMap<&'static str, u64>,
    /// Packets counted with a reservation, by reason; not part of the sum.
    pub degraded: BTreeMap<&'static str, u64>,
    /// Watched packets that were counted and not looked into, told of or kept apart, by reason; not part of the sum.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub shed: BTreeMap<&'static str, u64>,
    /// Frames of a replay that the kernel could not be given and that the native twin counted, by reason.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub replay_fallback: BTreeMap<String, u64>,
    /// Whether the program is attached at the end of the interval, of a running sensor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attached: Option<bool>,
    /// For how long of the interval it was not, in milliseconds: nothing seen then means nothing known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blind_ms: Option<u64>,
    /// What the interface's own counters say of the same side and span.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nic: Option<NicCount>,
    /// Packets that never came to the program, as the interface or the capture tells, by the name of a [`Lost`]; not part of the sum.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub lost: BTreeMap<&'static str, u64>,
}

/// Growth of an interface's own counters (`rtnl_link_stats64` of `if_link.h`); what a byte is there depends on the driver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NicCount {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Why a packet never came to the program. In a journal by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Lost {
    /// The interface had no buffer for it: the host is slower than the network (`rx_missed_errors`, `if_link.h`).
    Missed,
    /// The interface's queue ran over; the two counters of that are used interchangeably (the greater of `rx_over_errors` and
    /// `rx_fifo_errors`).
    Overflow,
    /// It came damaged or of no valid length, and the interface gave it up (`rx_crc_errors`, `rx_frame_errors`, `rx_length_errors`).
    Damaged,
    /// The interface had no room when the capture was made (`isb_ifdrop`, draft-ietf-opsawg-pcapng section 4.6).
    IfDrop,
    /// The operating system had none (`isb_osdrop`).
    OsDrop,
}

impl Lost {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Missed, Self::Overflow, Self::Damaged, Self::IfDrop, Self::OsDrop];
    /// Those of a running sensor.
    pub const LIVE: [Self; 3] = [Self::Missed, Self::Overflow, Self::Damaged];

    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Missed => "missed",
            Self::Overflow => "overflow",
            Self::Damaged => "damaged",
            Self::IfDrop => "if_drop",
            Self::OsDrop => "os_drop",
        }
    }
}

/// An interface side as the ledger names it, and where its counters are.
///
/// In a journal the fields stand in this order, each as it always was: `lost` has the place that `replay_fallback` had, of which a running sensor has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerLabel {
    /// Which of the ledgers of a reading it is.
    pub slot: u32,
    /// Interface, or capture.
    pub interface: String,
    /// See [`LedgerRecord::role`].
    pub role: Option<Role>,
    /// See [`LedgerRecord::lost`].
    pub lost: BTreeMap<Lost, u64>,
    /// See [`LedgerRecord::attached`].
    pub attached: Option<bool>,
    /// See [`LedgerRecord::blind_ms`].
    pub blind_ms: Option<u64>,
    /// See [`LedgerRecord::nic`].
    pub nic: Option<NicCount>,
    /// See [`LedgerRecord::replay_fallback`].
    #[serde(skip)]
    pub replay_fallback: BTreeMap<String, u64>,
}

impl From<Lost> for &'static str {
    fn from(lost: Lost) -> Self {
        lost.name()
    }
}

impl TryFrom<String> for Lost {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let lost = Self::ALL.into_iter().find(|lost| lost.name() == name);
        lost.ok_or_else(|| format!("packets are not lost by {name:?}"))
    }
}

impl LedgerLabel {
    /// Slots alternate between the sides of an interface.
    fn side(&self) -> Side {
        Side::ALL[(self.slot % Side::COUNT) as usize]
    }
}

impl LedgerRecord {
    pub(super) fn new(row: &LedgerRow, label: &LedgerLabel) -> Self {
        let seen = row.seen();
        let matched = row.matched();
        let other = row.outcome(Outcome::Other);
        let seen_before = row.outcome(Outcome::SeenBefore);
        let matched_packets = |kind| row.outcome(Outcome::Matched(kind)).packets;
        let unparsed = Unparsed::ALL.map(|reason| (reason.name(), row.outcome(Outcome::Unparsed(reason)).packets));
        let degraded = Degraded::ALL.map(|reason| (reason.name(), row.degraded(reason).packets));
        let shed = Shed::ALL.map(|reason| (reason.name(), row.cell(Cell::shed(reason)).packets));
        Self {
            interface: label.interface.clone(),
            direction: label.side().name(),
            role: label.role.map(Role::name),
            seen_packets: seen.packets,
            seen_frame_bytes: seen.frame_bytes,
            matched_packets: matched.packets,
            matched_bytes: matched.bytes,
            matched_src_packets: matched_packets(Matched::Source),
            matched_dst_packets: matched_packets(Matched::Destination),
            matched_both_packets: matched_packets(Matched::Both),
            other_packets: other.packets,
            other_bytes: other.bytes,
            seen_before_packets: seen_before.packets,
            seen_before_bytes: seen_before.bytes,
            unparsed: non_zero(unparsed),
            degraded: non_zero(degraded),
            shed: non_zero(shed),
            replay_fallback: label.replay_fallback.clone(),
            attached: label.attached,
            blind_ms: label.blind_ms,
            nic: label.nic,
            lost: non_zero(label.lost.iter().map(|(reason, packets)| (reason.name(), *packets))),
        }
    }
}

fn non_zero(counts: impl IntoIterator<Item = (&'static str, u64)>) -> BTreeMap<&'static str, u64> {
    counts.into_iter().filter(|(_, packets)| *packets > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What stood in a journal before packets were known to be lost.
    #[derive(Serialize)]
    struct Before {
        slot: u32,
        interface: String,
        role: Option<Role>,
        replay_fallback: BTreeMap<String, u64>,
        attached: Option<bool>,
        blind_ms: Option<u64>,
        nic: Option<NicCount>,
    }

    #[test]
    fn a_journal_from_before_is_read() {
        let (role, nic) = (Some(Role::Internal), Some(NicCount { packets: 5, bytes: 6 }));
        let before = Before {
            slot: 3,
            interface: "eth9".to_owned(),
            role,
            replay_fallback: BTreeMap::new(),
            attached: Some(true),
            blind_ms: Some(4),
            nic,
        };
        let bytes = postcard::to_stdvec(&before).unwrap();
        let label: LedgerLabel = postcard::from_bytes(&bytes).unwrap();
        let expected = LedgerLabel {
            slot: 3,
            interface: "eth9".to_owned(),
            role,
            attached: Some(true),
            blind_ms: Some(4),
            nic,
            ..LedgerLabel::default()
        };
        assert_eq!(label, expected);
    }

    #[test]
    fn what_was_lost_comes_back_from_a_journal() {
        let lost = Lost::ALL.into_iter().zip(1..).collect();
        let label = LedgerLabel { lost, ..LedgerLabel::default() };
        let bytes = postcard::to_stdvec(&label).unwrap();
        assert_eq!(postcard::from_bytes::<LedgerLabel>(&bytes).unwrap(), label);
        let record = LedgerRecord::new(&LedgerRow::default(), &label);
        let names = [("missed", 1), ("overflow", 2), ("damaged", 3), ("if_drop", 4), ("os_drop", 5)];
        assert_eq!(record.lost, BTreeMap::from(names));
    }
}
