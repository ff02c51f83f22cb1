//! Accounting tables: files of prefixes that are only counted.
//!
//! Three formats, each plain, gzip or bzip2: one prefix a line, `#` starting a comment; `prefix,asn[,name]` with an optional
//! header line; and MRT dumps of a routing table (`mrt.rs`). Compression and MRT are told by content. `.txt` and `.csv` say
//! which text it is; under any other name the first line with content decides. Reading stops at the first bad line or
//! record.

mod mrt;
mod open;

use std::{
    collections::HashSet,
    io::{self, BufRead, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use thiserror::Error;

pub use self::mrt::RecordProblem;
use self::open::{Content, open};

use crate::cidr::{Cidr, CidrError, quote};

/// Most prefixes in all tables together, duplicates included: three full BGP tables of both families.
pub const MAX_TABLE_PREFIXES: usize = 4_000_000;
/// Longest line in bytes, its end not counted.
pub const MAX_LINE_LEN: usize = 4096;
/// Longest name in bytes.
pub const MAX_NAME_LEN: usize = 255;

/// What the first column may be called in a header line.
const HEADER_NAMES: [&str; 3] = ["prefix", "network", "cidr"];

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
    /// An MRT dump with nothing to count.
    #[error("{} is an MRT file without an IPv4 or IPv6 unicast prefix; give a RIB dump", path.display())]
    NoPrefix {
        /// Path as given.
        path: PathBuf,
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

/// What is wrong with a line, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineProblem {
    /// The prefix cannot be read.
    #[error(transparent)]
    Prefix(#[from] CidrError),
    /// Commas in a list of prefixes.
    #[error("the line has commas; one prefix a line is read here, name the file .csv to read prefix,asn[,name]")]
    Comma,
    /// The second field is no AS number.
    #[error("{0} is not an AS number; write one from 0 to 4294967295, or leave the field empty")]
    Asn(String),
    /// More than three fields.
    #[error("the line has {0} fields; write prefix,asn[,name], and a name with commas in double quotes")]
    Fields(usize),
    /// A quoted field does not end, or goes on behind its quotes.
    #[error("a quoted field does not end in front of a comma; write a quote inside quotes twice")]
    Quotes,
    /// The name is too long.
    #[error("the name is longer than {MAX_NAME_LEN} bytes; shorten it")]
    NameLength,
    /// The line is too long.
    #[error("the line is longer than {MAX_LINE_LEN} bytes; check that this is a table of prefixes")]
    LineLength,
    /// Binary data.
    #[error("the line is not UTF-8 text; check that this is a table of prefixes")]
    NotText,
    /// More entries than accepted.
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

/// More entries than accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("more than {MAX_TABLE_PREFIXES} prefixes; leave out tables or aggregate them")]
pub struct TooMany;

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
    let mut entries = Entries::default();
    for path in paths {
        read_into(path.as_ref(), &mut entries)?;
    }
    let mut prefixes = entries.list;
    let lines = prefixes.len();
    // Stable: of equal prefixes the first stays first. Dumps come sorted, which costs one pass.
    prefixes.sort_by_key(|entry| entry.cidr);
    prefixes.dedup_by_key(|entry| entry.cidr);
    Ok(Table { duplicates: lines - prefixes.len(), prefixes })
}

fn read_into(path: &Path, entries: &mut Entries) -> Result<(), TableError> {
    let (content, reader) = open(path)?;
    match content {
        Content::Mrt => mrt::read(path, reader, entries),
        Content::Text => read_lines(path, reader, entries),
    }
}

fn read_lines(path: &Path, mut reader: impl BufRead, entries: &mut Entries) -> Result<(), TableError> {
    let mut format = format_by_name(path);
    let mut buffer = Vec::with_capacity(MAX_LINE_LEN);
    let mut line = 0;
    loop {
        buffer.clear();
        // One byte for the line end and one to see that the line goes on.
        (&mut reader)
            .take(MAX_LINE_LEN as u64 + 2)
            .read_until(b'\n', &mut buffer)
            .map_err(|source| TableError::Read { path: path.to_owned(), line, source })?;
        if buffer.is_empty() {
            return Ok(());
        }
        line += 1;
        entries.read_line(&buffer, &mut format).map_err(|problem| TableError::Line {
            path: path.to_owned(),
            line,
            problem,
        })?;
    }
}

/// How lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// The name does not say: the first line with content does.
    Unknown,
    Lines,
    /// Comma-separated; whether a header line may still come.
    Csv {
        first: bool,
    },
}

fn format_by_name(path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let plain = [".gz", ".bz2"].iter().find_map(|compression| name.strip_suffix(compression));
    match plain.unwrap_or(&name) {
        name if name.ends_with(".csv") => Format::Csv { first: true },
        name if name.ends_with(".txt") => Format::Lines,
        _ => Format::Unknown,
    }
}

#[derive(Default)]
struct Entries {
    list: Vec<TableEntry>,
    names: HashSet<Arc<str>>,
}

impl Entries {
    fn read_line(&mut self, line: &[u8], format: &mut Format) -> Result<(), LineProblem> {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        if line.len() > MAX_LINE_LEN {
            return Err(LineProblem::LineLength);
        }
        let text = str::from_utf8(line).map_err(|_| LineProblem::NotText)?;
        if text.contains('\0') {
            return Err(LineProblem::NotText);
        }
        // Spreadsheets put a byte-order mark in front; trimming takes the carriage return.
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() || text.starts_with('#') {
            return Ok(());
        }
        if *format == Format::Unknown {
            *format = if text.contains(',') { Format::Csv { first: true } } else { Format::Lines };
        }
        match format {
            Format::Csv { first } => {
                let first = std::mem::take(first);
                self.read_fields(text, first)
            }
            Format::Lines | Format::Unknown => {
                let prefix = text.split_once('#').map_or(text, |(prefix, _)| prefix.trim_end());
                if prefix.contains(',') {
                    return Err(LineProblem::Comma);
                }
                let cidr = prefix.parse()?;
                Ok(self.push(TableEntry { cidr, asn: None, name: None })?)
            }
        }
    }

    fn read_fields(&mut self, text: &str, first: bool) -> Result<(), LineProblem> {
        if text.contains('"') {
            let fields = unquote(text)?;
            let fields: Vec<&str> = fields.iter().map(|field| field.trim()).collect();
            return self.read_entry(&fields, first);
        }
        let mut fields = [""; 3];
        let mut count = 0;
        for field in text.split(',') {
            if let Some(slot) = fields.get_mut(count) {
                *slot = field.trim();
            }
            count += 1;
        }
        match fields.get(..count) {
            Some(fields) => self.read_entry(fields, first),
            None => Err(LineProblem::Fields(count)),
        }
    }

    fn read_entry(&mut self, fields: &[&str], first: bool) -> Result<(), LineProblem> {
        let (prefix, asn, name) = match *fields {
            [prefix] => (prefix, "", ""),
            [prefix, asn] => (prefix, asn, ""),
            [prefix, asn, name] => (prefix, asn, name),
            _ => return Err(LineProblem::Fields(fields.len())),
        };
        if first && HEADER_NAMES.iter().any(|header| prefix.eq_ignore_ascii_case(header)) {
            return Ok(());
        }
        if name.len() > MAX_NAME_LEN {
            return Err(LineProblem::NameLength);
        }
        let cidr = prefix.parse()?;
        let asn = parse_asn(asn)?;
        let name = (!name.is_empty()).then(|| self.intern(name));
        Ok(self.push(TableEntry { cidr, asn, name })?)
    }

    /// The shared copy of a name: tables repeat the name of an AS for each of its prefixes.
    fn intern(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name));
        name
    }

    fn push(&mut self, entry: TableEntry) -> Result<(), TooMany> {
        if self.list.len() >= MAX_TABLE_PREFIXES {
            return Err(TooMany);
        }
        self.list.push(entry);
        Ok(())
    }
}

