//! What outlives the agent on disk: what the ids in its maps mean, and what was already exported of them.
//!
//! `docs/decisions/0009-journal.md` says why it is these files.

pub(crate) mod files;
mod journal;
mod known;
mod manifest;
#[cfg(test)]
mod tests;

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

pub use self::{
    journal::{Baseline, Batch, Damage, Journal},
    manifest::{Manifest, ManifestInterface, ManifestName},
};

/// The folder is its owner's alone.
const FOLDER_MODE: u32 = 0o700;
/// Name of the file that is locked.
const LOCK: &str = "lock";
/// Name of the file that says whose the folder is, and the one it is written as first.
const OWNER: &str = "owner";
const OWNER_TEMPORARY: &str = "owner-new";
/// Longest process id with its line end, in bytes.
const MAX_PID_LEN: u64 = 16;
/// What to do where the folder cannot be used.
const ADVICE: &str = "give [sensor] state_dir a folder that this user may write to";

/// `state_dir`, locked for this process until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    /// Held open: the lock is the file's, and ends with it, however the process ends.
    lock: File,
}

impl Drop for StateDir {
    fn drop(&mut self) {
        // A child that is being started holds a copy of the file for a moment, and with it the lock.
        let _ = self.lock.unlock();
    }
}

impl StateDir {
    /// Creates the folder (mode 0700) where it is missing, and locks it.
    ///
    /// # Errors
    /// Another process holds the lock, or the folder cannot be made or written to.
    pub fn open(path: &Path) -> Result<Self> {
        create_folder(path).with_context(|| format!("cannot create {}; {ADVICE}", path.display()))?;
        let name = path.join(LOCK);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            // Emptied only once it is ours: until then it names the holder.
            .truncate(false)
            .mode(files::FILE_MODE)
            .open(&name)
            .with_context(|| format!("cannot write to {}; {ADVICE}", name.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another sensor{} uses {}: stop it, or give this one another state_dir",
                holder(lock),
                path.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}; {ADVICE}", name.display()));
            }
        }
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .with_context(|| format!("cannot write to {}; free disk space, or {ADVICE}", name.display()))?;
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Makes the folder that of `owner` and of nobody else: journal and manifests of one are no use to another, who would take them
    /// for leftovers.
    ///
    /// # Errors
    /// It is another's, or cannot be written to.
    pub fn claim(&self, owner: &str) -> Result<()> {
        let path = self.path.join(OWNER);
        match fs::read_to_string(&path) {
            Ok(found) if found == owner => return Ok(()),
            Ok(found) => bail!(
                "{} holds the state of {}: give this sensor another state_dir, end that one with `sensor detach`, or remove {} where \
                 nothing of it is left",
                self.path.display(),
                found.escape_debug(),
                path.display()
            ),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}; {ADVICE}", path.display())),
        }
        files::replace(&self.path, OWNER_TEMPORARY, OWNER, owner.as_bytes())
            .with_context(|| format!("cannot write {}; free disk space, or {ADVICE}", path.display()))
    }

    /// Makes the folder nobody's again.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn release(&self) -> Result<()> {
        let path = self.path.join(OWNER);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}; {ADVICE}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Who holds the lock, as far as the file says.
fn holder(lock: File) -> String {
    let mut text = String::new();
    let read = lock.take(MAX_PID_LEN).read_to_string(&mut text);
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(pid)) => format!(" (pid {pid})"),
        _ => String::new(),
    }
}

fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Folders above it are not ours to hide.
    fs::create_dir_all(parent)?;
    DirBuilder::new().mode(FOLDER_MODE).create(path)?;
    files::sync_folder(parent)
}
