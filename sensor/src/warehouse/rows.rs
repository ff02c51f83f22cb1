//! Rows as ClickHouse answers them, an object of JSON each.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, de::Error as _};

/// A row of traffic.
#[derive(Deserialize)]
pub(super) struct TrafficRow {
    pub(super) begins: i64,
    pub(super) name: String,
    pub(super) evidence: String,
    pub(super) in_packets: i64,
    pub(super) in_bytes: i64,
    pub(super) out_packets: i64,
    pub(super) out_bytes: i64,
}

#[derive(Deserialize)]
pub(super) struct ActiveRow {
    pub(super) day: i32,
    pub(super) block: String,
    pub(super) bits: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct ServiceRow {
    pub(super) address: IpAddr,
    pub(super) port: u16,
    pub(super) protocol: u8,
    pub(super) class: String,
    pub(super) evidence: String,
    #[serde(deserialize_with = "moment")]
    pub(super) first: Timestamp,
    #[serde(deserialize_with = "moment")]
    pub(super) last: Timestamp,
    pub(super) days: Vec<i32>,
}

#[derive(Deserialize)]
pub(super) struct ClassHostRow {
    pub(super) class: String,
    pub(super) evidence: String,
    pub(super) address: IpAddr,
    #[serde(deserialize_with = "moment")]
    pub(super) first: Timestamp,
    #[serde(deserialize_with = "moment")]
    pub(super) last: Timestamp,
}

#[derive(Deserialize)]
pub(super) struct SpanRow {
    pub(super) sensor: String,
    #[serde(deserialize_with = "moment")]
    pub(super) begins: Timestamp,
    #[serde(deserialize_with = "moment")]
    pub(super) ends: Timestamp,
    pub(super) blind: u64,
    pub(super) coarse: u64,
    pub(super) epoch: String,
    pub(super) intervals: u64,
    pub(super) live: u8,
}

#[derive(Deserialize)]
pub(super) struct HeardRow {
    pub(super) flows: u64,
    pub(super) one_way_flows: u64,
    pub(super) asymmetric_flows: u64,
    pub(super) incomplete: u8,
}

#[derive(Deserialize)]
pub(super) struct CounterRow {
    pub(super) counter: String,
    pub(super) value: u64,
}

#[derive(Deserialize)]
pub(super) struct SystemRow {
    pub(super) name: String,
    pub(super) asn: u32,
    pub(super) as_name: String,
}

#[derive(Deserialize)]
pub(super) struct NameRow {
    pub(super) name: String,
}

#[derive(Deserialize)]
pub(super) struct DaysRow {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) rows: u64,
}

/// Milliseconds since 1970.
fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    Timestamp::from_millisecond(i64::deserialize(deserializer)?).map_err(D::Error::custom)
}
