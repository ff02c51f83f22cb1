//! What the far ends of packets are, by number, and the rows that count it.

use super::{
    Direction, NetworkId, OTHER_LABEL, direction_of,
    flow::MAX_LABELS,
    network_of,
    row::{is_key, owned_by},
};

/// What a row of map `COUNTERPARTS` counts.
///
/// Bits 0..17 label, 17 direction, 18..27 network, 27 set, 28..31 generation of the table of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LabelKey(u32);

impl LabelKey {
    const GENERATION: u32 = 28;

    /// Packets of a network and direction whose far end has that label in the table of that generation, of which three bits are kept.
    #[inline(always)]
    pub const fn new(network: NetworkId, direction: Direction, (label, generation): (u32, u32)) -> Self {
        Self(owned_by(network, direction) | (generation & 7) << Self::GENERATION | label & (MAX_LABELS - 1))
    }

    /// What found no row of its own, whatever its label.
    #[inline(always)]
    pub const fn spare(network: NetworkId, direction: Direction) -> Self {
        Self::new(network, direction, (OTHER_LABEL, 0))
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

    /// The watched network.
    pub const fn network(self) -> Option<NetworkId> {
        network_of(self.0)
    }

    /// Whether packets went in or out.
    pub const fn direction(self) -> Direction {
        direction_of(self.0)
    }

    /// The label, and three bits of the generation of its table.
    pub const fn label(self) -> (u32, u32) {
        (self.0 & (MAX_LABELS - 1), self.0 >> Self::GENERATION & 7)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::MAX_NETWORKS;

    #[test]
    fn keys_keep_what_they_are_given() {
        let network = NetworkId::new(MAX_NETWORKS).unwrap();
        for direction in Direction::ALL {
            let key = LabelKey::new(network, direction, (MAX_LABELS - 1, 6));
            let found = (key.network(), key.direction(), key.label());
            assert_eq!(found, (Some(network), direction, (MAX_LABELS - 1, 6)));
            assert_eq!(LabelKey::from_word(key.word()), Some(key));
        }
        assert_eq!(LabelKey::new(network, Direction::In, (0, 9)).label(), (0, 1));
    }
}
