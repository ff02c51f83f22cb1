//! Tables as text: one prefix a line, or `prefix,asn[,name]`.

use std::{
    io::{BufRead, Read},
    path::Path,
};

use thiserror::Error;

use super::{
    Entries, MAX_LINE_LEN, MAX_LINES, MAX_NAME_LEN, Progress, TableEntry, TableError, TooManyNames, TooManyPrefixes,
};
use crate::cidr::{CidrError, quote};

/// What the first column may be called in a header line.
const HEADER_NAMES: [&str; 3] = ["prefix", "network", "cidr"];

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
    /// More lines than accepted.
    #[error("a table has at most {MAX_LINES} lines; check that this is a table of prefixes")]
    TooManyLines,
    /// More prefixes than accepted.
    #[error(transparent)]
    TooManyPrefixes(#[from] TooManyPrefixes),
    /// More names than accepted.
    #[error(transparent)]
    TooManyNames(#[from] TooManyNames),
}

/// Reads a table line by line.
pub(super) fn read(
    path: &Path,
    mut reader: impl BufRead,
    entries: &mut Entries,
    progress: &mut Progress,
) -> Result<(), TableError> {
    let mut format = format_by_name(path);
    each_line(path, &mut reader, |line, bytes| {
        entries.read_line(bytes, &mut format).map_err(|problem| TableError::Line {
            path: path.to_owned(),
            line,
            problem,
        })?;
        progress.step(entries.list.len());
        Ok(())
    })
}

/// Hands over each line with its number, from 1, and its end; one that is too long with enough of it to see that.
pub(super) fn each_line<E: From<TableError>>(
    path: &Path,
    mut reader: impl BufRead,
    mut line_of: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
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
        if line > MAX_LINES {
            let problem = LineProblem::TooManyLines;
            return Err(TableError::Line { path: path.to_owned(), line, problem }.into());
        }
        line_of(line, &buffer)?;
    }
}

/// The text of a line without its end and what surrounds it; empty for a comment.
pub(super) fn text_of(line: &[u8]) -> Result<&str, LineProblem> {
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
    Ok(if text.starts_with('#') { "" } else { text })
}

/// How lines are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
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

impl Entries {
    pub(super) fn read_line(&mut self, line: &[u8], format: &mut Format) -> Result<(), LineProblem> {
        let text = text_of(line)?;
        if text.is_empty() {
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
        let name = (!name.is_empty()).then(|| self.intern(name)).transpose()?;
        Ok(self.push(TableEntry { cidr, asn, name })?)
    }
}

/// An AS number with or without `AS` in front; nothing for an empty field.
pub(crate) fn parse_asn(text: &str) -> Result<Option<u32>, LineProblem> {
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
pub(super) fn unquote(text: &str) -> Result<Vec<String>, LineProblem> {
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
