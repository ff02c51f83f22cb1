//! What records add up to since the start of this process. Pure, and bounded: no traffic makes more series than it may.

use std::{collections::BTreeMap, sync::Arc};

use sensor_ebpf::{
    abi::{Degraded, Shed, Unparsed},
    class::Evidence,
};

use crate::{
    cidr::Cidr,
    summary::{Event, LedgerRecord, Lost, NetworkRecord, PrefixRecord, Summary},
};

/// Most label sets of networks; what comes beyond is added to one, all of whose labels are [`OTHER`].
pub(super) const MAX_NETWORK_SERIES: usize = 20_000;
/// Most label sets of prefixes, likewise.
pub(super) const MAX_PREFIX_SERIES: usize = 20_000;
/// Most kinds of losses, which name exporters; likewise.
pub(super) const MAX_LOSS_SERIES: usize = 200;
/// The label value of what there was no series for.
pub(super) const OTHER: &str = "other";

/// Sums by label sets, up to so many.
#[derive(Clone, Debug)]
pub(super) struct Bounded<K, V> {
    most: usize,
    rows: BTreeMap<K, V>,
    /// What there was no room for.
    other: Option<V>,
    /// How often there was none.
    pub(super) overflow: u64,
}

/// What tells series of networks apart; empty where a record says nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct NetworkLabels {
    pub(super) network: Arc<str>,
    pub(super) direction: &'static str,
    pub(super) upstream: Arc<str>,
    pub(super) class: &'static str,
    pub(super) family: &'static str,
    pub(super) evidence: &'static str,
}

/// What a network had, and what of it turned out to be of another class later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NetworkTotal {
    pub(super) packets: u64,
    pub(super) bytes: u64,
    pub(super) frame_bytes: u64,
    pub(super) moved_packets: u64,
    pub(super) moved_bytes: u64,
}

/// Packets and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Total {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

/// One side of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Side {
    /// Its bytes are frame bytes.
    pub(super) seen: Total,
    pub(super) matched: Total,
    pub(super) other: Total,
    pub(super) seen_before: Total,
    /// The interface's own counters, where they can be read.
    pub(super) nic: Option<Total>,
    pub(super) blind_ms: u64,
    pub(super) unparsed: BTreeMap<&'static str, u64>,
    pub(super) degraded: BTreeMap<&'static str, u64>,
    pub(super) shed: BTreeMap<&'static str, u64>,
    /// What never came to the program, as the interface says.
    pub(super) lost: BTreeMap<&'static str, u64>,
}

/// An interface, and which of its sides.
pub(super) type SideKey = (String, &'static str);

/// All sums.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    /// Intervals that were added.
    pub(super) intervals: u64,
    pub(super) networks: Bounded<NetworkLabels, NetworkTotal>,
    /// By prefix and direction; `None`: not wanted.
    pub(super) prefixes: Option<Bounded<(Cidr, &'static str), Total>>,
    /// By direction.
    pub(super) unattributed: BTreeMap<&'static str, Total>,
    /// Those that the configuration names, or named.
    pub(super) sides: BTreeMap<SideKey, Side>,
    /// Whether a program is attached, of the interfaces that the last interval told of.
    pub(super) attached: BTreeMap<SideKey, bool>,
    pub(super) events: BTreeMap<&'static str, u64>,
    pub(super) losses: Bounded<String, u64>,
}

impl<K: Ord, V: Default> Bounded<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { most, rows: BTreeMap::new(), other: None, overflow: 0 }
    }

    /// Where to add something: the row of that key, or the one for everything else.
    fn at(&mut self, key: K) -> &mut V {
        if self.rows.len() < self.most || self.rows.contains_key(&key) {
            return self.rows.entry(key).or_default();
        }
        self.overflow += 1;
        self.other.get_or_insert_default()
    }

    /// A row for that key, of nothing, as long as there is room.
    fn know(&mut self, key: K) {
        if self.rows.len() < self.most {
            self.rows.entry(key).or_default();
        }
    }

    /// All rows; `None` is the key of what there was no room for.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Option<&K>, &V)> {
        self.rows.iter().map(|(key, value)| (Some(key), value)).chain(self.other.iter().map(|value| (None, value)))
    }
}

impl NetworkLabels {
    fn of(record: &NetworkRecord) -> Self {
        Self {
            network: Arc::clone(&record.network),
            direction: record.direction.name(),
            upstream: record.upstream.clone().unwrap_or_default(),
            class: record.class.name(),
            family: record.family,
            evidence: record.evidence.map_or("", Evidence::name),
        }
    }
}

