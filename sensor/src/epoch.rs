//! One life of the counters: the part of a record's key that tells apart what must never be added up twice.

use std::{fmt, fs::File, io::Read};

use anyhow::{Context, Result};
use sensor_ebpf::abi::ABI_VERSION;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::prefix::PrefixSet;

/// 128 bits, shown as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epoch([u8; 16]);

impl Epoch {
    /// A new one for counters that start at zero.
    ///
    /// # Errors
    /// The kernel's random numbers cannot be read.
    pub fn draw() -> Result<Self> {
        const RANDOM: &str = "/dev/urandom";
        let mut bytes = [0; 16];
        File::open(RANDOM)
            .and_then(|mut file| file.read_exact(&mut bytes))
            .with_context(|| format!("cannot read {RANDOM}"))?;
        Ok(Self(bytes))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
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
        for network in set.networks() {
            hasher.field(network.as_bytes());
        }
        for (_, cidr, membership, _) in set.iter() {
            hasher.field(cidr.to_string().as_bytes());
            hasher.field(&membership.watched.map_or(0, |network| network.get()).to_be_bytes());
        }
        hasher
    }

    /// Adds the bytes of a capture.
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
        assert_ne!(Epoch::draw().unwrap(), Epoch::draw().unwrap());
    }
}
