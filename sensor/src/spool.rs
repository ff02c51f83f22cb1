//! `state_dir/spool`: records on their way to collectors, from the moment an interval is committed until every exporter has delivered it.
//!
//! An interval is appended once, in pieces, and is on disk when that returns; then the journal may forget it. Each exporter reads at its own pace
//! and has a cursor; what all have delivered is removed. Bounded by bytes and age: beyond, the oldest is given up, and whoever had not delivered it
//! is told exactly how much. `docs/decisions/0024-spool.md` says why it is these files.

mod cursors;
mod cut;
mod disk;
#[cfg(feature = "testing")]
pub(crate) mod fuzz;
mod log;
mod merge;
mod open;
mod piece;
mod reader;
mod segment;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    slice,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::sync::watch;

pub use self::{
    cursors::{Cursor, Lost},
    reader::Reader,
};
use self::{
    cursors::{CursorFile, Cursors},
    disk::{Disk, FileSystem},
    log::Log,
    piece::Header,
};
use crate::{
    epoch::Epoch,
    summary::{Key, Summary},
};

/// Name of the folder in `state_dir`.
const FOLDER: &str = "spool";

/// How much a spool may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes of all segments.
    pub max_bytes: u64,
    /// Longest that anything waits.
    pub max_age: Duration,
}

/// The spool of a sensor; shared by whoever appends and all that read.
#[derive(Debug)]
pub struct Spool {
    inner: Mutex<Inner>,
    /// Position of the last piece.
    end: watch::Sender<u64>,
    /// Wakes the thread that merges.
    merger: SyncSender<()>,
    /// One at a time.
    merging: Mutex<()>,
}

#[derive(Debug)]
struct Inner {
    log: Log,
    cursors: Cursors,
    file: CursorFile,
    /// Up to where all exporters have delivered, as it is on disk.
    delivered: u64,
}

/// A part of an interval's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    header: Header,
    payload: Vec<u8>,
}

impl Piece {
    /// Sequence of its key.
    pub fn sequence(&self) -> u64 {
        self.header.sequence
    }

    /// Records in it.
    pub fn records(&self) -> u32 {
        self.header.records
    }

    /// What it is known by: the same whenever it is handed out, and no other piece has it.
    pub(crate) fn token(&self) -> String {
        let Header { epoch, sequence, span: [start, _], before, records, .. } = self.header;
        // What was merged ends with the sequence of an interval that was not, and begins earlier.
        format!("{:032x}:{sequence}:{start}:{before}:{records}", u128::from_be_bytes(epoch))
    }

    /// Its records, one JSON object a line.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn lines(&self) -> io::Result<Vec<u8>> {
        cut::lines(&self.payload)
    }
}

impl Spool {
    /// Opens the spool of a state folder for these exporters: whoever is new among them is given what comes from here on, and whoever is missing is forgotten.
    ///
    /// What cannot be read is moved to `spool/quarantine`.
    ///
    /// # Errors
    /// The folder cannot be read or written, or is of another version.
    pub fn open(state_dir: &Path, bounds: Bounds, exporters: &[&str]) -> Result<Arc<Self>> {
        let (spool, wanted) = Self::open_on(Arc::new(FileSystem), state_dir, bounds, cut::PIECE_LEN, exporters)?;
        let weak = Arc::downgrade(&spool);
        let merge = move || {
            while wanted.recv().is_ok()
                && let Some(spool) = weak.upgrade()
            {
                spool.merge();
            }
        };
        let started = thread::Builder::new().name("spool".to_owned()).spawn(merge);
        started.context("cannot start the thread that keeps the spool small; allow more")?;
        Ok(spool)
    }

