//! The end of a set of maps: its last batch, and its removal once that was written out.

use std::{
    collections::{BTreeSet, VecDeque},
    path::PathBuf,
};

use anyhow::{Result, ensure};
use jiff::Timestamp;
use sensor_ebpf::abi::{ABI_VERSION, Side};

use super::{super::ports::EGRESS_PIN, Durable, Names, OUT_OF_SEQUENCE};
use crate::{
    bpf::{self, Identity, NO_MANIFEST, PinnedSet},
    collect::{Reading, SparseReading, Totals},
    epoch::Epoch,
    state::{Baseline, Batch, Manifest},
    summary::{Key, LedgerLabel, Summary, Watched},
    watch::RowChange,
};

impl Durable {
    /// Detaches every link that is not one of these, and closes every set of maps but the one that is counted in: nothing counts
    /// there any more. The last records of each go behind the `backlog`; the set is removed once those were written out.
    ///
    /// # Errors
    /// The pins cannot be read or removed, or the journal cannot be written: then the sets stay, and nothing is lost.
    pub(in super::super) fn close_others(
        &mut self,
        links: &BTreeSet<PathBuf>,
        backlog: &mut VecDeque<Summary>,
    ) -> Result<()> {
        // Until each set was closed, none is swept.
        self.closing = false;
        for link in self.pins.links()? {
            if !links.contains(&link) {
                tracing::info!("detaching {}", link.display());
                self.pins.remove_link(&link)?;
            }
        }
        self.remove_filters(links)?;
        bpf::wait_for_programs()?;
        for set in self.pins.sets()? {
            match set.identity() {
                _ if self.is_used(&set) || set.epoch().is_some_and(|epoch| self.closed.contains(&epoch)) => continue,
                Identity::Unfinished => self.pins.remove_set(&set)?,
                Identity::Known { epoch, manifest } => match self.close(&set, epoch, &manifest)? {
                    Some(summary) => backlog.push_back(summary),
                    None => backlog.extend(self.give_up(&set)?),
                },
                Identity::Foreign { .. } => backlog.extend(self.give_up(&set)?),
            }
            self.closed.extend(set.epoch());
        }
        self.closing = true;
        Ok(())
    }

    /// Refuses to begin another epoch where there are as many as may be because nobody takes the last records of earlier ones.
    ///
    /// # Errors
    /// So it is; with what to do.
    pub(super) fn check_room(&self) -> Result<()> {
        let mut waiting: BTreeSet<Epoch> = self.journal.undelivered().map(|batch| batch.key.epoch).collect();
        waiting.retain(|epoch| !self.is_used_epoch(*epoch) && self.journal.baseline(*epoch).is_some());
        ensure!(
            self.journal.has_room() || waiting.is_empty(),
            "{} earlier sets of maps wait until their last records are written out, and there is no room for another: standard \
             output is not being read; see to whoever should read it and try again, or stop the agent and take the records from \
             `sensor detach`",
            waiting.len()
        );
        Ok(())
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
        let delta = match reading.and_then(|reading| reading.since(&baseline.reported)) {
            Ok(delta) => delta,
            Err(error) => {
                tracing::error!("{}: {error:#}", set.path().display());
                return Ok(None);
            }
        };
        let key = self.key(manifest.sensor.clone(), epoch, baseline.until, baseline.next_sequence);
        let watched = self.last_watched(set, &manifest, baseline).unwrap_or_else(|error| {
            let path = set.path().display();
            tracing::error!(
                "{path}: {error:#}; what networks had since the last interval is told of their prefixes alone"
            );
            Watched::default()
        });
        let batch = Batch { key, manifest: *hash, delta, labels: labels(&manifest), watched };
        let summary = self.name(&batch, &mut Names::default());
        self.journal.commit(batch)?;
        tracing::info!(%epoch, "closed the counters");
        Ok(Some(summary))
    }

    /// What was billed that no agent has told of. What it was that nobody had decided stays undecided.
    fn last_watched(&self, set: &PinnedSet, manifest: &Manifest, baseline: &Baseline) -> Result<Watched> {
        if manifest.abi_version != ABI_VERSION {
            return Ok(Watched::default());
        }
        let billed = set.billed(manifest.interfaces.len() as u32)?;
        let rows: Vec<RowChange> =
            billed.since(&baseline.billed).map(|(id, counted)| RowChange::counted(id, counted)).collect();
        let upstreams = self.upstreams(&rows, manifest);
        let counterparts = billed.far_since(&baseline.billed);
        Ok(Watched { rows, upstreams, counterparts, ..Watched::default() })
    }

    /// What a set whose names are lost has counted and is not known to have reported.
    fn give_up(&mut self, set: &PinnedSet) -> Result<Option<Summary>> {
        let path = set.path().display();
        tracing::error!("{path}: nobody knows what these counters mean; what they hold is `unattributed`");
        let (Some(epoch), Some(totals)) = (set.epoch(), set.unattributed()?) else {
            tracing::error!("{path}: and they cannot be read");
            return Ok(None);
        };
        let now = Timestamp::now();
        let (delta, start, sequence) = match self.journal.baseline(epoch) {
            None => (SparseReading::of_totals(&totals, &Reading::default()), now, OUT_OF_SEQUENCE),
            Some(Baseline { reported, next_sequence, until, .. }) => {
                let unreported = less(&totals, &reported.totals());
                let used_up = *next_sequence > OUT_OF_SEQUENCE;
                if used_up || unreported.iter().all(|counter| counter.is_zero()) {
                    return Ok(None);
                }
                (SparseReading::of_totals(&unreported, reported), *until, *next_sequence)
            }
        };
        let key = self.key(self.sensor.clone(), epoch, start, sequence);
        let batch = Batch { key, manifest: NO_MANIFEST, delta, labels: vec![], watched: Watched::default() };
        let summary = self.name(&batch, &mut Names::default());
        self.journal.commit(batch)?;
        Ok(Some(summary))
    }

