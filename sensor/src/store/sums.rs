//! What flows add to a store, as sums in memory. Pure.
//!
//! Nothing of it is told by minutes: a router says how much a flow had in all, and the busiest five minutes would be those in which long flows are taken to
//! have been even.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use sensor_ebpf::{
    abi::{Direction, NetworkId, PrefixId},
    class::Class,
};

use super::{
    MICROSECONDS,
    rows::{Rows, When, Zones, evidence_number},
    spread::Spread,
};
use crate::{
    flows::{Billed, Flow, Judge},
    study::{DAY, Dimension, QUARTER, Volume},
    summary::{Count, CounterpartRecord},
};

/// What is in a sum: of whom, by what, which of it, how sure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Total(NetworkId),
    /// An upstream by its place; `None`: nobody says which.
    Upstream(NetworkId, Option<usize>),
    Class(NetworkId, Class, i64),
    /// Far ends by what is known of them.
    Far(NetworkId, u32),
    Prefix(PrefixId, Option<NetworkId>),
}

/// What flows add up to.
pub(super) struct Sums<'a> {
    judge: &'a Judge,
    zones: &'a Zones,
    names: HashMap<NetworkId, Arc<str>>,
    /// By quarter of an hour: of far ends and prefixes any quarter of a day stands for it.
    quarters: HashMap<(Of, i64), Volume>,
    days: HashMap<(Of, i32), (i64, Volume)>,
    /// Days of networks by quarters of an hour.
    calendar: HashMap<(Option<NetworkId>, i64), i32>,
}

impl<'a> Sums<'a> {
    pub(super) fn new(judge: &'a Judge, zones: &'a Zones) -> Self {
        let names = judge.set.networks().map(|(network, name)| (network, name.into())).collect();
        Self { judge, zones, names, quarters: HashMap::new(), days: HashMap::new(), calendar: HashMap::new() }
    }

    /// Adds a flow, its counts multiplied; whether any end of it is counted.
    pub(super) fn add(&mut self, flow: &Flow, scale: u64) -> bool {
        let judge = self.judge;
        let mut is_counted = false;
        judge.bill(flow, &mut |billed| {
            is_counted = true;
            self.bill(flow, &billed, scale);
        });
        is_counted
    }

    fn bill(&mut self, flow: &Flow, billed: &Billed, scale: u64) {
        let Billed { prefix, network, direction, class, upstream, label, counts } = *billed;
        let scaled = |count: u64| count.saturating_mul(scale).min(i64::MAX as u64).cast_signed();
        let volume = Volume::of(direction, scaled(counts.packets), scaled(counts.bytes));
        // It is in each of its seconds alike, the first and the last included.
        let time = flow.first * MICROSECONDS..(flow.last + 1) * MICROSECONDS;
        for (quarter, part) in Spread::new(volume, time).steps(QUARTER) {
            let day = self.day(network, quarter);
            self.of_day(Of::Prefix(prefix, network), day, quarter, part);
            let Some(network) = network else { continue };
            let (class, evidence) = class.map_or((Class::Unknown, None), |(class, sure)| (class, Some(sure)));
            let kinds = [
                Of::Total(network),
                Of::Upstream(network, upstream),
                Of::Class(network, class, evidence_number(evidence)),
            ];
            for of in kinds {
                *self.quarters.entry((of, quarter)).or_default() += part;
                self.of_day(of, day, quarter, part);
            }
            if let Some(label) = label {
                self.of_day(Of::Far(network, label), day, quarter, part);
            }
        }
    }

    fn of_day(&mut self, of: Of, day: i32, quarter: i64, volume: Volume) {
        self.days.entry((of, day)).or_insert((quarter, Volume::default())).1 += volume;
    }

    /// The number of the day in the network's zone; of what is nobody's, of UTC.
    fn day(&mut self, network: Option<NetworkId>, quarter: i64) -> i32 {
        *self.calendar.entry((network, quarter)).or_insert_with(|| {
            let name = network.and_then(|network| self.names.get(&network));
            let at = Timestamp::from_second(quarter).unwrap_or_default();
            self.zones.day(name.map_or("", |name| name), at)
        })
    }

    /// What there is to add to a store, and nothing is left.
    pub(super) fn take(&mut self) -> Rows {
        let mut rows = Rows::default();
        self.calendar.clear();
        for ((of, quarter), volume) in std::mem::take(&mut self.quarters) {
            self.traffic(&mut rows, of, QUARTER, quarter, volume);
        }
        for ((of, day), (quarter, volume)) in std::mem::take(&mut self.days) {
            match of {
                Of::Prefix(prefix, network) => {
                    let network = network.and_then(|network| self.names.get(&network)).map(Arc::clone);
                    if let Some(meaning) = self.judge.set.get(prefix) {
                        *rows.prefixes.entry((day, meaning.cidr.to_string(), network)).or_default() += volume;
                    }
                }
                Of::Far(network, label) => self.far(&mut rows, network, label, quarter, volume),
                Of::Total(_) | Of::Upstream(..) | Of::Class(..) => {
                    self.traffic(&mut rows, of, DAY, day.into(), volume);
                }
            }
        }
        rows
    }

    fn traffic(&self, rows: &mut Rows, of: Of, step: i64, start: i64, volume: Volume) {
        let (network, dimension, name, evidence): (_, _, Arc<str>, _) = match of {
            Of::Total(network) => (network, Dimension::Total, "".into(), 0),
            Of::Class(network, class, evidence) => (network, Dimension::Class, class.name().into(), evidence),
            Of::Upstream(network, place) => {
                let upstream = place.and_then(|place| self.judge.upstream_at(place));
                let name: Arc<str> = upstream.map_or("", |upstream| upstream.name.as_str()).into();
                if let Some(asn) = upstream.and_then(|upstream| upstream.asn) {
                    rows.systems.insert(Arc::clone(&name), (asn, None));
                }
                (network, Dimension::Upstream, name, 0)
            }
            Of::Far(..) | Of::Prefix(..) => return,
        };
        let Some(network) = self.names.get(&network).map(Arc::clone) else { return };
        // The last byte of a flow may be none of a step: that is no traffic.
        if volume != Volume::default() {
            *rows.traffic.entry((network, dimension, step, start, name, evidence)).or_default() += volume;
        }
    }

    /// As records of counterparts go in.
    fn far(&self, rows: &mut Rows, network: NetworkId, label: u32, quarter: i64, volume: Volume) {
        let Some(name) = self.names.get(&network) else { return };
        let at = Timestamp::from_second(quarter).unwrap_or_default();
        for (direction, packets, bytes) in [
            (Direction::In, volume.in_packets, volume.in_bytes),
            (Direction::Out, volume.out_packets, volume.out_bytes),
        ] {
            let count = Count { packets: packets.cast_unsigned(), bytes: bytes.cast_unsigned(), ..Count::default() };
            if count != Count::default() {
                let record = CounterpartRecord::new(Arc::clone(name), direction, self.judge.far(label), count);
                rows.counterpart(&record, When::at(at), self.zones);
            }
        }
    }
}
