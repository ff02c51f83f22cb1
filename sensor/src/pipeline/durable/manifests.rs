//! Which manifests there must be: of each table in force, and of each batch that was not written out.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context as _, Result};

use super::{Durable, interfaces};
use crate::{
    bpf::{Identity, NO_MANIFEST},
    config::Config,
    counterpart::Meanings,
    epoch::Epoch,
    prefix::PrefixSet,
    state::{Manifest, ManifestName, StateDir},
};

/// Writes one manifest, beside everything else: of a full table it takes longer than a tick may wait.
pub(in super::super) struct Scribe {
    state: Arc<StateDir>,
    sensor: String,
    name: ManifestName,
}

/// What becomes of a manifest's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It names something.
    Keep,
    /// It names nothing any more.
    Remove,
    /// It cannot be read, and everything is named by others.
    Leave,
    /// It cannot be read, and nothing else can be what names something that is there.
    Miss,
}

impl Scribe {
    /// Writes the manifest of a table that counts the prefixes of `set`; returns its SHA-256. It is on disk when this returns. Blocks.
    ///
    /// # Errors
    /// It cannot be written.
    pub(in super::super) fn write(&self, config: &Config, set: &PrefixSet, meanings: &Meanings) -> Result<[u8; 32]> {
        let ManifestName { epoch, generation } = self.name;
        let interfaces = interfaces(config);
        self.state.store_manifest(&Manifest::new(epoch, generation, &self.sensor, interfaces, set, meanings))
    }
}

impl Durable {
    /// Before a manifest is written: until it is said what became of it ([`written`](Self::written)), its file is no stray.
    pub(in super::super) fn writing(&mut self, epoch: Epoch, generation: u32) -> Scribe {
        let name = ManifestName { epoch, generation };
        self.hashes.remove(&name);
        self.writing = Some(name);
        Scribe { state: Arc::clone(&self.state), sensor: self.sensor.clone(), name }
    }

    /// The manifest was written, with this SHA-256, or it never will be. It goes again if its table never comes into force.
    pub(in super::super) fn written(&mut self, hash: Option<[u8; 32]>) {
        let Some(name) = self.writing.take() else { return };
        self.hashes.extend(hash.map(|hash| (name, hash)));
        self.strays = true;
    }

    /// Refuses to begin where a manifest cannot be read that may be needed: what it names would be `unattributed` for ever.
    ///
    /// # Errors
    /// There is one, or pins and files cannot be read.
    pub(super) fn check_manifests(&mut self) -> Result<()> {
        for (name, fate) in self.survey()? {
            if fate == Fate::Miss {
                self.hash(name).context(
                    "nothing else names what this sensor has counted: make that file readable, or remove it, after which the \
                     counts are `unattributed`",
                )?;
            }
        }
        Ok(())
    }

    /// Removes the manifests that name nothing any more: of tables that are not in force, and of batches that were all written out.
    /// One that cannot be read or removed is told once, and stays.
    ///
    /// # Errors
    /// The pins or the folder cannot be read; what names something is never removed.
    pub(in super::super) fn remove_strays(&mut self) -> Result<()> {
        let fates = self.survey()?;
        self.told.retain(|told| fates.iter().any(|(name, _)| name == told));
        for (name, fate) in fates {
            let (result, advice) = match fate {
                Fate::Keep => continue,
                Fate::Remove => (self.state.remove_manifest(name), "it names nothing any more"),
                Fate::Leave => (self.hash(name).map(drop), "it names nothing that is still needed: remove it by hand"),
                Fate::Miss => (self.hash(name).map(drop), "it may name what is still needed: make it readable"),
            };
            match result {
                Err(error) if self.told.insert(name) => tracing::warn!("{error:#}; {advice}"),
                Ok(()) if fate == Fate::Remove => drop(self.hashes.remove(&name)),
                Ok(()) | Err(_) => {}
            }
        }
        // Whoever goes back to an older version may still want those of what is there.
        let pinned: BTreeSet<Epoch> = self.pins.sets()?.iter().filter_map(|set| set.epoch()).collect();
        let journal = &self.journal;
        let kept = |epoch| pinned.contains(&epoch) || journal.undelivered().any(|batch| batch.key.epoch == epoch);
        let removed = self.state.remove_old_manifests(kept);
        if let Err(error) = &removed
            && !self.told_old
        {
            tracing::warn!("{error:#}");
        }
        self.told_old = removed.is_err();
        self.strays = false;
        Ok(())
    }

