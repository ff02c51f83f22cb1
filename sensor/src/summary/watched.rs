//! What an interval says of watched networks: what they exchanged with whom and as what, as records.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use sensor_ebpf::{
    abi::{Counter, Direction, NetworkId},
    class::{Class, Evidence},
};
use serde::{Deserialize, Serialize};

use super::{Count, EventRecord, direction, names, text};
use crate::{
    prefix::PrefixSet,
    sights::Taken,
    upstream::{Neighbour, UpstreamName},
    watch::{FarChange, RowChange, RowId},
};

/// What neighbours are called for which there was no room.
const NO_ROOM: &str = "other";

/// Traffic of a watched network in one direction, of one class, exchanged with one upstream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NetworkRecord {
    /// Name.
    #[serde(serialize_with = "text")]
    pub network: Arc<str>,
    /// `in` or `out`.
    #[serde(serialize_with = "direction")]
    pub direction: Direction,
    /// Name of the neighbour, configured or learned; none where frames show none.
    #[serde(serialize_with = "super::optional_name", skip_serializing_if = "Option::is_none")]
    pub upstream: Option<Arc<str>>,
    /// Its configured AS number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_asn: Option<u32>,
    /// What it was; `unknown` where nobody knows, or not yet.
    #[serde(with = "names::class")]
    pub class: Class,
    /// What the class has in common with others.
    pub family: &'static str,
    /// How sure the class is; nothing of an unknown one.
    #[serde(with = "names::some_evidence", skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// Traffic, less what turned out to be of another class.
    #[serde(flatten)]
    pub count: Count,
    /// What turned out to be of another class, of intervals before: to be taken off what they told of this one.
    #[serde(flatten, skip_serializing_if = "Moved::is_nothing")]
    pub moved: Moved,
}

/// Packets and bytes that are to be subtracted from what was told before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Packets.
    pub moved_packets: u64,
    /// L3 bytes.
    pub moved_bytes: u64,
    /// Frame bytes.
    pub moved_frame_bytes: u64,
}

impl Moved {
    /// Whether there is nothing to be subtracted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Watched traffic of an interval, as it is committed: enough to tell the same once more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Rows that changed.
    pub rows: Vec<RowChange>,
    /// What the neighbours in them are called.
    pub upstreams: Vec<(Neighbour, UpstreamName)>,
    /// What was exchanged with far ends, by their labels.
    pub counterparts: Vec<FarChange>,
    /// Addresses, services, and what happened there.
    pub taken: Taken,
    /// What else happened.
    pub events: Vec<EventRecord>,
}

/// What tells records apart: the network, the direction, what the neighbour is called, and the number of a [`Kind`](sensor_ebpf::abi::Kind).
type Key = (NetworkId, Direction, Option<Arc<str>>, u32);

/// What the rows of one record add up to.
#[derive(Default)]
struct Sum {
    asn: Option<u32>,
    into: Counter,
    out: Counter,
}

/// The records of rows: one for each network, direction, upstream, class and evidence.
pub(super) fn networks(watched: &Watched, set: &PrefixSet) -> Vec<NetworkRecord> {
    let called: HashMap<Neighbour, &UpstreamName> =
        watched.upstreams.iter().map(|(neighbour, name)| (*neighbour, name)).collect();
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    for change in &watched.rows {
        let RowId { billed, kind } = change.id;
        let (upstream, asn) = match billed.neighbour {
            None => (Some(NO_ROOM.into()), None),
            // Captures without Ethernet.
            Some(Neighbour { mac: [0, 0, 0, 0, 0, 0], vlan: None, .. }) => (None, None),
            Some(neighbour) => {
                let name = called.get(&neighbour);
                (name.map(|name| Arc::clone(&name.name)), name.and_then(|name| name.asn))
            }
        };
        let sum = sums.entry((billed.network, billed.direction, upstream, kind.get())).or_default();
        sum.asn = sum.asn.or(asn);
        sum.into = sum.into.sum(&change.counted).sum(&change.into);
        sum.out = sum.out.sum(&change.out);
    }
    let record = |((network, direction, upstream, kind), sum): (Key, Sum)| {
        let verdict = sensor_ebpf::abi::Kind::from_number(kind).verdict();
        let class = verdict.map_or(Class::Unknown, |(class, _)| class);
        let (count, moved) = balance(&sum.into, &sum.out);
        let is_nothing = count == Count::default() && moved.is_nothing();
        let network = set.network(network).filter(|_| !is_nothing)?.into();
        Some(NetworkRecord {
            network,
            direction,
            upstream,
            upstream_asn: sum.asn,
            class,
            family: class.family().name(),
            evidence: verdict.map(|(_, evidence)| evidence),
            count,
            moved,
        })
    };
    sums.into_iter().filter_map(record).collect()
}

