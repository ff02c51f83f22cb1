//! What a study asks for, of whoever keeps records: an embedded store, or a warehouse of a fleet.

use std::{
    collections::BTreeMap,
    fmt,
    net::IpAddr,
    ops::{AddAssign, Range},
    time::Duration,
};

use anyhow::Result;
use jiff::{Timestamp, tz::TimeZone};
use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence},
};

/// Seconds of the finest step, which only the sum of a network has.
pub const MINUTE: i64 = 60;
/// Seconds of the step that days of any zone are made of: all offsets since January 1972, Liberia's the last, are whole quarters of an hour.
pub const QUARTER: i64 = 900;
/// Between intervals of a running sensor nothing is missing but the time that reading its counters takes.
pub(crate) const SEAM: Duration = Duration::from_secs(1);
/// The step of days.
pub const DAY: i64 = 0;

/// What traffic of a network is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Dimension {
    /// Nothing.
    Total,
    /// The neighbour.
    Upstream,
    /// Its class, and how sure that is.
    Class,
    /// Country of the far end.
    Country,
    /// Autonomous system of the far end.
    System,
    /// List that the far end is on.
    List,
}

/// What may be kept less long than sums by day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// A network's total by the minute.
    Minutes,
    /// Its total, upstreams and classes by the quarter of an hour.
    Quarters,
    /// What was seen at its addresses, by day.
    Sights,
    /// Counters of frames of all interfaces, by the quarter of an hour.
    Ledger,
}

/// Packets and bytes in both directions; less than nothing where more turned out to be of another class than was of this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Packets to the network.
    pub in_packets: i64,
    /// L3 bytes to the network.
    pub in_bytes: i64,
    /// Packets from the network.
    pub out_packets: i64,
    /// L3 bytes from the network.
    pub out_bytes: i64,
}

impl Volume {
    const NOTHING: Self = Self { in_packets: 0, in_bytes: 0, out_packets: 0, out_bytes: 0 };

    pub(crate) const fn of(direction: Direction, packets: i64, bytes: i64) -> Self {
        match direction {
            Direction::In => Self { in_packets: packets, in_bytes: bytes, ..Self::NOTHING },
            Direction::Out => Self { out_packets: packets, out_bytes: bytes, ..Self::NOTHING },
        }
    }

    /// In both directions.
    pub const fn bytes(&self) -> i64 {
        self.in_bytes.saturating_add(self.out_bytes)
    }

    /// In both directions.
    pub const fn packets(&self) -> i64 {
        self.in_packets.saturating_add(self.out_packets)
    }
}

impl AddAssign for Volume {
    fn add_assign(&mut self, other: Self) {
        // Beyond that is a damaged file, which is to end no report with a panic.
        self.in_packets = self.in_packets.saturating_add(other.in_packets);
        self.in_bytes = self.in_bytes.saturating_add(other.in_bytes);
        self.out_packets = self.out_packets.saturating_add(other.out_packets);
        self.out_bytes = self.out_bytes.saturating_add(other.out_bytes);
    }
}

/// How flows of a network were heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Flows.
    pub flows: u64,
    /// Of these, those heard in one direction.
    pub one_way_flows: u64,
    /// Of these, those whose other direction runs elsewhere.
    pub asymmetric_flows: u64,
    /// There was no room for all addresses.
    pub incomplete: bool,
}

/// Traffic of one thing that a network's is told apart by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Beginning of the step: seconds since 1970, or the number of the day.
    pub start: i64,
    /// Upstream, class, country, system or list; of the sum nothing.
    pub name: String,
    /// Of a class: how sure it is.
    pub evidence: Option<Evidence>,
    /// What it had.
    pub volume: Volume,
}

/// Active addresses on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActiveBlock {
    /// The day.
    pub day: i32,
    /// A /24, or a /64.
    pub block: String,
    /// Of a /24, first address in the highest bit of the first byte.
    pub bits: [u8; 32],
}

/// Notes that an address of a /24 is active, by its last byte.
pub(crate) const fn mark(bits: &mut [u8; 32], last: u8) {
    bits[last as usize / 8] |= 0x80 >> (last % 8);
}

/// Whether an address of a /24 is active.
pub(crate) const fn is_marked(bits: &[u8; 32], last: u8) -> bool {
    bits[last as usize / 8] & (0x80 >> (last % 8)) != 0
}

/// A service, over some days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Watched address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// 6 (TCP) or 17 (UDP).
    pub protocol: u8,
    /// What it was found to be last.
    pub class: Class,
    /// How sure that is.
    pub evidence: Option<Evidence>,
    /// First answer ever.
    pub first: Timestamp,
    /// Last answer in these days.
    pub last: Timestamp,
    /// Days with answers.
    pub days: Vec<i32>,
}

/// A watched address that spoke a suspicious class, over some days.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassHost {
    /// The class.
    pub class: Class,
    /// How sure that is.
    pub evidence: Option<Evidence>,
    /// The address.
    pub address: IpAddr,
    /// First of its flows ever.
    pub first: Timestamp,
    /// Last of them in these days.
    pub last: Timestamp,
}