    /// Of a batch that ends now.
    fn key(&self, sensor: String, epoch: Epoch, start: Timestamp, sequence: u64) -> Key {
        let end = Timestamp::now();
        Key { sensor, epoch, start: start.min(end), end, sequence }
    }

    /// Notes that records were written out, by epoch and sequence, and removes what was only kept for them. What cannot be noted now
    /// is tried again with the next call.
    pub(in super::super) fn delivered(&mut self, written: &[(Epoch, u64)]) {
        let result = self.try_delivered(written);
        if let Err(error) = &result
            && !self.complained
        {
            tracing::error!("{error:#}; nothing is lost: the next run may write records again");
        }
        self.complained = result.is_err();
    }

    /// The same, for a caller to whom it matters.
    ///
    /// # Errors
    /// The journal or a pin cannot be written.
    pub(in super::super) fn try_delivered(&mut self, written: &[(Epoch, u64)]) -> Result<()> {
        self.unmarked.extend(written.iter().copied());
        // What was written out may have been the last that an older manifest names.
        self.strays |= !written.is_empty() && self.hashes.len() > 1;
        while let Some((epoch, sequence)) = self.unmarked.first_key_value() {
            self.journal.delivered(*epoch, *sequence)?;
            self.unmarked.pop_first();
        }
        // Their manifests name those that were not written out.
        let done = self.journal.undelivered().all(|batch| Some(batch.key.epoch) == self.current);
        if self.closing && done {
            self.sweep()?;
            self.closing = false;
        }
        if self.strays { self.remove_strays() } else { Ok(()) }
    }

    /// Whether a set is counted in, or being made.
    fn is_used(&self, set: &PinnedSet) -> bool {
        set.epoch().is_some_and(|epoch| self.is_used_epoch(epoch))
    }

    fn is_used_epoch(&self, epoch: Epoch) -> bool {
        [self.current, self.fresh].contains(&Some(epoch))
    }

    /// Removes every set but the one that is counted in, and what nobody needs any more of journal and manifests.
    fn sweep(&mut self) -> Result<()> {
        for set in self.pins.sets()? {
            if !self.is_used(&set) {
                self.pins.remove_set(&set)?;
            }
        }
        for epoch in self.journal.epochs() {
            if !self.is_used_epoch(epoch) {
                self.journal.forget(epoch)?;
            }
        }
        self.closed.clear();
        self.strays = true;
        Ok(())
    }

    /// Removes what was made of a new epoch in whose maps nothing counted yet.
    pub(in super::super) fn discard_fresh(&mut self) {
        self.written(None);
        let Some(epoch) = self.fresh.take() else { return };
        self.strays = true;
        let mut remove = || -> Result<()> {
            // Before its pins, which may be in the way: without identity nobody takes them for counters.
            self.journal.forget(epoch)?;
            for set in self.pins.sets()?.iter().filter(|set| set.epoch() == Some(epoch)) {
                self.pins.remove_set(set)?;
            }
            self.remove_strays()
        };
        if let Err(error) = remove() {
            tracing::warn!("what was made for new counters is still there, and goes with the next start: {error:#}");
        }
    }

    /// Removes what a start that failed has made, unless something may count in it.
    pub(in super::super) fn abandon(&mut self) {
        if let Err(error) = self.try_abandon() {
            tracing::warn!("what this start has made is still there: {error:#}");
        }
    }

    fn try_abandon(&mut self) -> Result<()> {
        if !self.pins.links()?.is_empty() {
            return Ok(());
        }
        let sets = self.pins.sets()?;
        let kept = |set: &&PinnedSet| set.identity() != Identity::Unfinished && set.epoch() != self.begun;
        let kept_any = sets.iter().any(|set| kept(&set));
        for set in sets.iter().filter(|set| !kept(set)) {
            self.pins.remove_set(set)?;
        }
        if let Some(epoch) = self.begun.take() {
            self.journal.forget(epoch)?;
        }
        (self.current, self.fresh) = (None, None);
        self.remove_strays()?;
        if kept_any {
            return Ok(());
        }
        self.pins.remove()?;
        self.state.release()
    }
}

/// What was counted beyond what was reported; all of it where these cannot be the counters that were reported.
fn less(totals: &Totals, reported: &Totals) -> Totals {
    let mut both = totals.iter().zip(reported);
    let grown = both.all(|(now, then)| {
        now.packets >= then.packets && now.bytes >= then.bytes && now.frame_bytes >= then.frame_bytes
    });
    if grown { std::array::from_fn(|direction| totals[direction].since(&reported[direction])) } else { *totals }
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
