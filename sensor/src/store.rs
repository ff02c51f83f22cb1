//! The embedded store: years of records of one machine in one SQLite file, as sums that questions of a study are answered from.
//!
//! An interval is taken once, by sensor, epoch and sequence, however often it comes: what adds up is in the file together with the sequence that it came with.

mod cover;
mod exchange;
mod flows;
mod keep;
mod read;
mod rows;
mod schema;
mod spans;
mod spread;
mod sums;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rusqlite::{Connection, OpenFlags};

pub use self::{
    flows::{Imported, Nature, Past},
    keep::Level,
};
use self::{
    rows::{Rows, Zones},
    spans::Spans,
};
use crate::{
    config::Network,
    study::Method,
    summary::{Key, Summary},
};

/// The folder of a store in the state folder.
const FOLDER: &str = "store";
/// The file in the folder of a store.
const FILE: &str = "store.sqlite";
/// Intervals that go into one commit where many come at once.
const BATCH: usize = 1024;
/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;
/// How long one commit waits for another program's.
const BUSY: Duration = Duration::from_secs(10);
/// How long intervals may wait for others, where they come one by one.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where a sensor with that state folder has its store unless another folder is named.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join(FOLDER)
}

/// A store that is written to.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    zones: Zones,
    replaces: bool,
    /// The epoch that intervals come from, its number, and which of them are there.
    source: Option<Source>,
    pending: Rows,
    waiting: usize,
    since: Instant,
    /// Day of the newest record when what was too old was last removed.
    pruned: Option<i64>,
    newest: i64,
}

/// A life of counters whose intervals come.
#[derive(Debug)]
struct Source {
    sensor: String,
    epoch: String,
    id: i64,
    spans: Spans,
}

/// What became of an interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in the store with the next commit.
    New,
    /// It was there already.
    Known,
}

