//! What is wrong with a configuration: all of it, each with its place and the fix.

use std::{
    fmt, io,
    ops::Range,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{Config, MAX_CONFIG_BYTES};

/// Most problems reported at once: whoever has more is fixing the wrong file.
const MAX_PROBLEMS: usize = 50;

/// A configuration that cannot be used. One line a problem.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}; check the path and its permissions", path.display())]
    Read {
        /// Path as given.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The path names a directory.
    #[error("{} is a directory; name the configuration file in it", path.display())]
    Directory {
        /// Path as given.
        path: PathBuf,
    },
    /// The file is longer than [`MAX_CONFIG_BYTES`].
    #[error("{} is larger than {MAX_CONFIG_BYTES} bytes; move long prefix lists into accounting tables", path.display())]
    TooLarge {
        /// Path as given.
        path: PathBuf,
    },
    /// There is nothing in it.
    #[error("{} is empty; write at least an [[interface]] and a [[network]]", path.display())]
    Empty {
        /// Path as given.
        path: PathBuf,
    },
    /// The file is no text.
    #[error("{}:{line}: the file is not UTF-8 text; save it as UTF-8", path.display())]
    NotUtf8 {
        /// Path as given.
        path: PathBuf,
        /// Line of the first bad byte, from 1.
        line: usize,
    },
    /// The contents are wrong: at least one problem, in the order of the file.
    #[error("{}", lines(problems, *more))]
    Invalid {
        /// What is wrong.
        problems: Vec<Problem>,
        /// Problems left out of the list.
        more: usize,
    },
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where: line and column, both from 1, the column in characters. `None` for the command line.
    pub position: Option<(usize, usize)>,
    /// What and how to fix it, on one line.
    pub message: String,
    /// The file as given, or `command line`.
    pub file: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, message, file } = self;
        match position {
            Some((line, column)) => write!(f, "{file}:{line}:{column}: {message}"),
            None => write!(f, "{file}: {message}"),
        }
    }
}

fn lines(problems: &[Problem], more: usize) -> String {
    let mut lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    if more > 0 {
        lines.push(format!("and {more} more problems; fix these first"));
    }
    lines.join("\n")
}

/// Collects problems while a configuration is read.
pub(super) struct Problems<'a> {
    file: String,
    /// The text that places are counted in; `None` for the command line.
    text: Option<&'a str>,
    list: Vec<Problem>,
    more: usize,
}

impl<'a> Problems<'a> {
    pub(super) fn new(path: &Path, text: &'a str) -> Self {
        Self { file: path.display().to_string(), text: Some(text), list: vec![], more: 0 }
    }

    pub(super) fn of_command_line() -> Self {
        Self { file: "command line".to_owned(), text: None, list: vec![], more: 0 }
    }

    /// Adds a problem with the value or key at `span`, a range of bytes.
    pub(super) fn add(&mut self, span: &Range<usize>, message: impl fmt::Display) {
        if self.overflow() {
            return;
        }
        let position = self.text.map(|text| position(text, span.start));
        let message = message.to_string().replace('\n', " ");
        self.list.push(Problem { position, message, file: self.file.clone() });
    }

    /// Whether the list is full; then one more is counted. To be asked before a message that takes work to make: a file
    /// may hold a hundred thousand problems.
    pub(super) fn overflow(&mut self) -> bool {
        let full = self.list.len() >= MAX_PROBLEMS;
        self.more += usize::from(full);
        full
    }

    /// Whether nothing was wrong so far.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Line of a place, for a message about two of them.
    pub(super) fn line(&self, span: &Range<usize>) -> usize {
        self.text.map_or(0, |text| position(text, span.start).0)
    }

    /// The configuration, if there was nothing wrong with it.
    pub(super) fn finish(mut self, config: Option<Config>) -> Result<Config, ConfigError> {
        match config {
            Some(config) if self.list.is_empty() => Ok(config),
            _ => {
                self.list.sort();
                self.list.dedup();
                Err(ConfigError::Invalid { problems: self.list, more: self.more })
            }
        }
    }
}

/// Line and column, both from 1, of the byte at `offset`.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    // Bytes that continue a character are not columns.
    let column = 1 + before[start..].iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    (line, column)
}
