//! What a journal says, without the file: baselines, and batches that nobody has yet. Pure.

use std::collections::{BTreeMap, VecDeque};

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Baseline, Batch,
    frame::{self, Kind},
};
use crate::{
    collect::{SparseReading, Zeroless},
    epoch::Epoch,
    watch::Breakdown,
};

/// Most epochs with a baseline. One is in use, and one may be on its way out; each takes as much memory as a reading.
pub(super) const MAX_EPOCHS: usize = 8;

/// The sum of a journal's entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct History {
    baselines: BTreeMap<Epoch, Baseline>,
    pending: VecDeque<Pending>,
    pending_len: u64,
}

/// A batch that was not delivered, and how many bytes of the file it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pending {
    batch: Batch,
    len: u64,
}

/// A baseline in a snapshot, with what was reported: [`Zeroless`] when written, a [`SparseReading`] when read.
#[derive(Serialize, Deserialize)]
struct Checkpoint<R> {
    epoch: Epoch,
    reported: R,
    billed: Breakdown,
    next_sequence: u64,
    until: Timestamp,
}

/// The first entry of an epoch.
#[derive(Serialize, Deserialize)]
pub(super) struct Beginning {
    pub(super) epoch: Epoch,
    pub(super) zero: SparseReading,
    pub(super) at: Timestamp,
}

impl History {
    /// The baseline of a new epoch.
    pub(super) fn begin(&mut self, beginning: &Beginning) -> Result<()> {
        self.check_beginning(beginning)?;
        let Beginning { epoch, zero, at } = beginning;
        self.baselines.insert(
            *epoch,
            Baseline { reported: zero.dense()?, billed: Breakdown::default(), next_sequence: 0, until: *at },
        );
        Ok(())
    }

    /// Whether an epoch can begin like this.
    pub(super) fn check_beginning(&self, Beginning { epoch, zero, .. }: &Beginning) -> Result<()> {
        self.check_new(*epoch)?;
        ensure!(!self.baselines.contains_key(epoch), "epoch {epoch} has begun already");
        zero.check()
    }

    pub(super) fn baseline(&self, epoch: Epoch) -> Option<&Baseline> {
        self.baselines.get(&epoch)
    }

    pub(super) fn epochs(&self) -> Vec<Epoch> {
        self.baselines.keys().copied().collect()
    }

    pub(super) fn undelivered(&self) -> impl ExactSizeIterator<Item = &Batch> {
        self.pending.iter().map(|pending| &pending.batch)
    }

    /// How many bytes of the file they take.
    pub(super) fn undelivered_len(&self) -> u64 {
        self.pending_len
    }

    /// Whether a batch follows from what was committed before it.
    pub(super) fn check(&self, batch: &Batch) -> Result<()> {
        let epoch = batch.key.epoch;
        batch.delta.check()?;
        ensure!(batch.key.sequence < u64::MAX, "epoch {epoch} has no sequence left; draw a new one");
        match self.baselines.get(&epoch) {
            Some(baseline) => {
                ensure!(
                    batch.key.sequence >= baseline.next_sequence,
                    "sequence {} of epoch {epoch} was used: the next one is {}",
                    batch.key.sequence,
                    baseline.next_sequence
                );
                ensure!(
                    batch.delta.fits(&baseline.reported),
                    "a batch of other counters than those of epoch {epoch}; draw a new one"
                );
            }
            None => self.check_new(epoch)?,
        }
        Ok(())
    }

    /// Whether there is room for another epoch.
    pub(super) fn has_room(&self) -> bool {
        self.baselines.len() < MAX_EPOCHS
    }

    fn check_new(&self, epoch: Epoch) -> Result<()> {
        ensure!(
            self.baselines.contains_key(&epoch) || self.has_room(),
            "{MAX_EPOCHS} epochs have counters that were not closed: stop the agent, and close them with `sensor detach`"
        );
        Ok(())
    }

