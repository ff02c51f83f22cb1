//! The embedded store: years of records of one machine in one SQLite file, as sums that questions of a study are answered from.
//!
//! An interval is taken once, by sensor, epoch and sequence, however often it comes: what adds up is in the file together with the sequence that it came with.

mod archive;
mod cover;
mod exchange;
mod flows;
mod keep;
mod read;
mod rows;
mod rules;
mod schema;
mod spans;
mod spread;
mod sums;
mod table;
#[cfg(test)]
pub(crate) mod tests;
mod write;

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rusqlite::{Connection, ErrorCode};

pub use self::{
    archive::Archive,
    flows::{Imported, Nature, Past},
    keep::Level,
    rules::Rules,
};
use self::{
    keep::Cut,
    rows::{Rows, When},
    spans::Spans,
};
use crate::{
    config::{Config, Network, Retention},
    study::Method,
    summary::{Key, Summary},
};

/// The file in the folder of a store.
const FILE: &str = "store.sqlite";
/// Intervals that go into one commit where many come at once.
const BATCH: usize = 1024;
/// Rows of traffic that go into one commit: of long intervals few intervals have as many.
const ROWS: usize = 100_000;
/// An interval of so many seconds or more is written record by record: each may be a row for every minute of weeks.
const LONG: i64 = DAY_SECONDS;
/// Seconds of a day.
const DAY_SECONDS: i64 = 86_400;
/// Microseconds of a second.
const MICROSECONDS: i64 = 1_000_000;
/// How long one commit waits for another program's.
const BUSY: Duration = Duration::from_secs(10);
/// How long intervals may wait for others, where they come one by one.
const PATIENCE: Duration = Duration::from_secs(1);

/// A store that is written to.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    rules: Rules,
    replaces: bool,
    /// The epoch that intervals come from, its number, and which of them are there.
    source: Option<Source>,
    pending: Rows,
    waiting: usize,
    since: Instant,
    /// Day of the newest record, and what was in force, when what is too old was last looked for.
    pruned: Option<(i64, Retention)>,
    /// What of that is there yet.
    cuts: VecDeque<Cut>,
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
        schema::prepare(&connection).map_err(one_line).with_context(|| unreadable(&path))?;
        let rules = Rules::of(networks, Retention::DEFAULT);
        let (pending, since) = (Rows::default(), Instant::now());
        Ok(Self {
            connection,
            path,
            rules,
            replaces,
            source: None,
            pending,
            waiting: 0,
            since,
            pruned: None,
            cuts: VecDeque::new(),
            newest: 0,
        })
    }

    /// The same, by what a configuration says of networks and of how long what is kept.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_for(folder: &Path, config: &Config, replaces: bool) -> Result<Self> {
        let store = Self::open(folder, &config.networks, replaces)?;
        store.rules.replace(&config.networks, config.retention());
        Ok(store)
    }

    /// What it goes by, which a reload may change.
    pub fn rules(&self) -> Rules {
        self.rules.clone()
    }

    /// Takes an interval. It is on disk with the next [`commit`](Self::commit), or some intervals later.
    ///
    /// # Errors
    /// Another replay of the same time is there, or the disk takes nothing.
    pub fn append(&mut self, summary: &Summary) -> Result<Taken> {
        let Key { sequence, start, end, .. } = summary.key;
        let is_live = summary.ledger.iter().any(|side| side.attached.is_some());
        self.begin(&summary.key, is_live)?;
        let is_long = When::of(&summary.key).seconds() >= LONG;
        if is_long {
            self.commit()?;
        }
        let Some(source) = &mut self.source else { bail!("a store without a source; report it") };
        if source.spans.has(sequence) {
            return Ok(Taken::Known);
        }
        let blind = summary.ledger.iter().filter_map(|side| side.blind_ms).max().unwrap_or_default();
        source.spans.add(sequence, (start.as_microsecond(), end.as_microsecond()), blind, is_live);
        self.newest = self.newest.max(start.as_second());
        if is_long {
            let committed = self.commit_long(summary);
            if committed.is_err() {
                // What is there is what is on disk: it comes again.
                self.source = None;
            }
            return committed.map(|()| Taken::New);
        }
        self.pending.add(summary, &self.rules.now().zones);
        self.waiting += 1;
        if self.waiting >= BATCH || self.pending.len() >= ROWS || self.since.elapsed() >= PATIENCE {
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
        let fix = |error: rusqlite::Error| unwritable(&self.path, error);
        let transaction = self.connection.transaction().map_err(fix)?;
        write::rows(&transaction, source.id, &self.pending).map_err(fix)?;
        write::spans(&transaction, source.id, &source.spans).map_err(fix)?;
        transaction.commit().map_err(fix)?;
        (self.pending, self.waiting) = (Rows::default(), 0);
        self.prune_some()
    }

    /// Has a long interval on disk, in one commit as any other.
    fn commit_long(&mut self, summary: &Summary) -> Result<()> {
        let Some(source) = &self.source else { return Ok(()) };
        let fix = |error: rusqlite::Error| unwritable(&self.path, error);
        let transaction = self.connection.transaction().map_err(fix)?;
        let rules = self.rules.now();
        for record in &summary.networks {
            let mut rows = Rows::default();
            rows.network(record, When::of(&summary.key), &rules.zones);
            write::rows(&transaction, source.id, &rows).map_err(fix)?;
        }
        let mut rows = Rows::default();
        rows.others(summary, &rules.zones);
        drop(rules);
        write::rows(&transaction, source.id, &rows).map_err(fix)?;
        write::spans(&transaction, source.id, &source.spans).map_err(fix)?;
        transaction.commit().map_err(fix)?;
        self.prune_some()
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

/// What to do about one that takes nothing, or is damaged.
fn unwritable(path: &Path, error: impl Into<anyhow::Error>) -> anyhow::Error {
    let error = error.into();
    let fix = if is_damage(&error) {
        "cannot be read; restore it from a copy"
    } else {
        "cannot be written; free disk space, or see to the disk"
    };
    one_line(error).context(format!("{}: {fix}", path.display()))
}

/// The first line of what SQLite says, where it shows a question or the tables of a damaged file, which have several.
fn one_line(error: anyhow::Error) -> anyhow::Error {
    let Some(said) = error.downcast_ref::<rusqlite::Error>() else { return error };
    let shown = said.to_string();
    if !shown.contains('\n') {
        return error;
    }
    let text = if let rusqlite::Error::SqlInputError { msg, .. } = said { msg } else { &shown };
    anyhow!(text.lines().next().unwrap_or_default().to_owned())
}

/// Whether a file is to blame, and not the disk.
fn is_damage(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}
