//! What the ids in a set of maps mean, so that another agent can go on with them.

mod files;
#[cfg(test)]
mod tests;
mod wire;

use anyhow::{Context as _, Result, bail};
use sensor_ebpf::abi::{ABI_VERSION, NetworkId, PrefixId};
use serde::{Deserialize, Serialize};

pub use self::files::ManifestName;
use self::wire::WirePrefix;
use crate::{
    config::Role,
    counterpart::Meanings,
    epoch::Epoch,
    prefix::{Meaning, PrefixSet},
};

/// What a manifest file begins with: its name and the number of its format.
const MAGIC: &[u8] = b"sensor manifest 3\n";
/// Largest manifest file, in bytes: four million prefixes take 88 MB, the largest table of labels 40 MB.
const MAX_MANIFEST_LEN: u64 = 256 << 20;

/// What the ids in a set of maps mean: prefix id -> prefix and network, ledger slot -> interface side.
///
/// One for each generation of the table, written before that is put in force. It names what is in the table, and what earlier
/// generations counted and may not have been exported yet. An id that is used again begins where its counters are: all they hold by then is
/// in the baseline of the journal, so no base value is kept beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`ABI_VERSION`] of the agent that made the maps.
    pub abi_version: u32,
    /// Which life of the counters.
    pub epoch: Epoch,
    /// Which table of that epoch, as the control block counts them.
    pub generation: u32,
    /// Observation domain: `[sensor] id`.
    pub sensor: String,
    /// Interfaces; the ledger slot of a side is 2 x the index of its interface + the number of the side.
    pub interfaces: Vec<ManifestInterface>,
    /// By number, which need not follow each other.
    networks: Vec<(u32, String)>,
    /// In the order of their ids.
    prefixes: Vec<ManifestPrefix>,
    /// What labels of far ends mean.
    pub meanings: Meanings,
}

/// An interface that has ledger slots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestInterface {
    /// Name as configured.
    pub name: String,
    /// Whether packets are billed at it.
    pub role: Role,
    /// Whether what leaves is counted.
    pub egress: bool,
    /// Whether it is a tap or mirror port.
    pub mirror: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "WirePrefix", into = "WirePrefix")]
struct ManifestPrefix {
    /// Ids without a meaning before this one.
    skipped: u32,
    meaning: Meaning,
    /// Not in the table any more.
    retired: bool,
}

impl Manifest {
    /// The manifest of the table number `generation`, which counts the prefixes of `set` under its ids, and far ends under labels of these `meanings`.
    pub fn new(
        epoch: Epoch,
        generation: u32,
        sensor: &str,
        interfaces: Vec<ManifestInterface>,
        set: &PrefixSet,
        meanings: &Meanings,
    ) -> Self {
        let mut retired: Vec<PrefixId> = set.retired().collect();
        retired.sort_unstable();
        let mut next = 1;
        let prefixes = set.iter().map(|(id, meaning)| {
            let skipped = id.get() - next;
            next = id.get() + 1;
            ManifestPrefix { skipped, meaning, retired: retired.binary_search(&id).is_ok() }
        });
        Self {
            abi_version: ABI_VERSION,
            epoch,
            generation,
            sensor: sensor.to_owned(),
            interfaces,
            prefixes: prefixes.collect(),
            networks: set.networks().map(|(number, name)| (number.get(), name.to_owned())).collect(),
            meanings: meanings.clone(),
        }
    }

    /// The prefixes under the ids they were counted under.
    ///
    /// # Errors
    /// They contradict each other, as they do in no manifest that was made of a set.
    pub fn prefix_set(&self) -> Result<PrefixSet> {
        let network = |(number, name): &(u32, String)| {
            let number = NetworkId::new(*number).with_context(|| format!("network {name:?} has no possible number"))?;
            Ok((number, name.clone()))
        };
        let networks = self.networks.iter().map(network).collect::<Result<Vec<_>>>()?;
        let mut last = 0_u32;
        let mut prefixes = Vec::with_capacity(self.prefixes.len());
        for ManifestPrefix { skipped, meaning, retired } in &self.prefixes {
            let next = last.checked_add(*skipped).and_then(|last| last.checked_add(1));
            let id = next.and_then(PrefixId::new).with_context(|| format!("{} has no possible id", meaning.cidr))?;
            last = id.get();
            prefixes.push((id, *meaning, *retired));
        }
        PrefixSet::restore(networks, prefixes)
    }

    /// The bytes of its file.
    pub(super) fn encode(&self) -> Result<Vec<u8>> {
        let bytes = postcard::to_extend(self, MAGIC.to_vec()).context("cannot encode the manifest")?;
        if bytes.len() as u64 > MAX_MANIFEST_LEN {
            bail!("a manifest of {} bytes is too large: at most {MAX_MANIFEST_LEN}", bytes.len());
        }
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self> {
        let Some(payload) = bytes.strip_prefix(MAGIC) else { bail!("it is no manifest of this version") };
        let (manifest, rest) = postcard::take_from_bytes(payload)?;
        if !rest.is_empty() {
            bail!("{} bytes follow its end", rest.len());
        }
        Ok(manifest)
    }
}
