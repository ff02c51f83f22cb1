//! What the ids in a set of maps mean, so that another agent can go on with them.

mod wire;

use std::{fs, fs::File, io::Read as _};

use anyhow::{Context as _, Result, bail};
use sensor_ebpf::abi::{ABI_VERSION, MAX_NETWORKS, MAX_PREFIXES, NetworkId, PrefixId};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use self::wire::WirePrefix;
use super::{StateDir, files};
use crate::{
    cidr::Cidr,
    config::Role,
    epoch::Epoch,
    prefix::{Meaning, Membership, PrefixSet},
};

/// What a manifest file begins with: its name and the number of its format.
const MAGIC: &[u8] = b"sensor manifest 1\n";
/// Largest manifest file, in bytes: four million prefixes take 84 MB.
const MAX_MANIFEST_LEN: u64 = 128 << 20;
/// What names of manifest files begin with; the epoch follows.
const PREFIX: &str = "manifest-";
/// Where a manifest is written before it gets its name; no epoch, so never taken for one.
const TEMPORARY: &str = "manifest-new";

/// What the ids in a set of maps mean: prefix id -> prefix and network, ledger slot -> interface side.
///
/// Written before the maps are put in use. Each id counts from 0 with its epoch: ids are not used again within an epoch, so
/// no base value is kept beside them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`ABI_VERSION`] of the agent that made the maps.
    pub abi_version: u32,
    /// Which life of the counters.
    pub epoch: Epoch,
    /// Which table of that epoch, from 0.
    pub generation: u32,
    /// Observation domain: `[sensor] id`.
    pub sensor: String,
    /// Interfaces; the ledger slot of a side is 2 x the index of its interface + the number of the side.
    pub interfaces: Vec<ManifestInterface>,
    networks: Vec<String>,
    /// In the order of their ids, from 1.
    prefixes: Vec<ManifestPrefix>,
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
    cidr: Cidr,
    membership: Membership,
    network: Option<NetworkId>,
}

impl Manifest {
    /// The manifest of maps that count the prefixes of `set` under its ids.
    pub fn new(epoch: Epoch, sensor: &str, interfaces: Vec<ManifestInterface>, set: &PrefixSet) -> Self {
        let prefixes =
            set.iter().map(|(_, Meaning { cidr, membership, network })| ManifestPrefix { cidr, membership, network });
        Self {
            abi_version: ABI_VERSION,
            epoch,
            generation: 0,
            sensor: sensor.to_owned(),
            interfaces,
            networks: set.networks().map(|(_, name)| name.to_owned()).collect(),
            prefixes: prefixes.collect(),
        }
    }

    /// The prefixes under the ids they were counted under.
    ///
    /// # Errors
    /// They contradict each other, as they do in no manifest that was made of a set.
    pub fn prefix_set(&self) -> Result<PrefixSet> {
        if self.networks.len() > MAX_NETWORKS as usize || self.prefixes.len() > MAX_PREFIXES as usize {
            bail!("{} networks and {} prefixes are too many", self.networks.len(), self.prefixes.len());
        }
        let networks = (1..=MAX_NETWORKS).filter_map(NetworkId::new).zip(self.networks.iter().cloned());
        let meanings = self.prefixes.iter().map(|prefix| {
            let ManifestPrefix { cidr, membership, network } = *prefix;
            Meaning { cidr, membership, network }
        });
        let prefixes =
            (1..=MAX_PREFIXES).filter_map(PrefixId::new).zip(meanings).map(|(id, meaning)| (id, meaning, false));
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

impl StateDir {
    /// Writes `manifest-<epoch>`, on disk when this returns; an earlier one of that epoch is replaced as a whole.
    ///
    /// Returns the SHA-256 of the file, which goes into the maps' control block.
    ///
    /// # Errors
    /// The file cannot be written; then the earlier one is still there.
    pub fn store_manifest(&self, manifest: &Manifest) -> Result<[u8; 32]> {
        let bytes = manifest.encode()?;
        let name = name(manifest.epoch);
        files::replace(&self.path, TEMPORARY, &name, &bytes)
            .with_context(|| format!("cannot write {}; free disk space", self.path.join(name).display()))?;
        Ok(Sha256::digest(&bytes).into())
    }

    /// The manifest of an epoch, if its file is there, whole and the one that the maps were made with.
    ///
    /// Otherwise a warning says why not: nobody knows what the ids of these maps mean.
    pub fn manifest(&self, epoch: Epoch, hash: &[u8; 32]) -> Option<Manifest> {
        let path = self.path.join(name(epoch));
        let manifest = read(&path).and_then(|bytes| {
            if Sha256::digest(&bytes).as_slice() != hash {
                bail!("its hash is not the one that the maps were made with");
            }
            let manifest = Manifest::decode(&bytes)?;
            if manifest.epoch != epoch {
                bail!("it is of epoch {}", manifest.epoch);
            }
            Ok(manifest)
        });
        manifest
            .inspect_err(|error| tracing::warn!("{}: not used: {error:#}; a new epoch has to begin", path.display()))
            .ok()
    }

    /// Removes the manifest of an epoch whose maps are gone; it may be missing.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_manifest(&self, epoch: Epoch) -> Result<()> {
        let path = self.path.join(name(epoch));
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}; remove it by hand", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The epochs that have a manifest, in their order.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn manifests(&self) -> Result<Vec<Epoch>> {
        let list = || -> std::io::Result<Vec<Epoch>> {
            let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name()));
            let names: Vec<_> = names.collect::<std::io::Result<_>>()?;
            let epoch = |name: &std::ffi::OsString| name.to_str()?.strip_prefix(PREFIX)?.parse().ok();
            let mut epochs: Vec<Epoch> = names.iter().filter_map(epoch).collect();
            epochs.sort_unstable();
            Ok(epochs)
        };
        list().with_context(|| format!("cannot list {}", self.path.display()))
    }
}

fn name(epoch: Epoch) -> String {
    format!("{PREFIX}{epoch}")
}

/// The bytes of a file, unless it is larger than a manifest can be.
fn read(path: &std::path::Path) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MANIFEST_LEN {
        bail!("it is larger than {MAX_MANIFEST_LEN} bytes");
    }
    Ok(bytes)
}