impl Store {
    /// Opens the store in a folder, or makes it. Days are told in the zones of `networks`; `replaces`: a replay takes the place of an earlier one of the same
    /// time.
    ///
    /// # Errors
    /// The folder cannot be had, or holds a store of another version.
    pub fn open(folder: &Path, networks: &[Network], replaces: bool) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}; make it, or name another folder", folder.display()))?;
        let path = folder.join(FILE);
        let connection = Connection::open(&path).with_context(|| unreadable(&path))?;
        connection.busy_timeout(BUSY)?;
        schema::prepare(&connection).with_context(|| unreadable(&path))?;
        let zones = Zones::of(networks);
        let (pending, since) = (Rows::default(), Instant::now());
        Ok(Self {
            connection,
            path,
            zones,
            replaces,
            source: None,
            pending,
            waiting: 0,
            since,
            pruned: None,
            newest: 0,
        })
    }

    /// Takes an interval. It is on disk with the next [`commit`](Self::commit), or some intervals later.
    ///
    /// # Errors
    /// Another replay of the same time is there, or the disk takes nothing.
    pub fn append(&mut self, summary: &Summary) -> Result<Taken> {
        let Key { sequence, start, end, .. } = summary.key;
        let is_live = summary.ledger.iter().any(|side| side.attached.is_some());
        self.begin(&summary.key, is_live)?;
        let Some(source) = &mut self.source else { bail!("a store without a source; report it") };
        if source.spans.has(sequence) {
            return Ok(Taken::Known);
        }
        let blind = summary.ledger.iter().filter_map(|side| side.blind_ms).max().unwrap_or_default();
        source.spans.add(sequence, (start.as_microsecond(), end.as_microsecond()), blind, is_live);
        self.pending.add(summary, &self.zones);
        self.waiting += 1;
        self.newest = self.newest.max(start.as_second());
        if self.waiting >= BATCH || self.since.elapsed() >= PATIENCE {
            self.commit()?;
        }
        Ok(Taken::New)
    }

    /// Has all that was taken on disk.
    ///
    /// # Errors
    /// The disk takes nothing; what waits may be committed later.
    pub fn commit(&mut self) -> Result<()> {
        self.since = Instant::now();
        let Some(source) = self.source.as_mut().filter(|_| self.waiting > 0) else { return Ok(()) };
        let fix = || unwritable(&self.path);
        let transaction = self.connection.transaction().with_context(fix)?;
        write::rows(&transaction, source.id, &self.pending).with_context(fix)?;
        write::spans(&transaction, source.id, &source.spans).with_context(fix)?;
        transaction.commit().with_context(fix)?;
        (self.pending, self.waiting) = (Rows::default(), 0);
        let day = self.newest / DAY_SECONDS;
        if self.pruned.replace(day) != Some(day) {
            self.prune()?;
        }
        Ok(())
    }

    /// The next interval is one of this epoch.
    fn begin(&mut self, key: &Key, is_live: bool) -> Result<()> {
        let epoch = key.epoch.to_string();
        let is_same = |source: &Source| source.epoch == epoch && source.sensor == key.sensor;
        if !self.source.as_ref().is_some_and(is_same) {
            self.commit()?;
            let id = table::source(&self.connection, &key.sensor, &epoch, is_live, Method::Counted)?;
            let spans = read::spans_of(&self.connection, id)?;
            self.source = Some(Source { sensor: key.sensor.clone(), epoch, id, spans });
        }
        let Some(source) = &self.source else { return Ok(()) };
        // A running sensor begins an epoch where the last one ended, and both have a part of a moment.
        if is_live || source.spans.has(key.sequence) {
            return Ok(());
        }
        let (start, end) = (key.start.as_microsecond(), key.end.as_microsecond());
        let Some((other, epoch, was_live)) =
            read::overlapping(&self.connection, source.id, &source.sensor, (start, end))?
        else {
            return Ok(());
        };
        if was_live {
            bail!(
                "{}: sensor {:?} was running at {}, and what it saw is not replaced by a capture; name another sensor with --sensor-id, or \
                 another store",
                self.path.display(),
                key.sensor,
                key.start
            );
        }
        if !self.replaces {
            bail!(
                "{}: sensor {:?} has records from {} in it already, of another capture, archive or configuration (epoch {epoch}); \
                 replay with --replace, name another sensor with --sensor-id, or another store",
                self.path.display(),
                key.sensor,
                key.start
            );
        }
        tracing::info!("records of epoch {epoch} of sensor {:?} make room for others of the same time", key.sensor);
        write::remove(&self.connection, other)
    }
}

/// What to do about a file that does not open.
fn unreadable(path: &Path) -> String {
    format!("{}: cannot be used as a store; name another folder, or restore it from a copy", path.display())
}

/// What to do about one that takes nothing.
fn unwritable(path: &Path) -> String {
    format!("{}: cannot be written; free disk space, or see to the disk", path.display())
}

/// A store that is read.
#[derive(Debug)]
pub struct Archive {
    connection: Connection,
    path: PathBuf,
}

impl Archive {
    /// Opens the store in a folder, as it is at that moment.
    ///
    /// # Errors
    /// There is none, or it is of another version or damaged.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        if !path.is_file() {
            bail!(
                "{}: there is no store; write one with sensor run --store or sensor replay --store, or name its folder",
                folder.display()
            );
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&path, flags).with_context(|| unreadable(&path))?;
        connection.busy_timeout(BUSY)?;
        schema::prepare(&connection).with_context(|| unreadable(&path))?;
        // All that is asked sees the same records.
        connection.execute_batch("BEGIN").with_context(|| unreadable(&path))?;
        Ok(Self { connection, path })
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// What went wrong with a question.
    fn damaged(&self, error: rusqlite::Error) -> anyhow::Error {
        anyhow!(error).context(format!("{}: cannot be read; restore it from a copy", self.path.display()))
    }
}