    /// What becomes of each manifest that is there, but for the one that is being written and those of the epoch that is being begun.
    fn survey(&mut self) -> Result<Vec<(ManifestName, Fate)>> {
        let mut needed: BTreeSet<(Epoch, [u8; 32])> =
            self.journal.undelivered().map(|batch| (batch.key.epoch, batch.manifest)).collect();
        let mut named = BTreeSet::new();
        for set in self.pins.sets()? {
            if let Identity::Known { epoch, manifest } = set.identity() {
                needed.insert((epoch, manifest));
                named.insert(Some(epoch));
            }
        }
        // Where somebody removed the pins of what is counted in, its maps are still there and do not say which manifest is theirs.
        let nameless = self.current.filter(|_| !named.contains(&self.current));
        let mut names = self.state.manifests()?;
        self.hashes.retain(|name, _| names.contains(name));
        names.retain(|name| !is_underway(*name, [self.fresh, nameless], self.writing));
        let files: Vec<_> = names.into_iter().map(|name| (name, self.hash(name).ok())).collect();
        let fates = fates(&needed, &files);
        Ok(files.into_iter().map(|(name, _)| name).zip(fates).collect())
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

/// Whether a manifest is one of these epochs, or the one that is being written: nobody says yet that it is needed. Pure.
fn is_underway(name: ManifestName, epochs: [Option<Epoch>; 2], writing: Option<ManifestName>) -> bool {
    epochs.contains(&Some(name.epoch)) || writing == Some(name)
}

/// By the epochs and hashes that are needed, and the SHA-256 of each file that can be read. Pure.
fn fates(needed: &BTreeSet<(Epoch, [u8; 32])>, files: &[(ManifestName, Option<[u8; 32]>)]) -> Vec<Fate> {
    let is_there = |needed: &[u8; 32]| files.iter().any(|(_, hash)| hash.as_ref() == Some(needed));
    let missing = needed.iter().filter(|(_, hash)| *hash != NO_MANIFEST && !is_there(hash));
    let missing: BTreeSet<Epoch> = missing.map(|(epoch, _)| *epoch).collect();
    let fate = |(name, hash): &(ManifestName, Option<[u8; 32]>)| match hash {
        Some(hash) if needed.iter().any(|(_, needed)| needed == hash) => Fate::Keep,
        Some(_) => Fate::Remove,
        None if missing.contains(&name.epoch) => Fate::Miss,
        None => Fate::Leave,
    };
    files.iter().map(fate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(byte: u8) -> Epoch {
        Epoch::from_bytes([byte; 16]).unwrap()
    }

    #[test]
    fn what_is_being_written_is_no_stray() {
        let name = |number, generation| ManifestName { epoch: epoch(number), generation };
        let next = Some(name(1, 4));
        let of = |name| is_underway(name, [None, Some(epoch(7))], next);
        assert!(of(name(1, 4)), "it is on disk, and its table not in force yet");
        assert!(of(name(7, 1)) && of(name(7, 2)));
        assert!(!of(name(1, 3)) && !of(name(2, 4)));
        assert!(!is_underway(name(1, 4), [None, None], None));
    }

    #[test]
    fn what_cannot_be_read_matters_where_nothing_else_can_be_what_is_needed() {
        let name = |number, generation| ManifestName { epoch: epoch(number), generation };
        let fates = |needed: &[(u8, u8)], files: &[(ManifestName, Option<u8>)]| {
            let needed = needed.iter().map(|(number, hash)| (epoch(*number), [*hash; 32])).collect();
            let files: Vec<_> = files.iter().map(|(name, hash)| (*name, hash.map(|hash| [hash; 32]))).collect();
            super::fates(&needed, &files)
        };
        use Fate::{Keep, Leave, Miss, Remove};
        let two = [(name(1, 1), Some(11)), (name(1, 2), Some(12))];
        assert_eq!(fates(&[(1, 12)], &two), [Remove, Keep]);
        assert_eq!(fates(&[(1, 11), (1, 12)], &two), [Keep, Keep]);
        assert_eq!(fates(&[], &two), [Remove, Remove]);
        // An unreadable one beside the one that is needed, and in its place.
        assert_eq!(fates(&[(1, 12)], &[(name(1, 1), None), (name(1, 2), Some(12))]), [Leave, Keep]);
        assert_eq!(fates(&[(1, 12)], &[(name(1, 1), Some(11)), (name(1, 2), None)]), [Remove, Miss]);
        assert_eq!(fates(&[(1, 12)], &[(name(2, 1), None)]), [Leave], "of another life of the counters");
        // A batch of totals is named by nothing.
        assert_eq!(fates(&[(1, 0)], &[(name(1, 1), None)]), [Leave]);
        // Under another one's name: whoever put it there may put it back.
        assert_eq!(fates(&[(2, 21)], &[(name(1, 1), Some(21))]), [Keep]);
    }
}
