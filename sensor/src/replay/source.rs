//! A capture, or an archive of flows, that can be read twice: once for the epoch, once for what is in it.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::capture::Capture;

/// The name of standard input, as an argument.
const STDIN: &str = "-";

/// A file, or a copy of a pipe in an unnamed file.
#[derive(Debug)]
pub(crate) struct Source {
    name: PathBuf,
    copy: Option<File>,
}

impl Source {
    /// Takes `path`. What can be read only once, standard input and other pipes, is read to its end first.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let copy = if path == Path::new(STDIN) {
            Some(copy(io::stdin().lock()).context("cannot copy what comes on standard input")?)
        } else if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            let pipe = File::open(path).and_then(copy);
            Some(pipe.with_context(|| format!("cannot copy what comes from {}", path.display()))?)
        } else {
            None
        };
        let name = if path == Path::new(STDIN) { PathBuf::from("standard input") } else { path.to_owned() };
        Ok(Self { name, copy })
    }

    /// The name to show.
    pub(crate) fn name(&self) -> &Path {
        &self.name
    }

    /// A reader of its frames, from the first.
    pub(super) fn capture(&self) -> Result<Capture> {
        Ok(match &self.copy {
            Some(_) => Capture::from_reader(File::open(self.path())?, &self.name.display().to_string())?,
            None => Capture::open(&self.name)?,
        })
    }

    /// A reader of its bytes, from the first.
    pub(crate) fn bytes(&self) -> Result<File> {
        File::open(self.path()).with_context(|| format!("cannot open {}", self.name.display()))
    }

    fn path(&self) -> PathBuf {
        // Opening a descriptor through /proc starts at the first byte again.
        self.copy
            .as_ref()
            .map_or_else(|| self.name.clone(), |copy| format!("/proc/self/fd/{}", copy.as_raw_fd()).into())
    }
}

fn copy(mut from: impl Read) -> io::Result<File> {
    let mut copy = tempfile::tempfile()?;
    io::copy(&mut from, &mut copy)?;
    Ok(copy)
}
