//! What was exchanged with far ends, by network, direction and label.

use anyhow::{Context as _, Result};
use sensor_ebpf::abi::{Counter, LabelKey};
use serde::{Deserialize, Serialize};

/// What programs counted of a network, direction and label in an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WireFar", into = "WireFar")]
pub struct FarChange {
    /// Whose packets, and with whom.
    pub key: LabelKey,
    /// How many.
    pub counted: Counter,
}

/// The same in a file: the key as programs store it, then packets, bytes and frame bytes.
#[derive(Serialize, Deserialize)]
struct WireFar(u32, u64, u64, u64);

impl From<FarChange> for WireFar {
    fn from(FarChange { key, counted }: FarChange) -> Self {
        Self(key.word(), counted.packets, counted.bytes, counted.frame_bytes)
    }
}

impl TryFrom<WireFar> for FarChange {
    type Error = anyhow::Error;

    fn try_from(WireFar(key, packets, bytes, frame_bytes): WireFar) -> Result<Self> {
        let key = LabelKey::from_word(key).filter(|key| key.network().is_some());
        let key = key.context("a counterpart of no network")?;
        Ok(Self { key, counted: Counter { packets, bytes, frame_bytes, reserved: 0 } })
    }
}

#[cfg(test)]
mod tests {
    use sensor_ebpf::abi::{Direction, MAX_NETWORKS, NetworkId, OTHER_LABEL};

    use super::*;

    #[test]
    fn counterparts_come_back_from_a_file() {
        let network = NetworkId::new(MAX_NETWORKS).unwrap();
        let counted = Counter { packets: 1, bytes: u64::MAX, frame_bytes: 3, reserved: 0 };
        let change = FarChange { key: LabelKey::new(network, Direction::Out, (OTHER_LABEL - 1, 7)), counted };
        let bytes = postcard::to_stdvec(&change).unwrap();
        assert_eq!(postcard::from_bytes::<FarChange>(&bytes).unwrap(), change);
        let none = postcard::to_stdvec(&(1_u32 << 27, 1_u64, 1_u64, 1_u64)).unwrap();
        assert!(postcard::from_bytes::<FarChange>(&none).is_err(), "network 0 is none");
    }
}
