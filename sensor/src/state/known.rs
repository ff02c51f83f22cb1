//! `state_dir/known`: what is known of watched traffic at the end of an interval, written before that interval is committed and put in place behind that, so
//! that neither an event is told twice nor one is missing.

use std::{fs, io, path::Path};

use anyhow::{Context as _, Result};

use super::{StateDir, files};
use crate::epoch::Epoch;

/// Name of the file, of the one it is written as first, and of one that cannot be used.
const KNOWN: &str = "known";
const NEXT: &str = "known-next";
/// Bytes before what is known: the epoch, and the sequence of the interval in little endian.
const HEAD: usize = 24;

impl StateDir {
    /// Writes what is known at the end of an interval that is about to be committed.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_known(&self, epoch: Epoch, sequence: u64, bytes: &[u8]) -> Result<()> {
        let path = self.path.join(NEXT);
        let head = [&epoch.to_bytes()[..], &sequence.to_le_bytes()].concat();
        files::write(&path, &[&head, bytes].concat())
            .map(drop)
            .with_context(|| format!("cannot write {}; free disk space", path.display()))
    }

    /// That interval was committed.
    ///
    /// # Errors
    /// The file cannot be renamed.
    pub fn settle_known(&self) -> Result<()> {
        let path = self.path.join(KNOWN);
        fs::rename(self.path.join(NEXT), &path)
            .and_then(|()| files::sync_folder(&self.path))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// What was known at the end of the last interval for which that was written and that was `committed`, by epoch and sequence.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn known(&self, committed: impl Fn(Epoch, u64) -> bool) -> Result<Option<Vec<u8>>> {
        let next = read(&self.path.join(NEXT))?;
        if next.is_some_and(|(epoch, sequence, _)| committed(epoch, sequence)) {
            self.settle_known()?;
        }
        Ok(read(&self.path.join(KNOWN))?.map(|(.., bytes)| bytes))
    }
}

/// Epoch, sequence and the rest of a file; `None` where there is none, or none that is whole.
fn read(path: &Path) -> Result<Option<(Epoch, u64, Vec<u8>)>> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let Some((head, rest)) = bytes.split_at_checked(HEAD) else { return Ok(None) };
    let (epoch, sequence) = head.split_at(HEAD - size_of::<u64>());
    let epoch = epoch.try_into().ok().and_then(Epoch::from_bytes);
    let sequence = sequence.try_into().map(u64::from_le_bytes).ok();
    Ok(epoch.zip(sequence).map(|(epoch, sequence)| (epoch, sequence, rest.to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_committed_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        let epoch = Epoch::from_bytes([7; 16]).unwrap();
        let known = |next: u64| state.known(|other, sequence| other == epoch && sequence < next).unwrap();
        assert_eq!(known(9), None);
        state.write_known(epoch, 3, b"three").unwrap();
        // A crash before the commit.
        assert_eq!(known(3), None);
        // And one behind it.
        assert_eq!(known(4).as_deref(), Some(&b"three"[..]));
        state.write_known(epoch, 4, b"four").unwrap();
        assert_eq!(known(4).as_deref(), Some(&b"three"[..]));
        state.settle_known().unwrap();
        assert_eq!(known(0).as_deref(), Some(&b"four"[..]));
        // Whole files are put in place; a torn one is none.
        fs::write(folder.path().join(KNOWN), [0; HEAD - 1]).unwrap();
        assert_eq!(known(9), None);
    }
}
