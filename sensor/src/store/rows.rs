//! What a summary adds to a store. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use jiff::{Timestamp, tz::TimeZone};
use sensor_ebpf::class::{Class, Evidence};

use super::{MICROSECONDS, spread::Spread};
use crate::{
    config::Network,
    study::{DAY, Dimension, Heard, MINUTE, QUARTER, UNATTRIBUTED_BYTES, UNATTRIBUTED_PACKETS, Volume, day, mark},
    summary::{
        ClassHostRecord, Count, CounterpartRecord, Event, EventRecord, Key, LedgerRecord, NetworkRecord, ServiceRecord,
        Summary, UnattributedRecord,
    },
};

/// What stands in place of an interface where a counter is none's.
const NO_INTERFACE: &str = "";

/// Of which network, by what, in which step, beginning when, which of it, how sure.
pub(super) type Place = (Arc<str>, Dimension, i64, i64, Arc<str>, i64);

/// What there is to add.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) traffic: BTreeMap<Place, Volume>,
    /// By day, prefix and network.
    pub(super) prefixes: BTreeMap<(i32, String, Option<Arc<str>>), Volume>,
    /// By network, day and block.
    pub(super) active: BTreeMap<(Arc<str>, i32, String), [u8; 32]>,
    pub(super) heard: BTreeMap<(Arc<str>, i32), Heard>,
    /// By beginning, interface, side and counter.
    pub(super) ledger: BTreeMap<(i64, String, &'static str, String), u64>,
    /// By network, day, address, port and protocol.
    pub(super) services: BTreeMap<(Arc<str>, i32, IpAddr, u16, u8), ServiceRecord>,
    /// By network, day, class, evidence and address.
    pub(super) class_hosts: BTreeMap<(Arc<str>, i32, Class, i64, IpAddr), ClassHostRecord>,
    /// When, of which interval, which of it.
    pub(super) events: Vec<(u64, usize, EventRecord)>,
    /// Numbers of upstreams and far ends by their names, and what these are called.
    pub(super) systems: BTreeMap<Arc<str>, (u32, Option<Arc<str>>)>,
}

/// The days of networks.
#[derive(Clone, Debug, Default)]
pub(super) struct Zones(BTreeMap<String, TimeZone>);

impl Zones {
    pub(super) fn of(networks: &[Network]) -> Self {
        Self(networks.iter().map(|network| (network.name.to_string(), network.timezone.clone())).collect())
    }

    /// The number of the day in the network's zone; of one that nobody knows, of UTC.
    pub(super) fn day(&self, network: &str, at: Timestamp) -> i32 {
        day(at, self.of_network(network))
    }

    /// The second at which the day after that of a moment begins.
    fn tomorrow(&self, network: &str, at: Timestamp) -> i64 {
        let zone = self.of_network(network);
        let next = zone.to_datetime(at).date().tomorrow().and_then(|date| date.to_zoned(zone.clone()));
        // There is none after the last day that can be told.
        next.map_or(i64::MAX, |next| next.timestamp().as_second())
    }

    fn of_network(&self, network: &str) -> &TimeZone {
        const UTC: &TimeZone = &TimeZone::UTC;
        self.0.get(network).unwrap_or(UTC)
    }
}

/// The number of evidence in a row; 0: none.
pub(super) fn evidence_number(evidence: Option<Evidence>) -> i64 {
    evidence.map_or(0, |evidence| evidence as i64 + 1)
}

/// When an interval was.
#[derive(Clone, Copy)]
pub(super) struct When {
    start: Timestamp,
    end: Timestamp,
}

impl When {
    pub(super) const fn of(key: &Key) -> Self {
        Self { start: key.start, end: key.end }
    }

    /// A moment.
    pub(super) const fn at(moment: Timestamp) -> Self {
        Self { start: moment, end: moment }
    }

    /// How long, in seconds.
    pub(super) fn seconds(self) -> i64 {
        self.end.duration_since(self.start).as_secs()
    }

    /// What came in it, by the steps that it covers. What is no longer than the finest of them is in the one in which it began.
    fn steps(self, volume: Volume, seconds: i64) -> impl Iterator<Item = (i64, Volume)> {
        let [start, end] = [self.start, self.end].map(Timestamp::as_microsecond);
        let is_short = end - start <= MINUTE * MICROSECONDS;
        let steps = Spread::new(volume, start..if is_short { start } else { end }).steps(seconds);
        // Of a few packets in a month most steps have none.
        steps.filter(move |(_, volume)| is_short || *volume != Volume::default())
    }

