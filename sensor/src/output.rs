//! Where summaries go: standard output, as JSON lines for programs or as tables for people.

mod jsonl;
mod table;
mod writer;

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;

pub use self::writer::{Outlet, Writer};

use crate::summary::Summary;

/// How summaries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Jsonl,
    /// A table for each interval; a replay shows one for the whole capture.
    Table,
}

impl Format {
    /// The format for standard output as it is: tables on a terminal, JSON lines in a pipe or file.
    pub fn of_stdout() -> Self {
        if io::stdout().is_terminal() { Self::Table } else { Self::Jsonl }
    }

    /// Writes one summary.
    ///
    /// # Errors
    /// The writer fails, for example because its reader went away.
    pub fn write(self, summary: &Summary, to: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Jsonl => jsonl::write(summary, to)?,
            Self::Table => table::write(summary, to)?,
        }
        to.flush()
    }
}
