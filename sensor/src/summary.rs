//! What one interval amounted to: the records that go to operators and collectors. Pure.

mod class_host;
mod counterpart;
mod event;
mod flow;
mod host;
mod ledger;
mod names;
mod service;
#[cfg(test)]
mod tests;
mod watched;

use std::{
    collections::{HashMap, HashSet},
    fmt::Display,
    sync::Arc,
};

use sensor_ebpf::abi::{Counter, Direction, MAX_NETWORKS};
use serde::{Deserialize, Serialize, Serializer};

pub(crate) use self::host::{Bits, block_prefix, place};
pub use self::{
    class_host::ClassHostRecord,
    counterpart::CounterpartRecord,
    event::{Event, EventRecord, Fraction, Turn, Unusual},
    flow::FlowRecord,
    host::{AddressSet, HostRecord},
    ledger::{LedgerLabel, LedgerRecord, Lost, NicCount},
    service::ServiceRecord,
    watched::{Moved, NetworkRecord, Watched},
};

use crate::{
    cidr::Cidr,
    collect::{SparseReading, Totals},
    counterpart::Meanings,
    epoch::Epoch,
    interval::Interval,
    prefix::{Meaning, PrefixSet},
    sights::Taken,
};

/// The key that all records of an interval share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// Observation domain: `[sensor] id`.
    pub sensor: String,
    /// Which life of the counters.
    pub epoch: Epoch,
    /// Start of the interval, UTC.
    pub start: jiff::Timestamp,
    /// End of the interval, UTC, excluded.
    pub end: jiff::Timestamp,
    /// Number of the interval within the epoch, from 0.
    pub sequence: u64,
}

/// Packets and bytes as records show them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Packets on the wire.
    pub packets: u64,
    /// L3 bytes.
    pub bytes: u64,
    /// Frame bytes.
    pub frame_bytes: u64,
}

/// Traffic of one prefix, its more-specifics in the table excluded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PrefixRecord {
    /// CIDR.
    #[serde(serialize_with = "text")]
    pub prefix: Cidr,
    /// `in` or `out`.
    #[serde(serialize_with = "direction")]
    pub direction: Direction,
    /// The watched network that it bills.
    #[serde(serialize_with = "optional_name", skip_serializing_if = "Option::is_none")]
    pub network: Option<Arc<str>>,
    /// Traffic.
    #[serde(flatten)]
    pub count: Count,
}

/// Traffic of prefixes whose names are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UnattributedRecord {
    /// `in` or `out`.
    #[serde(serialize_with = "direction")]
    pub direction: Direction,
    /// Traffic; of counters of which nobody knows any more how much was reported before, all of it.
    #[serde(flatten)]
    pub count: Count,
}

/// All records of one interval.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Their key.
    pub key: Key,
    /// Networks with traffic.
    pub networks: Vec<NetworkRecord>,
    /// What networks exchanged with whom.
    pub counterparts: Vec<CounterpartRecord>,
    /// Prefixes with traffic.
    pub prefixes: Vec<PrefixRecord>,
    /// Traffic that nobody can name any more.
    pub unattributed: Vec<UnattributedRecord>,
    /// Watched addresses, for each network that was heard.
    pub hosts: Vec<HostRecord>,
    /// Watched services that answered.
    pub services: Vec<ServiceRecord>,
    /// Watched addresses that spoke suspicious classes.
    pub class_hosts: Vec<ClassHostRecord>,
    /// What happened.
    pub events: Vec<EventRecord>,
    /// Flows, of a replay that was asked for them, in its last summary.
    pub flows: Vec<FlowRecord>,
    /// One for each interface side.
    pub ledger: Vec<LedgerRecord>,
}