    /// The same on any disk, and when it is to be merged.
    fn open_on(
        disk: Arc<dyn Disk>,
        state_dir: &Path,
        bounds: Bounds,
        piece_len: usize,
        exporters: &[&str],
    ) -> Result<(Arc<Self>, Receiver<()>)> {
        let folder = state_dir.join(FOLDER);
        let (log, file, cursors) = open::open(&disk, &folder, bounds, piece_len)?;
        let end = log.end;
        let begin = match &cursors {
            Some(_) => {
                Cursor { acknowledged: end.position, total: end.total, handed: end.position, ..Cursor::default() }
            }
            None => log.beginning().with_context(|| format!("cannot read {}; check the disk", folder.display()))?,
        };
        let mut cursors = cursors.unwrap_or_default();
        cursors.retain(|name, _| {
            let is_known = exporters.contains(&name.as_str());
            if !is_known {
                tracing::info!("exporter {name:?} is not configured any more: nothing waits for it");
            }
            is_known
        });
        for name in exporters {
            cursors.entry((*name).to_owned()).or_insert(begin);
        }
        let (end, _) = watch::channel(end.position);
        let mut inner = Inner { log, cursors, file, delivered: 0 };
        inner.save()?;
        let (merger, wanted) = sync_channel(1);
        let spool = Arc::new(Self { inner: Mutex::new(inner), end, merger, merging: Mutex::default() });
        spool.inner().tidy();
        Ok((spool, wanted))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Every step leaves it as it can be gone on with.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what of an interval is not there already; on disk when this returns.
    ///
    /// # Errors
    /// Nothing of it counts then: try again.
    pub fn append(&self, summary: &Summary) -> Result<()> {
        self.append_together(slice::from_ref(summary))
    }

    /// The same with intervals that follow each other in an epoch, in pieces that they share: under the key of the last, and whole or not at all. Of a history that is
    /// told from its beginning each time: all of it is there, or none.
    pub(crate) fn append_together(&self, summaries: &[Summary]) -> Result<()> {
        let (Some(first), Some(last)) = (summaries.first(), summaries.last()) else { return Ok(()) };
        let key = &Key { start: first.key.start, ..last.key.clone() };
        // All of it is there, where later intervals of its epoch are.
        let inner = self.inner();
        let Some(known) = inner.log.known(key) else { return Ok(()) };
        let piece_len = inner.log.piece_len;
        drop(inner);
        let mut records = known;
        // The lock is not held while records are written as text and compressed.
        let appended = cut::cut(summaries, piece_len, known, |piece| {
            records = piece.before + piece.records;
            self.inner().log.append(key, &piece)
        });
        let mut inner = self.inner();
        let committed = appended.and_then(|()| inner.log.commit(key, records));
        if committed.is_err() {
            inner.log.roll_back();
        }
        committed.with_context(|| format!("{}: cannot append; free disk space", inner.log.folder.display()))?;
        inner.tidy();
        self.end.send_replace(inner.log.committed.position);
        // Where the thread has not begun yet, it sees this too.
        let _ = self.merger.try_send(());
        Ok(())
    }

    /// Makes intervals coarser as long as there is more than half of what there may be. What cannot be merged stays as it is.
    fn merge(&self) {
        let _one = self.merging.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut inner = self.inner();
            // What is delivered for good is what is on disk as such.
            let Inner { log, cursors, .. } = &mut *inner;
            let Some(run) = log.run_to_merge(|first, last| is_free(cursors, first, last)) else { return };
            let disk = Arc::clone(&log.disk);
            let saved = inner.save();
            drop(inner);
            let written = saved.and_then(|()| Ok(run.write(&*disk)?));
            let mut inner = self.inner();
            // An exporter may have come so far meanwhile, or through all of it.
            let is_free = is_free(&inner.cursors, run.first, run.last);
            let done = written.and_then(|()| {
                if is_free {
                    inner.save()?;
                    inner.log.replace(&run)?;
                }
                Ok(())
            });
            // Of no use to anybody, and the disk may be full.
            let _ = merge::remove_draft(&*disk, &inner.log.folder);
            if let Err(error) = done {
                let path = inner.log.folder.display();
                tracing::warn!("{path}: cannot be merged: {error:#}; the oldest is given up where there is no room");
                return;
            }
            if !is_free {
                return;
            }
        }
    }

    /// Sequence of the last interval of an epoch that is known to be here.
    pub fn last_sequence(&self, epoch: Epoch) -> Option<u64> {
        self.inner().log.known.get(&epoch).map(|(sequence, _)| *sequence)
    }

    /// What exporters lost since the last call, by name. That it was taken is on disk with the next piece
    /// that is delivered: where a crash comes before, it is told once more.
    pub fn take_lost(&self) -> BTreeMap<String, Lost> {
        let mut inner = self.inner();
        let lost = inner.cursors.iter_mut().filter_map(|(name, cursor)| {
            let untold = cursor.lost.beyond(cursor.told);
            cursor.told = cursor.lost;
            (untold != Lost::default()).then(|| (name.clone(), untold))
        });
        lost.collect()
    }

    /// Position of the last piece.
    pub fn end(&self) -> u64 {
        *self.end.borrow()
    }

    /// How far an exporter is.
    pub fn cursor(&self, name: &str) -> Option<Cursor> {
        self.inner().cursors.get(name).copied()
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.inner().log.len()
    }

    /// What an exporter reads by; `None`: the spool was not opened for it.
    pub fn reader(self: &Arc<Self>, name: &str) -> Option<Reader> {
        let cursor = *self.inner().cursors.get(name)?;
        Some(Reader::new(Arc::clone(self), name, cursor, self.end.subscribe()))
    }
}

/// Whether no exporter was handed a part of what is between two positions without having delivered all of it.
fn is_free(cursors: &Cursors, first: u64, last: u64) -> bool {
    cursors.values().all(|cursor| cursor.handed < first || cursor.acknowledged >= last)
}

impl Inner {
    /// Puts on disk how far exporters are.
    fn save(&mut self) -> Result<()> {
        self.file.write(&self.cursors)?;
        self.delivered = self.cursors.values().map(|cursor| cursor.acknowledged).min().unwrap_or(u64::MAX);
        Ok(())
    }

    /// Has it that what a merge left does not come back.
    fn settle(&mut self) -> Result<()> {
        let settled = self.log.settle();
        settled.with_context(|| format!("{}: cannot be tidied up; check the disk", self.log.folder.display()))
    }

    /// Removes what nobody waits for, not even behind a crash, and what there is no room for. What cannot be removed is tried again.
    fn tidy(&mut self) {
        if let Err(error) = self.log.tidy(self.delivered) {
            tracing::warn!("{}: cannot be tidied up: {error}; trying again", self.log.folder.display());
        }
    }
}
