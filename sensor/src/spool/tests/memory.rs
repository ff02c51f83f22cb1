//! A disk in memory that fails when told to, and that knows what a power loss may leave of it.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::SystemTime,
};

use super::super::disk::{Disk, DiskFile};
use crate::testing::rng::Rng;

/// Bytes of a file that are on disk as a whole or not at all.
const BLOCK_LEN: usize = 64;

/// How a disk fails, from some step on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// One step fails and does nothing. If it was to sync, what was written before is never put on disk.
    Once,
    /// One write stops in the middle. If it was to sync, all is on disk, and yet that fails.
    Short,
    /// Nothing takes more space.
    Full,
    /// Nothing can be changed.
    ReadOnly,
    /// Nothing can be done.
    Dead,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Read,
    /// A file or a name, and no more space than there is.
    Change,
    /// More space.
    Grow,
    Sync,
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    Folder,
    File(usize),
}

/// What happened to a name.
#[derive(Clone, Debug)]
enum Naming {
    Make(PathBuf, Node),
    Rename(PathBuf, PathBuf, Node),
    Remove(PathBuf),
}

/// What happened to the bytes of a file.
#[derive(Clone, Debug)]
enum Change {
    Write(usize, Vec<u8>),
    Len(usize),
}

#[derive(Clone, Debug)]
struct Content {
    bytes: Vec<u8>,
    modified: SystemTime,
    /// As it was when it was synced last, and what happened since.
    durable: Vec<u8>,
    changes: Vec<Change>,
}

#[derive(Clone, Debug, Default)]
struct Inner {
    files: Vec<Content>,
    names: BTreeMap<PathBuf, Node>,
    /// As they were when they were synced last, and what happened since.
    durable: BTreeMap<PathBuf, Node>,
    namings: Vec<Naming>,
    steps: u64,
    fault: Option<(u64, Fault)>,
    failures: u64,
}

/// A handle: all copies are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Inner>>);

impl Memory {
    /// Fails from this step on, or not at all.
    pub(super) fn fail(&self, fault: Option<(u64, Fault)>) {
        self.with(|inner| inner.fault = fault);
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.with(|inner| inner.names.keys().cloned().collect())
    }

    /// Steps that were done or failed.
    pub(super) fn steps(&self) -> u64 {
        self.with(|inner| inner.steps)
    }

    /// Steps that failed.
    pub(super) fn failures(&self) -> u64 {
        self.with(|inner| inner.failures)
    }

    /// Whether nothing can be done any more.
    pub(super) fn is_dead(&self) -> bool {
        self.with(|inner| matches!(inner.fault, Some((from, Fault::Dead)) if inner.steps > from))
    }

    /// What another process finds; who still has this one does not reach it.
    pub(super) fn killed(&self) -> Self {
        let mut inner = self.with(|inner| inner.clone());
        inner.fault = None;
        Self(Arc::new(Mutex::new(inner)))
    }

    /// What a power loss leaves: whatever was synced, and any part of the rest.
    pub(super) fn unplugged(&self, rng: &mut Rng) -> Self {
        let mut inner = self.with(|inner| inner.clone());
        // All, nothing, or anything between.
        let odds = rng.below(4);
        let mut is_kept = || match odds {
            0 => false,
            1 => true,
            _ => rng.one_in(2),
        };
        let mut names = std::mem::take(&mut inner.durable);
        for naming in std::mem::take(&mut inner.namings) {
            if is_kept() {
                apply(&mut names, naming);
            }
        }
        let has_folder = |path: &Path, names: &BTreeMap<PathBuf, Node>| {
            let mut above = path.ancestors().skip(1).filter(|folder| folder.components().count() > 1);
            above.all(|folder| folder == Path::new(super::bench::STATE_DIR) || names.contains_key(folder))
        };
        let found = names.clone();
        names.retain(|path, _| has_folder(path, &found));
        for file in &mut inner.files {
            let mut bytes = std::mem::take(&mut file.durable);
            for change in std::mem::take(&mut file.changes) {
                match change {
                    Change::Len(len) if is_kept() => bytes.resize(len, 0),
                    Change::Len(_) => {}
                    Change::Write(offset, written) => {
                        for (block, at) in written.chunks(BLOCK_LEN).zip((offset..).step_by(BLOCK_LEN)) {
                            if is_kept() {
                                put(&mut bytes, at, block);
                            }
                        }
                    }
                }
            }
            (file.bytes, file.durable) = (bytes.clone(), bytes);
        }
        (inner.names, inner.durable) = (names.clone(), names);
        inner.fault = None;
        Self(Arc::new(Mutex::new(inner)))
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }
}

impl Inner {
    /// Whether a step can be done.
    fn step(&mut self, step: Step) -> io::Result<()> {
        let now = self.steps;
        self.steps += 1;
        let Some((from, fault)) = self.fault else { return Ok(()) };
        let error = match fault {
            Fault::Once | Fault::Short if now == from => Some(libc::EIO),
            Fault::Full if now >= from && step == Step::Grow => Some(libc::ENOSPC),
            Fault::ReadOnly if now >= from && step != Step::Read => Some(libc::EROFS),
            Fault::Dead if now >= from => Some(libc::EIO),
            Fault::Once | Fault::Short | Fault::Full | Fault::ReadOnly | Fault::Dead => None,
        };
        let Some(error) = error else { return Ok(()) };
        self.failures += 1;
        Err(io::Error::from_raw_os_error(error))
    }

    /// Whether the step that failed last did a part.
    fn is_short(&self) -> bool {
        matches!(self.fault, Some((from, Fault::Short)) if from + 1 == self.steps)
    }

