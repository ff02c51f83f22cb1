//! What was billed, by network, direction, neighbour and kind, and by label of the far end: what the rows of the programs say, and what changes in between.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use sensor_ebpf::abi::{self, Counter, Direction, Kind, LabelKey, NetworkId, RowKey};
use serde::{Deserialize, Serialize};

use super::{FarChange, Rows};
use crate::{summary::Watched, upstream::Neighbour};

/// Whose packets: of a network and direction, exchanged with a neighbour; `None`: it found no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Billed {
    /// The watched network.
    pub network: NetworkId,
    /// Whether packets went in or out.
    pub direction: Direction,
    /// The neighbour.
    pub neighbour: Option<Neighbour>,
}

/// What a row counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "WireId", into = "WireId")]
pub struct RowId {
    /// Whose packets.
    pub billed: Billed,
    /// What they are.
    pub kind: Kind,
}

/// How much a row changed in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowChange {
    /// Which row.
    pub id: RowId,
    /// What programs counted in it.
    #[serde(with = "counter")]
    pub counted: Counter,
    /// What came into it from others, because it turned out to be of this kind.
    #[serde(with = "counter")]
    pub into: Counter,
    /// What left it for others.
    #[serde(with = "counter")]
    pub out: Counter,
}

/// Everything that was billed up to some moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breakdown {
    rows: BTreeMap<RowId, Counter>,
    counterparts: BTreeMap<LabelKey, Counter>,
}

const NOTHING: Counter = Counter { packets: 0, bytes: 0, frame_bytes: 0, reserved: 0 };

impl RowChange {
    /// A row that did not change.
    pub(super) const fn none(id: RowId) -> Self {
        Self::counted(id, NOTHING)
    }

    /// A row in which programs counted something.
    pub const fn counted(id: RowId, counted: Counter) -> Self {
        Self { id, counted, into: NOTHING, out: NOTHING }
    }
}

impl Billed {
    /// What a key of a slice says.
    pub(super) fn of_key(key: RowKey, slice: u32, memory: &(impl Rows + ?Sized)) -> Option<Self> {
        let neighbour = memory.neighbour(slice, key.neighbour()).and_then(|neighbour| neighbour.try_into().ok());
        Some(Self { network: key.network()?, direction: key.direction(), neighbour })
    }
}

impl TryFrom<abi::Neighbour> for Neighbour {
    type Error = anyhow::Error;

    fn try_from(neighbour: abi::Neighbour) -> Result<Self> {
        let interface = neighbour.interface().context("a free entry is no neighbour")?;
        Ok(Self { interface, mac: neighbour.mac(), vlan: neighbour.vlan() })
    }
}

impl Breakdown {
    /// What the rows of all slices add up to.
    pub fn read(memory: &(impl Rows + ?Sized)) -> Self {
        let mut breakdown = Self::default();
        for slice in 0..memory.slices() {
            memory.rows(slice, &mut |row| {
                // A row whose key means nothing was written by nobody.
                let Some(key) = RowKey::from_word(row.key as u32) else { return };
                let Some(billed) = Billed::of_key(key, slice, memory) else { return };
                breakdown.add(RowId { billed, kind: key.kind() }, &row.counter());
            });
            memory.counterparts(slice, &mut |row| {
                let Some(key) = LabelKey::from_word(row.key as u32).filter(|key| key.network().is_some()) else {
                    return;
                };
                breakdown.add_far(key, &row.counter());
            });
        }
        breakdown
    }

    /// What was billed since an earlier reading of the same rows.
    pub fn since(&self, earlier: &Self) -> impl Iterator<Item = (RowId, Counter)> {
        self.rows.iter().filter_map(|(id, now)| {
            let grown = now.since(&earlier.rows.get(id).copied().unwrap_or_default());
            (!grown.is_zero()).then_some((*id, grown))
        })
    }

    /// What was exchanged with far ends since.
    pub fn far_since(&self, earlier: &Self) -> Vec<FarChange> {
        let grown = self.counterparts.iter().map(|(key, now)| {
            let counted = now.since(&earlier.counterparts.get(key).copied().unwrap_or_default());
            FarChange { key: *key, counted }
        });
        grown.filter(|change| !change.counted.is_zero()).collect()
    }

    /// Adds to a row.
    pub fn add(&mut self, id: RowId, more: &Counter) {
        let row = self.rows.entry(id).or_default();
        *row = row.sum(more);
    }

    /// Adds to what was exchanged with far ends of a label.
    pub fn add_far(&mut self, key: LabelKey, more: &Counter) {
        let row = self.counterparts.entry(key).or_default();
        *row = row.sum(more);
    }

