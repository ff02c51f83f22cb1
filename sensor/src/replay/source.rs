//! A capture that can be read twice: once for the epoch, once for its frames.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::capture::Capture;

/// A capture file, or a copy of standard input in an unnamed file.
#[derive(Debug)]
pub(super) struct Source {
    name: PathBuf,
    copy: Option<File>,
}

impl Source {
    /// Takes `path`; `-` is standard input, which is read to its end first.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let copy = if path == Path::new("-") {
            let mut copy = tempfile::tempfile().context("cannot make a file for the capture on standard input")?;
            io::copy(&mut io::stdin().lock(), &mut copy).context("cannot copy the capture on standard input")?;
            Some(copy)
        } else {
            None
        };
        Ok(Self { name: path.to_owned(), copy })
    }

    /// The name as given.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// A reader of its frames, from the first.
    pub(super) fn capture(&self) -> Result<Capture> {
        Ok(Capture::open(&self.path())?)
    }

    /// A reader of its bytes, from the first.
    pub(super) fn bytes(&self) -> Result<impl Read> {
        Ok(File::open(self.path())?)
    }

    fn path(&self) -> PathBuf {
        // Opening a descriptor through /proc starts at the first byte again.
        self.copy
            .as_ref()
            .map_or_else(|| self.name.clone(), |copy| format!("/proc/self/fd/{}", copy.as_raw_fd()).into())
    }
}