impl NetworkTotal {
    fn add(&mut self, record: &NetworkRecord) {
        grow(&mut self.packets, record.count.packets);
        grow(&mut self.bytes, record.count.bytes);
        grow(&mut self.frame_bytes, record.count.frame_bytes);
        grow(&mut self.moved_packets, record.moved.moved_packets);
        grow(&mut self.moved_bytes, record.moved.moved_bytes);
    }
}

impl Total {
    fn add(&mut self, packets: u64, bytes: u64) {
        grow(&mut self.packets, packets);
        grow(&mut self.bytes, bytes);
    }
}

impl Side {
    /// Of nothing, with every reason that the side can have: what happens rarely is seen to grow from 0.
    fn with_reasons(record: &LedgerRecord) -> Self {
        let is_received = record.direction == sensor_ebpf::abi::Side::Rx.name();
        Self {
            unparsed: Unparsed::ALL.map(|reason| (reason.name(), 0)).into(),
            degraded: Degraded::ALL.map(|reason| (reason.name(), 0)).into(),
            shed: Shed::ALL.map(|reason| (reason.name(), 0)).into(),
            lost: Lost::LIVE.iter().filter(|_| is_received).map(|reason| (reason.name(), 0)).collect(),
            ..Self::default()
        }
    }

    fn add(&mut self, record: &LedgerRecord) {
        self.seen.add(record.seen_packets, record.seen_frame_bytes);
        self.matched.add(record.matched_packets, record.matched_bytes);
        self.other.add(record.other_packets, record.other_bytes);
        self.seen_before.add(record.seen_before_packets, record.seen_before_bytes);
        if let Some(nic) = record.nic {
            self.nic.get_or_insert_default().add(nic.packets, nic.bytes);
        }
        grow(&mut self.blind_ms, record.blind_ms.unwrap_or_default());
        let reasons = [
            (&mut self.unparsed, &record.unparsed),
            (&mut self.degraded, &record.degraded),
            (&mut self.shed, &record.shed),
            (&mut self.lost, &record.lost),
        ];
        for (sums, reasons) in reasons {
            reasons.iter().for_each(|(reason, packets)| grow(sums.entry(*reason).or_default(), *packets));
        }
    }
}

impl Totals {
    pub(super) fn new(prefixes: bool) -> Self {
        Self {
            intervals: 0,
            networks: Bounded::new(MAX_NETWORK_SERIES),
            prefixes: prefixes.then(|| Bounded::new(MAX_PREFIX_SERIES)),
            unattributed: BTreeMap::new(),
            sides: BTreeMap::new(),
            attached: BTreeMap::new(),
            events: Event::NAMES.map(|name| (name, 0)).into(),
            losses: Bounded::new(MAX_LOSS_SERIES),
        }
    }

    /// Series of everything that records name, of nothing.
    pub(super) fn know(&mut self, summary: &Summary) {
        summary.networks.iter().for_each(|record| self.networks.know(NetworkLabels::of(record)));
        if let Some(prefixes) = &mut self.prefixes {
            summary.prefixes.iter().for_each(|record| prefixes.know(prefix_key(record)));
        }
        for record in &summary.ledger {
            self.sides.entry(side_key(record)).or_insert_with(|| Side::with_reasons(record));
        }
        self.attach(&summary.ledger);
    }

    /// Adds the records of an interval.
    pub(super) fn add(&mut self, summary: &Summary) {
        self.intervals += 1;
        for record in &summary.networks {
            self.networks.at(NetworkLabels::of(record)).add(record);
        }
        if let Some(prefixes) = &mut self.prefixes {
            for record in &summary.prefixes {
                prefixes.at(prefix_key(record)).add(record.count.packets, record.count.bytes);
            }
        }
        for record in &summary.unattributed {
            let total = self.unattributed.entry(record.direction.name()).or_default();
            total.add(record.count.packets, record.count.bytes);
        }
        for record in &summary.ledger {
            self.sides.entry(side_key(record)).or_insert_with(|| Side::with_reasons(record)).add(record);
        }
        self.attach(&summary.ledger);
        for record in &summary.events {
            *self.events.entry(record.event.name()).or_default() += 1;
            if let Event::Loss { what, count } = &record.event {
                grow(self.losses.at(what.clone()), *count);
            }
        }
    }

    /// Takes over which interfaces there are, where records of a running sensor say so; those of counters that are closed do not.
    fn attach(&mut self, ledger: &[LedgerRecord]) {
        let told: BTreeMap<SideKey, bool> =
            ledger.iter().filter_map(|record| Some((side_key(record), record.attached?))).collect();
        if !told.is_empty() {
            self.attached = told;
        }
    }
}

fn prefix_key(record: &PrefixRecord) -> (Cidr, &'static str) {
    (record.prefix, record.direction.name())
}

fn side_key(record: &LedgerRecord) -> SideKey {
    (record.interface.clone(), record.direction)
}

/// A counter never goes down, not even by running over.
fn grow(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}