/// What came in less what went out, and where that is less than nothing, how much less.
fn balance(into: &Counter, out: &Counter) -> (Count, Moved) {
    let [packets, bytes, frame_bytes] =
        [(into.packets, out.packets), (into.bytes, out.bytes), (into.frame_bytes, out.frame_bytes)]
            .map(|(into, out)| (into.saturating_sub(out), out.saturating_sub(into)));
    let count = Count { packets: packets.0, bytes: bytes.0, frame_bytes: frame_bytes.0 };
    (count, Moved { moved_packets: packets.1, moved_bytes: bytes.1, moved_frame_bytes: frame_bytes.1 })
}

#[cfg(test)]
mod tests {
    use sensor_ebpf::abi::Kind;

    use super::*;
    use crate::{prefix::SetBuilder, watch::Billed};

    fn counter(packets: u64) -> Counter {
        Counter { packets, bytes: 100 * packets, frame_bytes: 114 * packets, reserved: 0 }
    }

    #[test]
    fn what_moves_is_taken_off_here_or_off_what_was_told_before() {
        let mut builder = SetBuilder::default();
        builder.watch("a", ["10.0.0.0/8".parse().unwrap()]).unwrap();
        let set = builder.build().unwrap();
        let network = NetworkId::new(1).unwrap();
        let neighbour = |last| Neighbour { interface: 0, mac: [2, 0, 0, 0, 0, last], vlan: None };
        let tls = Kind::new(Class::Tls, Evidence::Confirmed);
        let change = |last, kind, counted, into, out| RowChange {
            id: RowId { billed: Billed { network, direction: Direction::In, neighbour: Some(neighbour(last)) }, kind },
            counted: counter(counted),
            into: counter(into),
            out: counter(out),
        };
        let name = |name: &str, asn| UpstreamName { name: name.into(), asn, configured: true };
        let watched = Watched {
            rows: vec![
                change(1, Kind::UNDECIDED, 5, 0, 3),
                change(2, Kind::UNDECIDED, 1, 0, 9),
                change(1, tls, 2, 3, 0),
                // Two neighbours of one upstream.
                change(2, tls, 0, 9, 0),
                change(3, tls, 1, 0, 0),
                change(3, Kind::UNDECIDED, 4, 0, 4),
            ],
            upstreams: vec![
                (neighbour(1), name("one", None)),
                (neighbour(2), name("two", Some(64_500))),
                (neighbour(3), name("two", Some(64_500))),
            ],
            ..Watched::default()
        };
        let found: Vec<_> = networks(&watched, &set)
            .into_iter()
            .map(|record| {
                let upstream = record.upstream.as_deref().unwrap_or_default().to_owned();
                (upstream, record.class, record.count.packets, record.moved.moved_bytes, record.upstream_asn)
            })
            .collect();
        let expected = [
            ("one".to_owned(), Class::Unknown, 2, 0, None),
            ("one".to_owned(), Class::Tls, 5, 0, None),
            ("two".to_owned(), Class::Unknown, 0, 800, Some(64_500)),
            ("two".to_owned(), Class::Tls, 10, 0, Some(64_500)),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_was_moved_is_told_only_where_it_was() {
        let record = NetworkRecord {
            network: "a".into(),
            direction: Direction::Out,
            upstream: None,
            upstream_asn: None,
            class: Class::Unknown,
            family: "unknown",
            evidence: None,
            count: Count::default(),
            moved: Moved::default(),
        };
        let plain = r#"{"network":"a","direction":"out","class":"unknown","family":"unknown","packets":0,"bytes":0,"frame_bytes":0}"#;
        assert_eq!(serde_json::to_string(&record).unwrap(), plain);
        let moved = Moved { moved_packets: 1, moved_bytes: 2, moved_frame_bytes: 3 };
        let text = serde_json::to_string(&NetworkRecord { moved, ..record }).unwrap();
        assert!(
            text.ends_with(r#""frame_bytes":0,"moved_packets":1,"moved_bytes":2,"moved_frame_bytes":3}"#),
            "{text}"
        );
    }
}