    /// The same by days of a network. They are made of its quarters of an hour, so that these add up to them.
    fn days(self, volume: Volume, network: &str, zones: &Zones) -> Vec<(i32, Volume)> {
        let mut days: Vec<(i32, Volume)> = Vec::new();
        let mut tomorrow = i64::MIN;
        for (start, volume) in self.steps(volume, QUARTER) {
            match days.last_mut() {
                Some((_, sum)) if start < tomorrow => *sum += volume,
                _ => {
                    // The first quarter began before the interval.
                    let begins = Timestamp::from_second(start).unwrap_or_default().max(self.start);
                    days.push((zones.day(network, begins), volume));
                    tomorrow = if self.seconds() > MINUTE { zones.tomorrow(network, begins) } else { i64::MAX };
                }
            }
        }
        days
    }
}

impl Rows {
    /// How many rows of traffic there are.
    pub(super) fn len(&self) -> usize {
        self.traffic.len()
    }

    /// Adds what goes into sums.
    pub(super) fn add(&mut self, summary: &Summary, zones: &Zones) {
        summary.networks.iter().for_each(|record| self.network(record, When::of(&summary.key), zones));
        self.others(summary, zones);
    }

    /// Adds what a network exchanged.
    pub(super) fn network(&mut self, record: &NetworkRecord, when: When, zones: &Zones) {
        let signed = |count: u64, moved: u64| count.cast_signed() - moved.cast_signed();
        let (Count { packets, bytes, .. }, moved) = (record.count, record.moved);
        let volume =
            Volume::of(record.direction, signed(packets, moved.moved_packets), signed(bytes, moved.moved_bytes));
        let none: Arc<str> = "".into();
        let upstream = record.upstream.as_ref().unwrap_or(&none);
        let parts = [
            (Dimension::Total, &none, 0),
            (Dimension::Upstream, upstream, 0),
            (Dimension::Class, &record.class.name().into(), evidence_number(record.evidence)),
        ];
        let mut add = |dimension, step, start, name: &Arc<str>, evidence, volume| {
            let place = (Arc::clone(&record.network), dimension, step, start, Arc::clone(name), evidence);
            *self.traffic.entry(place).or_default() += volume;
        };
        for (start, volume) in when.steps(volume, MINUTE) {
            add(Dimension::Total, MINUTE, start, &none, 0, volume);
        }
        let quarters = when.steps(volume, QUARTER).map(|(start, volume)| (QUARTER, start, volume));
        let days = when.days(volume, &record.network, zones).into_iter();
        for (step, start, volume) in quarters.chain(days.map(|(day, volume)| (DAY, day.into(), volume))) {
            for (dimension, name, evidence) in parts {
                add(dimension, step, start, name, evidence, volume);
            }
        }
        if let Some(asn) = record.upstream_asn {
            self.systems.insert(Arc::clone(upstream), (asn, None));
        }
    }

