//! What is said while a table is read that takes long.

use std::{
    cell::Cell,
    path::{Path, PathBuf},
    rc::Rc,
    time::{Duration, Instant},
};

/// Time from one message to the next.
const EVERY: Duration = Duration::from_secs(1);
/// Lines or records from one look at the clock to the next.
const STEPS: u32 = 1 << 10;
/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;

/// How far a file has been read.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    /// Bytes taken from it so far, compressed as they are.
    pub(super) read: Rc<Cell<u64>>,
    /// Its length in bytes; 0 where it has none.
    pub(super) len: u64,
}

/// Tells how far it is, once a second.
#[derive(Debug)]
pub(super) struct Progress {
    path: PathBuf,
    source: Source,
    steps: u32,
    said: Instant,
}

impl Progress {
    pub(super) fn new(path: &Path, source: Source) -> Self {
        Self { path: path.to_owned(), source, steps: 0, said: Instant::now() }
    }

    /// To be called for each line or record; `prefixes` is the number read so far, of all tables.
    pub(super) fn step(&mut self, prefixes: usize) {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS)
            && let Some(message) = self.message(prefixes, Instant::now())
        {
            tracing::info!("{message}");
        }
    }

    /// What is to be said now.
    fn message(&mut self, prefixes: usize, now: Instant) -> Option<String> {
        if now.duration_since(self.said) < EVERY {
            return None;
        }
        self.said = now;
        let read = self.source.read.get() / MIB;
        let of = if self.source.len > 0 { format!(" of {}", self.source.len.div_ceil(MIB)) } else { String::new() };
        Some(format!("reading {}: {prefixes} prefixes, {read}{of} MiB", self.path.display()))
    }
}

/// Says what was read, where that took long or some of it was left out.
pub(super) fn done(tables: usize, prefixes: usize, duplicates: usize, took: Duration) {
    if took >= EVERY || duplicates > 0 {
        let ms = took.as_millis() as u64;
        tracing::info!(
            tables,
            prefixes,
            duplicates,
            ms,
            "accounting tables read; prefixes given more than once were taken once"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_table_is_told_of_once_a_second() {
        let source = Source { len: 600 * MIB, ..Source::default() };
        let mut progress = Progress::new(Path::new("rib.bz2"), source.clone());
        let start = progress.said;
        let mut at = |millis: u64, prefixes: usize| progress.message(prefixes, start + Duration::from_millis(millis));
        assert_eq!(at(999, 1), None);
        source.read.set(12 * MIB + 1);
        assert_eq!(at(1000, 5000), Some("reading rib.bz2: 5000 prefixes, 12 of 600 MiB".to_owned()));
        assert_eq!(at(1999, 6000), None);
        source.read.set(600 * MIB);
        assert_eq!(at(2000, 9000), Some("reading rib.bz2: 9000 prefixes, 600 of 600 MiB".to_owned()));
        let mut endless = Progress::new(Path::new("pipe"), Source::default());
        let later = endless.said + EVERY;
        assert_eq!(endless.message(7, later), Some("reading pipe: 7 prefixes, 0 MiB".to_owned()));
    }
}
