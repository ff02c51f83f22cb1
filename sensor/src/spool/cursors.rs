//! `spool/cursors`: how far each exporter is.

use std::{collections::BTreeMap, fs, io, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::state::files;

const NAME: &str = "cursors";
const TEMPORARY: &str = "cursors-new";

/// How far an exporter is: pieces up to a position were acknowledged, or are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Position of the last piece that its collector acknowledged.
    pub acknowledged: u64,
    /// Records of all pieces up to that one.
    pub total: u64,
    /// What was lost before it could be delivered, ever.
    pub lost: Lost,
}

/// Pieces that can no longer be delivered: the spool had no room for them, or the disk lost them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many.
    pub pieces: u64,
    /// Records in them.
    pub records: u64,
}

impl Lost {
    /// Adds another loss.
    pub fn add(&mut self, other: Self) {
        self.pieces += other.pieces;
        self.records += other.records;
    }
}

/// Those of all exporters, by name.
pub(super) type Cursors = BTreeMap<String, Cursor>;

/// Reads them; `None`: they are missing or damaged, and whatever is in the spool is to be delivered again.
pub(super) fn read(folder: &Path) -> Result<Option<Cursors>> {
    let path = folder.join(NAME);
    let bytes = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        bytes => bytes.with_context(|| format!("cannot read {}; check the disk", path.display()))?,
    };
    let whole = bytes.split_first_chunk::<4>().filter(|(crc, rest)| u32::from_le_bytes(**crc) == crc32fast::hash(rest));
    let cursors = whole.and_then(|(_, rest)| postcard::from_bytes(rest).ok());
    if cursors.is_none() {
        tracing::warn!(
            "{} is damaged: all that is in the spool is delivered again, under its old keys",
            path.display()
        );
    }
    Ok(cursors)
}

/// Writes them; on disk when this returns.
pub(super) fn write(folder: &Path, cursors: &Cursors) -> Result<()> {
    let bytes = postcard::to_stdvec(cursors).context("cannot encode the cursors of the spool")?;
    let bytes = [&crc32fast::hash(&bytes).to_le_bytes(), bytes.as_slice()].concat();
    files::replace(folder, TEMPORARY, NAME, &bytes)
        .with_context(|| format!("cannot write {}; free disk space", folder.join(NAME).display()))
}
