//! Watched addresses that speak a suspicious class, as records.

use std::{net::IpAddr, sync::Arc};

use sensor_ebpf::class::{Class, Evidence, Family};
use serde::{Deserialize, Serialize};

use super::names;

/// A watched address that spoke a suspicious class in the interval, in flows heard both ways. One record for each evidence: flows that were only
/// guessed by port are never added to those that are sure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassHostRecord {
    /// Name of the watched network.
    #[serde(with = "names::network")]
    pub network: Arc<str>,
    /// Class.
    #[serde(with = "names::class")]
    pub class: Class,
    /// What the class has in common with others.
    #[serde(with = "names::family")]
    pub family: Family,
    /// How sure the class of these flows is.
    #[serde(with = "names::evidence")]
    pub evidence: Evidence,
    /// Watched address.
    pub address: IpAddr,
    /// Flows since the first; one that turned out to be something else is taken off again.
    pub flows: u64,
    /// When the class of the first of them became known.
    pub first: jiff::Timestamp,
    /// When the last of them was seen.
    pub last: jiff::Timestamp,
}