    fn name(&mut self, naming: Naming) {
        apply(&mut self.names, naming.clone());
        self.namings.push(naming);
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Node::File(file)) => Ok(*file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

fn apply(names: &mut BTreeMap<PathBuf, Node>, naming: Naming) {
    match naming {
        Naming::Make(path, node) => drop(names.insert(path, node)),
        Naming::Remove(path) => drop(names.remove(&path)),
        Naming::Rename(from, to, node) => drop((names.remove(&from), names.insert(to, node))),
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, written: &[u8]) {
    bytes.resize(bytes.len().max(offset + written.len()), 0);
    bytes[offset..offset + written.len()].copy_from_slice(written);
}

impl Disk for Memory {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.with(|inner| {
            if inner.names.contains_key(path) {
                return inner.step(Step::Read);
            }
            inner.step(Step::Grow)?;
            inner.name(Naming::Make(path.to_owned(), Node::Folder));
            Ok(())
        })
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        self.with(|inner| {
            inner.step(Step::Read)?;
            let paths = inner.names.keys().filter(|path| path.parent() == Some(folder));
            Ok(paths.map(|path| path.file_name().unwrap().to_owned()).collect())
        })
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.with(|inner| {
            inner.step(Step::Read)?;
            // To be written, too.
            if matches!(inner.fault, Some((from, Fault::ReadOnly)) if inner.steps > from) {
                inner.failures += 1;
                return Err(io::Error::from_raw_os_error(libc::EROFS));
            }
            Ok(Box::new(Open(self.clone(), inner.file(path)?)) as Box<dyn DiskFile>)
        })
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.with(|inner| {
            inner.step(Step::Grow)?;
            let modified = SystemTime::now();
            let file = match inner.file(path) {
                Ok(file) => {
                    inner.files[file].bytes.clear();
                    inner.files[file].changes.push(Change::Len(0));
                    file
                }
                Err(_) => {
                    inner.files.push(Content { bytes: vec![], modified, durable: vec![], changes: vec![] });
                    let file = inner.files.len() - 1;
                    inner.name(Naming::Make(path.to_owned(), Node::File(file)));
                    file
                }
            };
            Ok(Box::new(Open(self.clone(), file)) as Box<dyn DiskFile>)
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.with(|inner| {
            inner.step(Step::Change)?;
            let node = Node::File(inner.file(from)?);
            inner.name(Naming::Rename(from.to_owned(), to.to_owned(), node));
            Ok(())
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.with(|inner| {
            inner.step(Step::Change)?;
            inner.file(path)?;
            inner.name(Naming::Remove(path.to_owned()));
            Ok(())
        })
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.with(|inner| {
            inner.step(Step::Sync)?;
            let is_in = |name: &PathBuf| name.parent() == Some(path);
            let (synced, rest) = std::mem::take(&mut inner.namings).into_iter().partition(|naming| match naming {
                Naming::Make(name, _) | Naming::Remove(name) => is_in(name),
                Naming::Rename(from, to, _) => is_in(from) || is_in(to),
            });
            let synced: Vec<Naming> = synced;
            synced.into_iter().for_each(|naming| apply(&mut inner.durable, naming));
            inner.namings = rest;
            Ok(())
        })
    }
}

#[derive(Debug)]
struct Open(Memory, usize);

impl Open {
    fn with<T>(&self, step: Step, work: impl FnOnce(&mut Content) -> io::Result<T>) -> io::Result<T> {
        self.0.with(|inner| {
            inner.step(step)?;
            work(&mut inner.files[self.1])
        })
    }

    fn sync(&self) -> io::Result<()> {
        self.0.with(|inner| {
            let synced = inner.step(Step::Sync);
            let is_short = inner.is_short();
            let file = &mut inner.files[self.1];
            if synced.is_ok() || is_short {
                for change in std::mem::take(&mut file.changes) {
                    match change {
                        Change::Len(len) => file.durable.resize(len, 0),
                        Change::Write(offset, bytes) => put(&mut file.durable, offset, &bytes),
                    }
                }
            } else {
                // The kernel reports a failed write once, and may then take the pages for written.
                file.changes.retain(|change| matches!(change, Change::Len(_)));
            }
            synced
        })
    }
}

impl DiskFile for Open {
    fn len(&self) -> io::Result<u64> {
        self.with(Step::Read, |file| Ok(file.bytes.len() as u64))
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.with(Step::Read, |file| Ok(file.modified))
    }

    fn set_modified(&self, at: SystemTime) -> io::Result<()> {
        self.with(Step::Change, |file| {
            file.modified = at;
            Ok(())
        })
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(Step::Read, |file| {
            let from = offset as usize;
            let found = file.bytes.get(from..from + bytes.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            bytes.copy_from_slice(found);
            Ok(())
        })
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.with(|inner| {
            let offset = offset as usize;
            let grows = inner.files[self.1].bytes.len() < offset + bytes.len();
            let done = inner.step(if grows { Step::Grow } else { Step::Change });
            let len = match &done {
                Err(_) if inner.is_short() => bytes.len() / 2,
                Err(_) => 0,
                Ok(()) => bytes.len(),
            };
            let file = &mut inner.files[self.1];
            if len > 0 {
                put(&mut file.bytes, offset, &bytes[..len]);
                file.changes.push(Change::Write(offset, bytes[..len].to_vec()));
                file.modified = SystemTime::now();
            }
            done
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(Step::Change, |file| {
            file.bytes.resize(len as usize, 0);
            file.changes.push(Change::Len(len as usize));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync()
    }
}
