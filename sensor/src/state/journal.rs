//! `state_dir/journal`: what was counted and exported, in one append for each interval.
//!
//! The file is a header, at most one snapshot, and then one frame for each thing that happened since. A batch and the
//! baseline that follows from it are one frame: neither can be on disk without the other.

mod disk;
mod frame;
mod history;
mod recover;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use self::{
    disk::Disk,
    frame::Kind,
    history::{Beginning, History},
};
use crate::{
    collect::{Reading, SparseReading},
    epoch::Epoch,
    summary::{Key, LedgerLabel, Watched},
    watch::Breakdown,
};

/// The file is not rewritten before it has this many bytes.
const MIN_REWRITE_LEN: u64 = 1 << 20;
/// The file is rewritten once it is so many times longer than what it has to hold.
const REWRITE_FACTOR: u64 = 4;

/// One interval as it was committed: what was counted, under which key, and how the ledgers are labelled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its key, which is never given to another batch.
    pub key: Key,
    /// SHA-256 of the manifest that names what was counted.
    pub manifest: [u8; 32],
    /// What was counted in the interval.
    pub delta: SparseReading,
    /// What the ledgers are called, and what else their records say.
    pub labels: Vec<LedgerLabel>,
    /// What was billed and seen of watched networks.
    pub watched: Watched,
}

/// What was already exported of an epoch's counters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The sum of all committed batches: the next interval counts from here.
    pub reported: Reading,
    /// The same of the rows of watched networks.
    pub billed: Breakdown,
    /// Sequence of the next batch, from 0.
    pub next_sequence: u64,
    /// End of the last batch, which is where the next one begins.
    pub until: Timestamp,
}

/// The end of a journal that could not be read and was cut off.
///
/// Where an append was interrupted nothing is lost: it had not been committed. Otherwise the disk lost something that had been, and
/// the baselines before it say too little: a batch that follows from one would be under a key that was given away already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Bytes cut off.
    pub bytes: u64,
    /// Whether they are the beginning of one entry and nothing else: what an append leaves that was interrupted.
    pub interrupted: bool,
    /// Where they were saved, if they could be.
    pub saved: Option<PathBuf>,
}

/// The journal, ready to be appended to.
#[derive(Debug)]
pub struct Journal {
    disk: Box<dyn Disk>,
    history: History,
    /// Bytes of the file that are part of the history.
    len: u64,
    /// Bytes that the baselines took when they were last written as a snapshot.
    baselines_len: u64,
    /// The file is missing, or it is not known what of it is on disk: the next commit writes a new one.
    rewrite: bool,
    /// After a rewrite that failed: no other one below this length.
    patience: u64,
    damage: Option<Damage>,
}

impl Journal {
    /// What was already exported of this epoch's counters; `None`: nothing is known to have been.
    pub fn baseline(&self, epoch: Epoch) -> Option<&Baseline> {
        self.history.baseline(epoch)
    }

    /// The epochs that have a baseline, in their order.
    pub fn epochs(&self) -> Vec<Epoch> {
        self.history.epochs()
    }

    /// Whether another epoch can begin.
    pub fn has_room(&self) -> bool {
        self.history.has_room()
    }

    /// Committed batches that were not marked as delivered, oldest first: to be written again, identical, under their old keys.
    pub fn undelivered(&self) -> impl ExactSizeIterator<Item = &Batch> {
        self.history.undelivered()
    }

    /// What was cut off when the journal was opened.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// Notes that the counters of a new epoch begin with nothing, at `at`, which is on disk when this returns: counters without a
    /// baseline have lost it.
    ///
    /// # Errors
    /// It cannot be written, or the epoch is known.
    pub fn begin(&mut self, epoch: Epoch, zero: &Reading, at: Timestamp) -> Result<()> {
        let beginning = Beginning { epoch, zero: zero.sparse(), at };
        self.history.check_beginning(&beginning)?;
        let frame = frame::encode(Kind::Begin, &beginning)?;
        let written = if self.rewrite { self.replace(&frame) } else { self.append(&frame, true) };
        written.with_context(|| format!("{}: cannot begin an epoch; free disk space", self.disk.name()))?;
        self.history.begin(&beginning)
    }

