//! Which manifests there must be: of each table in force, and of each batch that was not written out.

use std::collections::BTreeSet;

use anyhow::Result;

use super::{Durable, interfaces};
use crate::{
    bpf::Identity,
    config::Config,
    epoch::Epoch,
    prefix::PrefixSet,
    state::{Manifest, ManifestName},
};

impl Durable {
    /// Writes the manifest of a table that counts the prefixes of `set`; returns its SHA-256. It is on disk when this returns, and
    /// goes again if the table never comes into force.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in super::super) fn store_manifest(
        &mut self,
        epoch: Epoch,
        generation: u32,
        config: &Config,
        set: &PrefixSet,
    ) -> Result<[u8; 32]> {
        let manifest = Manifest::new(epoch, generation, &self.sensor, interfaces(config), set);
        self.hashes.remove(&manifest.name());
        let hash = self.state.store_manifest(&manifest)?;
        self.hashes.insert(manifest.name(), hash);
        self.strays = true;
        Ok(hash)
    }

    /// Removes the manifests that name nothing any more: of tables that are not in force, and of batches that were all written out.
    ///
    /// # Errors
    /// Pins or files cannot be read or removed; what names something is never removed.
    pub(in super::super) fn remove_strays(&mut self) -> Result<()> {
        let mut needed: BTreeSet<[u8; 32]> = self.journal.undelivered().map(|batch| batch.manifest).collect();
        for set in self.pins.sets()? {
            if let Identity::Known { manifest, .. } = set.identity() {
                needed.insert(manifest);
            }
        }
        let names = self.state.manifests()?;
        self.hashes.retain(|name, _| names.contains(name));
        for name in names {
            if Some(name.epoch) != self.fresh && !needed.contains(&self.hash(name)?) {
                self.state.remove_manifest(name)?;
                self.hashes.remove(&name);
            }
        }
        self.strays = false;
        Ok(())
    }

    fn hash(&mut self, name: ManifestName) -> Result<[u8; 32]> {
        if let Some(hash) = self.hashes.get(&name) {
            return Ok(*hash);
        }
        let hash = self.state.manifest_hash(name)?;
        self.hashes.insert(name, hash);
        Ok(hash)
    }
}
