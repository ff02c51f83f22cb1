//! What outlives the agent, and how the next one goes on with it.
//!
//! Pinned maps go on counting while nobody reads them; the journal says how much of that was reported; a manifest says what their
//! ids mean. An agent that finds all three, made for what it is configured to count, continues them. Anything else it closes: one
//! last batch under the old names, or, where the names are lost, the totals as `unattributed`.

mod closing;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use anyhow::Result;
use sensor_ebpf::abi::Side;

use super::{NO_MANIFEST, collector::History};
use crate::{
    bpf::{Identity, InstanceDir, Kernel, Plan},
    collect::Reading,
    config::{self, Config, Keep, Mode, SensorId},
    epoch::Epoch,
    state::{Batch, Damage, Journal, Manifest, ManifestInterface, StateDir},
    summary::Summary,
};

/// The sequence of totals of which nobody knows what was reported before them, and under which sequences: the largest whole number
/// on which readers of JSON agree.
const OUT_OF_SEQUENCE: u64 = (1 << 53) - 1;

/// Pins, journal and manifests of one instance, locked.
pub(super) struct Durable {
    pub(super) pins: Arc<InstanceDir>,
    journal: Journal,
    state: StateDir,
    sensor: String,
    /// The epoch that is counted in.
    current: Option<Epoch>,
    /// The epoch that this process began.
    begun: Option<Epoch>,
    /// Sets of maps are closed, and go once their last records were written out.
    closing: bool,
    /// What was written out and could not be noted in the journal yet: the last sequence of each epoch.
    unmarked: BTreeMap<Epoch, u64>,
    /// That it could not was said.
    complained: bool,
}

/// The maps to count in, and how far their records have come.
pub(super) struct Current {
    pub(super) kernel: Kernel,
    pub(super) history: History,
    /// Whether they were there already.
    pub(super) resumed: bool,
}

impl Durable {
    /// Opens and locks both.
    ///
    /// # Errors
    /// Another agent has one of them, or they cannot be had.
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
        let (unmarked, closing, complained) = (BTreeMap::new(), false, false);
        Ok(Self { pins, journal, state, sensor, current: None, begun: None, closing, unmarked, complained })
    }

    /// What was committed and perhaps never written out, under its old keys.
    pub(super) fn undelivered(&self) -> Vec<Summary> {
        self.journal.undelivered().map(|batch| self.name(batch)).collect()
    }

    /// Loads programs for `plan` that count in the maps that were left for the same purpose, or in new ones.
    ///
    /// # Errors
    /// The kernel refuses maps or programs, or the manifest cannot be written.
    pub(super) fn load(&mut self, config: &Config, plan: &Plan<'_>) -> Result<Current> {
        let interfaces = interfaces(config);
        for set in self.pins.sets()? {
            let Identity::Known { epoch, manifest } = set.identity() else { continue };
            let wanted = Manifest::new(epoch, &self.sensor, interfaces.clone(), plan.set);
            let Some(baseline) = self.journal.baseline(epoch) else { continue };
            if baseline.next_sequence > OUT_OF_SEQUENCE {
                continue;
            }
            if self.state.manifest(epoch, &manifest).as_ref() != Some(&wanted) {
                continue;
            }
            if let Err(error) = set.check(&plan.layout()?) {
                tracing::warn!("{}: {error:#}; counting on in new maps", set.path().display());
                continue;
            }
            let history = History {
                epoch,
                manifest,
                reported: None,
                sequence: baseline.next_sequence,
                from: baseline.until,
                clocks: None,
            };
            let kernel = Kernel::load_pinned(set.path(), plan)?;
            self.current = Some(epoch);
            tracing::info!(%epoch, since = %history.from, "counting on in the maps of an earlier run");
            return Ok(Current { kernel, history, resumed: true });
        }
        self.clear()?;
        self.begin(interfaces, plan)
    }

    /// Removes what starts left that did not get far: without it a journal would fill with epochs that never counted.
    fn clear(&mut self) -> Result<()> {
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
        pinned.extend(self.journal.undelivered().map(|batch| batch.key.epoch));
        for epoch in self.state.manifests()? {
            if !pinned.contains(&epoch) {
                self.state.remove_manifest(epoch)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, interfaces: Vec<ManifestInterface>, plan: &Plan<'_>) -> Result<Current> {
        let epoch = Epoch::draw()?;
        self.begun = Some(epoch);
        let zero = Reading::zero(plan.set.len(), interfaces.len() * Side::COUNT as usize);
        let manifest = Manifest::new(epoch, &self.sensor, interfaces, plan.set);
        let hash = self.state.store_manifest(&manifest)?;
        let history = History::begin(epoch, hash, None);
        self.journal.begin(epoch, &zero, history.from)?;
        let directory = self.pins.make_set(epoch)?;
        let mut kernel = Kernel::load_pinned(&directory, plan)?;
        // From here on the maps are worth taking over; before that, nothing was attached.
        kernel.maps().identify(epoch, hash)?;
        self.current = Some(epoch);
        Ok(Current { kernel, history, resumed: false })
    }

    /// What of the counters of an epoch was committed.
    pub(super) fn reported(&self, epoch: Epoch) -> Option<&Reading> {
        self.journal.baseline(epoch).map(|baseline| &baseline.reported)
    }

    /// Commits an interval.
    ///
    /// # Errors
    /// It is not on disk, and must be tried again as part of the next one.
    pub(super) fn commit(&mut self, batch: Batch) -> Result<()> {
        self.journal.commit(batch)
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
    fn name(&self, batch: &Batch) -> Summary {
        let named = batch.manifest != NO_MANIFEST;
        let manifest = named.then(|| self.state.manifest(batch.key.epoch, &batch.manifest)).flatten();
        match manifest.map(|manifest| manifest.prefix_set()) {
            Some(Ok(set)) => Summary::new(batch.key.clone(), &batch.delta, &set, &batch.labels),
            _ => Summary::of_unattributed(batch.key.clone(), &batch.delta.totals()),
        }
    }
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
