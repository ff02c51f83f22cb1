//! Facts as text: `prefix,country,asn,as_name,kind` a line.

use std::path::Path;

use thiserror::Error;

use super::{
    CounterpartError, MAX_ROWS,
    facts::{Fact, Facts},
};
use crate::{
    cidr::{Cidr, CidrError, quote},
    table_file::{LineProblem, MAX_NAME_LEN, MAX_NAMES_LEN, Provenance, parse_asn, rows},
};

/// What the first column may be called in a heading.
const HEADINGS: [&str; 4] = ["prefix", "network", "cidr", "ip"];

/// What is wrong with a row, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// The prefix cannot be read.
    #[error(transparent)]
    Prefix(#[from] CidrError),
    /// The second field is no country.
    #[error("{0} is not a country; write the two letters of ISO 3166-1, such as \"DE\", or leave the field empty")]
    Country(String),
    /// The third field is no AS number.
    #[error(transparent)]
    Asn(LineProblem),
    /// More than five fields.
    #[error("the line has {0} fields; write prefix,country,asn,as_name,kind, and a name with commas in double quotes")]
    Fields(usize),
    /// A name or kind is too long, or has control characters.
    #[error("a name has more than {MAX_NAME_LEN} bytes or is no printable text; shorten it or leave the field empty")]
    Name,
    /// More rows than accepted.
    #[error("all files of counterparts together have more than {MAX_ROWS} rows; leave out files, or aggregate them")]
    TooMany,
    /// More names than accepted.
    #[error("the names take more than {} MiB; leave out the column of names", MAX_NAMES_LEN >> 20)]
    TooManyNames,
}

/// Reads a file of rows.
pub(super) fn read(path: &Path, file: u8, facts: &mut Facts) -> Result<Provenance, CounterpartError> {
    let mut first = true;
    rows(path, |line, fields| {
        if std::mem::take(&mut first) && HEADINGS.iter().any(|heading| fields[0].eq_ignore_ascii_case(heading)) {
            return Ok(false);
        }
        read_row(file, fields, facts).map_err(|problem| CounterpartError::Row {
            path: path.to_owned(),
            line,
            problem,
        })?;
        Ok(true)
    })
}

fn read_row(file: u8, fields: &[&str], facts: &mut Facts) -> Result<(), RowProblem> {
    let mut five = [""; 5];
    five.get_mut(..fields.len()).ok_or(RowProblem::Fields(fields.len()))?.copy_from_slice(fields);
    let [prefix, country, asn, as_name, kind] = five;
    let cidr: Cidr = prefix.parse()?;
    let country = match country {
        "" => None,
        text => Some(country_of(text).ok_or_else(|| RowProblem::Country(quote(text)))?),
    };
    // Number 0 is nobody's (RFC 7607), and what tables write for "not known".
    let asn = parse_asn(asn).map_err(RowProblem::Asn)?.filter(|asn| *asn != 0);
    if [as_name, kind].into_iter().any(|text| !is_name(text)) {
        return Err(RowProblem::Name);
    }
    let (as_name, kind) = (facts.texts.intern(as_name)?, facts.texts.intern(kind)?);
    facts.push(Fact { cidr, file, country, asn, as_name, kind })
}

/// A country code in upper case; `None` where it is not two letters.
pub(super) fn country_of(text: &str) -> Option<[u8; 2]> {
    let code: [u8; 2] = text.as_bytes().try_into().ok()?;
    code.iter().all(u8::is_ascii_alphabetic).then(|| code.map(|letter| letter.to_ascii_uppercase()))
}

/// Whether a text can be a name in records.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= MAX_NAME_LEN && !text.chars().any(char::is_control)
}
