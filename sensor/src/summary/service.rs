//! Watched addresses and ports that answer, as records.

use std::{net::IpAddr, sync::Arc};

use sensor_ebpf::class::{Class, Evidence, Family};
use serde::{Deserialize, Serialize};

use super::names;

/// A watched port that answered in the interval, with all that is known of it by its end. Counts are since the first answer: they only
/// grow, readers subtract.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRecord {
    /// Name of the watched network.
    #[serde(with = "names::network")]
    pub network: Arc<str>,
    /// Watched address.
    pub address: IpAddr,
    /// Its port, never 0.
    pub port: u16,
    /// Protocol number: 6 (TCP) or 17 (UDP).
    pub protocol: u8,
    /// The class that the surest of its flows have, of the surest the most; `unknown` where none was decided.
    #[serde(with = "names::class")]
    pub class: Class,
    /// What the class has in common with others.
    #[serde(with = "names::family")]
    pub family: Family,
    /// How sure the class is; nothing of an unknown one.
    #[serde(with = "names::some_evidence")]
    pub evidence: Option<Evidence>,
    /// The first answer: a SYN-ACK, or a datagram back.
    pub first: jiff::Timestamp,
    /// The last answer that was seen; of a flow that goes on, at least one a minute is.
    pub last: jiff::Timestamp,
    /// Flows that were answered.
    pub answers: u64,
    /// Different far addresses in them, an estimate with a standard error of 6.5 %.
    pub clients: u64,
    /// Whether it was born after the learning time; `false`: it may always have been there.
    pub new: bool,
}
