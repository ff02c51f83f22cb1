//! Where records go, and how much may wait for it.

mod clickhouse;
mod host;
mod ipfix;
mod jsonl;
mod kafka;

use std::{str::FromStr, time::Duration};

pub use self::{
    clickhouse::ClickHouse,
    host::{Host, Identity, Login, Tls},
    ipfix::{Additive, DEFAULT_ENTERPRISE, DEFAULT_MTU, Ipfix, MAX_DOMAIN, MAX_MTU, MIN_MTU, Transport},
    jsonl::Jsonl,
    kafka::{Kafka, MAX_BROKERS, Sasl},
};
pub(super) use self::{
    clickhouse::{CLICKHOUSE_SCHEMES, DEFAULT_DATABASE, Database},
    host::{Url, Username},
    jsonl::{DEFAULT_ENDPOINT, Endpoint},
    kafka::{DEFAULT_TOPIC, Topic},
};
use super::{Memory, Name, ValueError, values::in_days};
use crate::{cidr::quote, spool::Bounds};

/// Most exporters.
pub const MAX_EXPORTERS: usize = 16;
/// What the spool may take on disk unless the configuration says otherwise.
pub const DEFAULT_SPOOL_SIZE: Memory = Memory::mebibytes(4 << 10);
/// Least of that: a segment is a 64th.
pub const MIN_SPOOL_SIZE: Memory = Memory::mebibytes(16);
/// Most of that.
pub const MAX_SPOOL_SIZE: Memory = Memory::mebibytes(16 << 20);
/// How long anything waits in the spool unless the configuration says otherwise.
pub const DEFAULT_SPOOL_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Shortest of that.
pub const MIN_SPOOL_AGE: Duration = Duration::from_secs(60);
/// Longest of that.
pub const MAX_SPOOL_AGE: Duration = Duration::from_secs(366 * 24 * 3600);
/// Size from which on a file of JSON lines is rotated unless the configuration says otherwise.
pub const DEFAULT_ROTATE: Memory = Memory::mebibytes(256);
/// Least of that.
pub const MIN_ROTATE: Memory = Memory::mebibytes(1);
/// Most of that.
pub const MAX_ROTATE: Memory = Memory::mebibytes(1 << 20);
/// Older files of JSON lines that are kept unless the configuration says otherwise.
pub const DEFAULT_KEEP: u32 = 8;
/// Most of them.
pub const MAX_KEEP: u32 = 1000;

/// Somewhere records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporter {
    /// Its name: what its place in the spool is known by.
    pub name: Name,
    /// What it speaks, and to whom.
    pub target: Target,
}

/// What an exporter speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One JSON object a line, as `sensor run` prints them.
    Jsonl(Jsonl),
    /// IPFIX (RFC 7011).
    Ipfix(Ipfix),
    /// Messages of Apache Kafka.
    Kafka(Kafka),
    /// Tables of ClickHouse.
    ClickHouse(ClickHouse),
}

impl Target {
    /// Its `type`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Jsonl(_) => "jsonl",
            Self::Ipfix(_) => "ipfix",
            Self::Kafka(_) => "kafka",
            Self::ClickHouse(_) => "clickhouse",
        }
    }
}

/// How long anything waits in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpoolAge(pub(super) Duration);

impl FromStr for SpoolAge {
    type Err = ValueError;

    /// Reads a duration such as `7d`, of days of 24 hours.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let duration = in_days(text).and_then(|duration| Duration::try_from(duration).ok());
        let in_range = duration.filter(|age| (MIN_SPOOL_AGE..=MAX_SPOOL_AGE).contains(age));
        in_range.map(Self).ok_or_else(|| {
            ValueError::new(format!(
                "{} is no time that records may wait; write one from \"1m\" to \"366d\", such as \"7d\"",
                quote(text)
            ))
        })
    }
}

/// What the spool may hold unless the configuration says otherwise.
pub const DEFAULT_SPOOL: Bounds = Bounds { max_bytes: DEFAULT_SPOOL_SIZE.bytes(), max_age: DEFAULT_SPOOL_AGE };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let age = |text: &str| text.parse::<SpoolAge>().map(|age| age.0.as_secs()).map_err(|error| error.to_string());
        assert_eq!((age("7d"), age("1m"), age("36h")), (Ok(7 * 86_400), Ok(60), Ok(36 * 3600)));
        for text in ["", "7", "59s", "367d", "-1d", "soon"] {
            assert!(age(text).unwrap_err().contains("from \"1m\" to \"366d\""), "{text}");
        }
    }
}
