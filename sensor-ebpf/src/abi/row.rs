//! Counters that are found by what they count: few of the possible ones are ever used.

use super::{Counter, Direction, Kind, NetworkId};

/// Rows that one is looked for in.
pub const ROW_PROBES: u32 = 8;
/// Spreads keys over rows: 2^64 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A counter with its key. Counts only grow, and a key stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(32))]
pub struct Row {
    /// Packets on the wire.
    pub packets: u64,
    /// L3 bytes.
    pub bytes: u64,
    /// Frame bytes.
    pub frame_bytes: u64,
    /// [`RowKey`] or [`LabelKey`](super::LabelKey); 0: nothing was counted here.
    pub key: u64,
}

impl Row {
    /// What was counted.
    pub const fn counter(&self) -> Counter {
        Counter { packets: self.packets, bytes: self.bytes, frame_bytes: self.frame_bytes, reserved: 0 }
    }
}

/// Keys of all rows say in the same bits whose they are: 17 direction, 18..27 network, 27 set.
const DIRECTION: u32 = 17;
const NETWORK: u32 = 18;
const SET: u32 = 1 << 27;

/// A key of that network and direction, and nothing else.
#[inline(always)]
pub(super) const fn owned_by(network: NetworkId, direction: Direction) -> u32 {
    SET | network.get() << NETWORK | (direction as u32) << DIRECTION
}

/// Whether a word is a key at all.
#[inline(always)]
pub(super) const fn is_key(word: u32) -> bool {
    word & SET != 0
}

/// The network that a key says.
#[inline(always)]
pub const fn network_of(key: u32) -> Option<NetworkId> {
    NetworkId::new(key >> NETWORK & 0x1ff)
}

/// The direction that a key says.
#[inline(always)]
pub const fn direction_of(key: u32) -> Direction {
    if key >> DIRECTION & 1 == Direction::In as u32 { Direction::In } else { Direction::Out }
}

/// What a row of map `BREAKDOWN` counts.
///
/// Bits 0..8 class and evidence, 8..17 neighbour, 17 direction, 18..27 network, 27 set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowKey(u32);

impl RowKey {
    const NEIGHBOUR: u32 = 8;

    /// Packets of a network and direction that were exchanged with neighbour `neighbour` of the slice, 0 being none of them.
    #[inline(always)]
    pub const fn new(network: NetworkId, direction: Direction, neighbour: u32, kind: Kind) -> Self {
        let neighbour = neighbour & ((1 << (DIRECTION - Self::NEIGHBOUR)) - 1);
        Self(owned_by(network, direction) | neighbour << Self::NEIGHBOUR | kind.get())
    }

    /// As stored.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// Read back; `None` where it is none.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Option<Self> {
        if is_key(word) { Some(Self(word)) } else { None }
    }

    /// The same for packets of another kind.
    #[inline(always)]
    #[must_use]
    pub const fn of_kind(self, kind: Kind) -> Self {
        Self(self.0 & !(Kind::COUNT - 1) | kind.get())
    }

    /// The watched network.
    pub const fn network(self) -> Option<NetworkId> {
        network_of(self.0)
    }

    /// Whether packets went in or out.
    pub const fn direction(self) -> Direction {
        direction_of(self.0)
    }

    /// Which neighbour of the slice, from 1; 0: none of them.
    pub const fn neighbour(self) -> u32 {
        self.0 >> Self::NEIGHBOUR & 0x1ff
    }

    /// Class and evidence.
    pub const fn kind(self) -> Kind {
        Kind::from_number(self.0)
    }
}

/// The first place of a key among `rows`, a power of two.
#[inline(always)]
pub const fn row_place(key: u32, rows: u32) -> u32 {
    ((key as u64).wrapping_mul(SPREAD) >> 32) as u32 & rows.wrapping_sub(1)
}

/// Rows of one slice of map `BREAKDOWN` or `COUNTERPARTS`: `rows` that are found by key, a power of two, and one for each number of a network below `networks` and direction, for
/// what found no room there.
#[inline(always)]
pub const fn rows_of_slice(rows: u32, networks: u32) -> u32 {
    rows + networks * Direction::COUNT
}

/// The row for what found no room, within its slice.
#[inline(always)]
pub const fn spare_row(rows: u32, network: NetworkId, direction: Direction) -> u32 {
    rows + network.get() * Direction::COUNT + direction as u32
}

const _: () = assert!(core::mem::size_of::<Row>() == 32);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::{MAX_NEIGHBOURS, MAX_NETWORKS},
        class::{Class, Evidence},
    };

    #[test]
    fn keys_keep_what_they_are_given() {
        let network = NetworkId::new(MAX_NETWORKS).unwrap();
        for direction in Direction::ALL {
            for neighbour in [0, 1, MAX_NEIGHBOURS] {
                for kind in [Kind::UNDECIDED, Kind::new(Class::Sip, Evidence::Confirmed)] {
                    let key = RowKey::new(network, direction, neighbour, kind);
                    let found = (key.network(), key.direction(), key.neighbour(), key.kind());
                    assert_eq!(found, (Some(network), direction, neighbour, kind));
                    assert_eq!(RowKey::from_word(key.word()), Some(key));
                    assert_eq!(key.of_kind(Kind::UNDECIDED).of_kind(kind), key);
                }
            }
        }
        assert_eq!(RowKey::from_word(0), None);
    }

    #[test]
    fn what_finds_no_room_has_rows_of_its_own_behind_the_others() {
        let (first, last) = (NetworkId::new(1).unwrap(), NetworkId::new(7).unwrap());
        assert_eq!(spare_row(64, first, Direction::In), 66);
        assert_eq!(spare_row(64, last, Direction::Out) + 1, rows_of_slice(64, 8));
    }
}
