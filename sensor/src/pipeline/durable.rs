//! What outlives the agent, and how the next one goes on with it.
//!
//! Pinned maps go on counting while nobody reads them; the journal says how much of that was reported; a manifest says what their
//! ids mean. An agent that finds all three, made for the interfaces it is configured for, continues them. Anything else it closes: one
//! last batch under the old names, or, where the names are lost, the totals as `unattributed`.

mod closing;
mod kept;
mod manifests;
mod pins;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use sensor_ebpf::abi::{ABI_VERSION, Control};

pub(super) use self::manifests::Scribe;
use super::collector::History;
use crate::{
    bpf::{Identity, InstanceDir, Layout, NO_MANIFEST, PinnedSet},
    collect::Reading,
    config::{self, Config, Keep, Mode, SensorId},
    counterpart::Meanings,
    epoch::Epoch,
    prefix::PrefixSet,
    state::{Batch, Damage, Journal, ManifestInterface, ManifestName, StateDir},
    summary::Summary,
    upstream::NeighbourTable,
    watch::Breakdown,
};

/// The sequence of totals of which nobody knows what was reported before them, and under which sequences: the largest whole number
/// on which readers of JSON agree.
const OUT_OF_SEQUENCE: u64 = (1 << 53) - 1;
/// What the control block of new maps counts their first table as.
const FIRST_GENERATION: u32 = Control::from_word(0).next_generation().generation();

/// Pins, journal and manifests of one instance, locked.
pub(super) struct Durable {
    pub(super) pins: Arc<InstanceDir>,
    journal: Journal,
    state: Arc<StateDir>,
    sensor: String,
    /// The epoch that is counted in.
    current: Option<Epoch>,
    /// The epoch that this start began.
    begun: Option<Epoch>,
    /// The epoch whose maps are being made.
    fresh: Option<Epoch>,
    /// SHA-256 of manifests, so that their files need not be read again.
    hashes: BTreeMap<ManifestName, [u8; 32]>,
    /// The manifest that is being written.
    writing: Option<ManifestName>,
    /// There may be manifests that name nothing any more.
    strays: bool,
    /// Manifests of which it was said that they cannot be read or removed.
    told: BTreeSet<ManifestName>,
    /// That one of an older version cannot was said.
    told_old: bool,
    /// Pins of which it was said that somebody removed them.
    unpinned: BTreeSet<PathBuf>,
    /// Sets of maps are closed, and go once their last records were written out.
    closing: bool,
    /// Sets of which the last batch was committed, by epoch.
    closed: BTreeSet<Epoch>,
    /// What was written out and could not be noted in the journal yet: the last sequence of each epoch.
    unmarked: BTreeMap<Epoch, u64>,
    /// That it could not was said.
    complained: bool,
    /// That what is known of watched traffic cannot be written was said.
    told_unkept: bool,
    /// What names the neighbours of maps that are closed.
    naming: Naming,
}

/// What neighbours are called by.
#[derive(Default)]
struct Naming {
    upstreams: Vec<config::Upstream>,
    /// Interfaces, by whose places the addresses are known.
    interfaces: Vec<String>,
    addresses: NeighbourTable,
}

/// Maps that an earlier run left, and everything it takes to go on with them.
pub(super) struct Left {
    /// Where they are pinned.
    pub(super) directory: PathBuf,
    pub(super) layout: Layout,
    /// What their ids mean.
    pub(super) set: PrefixSet,
    /// What their labels mean.
    pub(super) meanings: Meanings,
    pub(super) history: History,
}

/// A new epoch, for which maps are to be made.
pub(super) struct Fresh {
    /// Where to pin them.
    pub(super) directory: PathBuf,
    /// Writes the manifest of their first table, before that is in them.
    pub(super) scribe: Scribe,
    /// Without the hash of that manifest.
    pub(super) history: History,
}

