//! Coarser intervals in place of fine ones: sums stay exact, and the spool has room for longer outages.
//!
//! Records that add up (`network`, `counterpart`, `prefix`, `unattributed`, `ledger`) become one for each thing they are about; all others stay as they
//! are, under their old keys. A merged record has the span of all, the last sequence as its own and `first_sequence` beside it: what it stands in place of.
//! Only whole intervals are merged that no exporter was handed a piece of.

mod records;

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use self::records::Merged;
use super::{
    cut::{self, Cut, Cutter},
    disk::{Disk, DiskFile},
    log::remove_if_there,
    piece::{self, Header, flag},
    segment::{Name, Segment, Whole},
};

/// What intervals become, in milliseconds: a minute, ten, an hour, six, a day.
const LEVELS: [i64; 5] = [60_000, 600_000, 3_600_000, 21_600_000, 86_400_000];
/// Segments that are merged at a time, and fewest that are worth it.
pub(super) const MOST_SEGMENTS: usize = 8;
pub(super) const FEWEST_SEGMENTS: usize = 3;
/// Bytes of compressed pieces that are merged into one interval: their records are all in memory for a while.
const MAX_GROUP_LEN: usize = 8 << 20;
/// Name of what is not complete yet.
pub(super) const DRAFT: &str = "merging";

/// Segments that follow each other, to be merged.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) folder: PathBuf,
    pub(super) first: u64,
    pub(super) last: u64,
    /// What they become.
    pub(super) level: u32,
    /// Bytes of lines from which on a piece is full.
    pub(super) piece_len: usize,
    /// First and last position of each.
    pub(super) segments: Vec<(u64, u64)>,
}

/// The coarsest that there is.
pub(super) const COARSEST: u32 = LEVELS.len() as u32;

/// Removes what a crash left, or what has come to nothing.
pub(super) fn remove_draft(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    remove_if_there(disk, &folder.join(DRAFT))
}

impl Run {
    /// Where what its segments become is to be.
    pub(super) fn path(&self) -> PathBuf {
        Name::Sealed(self.first, self.last).path(&self.folder)
    }

    /// Writes what its segments become beside them; on disk when this returns, and to be put in place by [`Run::publish`].
    pub(super) fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let file = disk.create(&self.folder.join(DRAFT))?;
        let begin = piece::begin(self.first, self.level);
        file.write_all_at(&begin, 0)?;
        let mut draft = Draft { file, len: begin.len() as u64, piece_len: self.piece_len };
        let mut group = Group { span: LEVELS[self.level as usize - 1], pieces: vec![], len: 0 };
        let mut modified = SystemTime::UNIX_EPOCH;
        for (first, last) in &self.segments {
            let segment = Segment::open(disk, &self.folder, Name::Sealed(*first, *last))?;
            modified = modified.max(segment.modified()?);
            let (mut offset, mut found) = segment.read(piece::SEGMENT_HEADER_LEN, 0)?;
            while let Some(piece) = found {
                group.add(piece, &mut draft)?;
                (offset, found) = segment.read(offset, 0)?;
            }
        }
        group.end(&mut draft)?;
        // What is in it is as old as it was.
        draft.file.set_modified(modified)?;
        draft.file.sync_all()
    }

    /// Puts what was written in place of its segments. Behind a crash the longer one holds.
    pub(super) fn publish(&self, disk: &dyn Disk) -> io::Result<Segment> {
        let name = Name::Sealed(self.first, self.last);
        Segment::publish(disk, &self.folder, DRAFT, name, self.level)
    }
}

/// The file that is written.
struct Draft {
    file: Box<dyn DiskFile>,
    len: u64,
    piece_len: usize,
}

impl Draft {
    fn write(&mut self, header: Header, payload: &[u8]) -> io::Result<()> {
        let bytes = header.encode(payload);
        self.file.write_all_at(&bytes, self.len)?;
        self.len += bytes.len() as u64;
        Ok(())
    }
}

/// Pieces that may become one interval.
struct Group {
    span: i64,
    pieces: Vec<Whole>,
    len: usize,
}

impl Group {
    /// Adds the next piece, once what it does not go with was written.
    fn add(&mut self, piece: Whole, draft: &mut Draft) -> io::Result<()> {
        if !self.goes_with(&piece.0) {
            self.end(draft)?;
        }
        self.len += piece.1.len();
        self.pieces.push(piece);
        Ok(())
    }

    fn goes_with(&self, next: &Header) -> bool {
        let Some((before, _)) = self.pieces.last() else { return true };
        let is_next = next.since == before.position + 1 && next.total == before.total + u64::from(next.stands_for);
        if !is_next || next.epoch != before.epoch {
            return false;
        }
        if before.flags & flag::LAST == 0 {
            return next.sequence == before.sequence && next.before > 0;
        }
        let [start, end] = next.span;
        let bucket = |at: i64| at.div_euclid(self.span);
        let is_near = self.pieces.first().is_some_and(|(first, _)| {
            bucket(first.span[0]) == bucket(start) && bucket(start) == bucket(end.saturating_sub(1).max(start))
        });
        is_near && next.before == 0 && self.len < MAX_GROUP_LEN
    }

    /// Writes what there is: merged, if that is several whole intervals, or as it was.
    fn end(&mut self, draft: &mut Draft) -> io::Result<()> {
        let pieces = std::mem::take(&mut self.pieces);
        self.len = 0;
        let headers: Vec<Header> = pieces.iter().map(|(header, _)| *header).collect();
        let merged = if is_whole(&headers) { merge(&pieces, draft.piece_len)? } else { vec![] };
        // Each piece has a position of its own.
        if merged.is_empty() || merged.len() > pieces.len() {
            return pieces.into_iter().try_for_each(|(header, payload)| draft.write(header, &payload));
        }
        let spare = pieces.len() - merged.len();
        let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return Ok(()) };
        let mut since = first.since;
        let mut total = first.total - u64::from(first.stands_for);
        for (cut, at) in merged.iter().zip(&headers[spare..]) {
            let mut header = *at;
            header.since = since;
            header.stands_for = u32::try_from(at.total - total).unwrap_or(u32::MAX);
            (header.before, header.records, header.sequence) = (cut.before, cut.records, last.sequence);
            header.flags = flag::MERGED | if cut.is_last { flag::LAST } else { 0 };
            header.span = [first.span[0], last.span[1]];
            draft.write(header, &cut.payload)?;
            (since, total) = (at.position + 1, at.total);
        }
        Ok(())
    }
}

/// Whether these are several intervals, the first from its beginning and the last to its end.
fn is_whole(headers: &[Header]) -> bool {
    let (Some(first), Some(last)) = (headers.first(), headers.last()) else { return false };
    first.before == 0 && last.flags & flag::LAST != 0 && first.sequence < last.sequence
}

/// The pieces of one interval that holds all these; none, where something in them is not understood.
fn merge(pieces: &[Whole], piece_len: usize) -> io::Result<Vec<Cut>> {
    let mut merged = Merged::default();
    for (_, payload) in pieces {
        let added = cut::lines(payload).ok().and_then(|lines| merged.add(&lines));
        if added.is_none() {
            return Ok(vec![]);
        }
    }
    let mut cuts = vec![];
    let mut cutter = Cutter::new(piece_len, 0, |cut| {
        cuts.push(cut);
        Ok(())
    });
    merged.write(&mut cutter)?;
    cutter.finish()?;
    Ok(cuts)
}
