//! Where records go, and how much may wait for it.

use std::{path::PathBuf, str::FromStr, time::Duration};

use super::{Memory, Name, ValueError, values::in_days};
use crate::{cidr::quote, spool::Bounds};

/// Most exporters.
pub const MAX_EXPORTERS: usize = 16;
/// What the spool may take on disk unless the configuration says otherwise.
pub const DEFAULT_SPOOL_SIZE: Memory = Memory::mebibytes(4 << 10);
/// Least of that: a segment is a 64th.
pub const MIN_SPOOL_SIZE: Memory = Memory::mebibytes(16);
/// Most of that.
pub const MAX_SPOOL_SIZE: Memory = Memory::mebibytes(16 << 20);
/// How long anything waits in the spool unless the configuration says otherwise.
pub const DEFAULT_SPOOL_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Shortest of that.
pub const MIN_SPOOL_AGE: Duration = Duration::from_secs(60);
/// Longest of that.
pub const MAX_SPOOL_AGE: Duration = Duration::from_secs(366 * 24 * 3600);
/// Size from which on a file of JSON lines is rotated unless the configuration says otherwise.
pub const DEFAULT_ROTATE: Memory = Memory::mebibytes(256);
/// Least of that.
pub const MIN_ROTATE: Memory = Memory::mebibytes(1);
/// Most of that.
pub const MAX_ROTATE: Memory = Memory::mebibytes(1 << 20);
/// Older files of JSON lines that are kept unless the configuration says otherwise.
pub const DEFAULT_KEEP: u32 = 8;
/// Most of them.
pub const MAX_KEEP: u32 = 1000;

/// Somewhere records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exporter {
    /// Its name: what its place in the spool is known by.
    pub name: Name,
    /// What it speaks, and to whom.
    pub target: Target,
}

/// What an exporter speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// One JSON object a line, as `sensor run` prints them.
    Jsonl(Jsonl),
}

/// Where JSON lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jsonl {
    /// Standard output.
    Stdout,
    /// A file.
    File {
        /// Its path.
        path: PathBuf,
        /// Bytes from which on it is moved to `path.1`.
        rotate: u64,
        /// How many older ones are kept: `path.1` to that number.
        keep: u32,
    },
    /// A Unix stream socket on which somebody listens.
    Socket(PathBuf),
}

/// Where JSON lines go unless the configuration says otherwise.
pub(super) const DEFAULT_ENDPOINT: &str = "stdout";

/// `endpoint` of JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Endpoint {
    Stdout,
    File(PathBuf),
    Socket(PathBuf),
}

impl FromStr for Endpoint {
    type Err = ValueError;

    /// Reads `stdout`, `file:///path` or `unix:///path`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let path = |prefix: &str| text.strip_prefix(prefix).map(PathBuf::from).filter(|path| path.is_absolute());
        if text == DEFAULT_ENDPOINT {
            return Ok(Self::Stdout);
        }
        path("file://").map(Self::File).or_else(|| path("unix://").map(Self::Socket)).ok_or_else(|| {
            ValueError::new(format!(
                "{} is no endpoint for JSON lines; write \"stdout\", \"file:///path\" or \"unix:///path\"",
                quote(text)
            ))
        })
    }
}

/// How long anything waits in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SpoolAge(pub(super) Duration);

impl FromStr for SpoolAge {
    type Err = ValueError;

    /// Reads a duration such as `7d`, of days of 24 hours.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let duration = in_days(text).and_then(|duration| Duration::try_from(duration).ok());
        let in_range = duration.filter(|age| (MIN_SPOOL_AGE..=MAX_SPOOL_AGE).contains(age));
        in_range.map(Self).ok_or_else(|| {
            ValueError::new(format!(
                "{} is no time that records may wait; write one from \"1m\" to \"366d\", such as \"7d\"",
                quote(text)
            ))
        })
    }
}

/// What the spool may hold unless the configuration says otherwise.
pub const DEFAULT_SPOOL: Bounds = Bounds { max_bytes: DEFAULT_SPOOL_SIZE.bytes(), max_age: DEFAULT_SPOOL_AGE };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_json_lines() {
        let endpoint = |text: &str| text.parse::<Endpoint>().map_err(|error| error.to_string());
        assert_eq!(endpoint("stdout"), Ok(Endpoint::Stdout));
        assert_eq!(endpoint("file:///var/log/x"), Ok(Endpoint::File("/var/log/x".into())));
        assert_eq!(endpoint("unix:///run/x.sock"), Ok(Endpoint::Socket("/run/x.sock".into())));
        for text in ["", "STDOUT", "file://x", "unix:x", "/var/log/x", "http:///x"] {
            assert!(endpoint(text).unwrap_err().ends_with("\"file:///path\" or \"unix:///path\""), "{text}");
        }
    }

    #[test]
    fn ages() {
        let age = |text: &str| text.parse::<SpoolAge>().map(|age| age.0.as_secs()).map_err(|error| error.to_string());
        assert_eq!((age("7d"), age("1m"), age("36h")), (Ok(7 * 86_400), Ok(60), Ok(36 * 3600)));
        for text in ["", "7", "59s", "367d", "-1d", "soon"] {
            assert!(age(text).unwrap_err().contains("from \"1m\" to \"366d\""), "{text}");
        }
    }
}