    /// Adds what else an interval has.
    pub(super) fn others(&mut self, summary: &Summary, zones: &Zones) {
        let when = When::of(&summary.key);
        let start = when.start;
        summary.counterparts.iter().for_each(|record| self.counterpart(record, when, zones));
        for record in &summary.prefixes {
            let Count { packets, bytes, .. } = record.count;
            let volume = Volume::of(record.direction, packets.cast_signed(), bytes.cast_signed());
            let network = record.network.as_deref().unwrap_or_default();
            for (day, volume) in when.days(volume, network, zones) {
                let place = (day, record.prefix.to_string(), record.network.clone());
                *self.prefixes.entry(place).or_default() += volume;
            }
        }
        for record in &summary.hosts {
            let day = zones.day(&record.network, start);
            let heard = self.heard.entry((Arc::clone(&record.network), day)).or_default();
            heard.flows += record.flows;
            heard.one_way_flows += record.one_way_flows;
            heard.asymmetric_flows += record.asymmetric_flows;
            heard.incomplete |= record.incomplete;
            for address in record.active.iter() {
                let [a, b, c, last] = address.octets();
                let block = format!("{}/24", Ipv4Addr::new(a, b, c, 0));
                let bits = self.active.entry((Arc::clone(&record.network), day, block)).or_default();
                mark(bits, last);
            }
            for prefix in &record.active_prefixes {
                self.active.entry((Arc::clone(&record.network), day, prefix.to_string())).or_default();
            }
        }
        for record in &summary.services {
            // The day of its last answer: the interval may have begun on the one before.
            let day = zones.day(&record.network, record.last);
            let place = (Arc::clone(&record.network), day, record.address, record.port, record.protocol);
            self.services.insert(place, record.clone());
        }
        for record in &summary.class_hosts {
            let day = zones.day(&record.network, record.last);
            let evidence = evidence_number(Some(record.evidence));
            let place = (Arc::clone(&record.network), day, record.class, evidence, record.address);
            self.class_hosts.insert(place, record.clone());
        }
        let events = summary.events.iter().cloned().enumerate();
        self.events.extend(events.map(|(place, event)| (summary.key.sequence, place, event)));
        summary.ledger.iter().for_each(|record| self.side(record, when));
        for record in &summary.events {
            if let Event::Loss { what, count } = &record.event {
                self.counter(NO_INTERFACE, "", &format!("loss.{what}"), *count, when);
            }
        }
        for UnattributedRecord { direction, count } in &summary.unattributed {
            for (counter, value) in [(UNATTRIBUTED_PACKETS, count.packets), (UNATTRIBUTED_BYTES, count.bytes)] {
                self.counter(NO_INTERFACE, direction.name(), counter, value, when);
            }
        }
    }

    /// Far ends are told apart by day alone: there are many of them.
    pub(super) fn counterpart(&mut self, record: &CounterpartRecord, when: When, zones: &Zones) {
        let Count { packets, bytes, .. } = record.count;
        let volume = Volume::of(record.direction, packets.cast_signed(), bytes.cast_signed());
        let days = when.days(volume, &record.network, zones);
        let mut add = |dimension, name: Arc<str>| {
            for (day, volume) in &days {
                let place = (Arc::clone(&record.network), dimension, DAY, i64::from(*day), Arc::clone(&name), 0);
                *self.traffic.entry(place).or_default() += *volume;
            }
        };
        let missing: Arc<str> = record.counterpart.unwrap_or(CounterpartRecord::UNKNOWN).into();
        let country = record.country.as_ref().and_then(|letters| std::str::from_utf8(letters).ok());
        add(Dimension::Country, country.map_or_else(|| Arc::clone(&missing), Arc::from));
        let system: Option<Arc<str>> = record.asn.map(|asn| format!("AS{asn}").into());
        add(Dimension::System, system.clone().unwrap_or(missing));
        record.list.iter().for_each(|list| add(Dimension::List, Arc::clone(list)));
        if let (Some(name), Some(asn)) = (system, record.asn) {
            self.systems.insert(name, (asn, record.as_name.clone()));
        }
    }

    fn side(&mut self, record: &LedgerRecord, when: When) {
        let mut add = |counter: &str, value| self.counter(&record.interface, record.direction, counter, value, when);
        for (counter, value) in [
            ("seen_packets", record.seen_packets),
            ("seen_frame_bytes", record.seen_frame_bytes),
            ("matched_packets", record.matched_packets),
            ("matched_bytes", record.matched_bytes),
            ("other_packets", record.other_packets),
            ("other_bytes", record.other_bytes),
            ("seen_before_packets", record.seen_before_packets),
            ("seen_before_bytes", record.seen_before_bytes),
            ("blind_ms", record.blind_ms.unwrap_or_default()),
        ] {
            add(counter, value);
        }
        let groups = [
            ("unparsed", &record.unparsed),
            ("degraded", &record.degraded),
            ("shed", &record.shed),
            ("lost", &record.lost),
        ];
        for (group, reasons) in groups {
            reasons.iter().for_each(|(reason, value)| add(&format!("{group}.{reason}"), *value));
        }
    }

    fn counter(&mut self, interface: &str, side: &'static str, counter: &str, value: u64, when: When) {
        if value > 0 {
            // One number is spread as any of a volume is.
            let value = Volume { in_packets: value.cast_signed(), ..Volume::default() };
            for (start, part) in when.steps(value, QUARTER) {
                let place = (start, interface.to_owned(), side, counter.to_owned());
                *self.ledger.entry(place).or_default() += part.in_packets.cast_unsigned();
            }
        }
    }
}