/// An AS number with or without `AS` in front; nothing for an empty field.
fn parse_asn(text: &str) -> Result<Option<u32>, LineProblem> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).unwrap_or(text);
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(asn) if plain => Ok(Some(asn)),
        _ => Err(LineProblem::Asn(quote(text))),
    }
}

/// Splits a line with quoted fields (RFC 4180, without line ends inside fields).
fn unquote(text: &str) -> Result<Vec<String>, LineProblem> {
    let mut fields = vec![];
    let mut rest = text;
    loop {
        let mut field = String::new();
        if let Some(mut quoted) = rest.trim_start().strip_prefix('"') {
            loop {
                let (piece, behind) = quoted.split_once('"').ok_or(LineProblem::Quotes)?;
                field.push_str(piece);
                match behind.strip_prefix('"') {
                    Some(behind) => {
                        field.push('"');
                        quoted = behind;
                    }
                    None => {
                        rest = behind.trim_start();
                        break;
                    }
                }
            }
        } else {
            let end = rest.find(',').unwrap_or(rest.len());
            field.push_str(&rest[..end]);
            rest = &rest[end..];
        }
        fields.push(field);
        match rest.strip_prefix(',') {
            Some(behind) => rest = behind,
            None if rest.is_empty() => return Ok(fields),
            None => return Err(LineProblem::Quotes),
        }
    }
}

#[cfg(test)]
mod tests;
