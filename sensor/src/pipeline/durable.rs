//! What outlives the agent, and how the next one goes on with it.
//!
//! Pinned maps go on counting while nobody reads them; the journal says how much of that was reported; a manifest says what their
//! ids mean. An agent that finds all three, made for what it is configured to count, continues them. Anything else it closes: one
//! last batch under the old names, or, where the names are lost, the totals as `unattributed`.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use anyhow::Result;
use jiff::Timestamp;
use sensor_ebpf::abi::{Counter, Direction, Side};

use super::{collector::History, ports::EGRESS_PIN};
use crate::{
    bpf::{self, Identity, InstanceDir, Kernel, PinnedSet, Plan},
    collect::Reading,
    config::{self, Config, Keep, Mode, SensorId},
    epoch::Epoch,
    state::{Baseline, Batch, Journal, Manifest, ManifestInterface, StateDir},
    summary::{Key, LedgerLabel, Summary},
};

/// Sequence of totals of which nobody knows what was reported before: the largest whole number on which readers of JSON agree.
const LAST_SEQUENCE: u64 = (1 << 53) - 1;

/// Pins, journal and manifests of one instance, locked.
pub(super) struct Durable {
    pub(super) pins: Arc<InstanceDir>,
    journal: Journal,
    state: StateDir,
    sensor: String,
    /// The epoch that is counted in.
    current: Option<Epoch>,
    /// Last records of sets that are kept until these are written out; `None` once nothing is left to remove.
    closing: Option<BTreeSet<(Epoch, u64)>>,
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
        let state = StateDir::open(&keep.state_dir)?;
        let journal = state.journal()?;
        Ok(Self { pins, journal, state, sensor, current: None, closing: Some(BTreeSet::new()) })
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
        self.prune()?;
        let interfaces = interfaces(config);
        for set in self.pins.sets()? {
            let Identity::Known { epoch, manifest } = set.identity() else { continue };
            let wanted = Manifest::new(epoch, &self.sensor, interfaces.clone(), plan.set);
            let Some(baseline) = self.journal.baseline(epoch) else { continue };
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
                reported: baseline.reported.clone(),
                sequence: baseline.next_sequence,
                from: baseline.until,
                from_instant: None,
            };
            let kernel = Kernel::load_pinned(set.path(), plan)?;
            self.current = Some(epoch);
            tracing::info!(%epoch, since = %history.from, "counting on in the maps of an earlier run");
            return Ok(Current { kernel, history, resumed: true });
        }
        self.begin(interfaces, plan)
    }

    /// Forgets what never came to be used: maps without identity, baselines without maps.
    fn prune(&mut self) -> Result<()> {
        let mut epochs = BTreeSet::new();
        for set in self.pins.sets()? {
            match set.identity() {
                Identity::Unfinished => self.pins.remove_set(&set)?,
                identity @ (Identity::Known { .. } | Identity::Foreign { .. }) => epochs.extend(identity.epoch()),
            }
        }
        for epoch in self.journal.epochs() {
            if !epochs.contains(&epoch) {
                self.journal.forget(epoch)?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, interfaces: Vec<ManifestInterface>, plan: &Plan<'_>) -> Result<Current> {
        let epoch = Epoch::draw()?;
        let zero = Reading::zero(plan.set.len(), interfaces.len() * Side::COUNT as usize);
        let manifest = Manifest::new(epoch, &self.sensor, interfaces, plan.set);
        let hash = self.state.store_manifest(&manifest)?;
        let history = History::begin(epoch, hash, zero.clone());
        self.journal.begin(epoch, &zero, history.from)?;
        let directory = self.pins.make_set(epoch)?;
        let mut kernel = Kernel::load_pinned(&directory, plan)?;
        // From here on the maps are worth taking over; before that, nothing was attached.
        kernel.maps().identify(epoch, hash)?;
        self.current = Some(epoch);
        Ok(Current { kernel, history, resumed: false })
    }

    /// Detaches every link that is not one of these, and closes every set of maps but the one that is counted in: nothing counts
    /// there any more. Returns the last records of each; it is removed once those were written out.
    ///
    /// # Errors
    /// The pins cannot be read or removed, or the journal cannot be written: then the sets stay, and nothing is lost.
    pub(super) fn close_others(&mut self, links: &BTreeSet<PathBuf>) -> Result<Vec<Summary>> {
        for link in self.pins.links()? {
            if !links.contains(&link) {
                tracing::info!("detaching {}", link.display());
                self.pins.remove_link(&link)?;
            }
        }
        self.remove_filters(links)?;
        bpf::wait_for_programs()?;
        let mut last = Vec::new();
        for set in self.pins.sets()? {
            match set.identity() {
                Identity::Known { epoch, .. } if Some(epoch) == self.current => {}
                Identity::Unfinished => {}
                Identity::Known { epoch, manifest } => match self.close(&set, epoch, &manifest)? {
                    Some(summary) => last.push(summary),
                    None => last.extend(self.give_up(&set, Some(epoch))),
                },
                Identity::Foreign { epoch } => last.extend(self.give_up(&set, epoch)),
            }
        }
        self.closing = Some(last.iter().map(|summary: &Summary| (summary.key.epoch, summary.key.sequence)).collect());
        Ok(last)
    }

    /// Before TCX (Linux 6.6) what an interface sends is counted by a filter, which no pin holds: manifests say where they are.
    fn remove_filters(&self, links: &BTreeSet<PathBuf>) -> Result<()> {
        for set in self.pins.sets()? {
            let Identity::Known { epoch, manifest } = set.identity() else { continue };
            let Some(manifest) = self.state.manifest(epoch, &manifest) else { continue };
            for interface in manifest.interfaces.iter().filter(|interface| interface.egress) {
                let kept = links.contains(&self.pins.link(&interface.name, EGRESS_PIN));
                if !kept && bpf::interface_index(&interface.name).is_ok() {
                    bpf::remove_egress_filter(&interface.name)?;
                }
            }
        }
        Ok(())
    }

    /// The last batch of a set whose names are known.
    fn close(&mut self, set: &PinnedSet, epoch: Epoch, hash: &[u8; 32]) -> Result<Option<Summary>> {
        let (Some(manifest), Some(baseline)) = (self.state.manifest(epoch, hash), self.journal.baseline(epoch)) else {
            return Ok(None);
        };
        let reading = set.read(manifest.interfaces.len() as u32);
        let delta = reading.and_then(|reading| reading.since(&baseline.reported));
        let delta = match delta {
            Ok(delta) => delta,
            Err(error) => {
                tracing::error!("{}: {error:#}", set.path().display());
                return Ok(None);
            }
        };
        let end = Timestamp::now();
        let key = Key {
            sensor: manifest.sensor.clone(),
            epoch,
            start: baseline.until.min(end),
            end,
            sequence: baseline.next_sequence,
        };
        let batch = Batch { key, manifest: *hash, delta: delta.sparse(), labels: labels(&manifest) };
        let summary = self.name(&batch);
        self.journal.commit(batch)?;
        tracing::info!(%epoch, "closed the counters");
        Ok(Some(summary))
    }

    /// The totals of a set whose names are lost.
    fn give_up(&self, set: &PinnedSet, epoch: Option<Epoch>) -> Option<Summary> {
        tracing::error!(
            "{}: nobody knows what these counters mean; their totals are `unattributed`",
            set.path().display()
        );
        let totals = match set.unattributed() {
            Ok(totals) => totals,
            Err(error) => {
                tracing::error!("they cannot be read: {error:#}");
                return None;
            }
        };
        let named = || set.path().file_name()?.to_str()?.parse().ok();
        let epoch = epoch.or_else(named)?;
        let end = Timestamp::now();
        let (totals, start, sequence) = match self.journal.baseline(epoch) {
            Some(Baseline { reported, next_sequence, until }) => {
                let reported = reported.totals();
                let since = |direction: Direction| totals[direction as usize].since(&reported[direction as usize]);
                (Direction::ALL.map(since), (*until).min(end), *next_sequence)
            }
            None => (totals, end, LAST_SEQUENCE),
        };
        if totals.iter().all(Counter::is_zero) {
            return None;
        }
        let key = Key { sensor: self.sensor.clone(), epoch, start, end, sequence };
        Some(Summary::of_unattributed(key, &totals))
    }

    /// Commits an interval.
    ///
    /// # Errors
    /// It is not on disk, and must be tried again as part of the next one.
    pub(super) fn commit(&mut self, batch: Batch) -> Result<()> {
        self.journal.commit(batch)
    }

    /// Notes that records were written out, by epoch and sequence, and removes what was only kept for them.
    ///
    /// # Errors
    /// The journal or a pin cannot be written: they will be written out again.
    pub(super) fn delivered(&mut self, written: &[(Epoch, u64)]) -> Result<()> {
        for (epoch, sequence) in written {
            self.journal.delivered(*epoch, *sequence)?;
            if let Some(closing) = &mut self.closing {
                closing.remove(&(*epoch, *sequence));
            }
        }
        let current = self.current;
        let only_current = || self.journal.undelivered().all(|batch| Some(batch.key.epoch) == current);
        if self.closing.as_ref().is_some_and(BTreeSet::is_empty) && only_current() {
            self.closing = None;
            self.sweep()?;
        }
        Ok(())
    }

    /// Removes every set but the one that is counted in, and what nobody needs any more of journal and manifests.
    fn sweep(&mut self) -> Result<()> {
        for set in self.pins.sets()? {
            if self.current.is_none() || set.identity().epoch() != self.current {
                self.pins.remove_set(&set)?;
            }
        }
        for epoch in self.journal.epochs() {
            if Some(epoch) != self.current {
                self.journal.forget(epoch)?;
            }
        }
        for epoch in self.state.manifests()? {
            if Some(epoch) != self.current {
                self.state.remove_manifest(epoch)?;
            }
        }
        Ok(())
    }

    /// Removes what a start that failed has made, unless something counts in it.
    pub(super) fn abandon(&mut self) -> Result<()> {
        if !self.pins.links()?.is_empty() || self.pins.sets()?.len() > 1 {
            return Ok(());
        }
        self.current = None;
        self.sweep()?;
        self.pins.remove()
    }

    /// Removes the folder of pins, once nothing is pinned there any more.
    ///
    /// # Errors
    /// Something still is.
    pub(super) fn remove_pins(self) -> Result<()> {
        self.pins.remove()
    }

    /// The records of a batch.
    fn name(&self, batch: &Batch) -> Summary {
        let set = self.state.manifest(batch.key.epoch, &batch.manifest).map(|manifest| manifest.prefix_set());
        match (set, batch.delta.dense()) {
            (Some(Ok(set)), Ok(delta)) => Summary::new(batch.key.clone(), &delta, &set, &batch.labels),
            (_, delta) => Summary::of_unattributed(batch.key.clone(), &delta.unwrap_or_default().totals()),
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

/// The ledgers of a set that nobody looked after to its end.
fn labels(manifest: &Manifest) -> Vec<LedgerLabel> {
    let mut labels = Vec::new();
    for (first, interface) in (0..).step_by(Side::COUNT as usize).zip(&manifest.interfaces) {
        for side in Side::ALL.into_iter().filter(|side| *side == Side::Rx || interface.egress) {
            labels.push(LedgerLabel {
                slot: first + side as u32,
                interface: interface.name.clone(),
                role: Some(interface.role),
                ..LedgerLabel::default()
            });
        }
    }
    labels
}
