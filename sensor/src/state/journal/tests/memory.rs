//! A disk in memory that fails when told to, and that knows what a power loss would leave of it.

use std::{
    io,
    sync::{Arc, Mutex},
};

use super::super::{Disk, Journal, frame::HEADER_LEN, recover::recover};

/// Which step fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// An append, after so many bytes.
    Append(usize),
    Sync,
    Cut,
    /// Writing a new file.
    WriteNew,
    /// Before the new file is in place.
    Rename,
    /// After it.
    SyncFolder,
}

/// A handle: all copies are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// As a process sees the file.
    file: Option<Vec<u8>>,
    /// As a power loss at its worst leaves it.
    durable: Option<Vec<u8>>,
    new: Option<Vec<u8>>,
    faults: Vec<Step>,
    rewrites: usize,
    attempts: usize,
}

impl Memory {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let memory = Self::default();
        memory.with(|inner| {
            inner.file = Some(bytes.to_vec());
            inner.durable = inner.file.clone();
        });
        memory
    }

    /// These steps fail from now on.
    pub(super) fn fail(&self, faults: &[Step]) {
        self.with(|inner| inner.faults = faults.to_vec());
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.with(|inner| inner.file.clone().unwrap_or_default())
    }

    pub(super) fn durable(&self) -> Vec<u8> {
        self.with(|inner| inner.durable.clone().unwrap_or_default())
    }

    /// How many new files were put in place.
    pub(super) fn rewrites(&self) -> usize {
        self.with(|inner| inner.rewrites)
    }

    /// How many were begun.
    pub(super) fn attempts(&self) -> usize {
        self.with(|inner| inner.attempts)
    }

    /// The journal of what is on this disk.
    pub(super) fn journal(&self) -> Journal {
        let bytes = self.bytes();
        let recovered = bytes.get(HEADER_LEN..).map(|behind| recover(behind, bytes.len() as u64).unwrap());
        let mut journal = Journal::new(Box::new(self.clone()), recovered);
        if journal.len < bytes.len() as u64 {
            journal.rewrite |= journal.disk.cut(journal.len).is_err();
        }
        journal
    }

    /// The journal of another process, on a disk of its own.
    pub(super) fn reopened(&self) -> Journal {
        Self::of(&self.bytes()).journal()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Inner) -> T) -> T {
        work(&mut self.0.lock().unwrap())
    }

    fn step(&self, step: Step, work: impl FnOnce(&mut Inner)) -> io::Result<()> {
        self.with(|inner| {
            if inner.faults.contains(&step) {
                return Err(io::Error::other(format!("{step:?}")));
            }
            work(inner);
            Ok(())
        })
    }
}

impl Disk for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(|inner| {
            let fault = inner.faults.iter().find_map(|fault| match fault {
                Step::Append(after) => Some(*after),
                Step::Sync | Step::Cut | Step::WriteNew | Step::Rename | Step::SyncFolder => None,
            });
            let file = inner.file.as_mut().unwrap();
            let written = fault.unwrap_or(bytes.len()).min(bytes.len());
            file.resize(file.len().max(offset as usize + written), 0);
            file[offset as usize..offset as usize + written].copy_from_slice(&bytes[..written]);
            if fault.is_some() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.step(Step::Sync, |inner| inner.durable.clone_from(&inner.file))
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.step(Step::Cut, |inner| inner.file.as_mut().unwrap().truncate(len as usize))
    }

    fn write_new(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|inner| inner.attempts += 1);
        self.step(Step::WriteNew, |inner| inner.new = Some(bytes.to_vec()))
    }

    fn publish_new(&mut self) -> io::Result<()> {
        self.step(Step::Rename, |inner| {
            inner.file = inner.new.take();
            inner.rewrites += 1;
        })?;
        self.step(Step::SyncFolder, |inner| inner.durable.clone_from(&inner.file))
    }
}