impl Durable {
    /// Opens and locks both.
    ///
    /// # Errors
    /// Another agent has one of them, or they cannot be had; or what names the counts that are there cannot be read.
    pub(super) fn open(sensor: &SensorId, keep: &Keep) -> Result<Self> {
        let sensor = sensor.to_string();
        let pins = Arc::new(InstanceDir::open(&keep.bpffs, &sensor)?);
        let owner = format!("sensor {sensor}, pinned in {}", keep.bpffs.display());
        let opened = StateDir::open(&keep.state_dir).and_then(|state| {
            state.claim(&owner)?;
            Ok((state.journal()?, state))
        });
        let (mut journal, state) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                // The folder may have been made for this very start. It is only removed where nothing is pinned in it.
                let _ = pins.remove();
                return Err(error);
            }
        };
        if journal.damage().is_some_and(|damage: &Damage| !damage.interrupted) {
            tracing::error!("the journal was damaged: nobody knows any more what was reported");
            for epoch in journal.epochs() {
                journal.forget(epoch)?;
            }
        }
        let mut durable = Self {
            pins,
            journal,
            state: Arc::new(state),
            sensor,
            current: None,
            begun: None,
            fresh: None,
            hashes: BTreeMap::new(),
            writing: None,
            strays: true,
            told: BTreeSet::new(),
            told_old: false,
            unpinned: BTreeSet::new(),
            closing: false,
            closed: BTreeSet::new(),
            unmarked: BTreeMap::new(),
            complained: false,
            told_unkept: false,
            naming: Naming::default(),
        };
        durable.check_manifests()?;
        Ok(durable)
    }

    /// What was committed and perhaps never written out, under its old keys.
    pub(super) fn undelivered(&self) -> Vec<Summary> {
        let mut names = Names::default();
        self.journal.undelivered().map(|batch| self.name(batch, &mut names)).collect()
    }

    /// The sequences up to which whoever delivers has been given everything: those of epochs whose counters are there, each the first that is still
    /// to be handed over.
    pub(super) fn awaited(&self) -> Vec<(Epoch, u64)> {
        let next = |epoch| self.journal.baseline(epoch).map(|baseline| baseline.next_sequence);
        let undelivered = |epoch| {
            let of_it = self.journal.undelivered().filter(move |batch| batch.key.epoch == epoch);
            of_it.map(|batch| batch.key.sequence).min()
        };
        let epochs = self.journal.epochs().into_iter();
        epochs.filter_map(|epoch| Some((epoch, undelivered(epoch).or_else(|| next(epoch))?))).collect()
    }

    /// The maps that earlier runs left for these interfaces and whose history is known.
    ///
    /// # Errors
    /// The pins cannot be read.
    pub(super) fn left(&self, config: &Config) -> Result<Vec<Left>> {
        let interfaces = interfaces(config);
        let mut left = Vec::new();
        for set in self.pins.sets()? {
            let Identity::Known { epoch, manifest } = set.identity() else { continue };
            match self.look_at(&set, epoch, manifest, &interfaces) {
                Ok(found) => left.extend(found),
                Err(error) => tracing::warn!("{}: {error:#}; counting on in new maps", set.path().display()),
            }
        }
        Ok(left)
    }

    /// Whether a set can be gone on with; an error where it should be one that can.
    fn look_at(
        &self,
        set: &PinnedSet,
        epoch: Epoch,
        hash: [u8; 32],
        interfaces: &[ManifestInterface],
    ) -> Result<Option<Left>> {
        let Some(baseline) = self.journal.baseline(epoch) else { return Ok(None) };
        let Some(manifest) = self.state.manifest(epoch, &hash) else { return Ok(None) };
        let same = manifest.abi_version == ABI_VERSION && manifest.sensor == self.sensor;
        if !same || manifest.interfaces != interfaces || baseline.next_sequence > OUT_OF_SEQUENCE {
            return Ok(None);
        }
        let layout = set.layout(interfaces.len() as u32)?;
        let names = manifest.prefix_set().context("its manifest contradicts itself")?;
        let zero = zero(&layout);
        let fits = names.highest_id() < layout.prefix_capacity() && baseline.reported.is_like(&zero);
        ensure!(fits, "maps, manifest and journal are not of one size");
        let history = History {
            epoch,
            manifest: hash,
            reported: None,
            sequence: baseline.next_sequence,
            from: baseline.until,
            clocks: None,
        };
        let meanings = manifest.meanings;
        Ok(Some(Left { directory: set.path().to_owned(), layout, set: names, meanings, history }))
    }

    /// From here on these maps are counted in.
    pub(super) fn count_in(&mut self, epoch: Epoch) {
        self.fresh = self.fresh.filter(|fresh| *fresh != epoch);
        self.current = Some(epoch);
    }

    /// Removes what starts left that did not get far: without it a journal would fill with epochs that never counted.
    ///
    /// # Errors
    /// Pins or files cannot be read or removed.
    pub(super) fn clear(&mut self) -> Result<()> {
        let mut pinned = BTreeSet::new();
        for set in self.pins.sets()? {
            match set.identity() {
                Identity::Unfinished => self.pins.remove_set(&set)?,
                Identity::Known { .. } | Identity::Foreign { .. } => pinned.extend(set.epoch()),
            }
        }
        for epoch in self.journal.epochs() {
            if !pinned.contains(&epoch) {
                self.journal.forget(epoch)?;
            }
        }
        self.remove_strays()
    }

    /// Begins an epoch: its place in the journal, a folder for maps of this layout. Its manifest is then to be written.
    ///
    /// # Errors
    /// One of them cannot be written; nothing of it is left then. Or too many others are not over.
    pub(super) fn begin(&mut self, layout: &Layout) -> Result<Fresh> {
        self.check_room()?;
        let epoch = Epoch::draw()?;
        (self.fresh, self.begun) = (Some(epoch), Some(epoch));
        let fresh = self.make(epoch, layout);
        if fresh.is_err() {
            self.discard_fresh();
        }
        fresh
    }

    fn make(&mut self, epoch: Epoch, layout: &Layout) -> Result<Fresh> {
        let history = History::begin(epoch, NO_MANIFEST, None);
        self.journal.begin(epoch, &zero(layout), history.from)?;
        let directory = self.pins.make_set(epoch)?;
        Ok(Fresh { directory, scribe: self.writing(epoch, FIRST_GENERATION), history })
    }

    /// What of the counters of an epoch was committed.
    pub(super) fn reported(&self, epoch: Epoch) -> Option<(&Reading, &Breakdown)> {
        self.journal.baseline(epoch).map(|baseline| (&baseline.reported, &baseline.billed))
    }

    /// Commits an interval, and with it what is `kept` of watched traffic at its end.
    ///
    /// # Errors
    /// It is not on disk, and must be tried again as part of the next one.
    pub(super) fn commit(&mut self, batch: Batch, kept: Option<&[u8]>) -> Result<()> {
        let written = kept.is_some_and(|bytes| self.keep(&batch.key, bytes));
        self.journal.commit(batch)?;
        if written {
            self.kept();
        }
        Ok(())
    }

    /// Removes the folder of pins, once nothing is pinned there any more, and leaves the state folder to whoever comes.
    ///
    /// # Errors
    /// Something still is.
    pub(super) fn remove_pins(self) -> Result<()> {
        self.pins.remove()?;
        self.state.release()
    }

    /// The records of a batch.
    fn name(&self, batch: &Batch, names: &mut Names) -> Summary {
        match names.of(&self.state, batch) {
            Some((set, meanings)) => {
                Summary::new(batch.key.clone(), &batch.delta, set, &batch.labels, &batch.watched, meanings)
            }
            None => Summary::of_unattributed(batch.key.clone(), &batch.delta.totals()),
        }
    }
}

