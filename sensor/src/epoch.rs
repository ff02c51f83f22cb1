//! One life of the counters: the part of a record's key that tells apart what must never be added up twice.

use std::{fmt, io::Read, str::FromStr};

use anyhow::Result;
use sensor_ebpf::abi::ABI_VERSION;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::{
    prefix::{Meaning, PrefixSet},
    random,
};

/// 128 bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch([u8; 16]);

impl Epoch {
    /// From the control map; `None` of maps that were never put in use.
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// For the control map.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// A new one for counters that start at zero.
    ///
    /// # Errors
    /// The kernel's random numbers cannot be read.
    pub fn draw() -> Result<Self> {
        let mut bytes = [0; 16];
        random::fill(&mut bytes)?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Epoch {
    type Err = NotAnEpoch;

    fn from_str(text: &str) -> Result<Self, NotAnEpoch> {
        if text.len() != 2 * size_of::<[u8; 16]>() {
            return Err(NotAnEpoch);
        }
        let digits = text.chars().map(|digit| digit.to_digit(16).map(|digit| digit as u8));
        let digits: Vec<u8> = digits.collect::<Option<_>>().ok_or(NotAnEpoch)?;
        let bytes: Vec<u8> =
            digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
        bytes.try_into().map(Self).map_err(|_| NotAnEpoch)
    }
}

/// A text that is no epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an epoch is 32 hexadecimal digits")]
pub struct NotAnEpoch;

impl<'de> Deserialize<'de> for Epoch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The epoch of a replay: what goes in decides it, so that replaying again, with either engine, is the same history.
#[derive(Debug)]
pub struct EpochHasher(Sha256);

impl EpochHasher {
    /// Of the counting configuration; the captures are added one by one.
    pub fn new(sensor: &str, interval: Option<std::time::Duration>, set: &PrefixSet) -> Self {
        let mut hasher = Self(Sha256::new());
        hasher.field(&ABI_VERSION.to_be_bytes());
        hasher.field(sensor.as_bytes());
        hasher.field(&interval.map_or(0, |interval| interval.as_nanos()).to_be_bytes());
        for (_, network) in set.networks() {
            hasher.field(network.as_bytes());
        }
        for (_, Meaning { cidr, membership, .. }) in set.iter() {
            hasher.field(cidr.to_string().as_bytes());
            hasher.field(&membership.watched.map_or(0, |network| network.get()).to_be_bytes());
        }
        hasher
    }

    /// What far ends were labelled by.
    pub fn counterparts(&mut self, content: &[u8; 32]) {
        self.field(content);
    }

    /// How an archive of flows is read: whatever changes what becomes of its records.
    pub fn archive(&mut self, settings: &[&[u8]]) {
        settings.iter().for_each(|setting| self.field(setting));
    }

    /// Adds the bytes of a capture, or of an archive.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn capture(&mut self, mut file: impl Read) -> Result<()> {
        let mut digest = Sha256::new();
        std::io::copy(&mut file, &mut digest)?;
        self.field(&digest.finalize());
        Ok(())
    }

    /// The epoch of all that was added.
    pub fn finish(self) -> Epoch {
        let digest = self.0.finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Epoch(bytes)
    }

    /// With its length before it, so that no two lists of fields read alike.
    fn field(&mut self, bytes: &[u8]) {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::SetBuilder;

    fn epoch(sensor: &str, capture: &[u8]) -> String {
        let set = SetBuilder::default().build().unwrap();
        let mut hasher = EpochHasher::new(sensor, None, &set);
        hasher.capture(capture).unwrap();
        hasher.finish().to_string()
    }

    #[test]
    fn the_same_input_is_the_same_epoch_and_other_input_another() {
        assert_eq!(epoch("edge", b"capture"), epoch("edge", b"capture"));
        assert_ne!(epoch("edge", b"capture"), epoch("edge", b"capturf"));
        assert_ne!(epoch("edge", b"capture"), epoch("edgf", b"capture"));
        assert_eq!(epoch("edge", b"").len(), 32);
    }

    #[test]
    fn an_epoch_reads_as_it_is_shown() {
        let epoch = Epoch::draw().unwrap();
        assert_eq!(epoch.to_string().parse(), Ok(epoch));
        assert_eq!(Epoch::from_bytes(epoch.to_bytes()), Some(epoch));
        assert_eq!(Epoch::from_bytes([0; 16]), None);
        for text in ["", "0", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32), &"\u{e9}".repeat(16)] {
            assert_eq!(text.parse::<Epoch>(), Err(NotAnEpoch), "{text:?}");
        }
    }

    #[test]
    fn epochs_are_drawn_apart() {
        assert_ne!(Epoch::draw().unwrap(), Epoch::draw().unwrap());
    }
}
