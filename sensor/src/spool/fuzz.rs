//! Bytes as a folder of the spool, for the fuzzer: whatever is in it is opened, read and told as lost, and what is appended is delivered.
//!
//! Entries follow each other: what the file is and whether its checksums are to be made right, its first and last position (16 bits each), how many
//! bytes it has (16 bits), and these.

use std::{fs, path::Path, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;

use super::{
    Bounds, FOLDER, Reader, Spool,
    cursors::{self, SLOT_LEN},
    cut,
    disk::FileSystem,
    piece::{self, MAX_NUMBER, SEGMENT_HEADER_LEN},
    segment::Name,
};
use crate::{
    epoch::Epoch,
    output::Format,
    summary::{Count, Key, PrefixRecord, Summary},
};

/// Where files are made and removed without waiting for a disk.
const IN_MEMORY: &str = "/dev/shm";
/// Small enough for anything to be merged and given up.
const BOUNDS: Bounds = Bounds { max_bytes: 2 << 10, max_age: Duration::from_secs(1 << 30) };
const NAMES: [&str; 2] = ["a", "b"];
/// What a file is, in the first byte of an entry.
const KINDS: u8 = 4;
const CURSORS: u8 = 0;
const OPEN: u8 = 1;
const SEALED: u8 = 2;
#[cfg(test)]
const DRAFT: u8 = 3;
/// Its checksums are made right.
const REPAIRED: u8 = 0x80;
/// Bytes of an entry before those of its file.
const ENTRY_LEN: usize = 7;

/// Lays the folder out and works with it.
///
/// # Errors
/// It was refused although it is of no other version, or what was appended was not delivered.
pub(crate) fn run(bytes: &[u8]) -> Result<()> {
    let folder = tempfile::tempdir_in(IN_MEMORY).or_else(|_| tempfile::tempdir())?;
    lay_out(bytes, &folder.path().join(FOLDER))?;
    for sequence in 0..2 {
        let (spool, _) = match Spool::open_on(Arc::new(FileSystem), folder.path(), BOUNDS, cut::PIECE_LEN, &NAMES) {
            Err(error) if error.to_string().contains("of version") => return Ok(()),
            opened => opened.context("it is not opened")?,
        };
        let end = spool.inner().log.end;
        if end.position.max(end.total) >= MAX_NUMBER {
            return Ok(());
        }
        spool.merge();
        let summary = summary(sequence)?;
        spool.append(&summary)?;
        spool.merge();
        for name in NAMES {
            let mut reader = spool.reader(name).context("no reader")?;
            let last = read(&mut reader)?;
            let mut expected = vec![];
            Format::Jsonl.write(&summary, &mut expected)?;
            ensure!(last == expected, "what was appended last is not what is delivered last to {name}");
            reader.save();
        }
    }
    Ok(())
}

/// Reads whatever there is; the lines of the last piece.
fn read(reader: &mut Reader) -> Result<Vec<u8>> {
    let mut last = vec![];
    while let Some(piece) = reader.peek()? {
        let before = reader.cursor();
        // What cannot be unpacked is for whoever exports it.
        last = piece.lines().unwrap_or_default();
        ensure!(last.len() <= cut::MAX_LINES_LEN, "{} bytes of lines", last.len());
        let lost = reader.lost_before(&piece);
        reader.acknowledge(&piece);
        let after = reader.cursor();
        ensure!(after.acknowledged > before.acknowledged, "{} behind {}", after.acknowledged, before.acknowledged);
        ensure!(after.lost.records >= lost.records, "{lost:?} are forgotten");
    }
    Ok(last)
}

/// An interval of an epoch that is nobody else's.
fn summary(sequence: u64) -> Result<Summary> {
    let at = Timestamp::from_second(sequence as i64)?;
    let epoch = Epoch::from_bytes(*b"epoch of fuzzing").context("no epoch")?;
    let key = Key { sensor: "fuzz".to_owned(), epoch, start: at, end: at, sequence };
    let record = PrefixRecord {
        prefix: "10.0.0.0/8".parse()?,
        direction: sensor_ebpf::abi::Direction::In,
        network: None,
        count: Count { packets: 1, bytes: 2, frame_bytes: 3 },
    };
    Ok(Summary { prefixes: vec![record], ..Summary::empty(key) })
}

/// Writes the files that bytes stand for.
fn lay_out(mut bytes: &[u8], folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    while let Some((entry, rest)) = bytes.split_first_chunk::<ENTRY_LEN>() {
        let [kind, number @ ..] = *entry;
        let [first, last, len] = [0, 2, 4].map(|at| u64::from(u16::from_le_bytes([number[at], number[at + 1]])));
        let (content, rest) = rest.split_at((len as usize).min(rest.len()));
        bytes = rest;
        let mut content = content.to_vec();
        let is_repaired = kind & REPAIRED != 0;
        let kind = kind % KINDS;
        let path = match kind {
            CURSORS => {
                if is_repaired {
                    content = cursors::slot(&content[..content.len().min(SLOT_LEN / 2)]);
                }
                folder.join(cursors::NAME)
            }
            SEALED | OPEN => {
                let name = if kind == OPEN { Name::Open(first) } else { Name::Sealed(first, last) };
                if is_repaired {
                    repair(&mut content, first);
                }
                name.path(folder)
            }
            _ => folder.join(super::merge::DRAFT),
        };
        fs::write(path, content)?;
    }
    Ok(())
}

/// Makes the checksums of a segment right, and the lengths that are beyond its end.
fn repair(content: &mut [u8], first: u64) {
    let Some((header, mut rest)) = content.split_at_mut_checked(SEGMENT_HEADER_LEN as usize) else { return };
    let level = header[24];
    header.copy_from_slice(&piece::begin(first, level.into()));
    while let Some(len) = piece::repair(rest) {
        rest = &mut rest[len..];
    }
}

/// The bytes that stand for a folder.
#[cfg(test)]
pub(super) fn pack(folder: &Path, is_repaired: bool) -> Vec<u8> {
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let mut bytes = vec![];
    for path in paths.into_iter().filter(|path| path.is_file()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let mut content = fs::read(&path).unwrap();
        let (kind, first, last) = match Name::parse(name) {
            Some(Name::Open(first)) => (OPEN, first, 0),
            Some(Name::Sealed(first, last)) => (SEALED, first, last),
            None if name == cursors::NAME => {
                // The one that was written last; its header says how long it is.
                let slot = &content[cursors::SLOT_LEN * (content[8] < content[cursors::SLOT_LEN + 8]) as usize..];
                content = slot[8..8 + usize::from(slot[4])].to_vec();
                (CURSORS, 0, 0)
            }
            None => (DRAFT, 0, 0),
        };
        bytes.push(kind | if is_repaired || kind == CURSORS { REPAIRED } else { 0 });
        for number in [first, last, content.len() as u64] {
            bytes.extend_from_slice(&u16::try_from(number).unwrap().to_le_bytes());
        }
        bytes.extend_from_slice(&content);
    }
    bytes
}