/// Time that a sensor measured without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The sensor.
    pub sensor: String,
    /// Beginning.
    pub start: Timestamp,
    /// End, excluded.
    pub end: Timestamp,
    /// How long of it nothing was attached, in milliseconds.
    pub blind_ms: u64,
    /// How long of it intervals were that are longer than a quarter of an hour, in milliseconds: of these nothing but sums is known.
    pub coarse_ms: u64,
    /// Of a capture, which does not say when somebody listened; nothing of a running sensor, nor of flows.
    pub capture: Option<Recorded>,
}

/// How a span of a capture is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Of which replay.
    pub epoch: String,
    /// How many intervals of it had frames.
    pub intervals: u64,
}

impl Span {
    /// Of that part of it or more nothing was attached: then it is a gap.
    const BLIND: f64 = 0.9;

    /// Whether next to nothing of it was measured.
    pub(super) fn is_blind(&self) -> bool {
        let length = self.end.duration_since(self.start).as_secs_f64();
        self.blind_ms > 0 && self.blind_ms as f64 / 1000.0 >= Self::BLIND * length
    }
}

/// How records came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A sensor counted each packet.
    Counted,
    /// Routers told of flows, of which they saw one packet in so many, at least 1.
    Flows(u32),
}

impl Method {
    /// Its name in stores.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Flows(_) => "flows",
        }
    }

    /// Of how many packets one was seen.
    pub const fn sampling(self) -> u32 {
        match self {
            Self::Counted => 1,
            Self::Flows(sampling) => sampling,
        }
    }

    /// The one of that name and sampling.
    pub fn named(name: &str, sampling: u32) -> Option<Self> {
        match name {
            "counted" => Some(Self::Counted),
            "flows" => (sampling > 0).then_some(Self::Flows(sampling)),
            _ => None,
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Counted => f.write_str(self.name()),
            Self::Flows(sampling) => write!(f, "{} 1:{sampling}", self.name()),
        }
    }
}

/// Numbers of autonomous systems, and what these are called.
pub type Systems = BTreeMap<String, (u32, Option<String>)>;

/// Who keeps records. Steps, days and times are half open.
pub trait Records {
    /// Watched networks that there are records of.
    ///
    /// # Errors
    /// They cannot be read; the same holds for all others.
    fn networks(&self) -> Result<Vec<String>>;

    /// First and last day of a network with traffic.
    fn days(&self, network: &str) -> Result<Option<(i32, i32)>>;

    /// What a network exchanged in steps that begin in a range, by a dimension: each part once a step.
    fn traffic(&self, network: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>>;

    /// The same summed over all of these steps: each part once, as if it began with the range. Whoever can add up without reading each step does that instead.
    fn sums(&self, network: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>> {
        let start = range.start;
        let mut sums: BTreeMap<(String, Option<Evidence>), Volume> = BTreeMap::new();
        for Part { name, evidence, volume, .. } in self.traffic(network, dimension, step, range)? {
            *sums.entry((name, evidence)).or_default() += volume;
        }
        Ok(sums.into_iter().map(|((name, evidence), volume)| Part { start, name, evidence, volume }).collect())
    }

    /// Beginning of the oldest record of a detail that is kept, in seconds since 1970, of sights the number of its day; `None`: there is none. Whoever makes steps
    /// of what they consist of when they are asked for has them all.
    fn since(&self, network: &str, detail: Detail) -> Result<Option<i64>> {
        let (_, _) = (network, detail);
        Ok(Some(i64::MIN))
    }

    /// The same of days in all, by how it is known; where nobody says so, it was counted.
    fn methods(&self, network: &str, range: Range<i64>) -> Result<BTreeMap<Method, Volume>> {
        let sum = self.sums(network, Dimension::Total, DAY, range)?;
        Ok(sum.into_iter().map(|part| (Method::Counted, part.volume)).collect())
    }

    /// Its active addresses.
    fn active(&self, network: &str, days: Range<i32>) -> Result<Vec<ActiveBlock>>;

    /// How its flows were heard.
    fn heard(&self, network: &str, days: Range<i32>) -> Result<Heard>;

    /// Its services.
    fn services(&self, network: &str, days: Range<i32>) -> Result<Vec<Service>>;

    /// Its addresses that spoke suspicious classes.
    fn class_hosts(&self, network: &str, days: Range<i32>) -> Result<Vec<ClassHost>>;

    /// When sensors measured, as far as that overlaps a time.
    fn spans(&self, time: Range<Timestamp>) -> Result<Vec<Span>>;

    /// Counters of all interface sides, summed over steps that begin in a time.
    fn ledger(&self, time: Range<Timestamp>) -> Result<BTreeMap<String, u64>>;

    /// Numbers of autonomous systems by the names of upstreams and systems, and what these are called.
    fn systems(&self) -> Result<Systems>;
}

/// A class by its name in records; one that this version does not know is unknown.
pub(crate) fn class(name: &str) -> Class {
    Class::named(name).unwrap_or(Class::Unknown)
}

/// The number of a day in a zone, from 1970-01-01.
pub fn day(at: Timestamp, zone: &TimeZone) -> i32 {
    let date = zone.to_datetime(at).date();
    date.since(jiff::civil::date(1970, 1, 1)).map_or(0, |span| span.get_days())
}