/// The manifest that was last looked for, if it could be read: batches that follow each other mostly have the same.
#[derive(Default)]
struct Names(Option<([u8; 32], Option<Named>)>);

/// What ids mean, and what labels do.
type Named = (PrefixSet, Meanings);

impl Names {
    fn of(&mut self, state: &StateDir, batch: &Batch) -> Option<&Named> {
        let hash = batch.manifest;
        if self.0.as_ref().is_none_or(|(known, _)| *known != hash) {
            let manifest = (hash != NO_MANIFEST).then(|| state.manifest(batch.key.epoch, &hash)).flatten();
            self.0 = Some((hash, manifest.and_then(|manifest| Some((manifest.prefix_set().ok()?, manifest.meanings)))));
        }
        self.0.as_ref().and_then(|(_, names)| names.as_ref())
    }
}

/// A reading of nothing, of maps of that layout.
fn zero(layout: &Layout) -> Reading {
    Reading::zero(layout.prefix_capacity() - 1, layout.ledger_slots() as usize)
}

/// The interfaces as a manifest names them.
fn interfaces(config: &Config) -> Vec<ManifestInterface> {
    let interface = |interface: &config::Interface| ManifestInterface {
        name: interface.name.to_string(),
        role: interface.role,
        egress: interface.egress,
        mirror: interface.mode == Mode::Mirror,
    };
    config.interfaces.iter().map(interface).collect()
}
