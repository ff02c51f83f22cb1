//! The files of manifests: `manifest-<epoch>-<generation>`.

use std::{
    fmt,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    str::FromStr,
};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use super::{
    super::{StateDir, files},
    MAX_MANIFEST_LEN, Manifest,
};
use crate::epoch::{Epoch, NotAnEpoch};

/// What names of manifest files begin with; epoch and generation follow.
const PREFIX: &str = "manifest-";
/// Where a manifest is written before it gets its name; no epoch, so never taken for one.
const TEMPORARY: &str = "manifest-new";

/// Which manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ManifestName {
    /// Of which life of the counters.
    pub epoch: Epoch,
    /// Of which table of it.
    pub generation: u32,
}

impl fmt::Display for ManifestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}-{}", self.epoch, self.generation)
    }
}

impl FromStr for ManifestName {
    type Err = NotAnEpoch;

    fn from_str(text: &str) -> Result<Self, NotAnEpoch> {
        let (epoch, generation) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-')).ok_or(NotAnEpoch)?;
        let name = Self { epoch: epoch.parse()?, generation: generation.parse().map_err(|_| NotAnEpoch)? };
        // One file is never two manifests: no sign, no zeros in front.
        if name.to_string() == text { Ok(name) } else { Err(NotAnEpoch) }
    }
}

impl Manifest {
    /// The name of its file.
    pub fn name(&self) -> ManifestName {
        ManifestName { epoch: self.epoch, generation: self.generation }
    }
}

impl StateDir {
    /// Writes `manifest-<epoch>-<generation>`, on disk when this returns; one that was written for a table that never came into force
    /// is replaced as a whole.
    ///
    /// Returns the SHA-256 of the file, which goes into the maps' control block.
    ///
    /// # Errors
    /// The file cannot be written; then the earlier one is still there.
    pub fn store_manifest(&self, manifest: &Manifest) -> Result<[u8; 32]> {
        let bytes = manifest.encode()?;
        let name = manifest.name().to_string();
        files::replace(&self.path, TEMPORARY, &name, &bytes)
            .with_context(|| format!("cannot write {}; free disk space", self.path.join(name).display()))?;
        Ok(Sha256::digest(&bytes).into())
    }

    /// The manifest of an epoch with this SHA-256, if its file is there and whole.
    ///
    /// Otherwise a warning says so: nobody knows what the ids of these maps mean.
    pub fn manifest(&self, epoch: Epoch, hash: &[u8; 32]) -> Option<Manifest> {
        let manifest = self.find(epoch, hash);
        manifest
            .inspect_err(|error| {
                let folder = self.path.display();
                tracing::warn!("{folder}: no manifest of epoch {epoch} can be used: {error:#}; its names are lost");
            })
            .ok()
    }

    fn find(&self, epoch: Epoch, hash: &[u8; 32]) -> Result<Manifest> {
        let mut others = Vec::new();
        // The latest first: it is the one in force, or the one before.
        for name in self.manifests()?.into_iter().rev().filter(|name| name.epoch == epoch) {
            match read(&self.path.join(name.to_string())) {
                Ok(bytes) if Sha256::digest(&bytes).as_slice() == hash => {
                    let manifest = Manifest::decode(&bytes)?;
                    if manifest.name() != name {
                        bail!("{name} holds that of generation {} of epoch {}", manifest.generation, manifest.epoch);
                    }
                    return Ok(manifest);
                }
                Ok(_) => others.push(format!("{name} has another hash")),
                Err(error) => others.push(format!("{name}: {error:#}")),
            }
        }
        if others.is_empty() {
            bail!("it has none");
        }
        bail!("{}", others.join(", "))
    }

    /// The SHA-256 of a manifest's file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn manifest_hash(&self, name: ManifestName) -> Result<[u8; 32]> {
        let path = self.path.join(name.to_string());
        let bytes = read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Sha256::digest(bytes).into())
    }

    /// Removes a manifest that names nothing any more; it may be missing.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove_manifest(&self, name: ManifestName) -> Result<()> {
        let path = self.path.join(name.to_string());
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}; remove it by hand", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The manifests that are there, by epoch and generation.
    ///
    /// # Errors
    /// The folder cannot be listed.
    pub fn manifests(&self) -> Result<Vec<ManifestName>> {
        let mut names: Vec<ManifestName> = self.names()?.iter().filter_map(|name| name.parse().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    /// Removes the manifests of versions that knew no generations, `manifest-<epoch>`, which this one cannot read; not those of epochs
    /// that are `kept`.
    ///
    /// # Errors
    /// The folder cannot be listed, or one of them cannot be removed.
    pub fn remove_old_manifests(&self, kept: impl Fn(Epoch) -> bool) -> Result<()> {
        for name in self.names()? {
            let epoch = name.strip_prefix(PREFIX).and_then(|epoch| epoch.parse::<Epoch>().ok());
            if epoch.is_some_and(|epoch| !kept(epoch)) {
                let path = self.path.join(name);
                fs::remove_file(&path).with_context(|| {
                    format!("cannot remove {}, of an older version; remove it by hand", path.display())
                })?;
            }
        }
        Ok(())
    }

    /// What is in the folder.
    fn names(&self) -> Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
        let names: io::Result<Vec<_>> = fs::read_dir(&self.path).and_then(|entries| entries.map(name).collect());
        let names = names.with_context(|| format!("cannot list {}", self.path.display()))?;
        Ok(names.into_iter().flatten().collect())
    }
}

/// The bytes of a file, unless it is larger than a manifest can be.
fn read(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path)?;
    let mut bytes = Vec::new();
    file.take(MAX_MANIFEST_LEN + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_MANIFEST_LEN {
        bail!("it is larger than {MAX_MANIFEST_LEN} bytes");
    }
    Ok(bytes)
}
