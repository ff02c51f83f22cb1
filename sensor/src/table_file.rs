//! Accounting tables: files of prefixes that are only counted.
//!
//! Three formats, each plain, gzip or bzip2: one prefix a line, `#` starting a comment; `prefix,asn[,name]` with an optional
//! header line; and MRT dumps of a routing table (`mrt.rs`). Compression and MRT are told by content. `.txt` and `.csv` say
//! which text it is; under any other name the first line with content decides. Reading stops at the first bad line or
//! record.

mod entries;
mod lines;
mod mrt;
mod open;
mod progress;
mod rows;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use thiserror::Error;

use self::{
    entries::Entries,
    open::{Content, open},
    progress::Progress,
};
pub use self::{
    entries::{TooManyNames, TooManyPrefixes},
    lines::LineProblem,
    mrt::RecordProblem,
    rows::Provenance,
};
pub(crate) use self::{
    lines::parse_asn,
    open::text,
    rows::{bytes, rows},
};
use crate::cidr::Cidr;

/// Most prefixes in all tables together, duplicates included: three full BGP tables of both families.
pub const MAX_TABLE_PREFIXES: usize = 4_000_000;
/// Longest line in bytes, its end not counted.
pub const MAX_LINE_LEN: usize = 4096;
/// Most lines of one table, comments and empty ones included: what decompresses without end is no table.
pub const MAX_LINES: u64 = 16_000_000;
/// Longest name in bytes.
pub const MAX_NAME_LEN: usize = 255;
/// Most bytes of all different names together: those of a hundred thousand autonomous systems take 3 MB.
pub const MAX_NAMES_LEN: usize = 64 << 20;

/// A prefix with what the table says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// The prefix.
    pub cidr: Cidr,
    /// Number of the autonomous system that announces it.
    pub asn: Option<u32>,
    /// A name; equal names of a table share their memory.
    pub name: Option<Arc<str>>,
}

/// What was read from one or more files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Sorted, every prefix once: where it stood several times, its first line holds.
    pub prefixes: Vec<TableEntry>,
    /// Lines and records left out because their prefix stood before.
    pub duplicates: usize,
}

/// A table that cannot be read. Each message is one line, names file and line or record, and says what to do.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableError {
    /// The file cannot be opened.
    #[error("cannot open {}; check the path and its permissions", path.display())]
    Open {
        /// Path as given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("{} is a directory; name the tables in it", path.display())]
    Directory {
        /// Path as given.
        path: PathBuf,
    },
    /// Reading or decompressing failed.
    #[error("cannot read {} behind line {line}; fetch or write the file again", path.display())]
    Read {
        /// Path as given.
        path: PathBuf,
        /// Lines read before.
        line: u64,
        /// What the system or the decoder said.
        source: io::Error,
    },
    /// A compression other than gzip and bzip2.
    #[error("{} is compressed with {compression}, which is not supported; decompress it or use gzip or bzip2", path.display())]
    Compression {
        /// Path as given.
        path: PathBuf,
        /// Its name.
        compression: &'static str,
    },
    /// Reading, decompressing or framing failed in an MRT dump: usually it is cut.
    #[error("cannot read {} in MRT record {record} at byte {offset}; the file is cut or damaged, fetch it again", path.display())]
    ReadRecord {
        /// Path as given.
        path: PathBuf,
        /// Number of the record, from 1.
        record: u64,
        /// Where the record starts, in decompressed bytes.
        offset: u64,
        /// What the system or the decoder said.
        source: io::Error,
    },
    /// An MRT record that is not part of a routing table.
    #[error("{}: MRT record {record} at byte {offset} {problem}", path.display())]
    Record {
        /// Path as given.
        path: PathBuf,
        /// Number of the record, from 1.
        record: u64,
        /// Where the record starts, in decompressed bytes.
        offset: u64,
        /// What is wrong with it.
        problem: RecordProblem,
    },
    /// A list with nothing to count: rather a download that failed than a wish.
    #[error("{} has no prefix; fetch or write it again, or take it out of the tables", path.display())]
    Empty {
        /// Path as given.
        path: PathBuf,
    },
    /// An MRT dump with nothing to count.
    #[error("{} is an MRT file without an IPv4 or IPv6 unicast prefix; give a RIB dump", path.display())]
    NoPrefix {
        /// Path as given.
        path: PathBuf,
    },
    /// A file that has to be held in memory as a whole, and is too large for that.
    #[error("{} is larger than {most} bytes; give a smaller file", path.display())]
    TooLarge {
        /// Path as given.
        path: PathBuf,
        /// Most bytes, decompressed.
        most: u64,
    },
    /// A line that is no entry.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// Path as given.
        path: PathBuf,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: LineProblem,
    },
}

/// Reads one table.
///
/// # Errors
/// The file cannot be read, is of a format that is not supported, or has a bad line or record.
pub fn read_table(path: &Path) -> Result<Table, TableError> {
    read_tables(&[path])
}

/// Reads tables into one; where they share a prefix, the earlier table holds.
///
/// # Errors
/// As [`read_table`], for the first file at fault.
pub fn read_tables<P: AsRef<Path>>(paths: &[P]) -> Result<Table, TableError> {
    let start = Instant::now();
    let mut entries = Entries::default();
    for path in paths {
        read_into(path.as_ref(), &mut entries)?;
    }
    let mut prefixes = entries.list;
    let lines = prefixes.len();
    // Stable: of equal prefixes the first stays first. Dumps come sorted, which costs one pass.
    prefixes.sort_by_key(|entry| entry.cidr);
    prefixes.dedup_by_key(|entry| entry.cidr);
    let duplicates = lines - prefixes.len();
    progress::done(paths.len(), prefixes.len(), duplicates, start.elapsed());
    Ok(Table { duplicates, prefixes })
}

fn read_into(path: &Path, entries: &mut Entries) -> Result<(), TableError> {
    let (content, reader, source) = open(path)?;
    let before = entries.list.len();
    let mut progress = Progress::new(path, source);
    match content {
        Content::Mrt => mrt::read(path, reader, entries, &mut progress),
        Content::Text => lines::read(path, reader, entries, &mut progress),
    }?;
    if entries.list.len() == before {
        return Err(TableError::Empty { path: path.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
