//! Archives of flows that other collectors kept, as nfdump prints them: who exchanged how much with whom, and when. Pure but for the reader that it is given.
//!
//! A record is read field by field, by the names that the archive gives them, whatever their order. What is damaged is counted by reason, and the first of it
//! is named; nothing of an archive can make more than one record's memory necessary.

mod csv;
mod field;
mod json;
mod judge;
mod moment;
mod record;
mod tally;
#[cfg(test)]
pub(crate) mod tests;

use std::io::BufRead;

use anyhow::Result;
use clap::ValueEnum;
use jiff::tz::TimeZone;

pub(crate) use self::judge::{Billed, Judge};
pub use self::{
    record::{Counts, Damage, Flow},
    tally::Tally,
};

/// Longest record that is read, in bytes; nfdump's have some hundred.
const MAX_RECORD: usize = 64 << 10;

/// How an archive is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `nfdump -o json`: an array of objects, or one object a line.
    NfdumpJson,
    /// `nfdump -o csv`: a line with the names of the columns, and a line for each flow.
    NfdumpCsv,
}

/// What an archive does not say of itself.
#[derive(Clone, Debug)]
pub struct Reading {
    /// How it is written.
    pub format: Format,
    /// The zone of its times, which carry none.
    pub zone: TimeZone,
    /// Seconds since 1970; what ends later is damaged.
    pub latest: i64,
}

/// A record, and where it stands.
#[derive(Debug)]
pub struct Read {
    /// Number of the line that it begins in, from 1.
    pub line: u64,
    /// What it is.
    pub flow: Result<Flow, Damage>,
}

impl Reading {
    /// Hands over all records of an archive in turn.
    ///
    /// # Errors
    /// It cannot be read or is of another format; or whatever is said of a record.
    pub fn records(&self, from: &mut dyn BufRead, each: &mut dyn FnMut(Read) -> Result<()>) -> Result<()> {
        match self.format {
            Format::NfdumpJson => json::records(self, from, each),
            Format::NfdumpCsv => csv::records(self, from, each),
        }
    }
}