impl Summary {
    /// Names what was counted in an interval: `delta` under the ids of `set`, one label for each ledger to be shown, and what was
    /// `watched`, far ends by their `meanings`.
    pub fn new(
        key: Key,
        delta: &SparseReading,
        set: &PrefixSet,
        labels: &[LedgerLabel],
        watched: &Watched,
        meanings: &Meanings,
    ) -> Self {
        let mut names = vec![None; MAX_NETWORKS as usize + 1];
        for (network, name) in set.networks() {
            names[network.get() as usize] = Some(Arc::<str>::from(name));
        }
        let mut prefixes = Vec::new();
        for (id, direction, counter) in delta.prefixes() {
            let Some(Meaning { cidr, network, .. }) = set.get(id) else { continue };
            let network = network.and_then(|network| names[network.get() as usize].clone());
            prefixes.push(PrefixRecord { prefix: cidr, direction, network, count: counter.into() });
        }
        let retired: HashSet<Cidr> = set.retired().filter_map(|id| Some(set.get(id)?.cidr)).collect();
        if !retired.is_empty() {
            prefixes = merged(prefixes, &retired);
        }
        let rows = delta.ledger();
        let row = |label: &LedgerLabel| rows.get(label.slot as usize).copied().unwrap_or_default();
        let ledger = labels.iter().map(|label| LedgerRecord::new(&row(label), label)).collect();
        let Taken { hosts, services, class_hosts, events } = watched.taken.clone();
        Self {
            networks: watched::networks(watched, set),
            counterparts: counterpart::counterparts(&watched.counterparts, set, meanings),
            prefixes,
            hosts,
            services,
            class_hosts,
            events: [events, watched.events.clone()].concat(),
            ledger,
            ..Self::empty(key)
        }
    }

    /// Nothing but a key.
    pub fn empty(key: Key) -> Self {
        Self {
            key,
            networks: vec![],
            counterparts: vec![],
            prefixes: vec![],
            unattributed: vec![],
            hosts: vec![],
            services: vec![],
            class_hosts: vec![],
            events: vec![],
            flows: vec![],
            ledger: vec![],
        }
    }

    /// What is left of counters whose names are lost.
    pub fn of_unattributed(key: Key, totals: &Totals) -> Self {
        let record = |direction: Direction| UnattributedRecord { direction, count: totals[direction as usize].into() };
        Self { unattributed: Direction::ALL.map(record).into(), ..Self::empty(key) }
    }

    /// How many records there are.
    pub fn records(&self) -> usize {
        let Self {
            key: _,
            networks,
            counterparts,
            prefixes,
            unattributed,
            hosts,
            services,
            class_hosts,
            events,
            flows,
            ledger,
        } = self;
        let watched = networks.len() + counterparts.len() + hosts.len() + services.len() + class_hosts.len();
        watched + prefixes.len() + unattributed.len() + events.len() + flows.len() + ledger.len()
    }

    /// The span of the interval.
    pub fn interval(&self) -> Interval {
        Interval { start: self.key.start, end: self.key.end }
    }
}

impl Count {
    fn add(&mut self, other: Self) {
        self.packets = self.packets.wrapping_add(other.packets);
        self.bytes = self.bytes.wrapping_add(other.bytes);
        self.frame_bytes = self.frame_bytes.wrapping_add(other.frame_bytes);
    }
}

impl From<Counter> for Count {
    fn from(counter: Counter) -> Self {
        Self { packets: counter.packets, bytes: counter.bytes, frame_bytes: counter.frame_bytes }
    }
}

/// One record for each key. A prefix that another table counts for another reason, watched or not, has two ids for a while: one of them
/// is among the `retired`.
fn merged(records: Vec<PrefixRecord>, retired: &HashSet<Cidr>) -> Vec<PrefixRecord> {
    let mut places = HashMap::new();
    let mut merged: Vec<PrefixRecord> = Vec::with_capacity(records.len());
    for record in records {
        if !retired.contains(&record.prefix) {
            merged.push(record);
            continue;
        }
        let key = (record.prefix, record.direction, record.network.clone());
        match places.get(&key).and_then(|place: &usize| merged.get_mut(*place)) {
            Some(earlier) => earlier.count.add(record.count),
            None => {
                places.insert(key, merged.len());
                merged.push(record);
            }
        }
    }
    merged
}

fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn direction<S: Serializer>(direction: &Direction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(direction.name())
}

fn optional_name<S: Serializer>(name: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    name.as_deref().serialize(serializer)
}
