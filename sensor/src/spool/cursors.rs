//! `spool/cursors`: how far each exporter is.
//!
//! Two slots that are written in turn, in place: a crash leaves the one before, and a full disk has room for both.

use std::{collections::BTreeMap, io, path::Path};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};

use super::{
    disk::{Disk, DiskFile},
    piece::MAX_NUMBER,
};

pub(super) const NAME: &str = "cursors";
/// Bytes of a slot: names of 16 exporters and their numbers take 2 KiB at most.
pub(super) const SLOT_LEN: usize = 8 << 10;
/// Bytes of a slot before its content: CRC-32 of the rest, length of the content.
const SLOT_HEADER_LEN: usize = 8;

/// How far an exporter is: pieces up to a position were acknowledged, or are lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Position of the last piece that its collector acknowledged.
    pub acknowledged: u64,
    /// Records of all pieces up to that one.
    pub total: u64,
    /// Pieces up to this position may have been handed out: they stay as they are.
    pub handed: u64,
    /// What was lost before it could be delivered, ever.
    pub lost: Lost,
    /// What of that was taken to be told.
    pub told: Lost,
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
        self.pieces = self.pieces.saturating_add(other.pieces);
        self.records = self.records.saturating_add(other.records);
    }

    /// What there is of it beyond another one.
    pub(super) const fn beyond(self, other: Self) -> Self {
        Self { pieces: self.pieces.saturating_sub(other.pieces), records: self.records.saturating_sub(other.records) }
    }
}

impl Cursor {
    fn is_sound(&self) -> bool {
        self.acknowledged.max(self.total).max(self.handed / 2) <= MAX_NUMBER
    }
}

/// Those of all exporters, by name.
pub(super) type Cursors = BTreeMap<String, Cursor>;

/// The file.
#[derive(Debug)]
pub(super) struct CursorFile {
    file: Box<dyn DiskFile>,
    name: String,
    /// Of the slot that was written last.
    generation: u64,
}

impl CursorFile {
    /// Opens it, or makes it. Without cursors, because they are missing or damaged, whatever is in the spool is to be delivered again.
    pub(super) fn open(disk: &dyn Disk, folder: &Path) -> Result<(Self, Option<Cursors>)> {
        let path = folder.join(NAME);
        let name = path.display().to_string();
        let opening = || format!("cannot open {name}; check the disk");
        let file = match disk.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => disk.create(&path),
            file => file,
        };
        let file = file.with_context(opening)?;
        let is_new = file.len().with_context(opening)? == 0;
        if is_new {
            // Room for both.
            let empty = file.write_all_at(&[0; 2 * SLOT_LEN], 0).and_then(|()| file.sync_all());
            empty
                .and_then(|()| disk.sync_folder(folder))
                .with_context(|| format!("cannot write {name}; free disk space"))?;
        }
        let reading = || {
            format!(
                "cannot read {name}; check the disk, or move the file away: what is in the spool is delivered again"
            )
        };
        let slots = [read(&*file, 0).with_context(reading)?, read(&*file, 1).with_context(reading)?];
        let newest = slots.into_iter().flatten().max_by_key(|(generation, _)| *generation);
        if newest.is_none() && !is_new {
            tracing::warn!("{name} is damaged: all that is in the spool is delivered again, under its old keys");
        }
        let (generation, cursors) = newest.map_or((0, None), |(generation, cursors)| (generation, Some(cursors)));
        Ok((Self { file, name, generation }, cursors))
    }

    /// Writes cursors; on disk when this returns.
    pub(super) fn write(&mut self, cursors: &Cursors) -> Result<()> {
        let generation = self.generation + 1;
        let content = postcard::to_stdvec(&(generation, cursors)).context("cannot encode the cursors of the spool")?;
        ensure!(content.len() <= SLOT_LEN - SLOT_HEADER_LEN, "the cursors of the spool are {} bytes", content.len());
        let written = self.file.write_all_at(&slot(&content), generation % 2 * SLOT_LEN as u64);
        written
            .and_then(|()| self.file.sync_data())
            .with_context(|| format!("cannot write {}; check the disk", self.name))?;
        self.generation = generation;
        Ok(())
    }
}

/// A slot of this content, which fits.
pub(super) fn slot(content: &[u8]) -> Vec<u8> {
    let mut slot = vec![0; SLOT_LEN];
    let (head, rest) = slot.split_at_mut(SLOT_HEADER_LEN);
    head[4..].copy_from_slice(&(content.len() as u32).to_le_bytes());
    rest[..content.len()].copy_from_slice(content);
    let crc = crc32fast::hash(&slot[4..]);
    slot[..4].copy_from_slice(&crc.to_le_bytes());
    slot
}

/// What a slot holds; `None`: nothing that is whole.
fn read(file: &dyn DiskFile, slot: u64) -> io::Result<Option<(u64, Cursors)>> {
    let mut bytes = vec![0; SLOT_LEN];
    match file.read_exact_at(&mut bytes, slot * SLOT_LEN as u64) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let Some((crc, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let Some((len, rest_of_it)) = rest.split_first_chunk::<4>() else { return Ok(None) };
    let content = rest_of_it.get(..u32::from_le_bytes(*len) as usize);
    let is_whole = u32::from_le_bytes(*crc) == crc32fast::hash(rest);
    let read: Option<(u64, Cursors)> =
        content.filter(|_| is_whole).and_then(|content| postcard::from_bytes(content).ok());
    Ok(read.filter(|(generation, cursors)| *generation <= MAX_NUMBER && cursors.values().all(Cursor::is_sound)))
}