    /// Adds what programs counted in an interval.
    pub fn advance(&mut self, Watched { rows, counterparts, .. }: &Watched) {
        rows.iter().filter(|change| !change.counted.is_zero()).for_each(|change| self.add(change.id, &change.counted));
        counterparts.iter().for_each(|change| self.add_far(change.key, &change.counted));
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = (RowId, Counter)> {
        self.rows.iter().map(|(id, counter)| (*id, *counter))
    }
}

/// Rows in a file.
#[derive(Serialize, Deserialize)]
struct WireRow {
    id: RowId,
    #[serde(with = "counter")]
    counter: Counter,
}

impl Serialize for Breakdown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows: Vec<_> = self.rows.iter().map(|(id, counter)| WireRow { id: *id, counter: *counter }).collect();
        let far = self.counterparts.iter().map(|(key, counted)| FarChange { key: *key, counted: *counted });
        (rows, far.collect::<Vec<_>>()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Breakdown {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (rows, far) = <(Vec<WireRow>, Vec<FarChange>)>::deserialize(deserializer)?;
        Ok(Self {
            rows: rows.into_iter().map(|row| (row.id, row.counter)).collect(),
            counterparts: far.into_iter().map(|change| (change.key, change.counted)).collect(),
        })
    }
}

/// What a row is called in a file.
#[derive(Serialize, Deserialize)]
struct WireId {
    network: u32,
    is_out: bool,
    neighbour: Option<(u32, [u8; 6], Option<u16>)>,
    kind: u32,
}

impl From<RowId> for WireId {
    fn from(RowId { billed, kind }: RowId) -> Self {
        let neighbour = billed.neighbour.map(|Neighbour { interface, mac, vlan }| (interface, mac, vlan));
        let (network, is_out) = (billed.network.get(), billed.direction == Direction::Out);
        Self { network, is_out, neighbour, kind: kind.get() }
    }
}

impl TryFrom<WireId> for RowId {
    type Error = anyhow::Error;

    fn try_from(wire: WireId) -> Result<Self> {
        let network = NetworkId::new(wire.network).with_context(|| format!("{} is no network", wire.network))?;
        let neighbour = wire.neighbour.map(|(interface, mac, vlan)| Neighbour { interface, mac, vlan });
        let direction = if wire.is_out { Direction::Out } else { Direction::In };
        Ok(Self { billed: Billed { network, direction, neighbour }, kind: Kind::from_number(wire.kind) })
    }
}

/// `#[serde(with)]` of a counter: packets, bytes, frame bytes.
mod counter {
    use sensor_ebpf::abi::Counter;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(counter: &Counter, serializer: S) -> Result<S::Ok, S::Error> {
        (counter.packets, counter.bytes, counter.frame_bytes).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Counter, D::Error> {
        let (packets, bytes, frame_bytes) = Deserialize::deserialize(deserializer)?;
        Ok(Counter { packets, bytes, frame_bytes, reserved: 0 })
    }
}

#[cfg(test)]
mod tests {
    use sensor_ebpf::class::{Class, Evidence};

    use super::*;

    fn id(network: u32, direction: Direction, neighbour: Option<Neighbour>, kind: Kind) -> RowId {
        RowId { billed: Billed { network: NetworkId::new(network).unwrap(), direction, neighbour }, kind }
    }

    #[test]
    fn rows_come_back_from_a_file() {
        let neighbour = Neighbour { interface: 3, mac: [2, 0, 0, 0, 0, 9], vlan: Some(7) };
        let counter = |packets| Counter { packets, bytes: u64::MAX, frame_bytes: 2, reserved: 0 };
        let mut breakdown = Breakdown::default();
        breakdown.add(id(1, Direction::In, None, Kind::UNDECIDED), &counter(1));
        breakdown.add(id(511, Direction::Out, Some(neighbour), Kind::new(Class::Tor, Evidence::List)), &counter(9));
        breakdown.add_far(LabelKey::new(NetworkId::new(511).unwrap(), Direction::In, (7, 1)), &counter(8));
        let bytes = postcard::to_stdvec(&breakdown).unwrap();
        assert_eq!(postcard::from_bytes::<Breakdown>(&bytes).unwrap(), breakdown);
        for len in 0..bytes.len() {
            assert!(postcard::from_bytes::<Breakdown>(&bytes[..len]).is_err());
        }
        let none = postcard::to_stdvec(&(0_u32, false, None::<u32>, 0_u32)).unwrap();
        assert!(postcard::from_bytes::<RowId>(&none).is_err(), "network 0 is none");
    }

    #[test]
    fn only_what_grew_is_told() {
        let counter = |packets| Counter { packets, ..Counter::default() };
        let row = |network| id(network, Direction::In, None, Kind::UNDECIDED);
        let (mut then, mut now) = (Breakdown::default(), Breakdown::default());
        for (network, before, after) in [(1, 5, 5), (2, 5, 7), (3, 0, 1)] {
            then.add(row(network), &counter(before));
            now.add(row(network), &counter(after));
        }
        let grown: Vec<_> = now.since(&then).map(|(id, counter)| (id.billed.network.get(), counter.packets)).collect();
        assert_eq!(grown, [(2, 2), (3, 1)]);
        let changes = now.since(&then).map(|(id, counted)| RowChange { counted, ..RowChange::none(id) });
        then.advance(&Watched { rows: changes.collect(), ..Watched::default() });
        assert_eq!(then.since(&now).count() + now.since(&then).count(), 0);
        let key = LabelKey::new(NetworkId::new(1).unwrap(), Direction::In, (7, 1));
        now.add_far(key, &counter(4));
        let counterparts = now.far_since(&then);
        assert_eq!(counterparts, [FarChange { key, counted: counter(4) }]);
        then.advance(&Watched { counterparts, ..Watched::default() });
        assert_eq!(now.far_since(&then), []);
    }
}
