//! What a summary adds to a store. Pure.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use jiff::{Timestamp, tz::TimeZone};
use sensor_ebpf::class::{Class, Evidence};

use crate::{
    config::Network,
    study::{DAY, Dimension, Heard, MINUTE, QUARTER, Volume, day, mark},
    summary::{ClassHostRecord, Count, CounterpartRecord, EventRecord, LedgerRecord, ServiceRecord, Summary},
};

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
        day(at, self.0.get(network).unwrap_or(&TimeZone::UTC))
    }
}

/// The number of evidence in a row; 0: none.
pub(super) fn evidence_number(evidence: Option<Evidence>) -> i64 {
    evidence.map_or(0, |evidence| evidence as i64 + 1)
}

/// The beginning of the step that holds a moment.
fn step(at: Timestamp, seconds: i64) -> i64 {
    at.as_second().div_euclid(seconds) * seconds
}

impl Rows {
    /// Adds what goes into sums. What is longer than a step is in the one in which it began.
    pub(super) fn add(&mut self, summary: &Summary, zones: &Zones) {
        let start = summary.key.start;
        for record in &summary.networks {
            let signed = |count: u64, moved: u64| count.cast_signed() - moved.cast_signed();
            let Count { packets, bytes, .. } = record.count;
            let volume = Volume::of(
                record.direction,
                signed(packets, record.moved.moved_packets),
                signed(bytes, record.moved.moved_bytes),
            );
            let day = i64::from(zones.day(&record.network, start));
            let mut add = |dimension, name: &Arc<str>, evidence| {
                let mut at = |step, start| {
                    let place = (Arc::clone(&record.network), dimension, step, start, Arc::clone(name), evidence);
                    *self.traffic.entry(place).or_default() += volume;
                };
                if dimension == Dimension::Total {
                    at(MINUTE, step(start, MINUTE));
                }
                at(QUARTER, step(start, QUARTER));
                at(DAY, day);
            };
            let none: Arc<str> = "".into();
            add(Dimension::Total, &none, 0);
            let upstream = record.upstream.as_ref().unwrap_or(&none);
            add(Dimension::Upstream, upstream, 0);
            add(Dimension::Class, &record.class.name().into(), evidence_number(record.evidence));
            if let Some(asn) = record.upstream_asn {
                self.systems.insert(Arc::clone(upstream), (asn, None));
            }
        }
        summary.counterparts.iter().for_each(|record| self.counterpart(record, start, zones));
        for record in &summary.prefixes {
            let day = zones.day(record.network.as_deref().unwrap_or_default(), start);
            let Count { packets, bytes, .. } = record.count;
            let place = (day, record.prefix.to_string(), record.network.clone());
            *self.prefixes.entry(place).or_default() +=
                Volume::of(record.direction, packets.cast_signed(), bytes.cast_signed());
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
        summary.ledger.iter().for_each(|record| self.side(record, step(start, QUARTER)));
    }

    /// Far ends are told apart by day alone: there are many of them.
    pub(super) fn counterpart(&mut self, record: &CounterpartRecord, start: Timestamp, zones: &Zones) {
        let Count { packets, bytes, .. } = record.count;
        let volume = Volume::of(record.direction, packets.cast_signed(), bytes.cast_signed());
        let day = i64::from(zones.day(&record.network, start));
        let mut add = |dimension, name: Arc<str>| {
            *self.traffic.entry((Arc::clone(&record.network), dimension, DAY, day, name, 0)).or_default() += volume;
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

    fn side(&mut self, record: &LedgerRecord, start: i64) {
        let mut add = |counter: String, value: u64| {
            if value > 0 {
                let place = (start, record.interface.clone(), record.direction, counter);
                *self.ledger.entry(place).or_default() += value;
            }
        };
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
            add(counter.to_owned(), value);
        }
        let groups = [("unparsed", &record.unparsed), ("degraded", &record.degraded), ("shed", &record.shed)];
        for (group, reasons) in groups {
            reasons.iter().for_each(|(reason, value)| add(format!("{group}.{reason}"), *value));
        }
    }
}
