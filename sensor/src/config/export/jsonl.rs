//! Where JSON lines go.

use std::{path::PathBuf, str::FromStr};

use crate::{cidr::quote, config::ValueError};

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
pub(in crate::config) const DEFAULT_ENDPOINT: &str = "stdout";

/// `endpoint` of JSON lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Endpoint {
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
}