    /// Commits a batch, and with it the baseline that it leaves behind: both are on disk when this returns.
    ///
    /// # Errors
    /// Nothing is committed then, and the baseline is as it was: try again with a longer interval. Either the disk failed or
    /// is full, or the batch does not follow from the baseline: its sequence was used, or it is of other counters.
    pub fn commit(&mut self, batch: Batch) -> Result<()> {
        self.history.check(&batch)?;
        let frame = frame::encode(Kind::Batch, &batch)?;
        let written = if self.rewrite { self.replace(&frame) } else { self.append(&frame, true) };
        written.with_context(|| format!("{}: cannot commit an interval; free disk space", self.disk.name()))?;
        self.history.commit(batch, frame.len() as u64)?;
        self.rewrite_if_due();
        Ok(())
    }

    /// Marks the batches of an epoch up to a sequence as written out.
    ///
    /// Not synced: losing the mark repeats batches under their keys, and loses none.
    ///
    /// # Errors
    /// The mark cannot be written; nothing is marked then, and a later mark covers these batches too.
    pub fn delivered(&mut self, epoch: Epoch, sequence: u64) -> Result<()> {
        if self.history.waits(epoch, sequence) {
            self.note(Kind::Delivered, &(epoch, sequence))?;
            self.history.deliver(epoch, sequence);
            self.rewrite_if_due();
        }
        Ok(())
    }

    /// Drops the baseline of an epoch whose maps are gone; its undelivered batches stay.
    ///
    /// To be called after the maps were removed, never before. Not synced: an epoch that is back after a crash is forgotten again.
    ///
    /// # Errors
    /// It cannot be written; the baseline stays then.
    pub fn forget(&mut self, epoch: Epoch) -> Result<()> {
        if self.history.baseline(epoch).is_some() {
            self.note(Kind::Forget, &epoch)?;
            self.history.forget(epoch);
            self.rewrite_if_due();
        }
        Ok(())
    }

    /// Writes what may be lost. Where the file is to be written anew anyway, that will hold it.
    fn note(&mut self, kind: Kind, value: &impl Serialize) -> Result<()> {
        if self.rewrite {
            return Ok(());
        }
        let frame = frame::encode(kind, value)?;
        self.append(&frame, false).with_context(|| format!("{}: cannot write; free disk space", self.disk.name()))
    }

    /// Appends a frame, or leaves the file as it was.
    fn append(&mut self, frame: &[u8], sync: bool) -> Result<()> {
        let mut written = self.disk.append(self.len, frame);
        if written.is_ok() && sync {
            written = self.disk.sync();
            // The kernel reports a failed write once and may then take the pages for written, earlier ones included: only a
            // new file is known to be whole.
            self.rewrite |= written.is_err();
        }
        match written {
            Ok(()) => self.len += frame.len() as u64,
            Err(_) => self.rewrite |= self.disk.cut(self.len).is_err(),
        }
        Ok(written?)
    }

    fn rewrite_if_due(&mut self) {
        let live = self.baselines_len + self.history.undelivered_len();
        let limit = MIN_REWRITE_LEN.max(REWRITE_FACTOR * live).max(self.patience);
        if self.rewrite || self.len <= limit {
            return;
        }
        if let Err(error) = self.replace(&[]) {
            self.patience = self.len.saturating_mul(2);
            tracing::warn!("{}: cannot be shortened, and goes on growing: {error:#}", self.disk.name());
        }
    }

    /// Writes a new file that holds the history, with `frame` behind it, and puts it in place of the old one.
    fn replace(&mut self, frame: &[u8]) -> Result<()> {
        let (snapshot, baselines_len) = self.history.snapshot()?;
        let bytes = [&frame::header(), snapshot.as_slice(), frame].concat();
        self.disk.write_new(&bytes)?;
        // Until it is known which of the two files a crash would leave, neither is appended to.
        self.rewrite = true;
        self.disk.publish_new()?;
        self.rewrite = false;
        self.len = bytes.len() as u64;
        self.baselines_len = baselines_len;
        self.patience = 0;
        Ok(())
    }
}