    /// Commits a batch that takes `len` bytes of the file; changes nothing where it does not follow.
    pub(super) fn commit(&mut self, batch: Batch, len: u64) -> Result<()> {
        self.check(&batch)?;
        let (next_sequence, until) = (batch.key.sequence + 1, batch.key.end);
        match self.baselines.get_mut(&batch.key.epoch) {
            Some(baseline) => {
                batch.delta.add_to(&mut baseline.reported)?;
                baseline.billed.advance(&batch.watched);
                (baseline.next_sequence, baseline.until) = (next_sequence, until);
            }
            None => {
                let reported = batch.delta.dense()?;
                let mut billed = Breakdown::default();
                billed.advance(&batch.watched);
                self.baselines.insert(batch.key.epoch, Baseline { reported, billed, next_sequence, until });
            }
        }
        self.wait(batch, len);
        Ok(())
    }

    /// Whether a batch of an epoch up to a sequence is not delivered.
    pub(super) fn waits(&self, epoch: Epoch, sequence: u64) -> bool {
        self.undelivered().any(|batch| is_up_to(batch, epoch, sequence))
    }

    pub(super) fn deliver(&mut self, epoch: Epoch, sequence: u64) {
        self.pending.retain(|pending| !is_up_to(&pending.batch, epoch, sequence));
        self.pending_len = self.pending.iter().map(|pending| pending.len).sum();
    }

    pub(super) fn forget(&mut self, epoch: Epoch) {
        self.baselines.remove(&epoch);
    }

    /// All of it as the first frame of a file, and how many bytes of that the baselines take.
    pub(super) fn snapshot(&self) -> Result<(Vec<u8>, u64)> {
        const FAILED: &str = "cannot encode the journal's snapshot";
        let checkpoints: Vec<Checkpoint<Zeroless<'_>>> = self.baselines.iter().map(Checkpoint::new).collect();
        let mut frame = postcard::to_extend(&checkpoints, frame::begin()).context(FAILED)?;
        let baselines_len = frame.len() as u64;
        for batch in self.undelivered() {
            frame = postcard::to_extend(batch, frame).context(FAILED)?;
        }
        Ok((frame::seal(Kind::Snapshot, frame)?, baselines_len))
    }

    /// The history of a snapshot's payload, and how many bytes of that the baselines take.
    pub(super) fn restore(payload: &[u8]) -> Result<(Self, u64)> {
        let (checkpoints, mut rest): (Vec<Checkpoint<SparseReading>>, _) = postcard::take_from_bytes(payload)?;
        let baselines_len = (payload.len() - rest.len()) as u64;
        // Before any is made: each may ask for as much memory as the largest table.
        ensure!(checkpoints.len() <= MAX_EPOCHS, "{} epochs are too many", checkpoints.len());
        let mut history = Self::default();
        for checkpoint in checkpoints {
            let Checkpoint { epoch, reported, billed, next_sequence, until } = checkpoint;
            let baseline = Baseline { reported: reported.dense()?, billed, next_sequence, until };
            if history.baselines.insert(epoch, baseline).is_some() {
                bail!("epoch {epoch} has two baselines");
            }
        }
        while !rest.is_empty() {
            let (batch, behind) = postcard::take_from_bytes(rest)?;
            history.wait(batch, (rest.len() - behind.len()) as u64);
            rest = behind;
        }
        Ok((history, baselines_len))
    }

    fn wait(&mut self, batch: Batch, len: u64) {
        self.pending.push_back(Pending { batch, len });
        self.pending_len += len;
    }
}

impl<'a> Checkpoint<Zeroless<'a>> {
    fn new((epoch, baseline): (&Epoch, &'a Baseline)) -> Self {
        let Baseline { reported, billed, next_sequence, until } = baseline;
        let (reported, billed) = (Zeroless(reported), billed.clone());
        Self { epoch: *epoch, reported, billed, next_sequence: *next_sequence, until: *until }
    }
}

fn is_up_to(batch: &Batch, epoch: Epoch, sequence: u64) -> bool {
    batch.key.epoch == epoch && batch.key.sequence <= sequence
}
