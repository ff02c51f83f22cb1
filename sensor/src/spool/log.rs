//! The segments of a spool, in their order: what is appended, read and given up.

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Bounds, Cursor,
    cut::Cut,
    disk::Disk,
    merge::{COARSEST, FEWEST_SEGMENTS, MOST_SEGMENTS, Run},
    piece::{Header, SEGMENT_HEADER_LEN},
    segment::{Segment, Whole},
};
use crate::{epoch::Epoch, summary::Key};

/// Parts of the most that a spool may take that a segment is: as much is given up at a time.
const SEGMENTS: u64 = 64;
/// Epochs of which it is known how far their records are in the spool.
const MAX_KNOWN: usize = 64;

/// All segments.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    pub(super) bounds: Bounds,
    /// Bytes of lines from which on a piece is full.
    pub(super) piece_len: usize,
    /// Oldest first. Only the last one may be open.
    pub(super) segments: VecDeque<Segment>,
    /// What was appended, committed or not.
    pub(super) end: End,
    /// The same without what is not committed.
    pub(super) committed: End,
    /// What was taken back is not put in order yet: nothing is appended before.
    pub(super) is_torn: bool,
    /// Files that a merge has left and that are not known to be gone for good.
    pub(super) leftovers: Vec<PathBuf>,
    /// How far records of epochs are in the spool: sequence, and records of that interval.
    pub(super) known: HashMap<Epoch, (u64, u32)>,
}

/// Where the pieces end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct End {
    /// Position of the last piece.
    pub(super) position: u64,
    /// Records up to there.
    pub(super) total: u64,
    /// Bytes of the open segment.
    pub(super) offset: u64,
}

/// Where a reader is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// First position of the segment.
    segment: u64,
    /// Bytes of it that were read.
    offset: u64,
}

impl Log {
    /// How many records of an interval are there already; `None`: later ones of its epoch are.
    pub(super) fn known(&self, key: &Key) -> Option<u32> {
        match self.known.get(&key.epoch) {
            Some((sequence, _)) if *sequence > key.sequence => None,
            Some((sequence, records)) if *sequence == key.sequence => Some(*records),
            _ => Some(0),
        }
    }

    /// Writes a piece. It counts once it is committed.
    pub(super) fn append(&mut self, key: &Key, cut: &Cut) -> io::Result<()> {
        if self.is_torn {
            self.put_in_order()?;
        }
        let position = self.end.position + 1;
        if self.segments.back().is_none_or(|segment| segment.is_sealed) {
            let segment = Segment::create(&*self.disk, &self.folder, position)?;
            self.end.offset = segment.len;
            self.committed.offset = segment.len;
            self.segments.push_back(segment);
        }
        let Some(segment) = self.segments.back() else { return Ok(()) };
        let total = self.end.total + u64::from(cut.records);
        let bytes = Header::new(key, cut, position, total).encode(&cut.payload);
        segment.append(self.end.offset, &bytes)?;
        self.end = End { position, total, offset: self.end.offset + bytes.len() as u64 };
        Ok(())
    }

    /// Puts on disk what was appended: from here on it counts, and is read.
    pub(super) fn commit(&mut self, key: &Key, records: u32) -> io::Result<()> {
        if self.end != self.committed {
            let Some(segment) = self.segments.back_mut() else { return Ok(()) };
            segment.sync(self.end.offset, self.end.position)?;
            self.committed = self.end;
        }
        self.know(key.epoch, key.sequence, records);
        Ok(())
    }

    /// Takes back what was appended and not committed. Where that cannot be cut off, nothing is appended behind it any more.
    pub(super) fn roll_back(&mut self) {
        self.end = self.committed;
        self.is_torn = true;
        if let Err(error) = self.put_in_order() {
            tracing::warn!("{}: cannot be put in order: {error}; trying again", self.folder.display());
        }
    }

    /// Closes the segment behind which something was taken back. After a write that failed the kernel may take its pages for written: only a new file
    /// is known to be whole.
    fn put_in_order(&mut self) -> io::Result<()> {
        if let Some(segment) = self.segments.back_mut().filter(|segment| !segment.is_sealed) {
            if segment.last < segment.first {
                segment.remove(&*self.disk)?;
                self.segments.pop_back();
            } else {
                // Where it cannot be cut off, its name says that it does not count.
                let _ = segment.cut();
                segment.seal(&*self.disk, &self.folder)?;
            }
        }
        self.is_torn = false;
        Ok(())
    }

    /// Notes how far the records of an epoch are.
    pub(super) fn know(&mut self, epoch: Epoch, sequence: u64, records: u32) {
        if self.known.len() >= MAX_KNOWN && !self.known.contains_key(&epoch) {
            self.known.clear();
        }
        self.known.insert(epoch, (sequence, records));
    }

    /// The next piece behind a position that is whole; `None`: there is none yet.
    pub(super) fn read(&self, place: &mut Place, after: u64) -> io::Result<Option<Whole>> {
        let from = *place;
        for segment in self.segments.iter().filter(|segment| segment.last > after && segment.first >= from.segment) {
            let offset = if segment.first == from.segment { from.offset } else { SEGMENT_HEADER_LEN };
            let (offset, found) = segment.read(offset, after)?;
            *place = Place { segment: segment.first, offset };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// A reader who has nothing yet of what is there.
    pub(super) fn beginning(&self) -> io::Result<Cursor> {
        let first = self.segments.front().map_or(self.end.position + 1, |segment| segment.first);
        let total = match self.read(&mut Place::default(), first - 1)? {
            Some((header, _)) => header.total.saturating_sub(u64::from(header.stands_for)),
            None => self.end.total,
        };
        // Nobody knows what of it was handed out.
        Ok(Cursor { acknowledged: first - 1, total, handed: self.end.position, ..Cursor::default() })
    }

    /// Bytes of all segments.
    pub(super) fn len(&self) -> u64 {
        self.segments.iter().map(|segment| segment.len).sum()
    }

    /// The oldest segments that are worth merging: as fine as any, side by side, and `is_free` says of their first and last position that no exporter
    /// has been handed a part of them.
    pub(super) fn run_to_merge(&self, is_free: impl Fn(u64, u64) -> bool) -> Option<Run> {
        if self.len() <= self.bounds.max_bytes / 2 {
            return None;
        }
        (1..=COARSEST).find_map(|level| {
            let mut run: Vec<(u64, u64)> = vec![];
            for segment in &self.segments {
                let first = run.first().map_or(segment.first, |(first, _)| *first);
                let fits = segment.is_sealed && segment.level < level && is_free(first, segment.last);
                if fits && run.len() < MOST_SEGMENTS {
                    run.push((segment.first, segment.last));
                    continue;
                }
                if run.len() >= FEWEST_SEGMENTS {
                    break;
                }
                run.clear();
            }
            let (Some((first, _)), Some((_, last))) = (run.first(), run.last()) else { return None };
            let (first, last, folder, piece_len) = (*first, *last, self.folder.clone(), self.piece_len);
            (run.len() >= FEWEST_SEGMENTS).then_some(Run { folder, first, last, level, piece_len, segments: run })
        })
    }

    /// Puts a merged segment in place of those that it was made of, if they are all there still.
    pub(super) fn replace(&mut self, run: &Run) -> io::Result<()> {
        self.settle()?;
        let Some(at) = self.segments.iter().position(|segment| segment.first == run.first) else { return Ok(()) };
        let there = self.segments.iter().skip(at).map(|segment| (segment.first, segment.last));
        if !there.take(run.segments.len()).eq(run.segments.iter().copied()) {
            return Ok(());
        }
        let merged = match run.publish(&*self.disk) {
            Ok(merged) => merged,
            Err(error) => {
                self.leftovers.push(run.path());
                return self.settle().and(Err(error));
            }
        };
        let old = self.segments.drain(at..at + run.segments.len());
        self.leftovers.extend(old.map(|segment| segment.path().to_owned()));
        self.segments.insert(at, merged);
        self.settle()
    }

    /// Removes what a merge has left, for good: as long as a crash may leave either what was merged or what it became, neither is handed out.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if self.leftovers.is_empty() {
            return Ok(());
        }
        self.leftovers.iter().try_for_each(|path| remove_if_there(&*self.disk, path))?;
        self.disk.sync_folder(&self.folder)?;
        self.leftovers.clear();
        Ok(())
    }

    /// Closes the open segment once it is long enough; removes what all have up to `acknowledged`, and the oldest beyond the bounds.
    pub(super) fn tidy(&mut self, acknowledged: u64) -> io::Result<()> {
        // What fails holds nothing else up.
        let settled = self.settle();
        let sealed = self.seal_if_due();
        settled.and(sealed).and(self.remove_oldest(acknowledged))
    }

    fn seal_if_due(&mut self) -> io::Result<()> {
        let most = self.bounds.max_bytes / SEGMENTS;
        let open = self.segments.back_mut().filter(|segment| !segment.is_sealed && segment.last >= segment.first);
        open.filter(|segment| segment.len >= most).map_or(Ok(()), |open| open.seal(&*self.disk, &self.folder))
    }

    fn remove_oldest(&mut self, acknowledged: u64) -> io::Result<()> {
        // The last one says how far records are there.
        while self.segments.len() > 1
            && let Some(oldest) = self.segments.front()
        {
            let is_done = oldest.last <= acknowledged;
            let is_beyond = self.len() > self.bounds.max_bytes || is_older(oldest, self.bounds.max_age);
            if !is_done && !is_beyond {
                break;
            }
            if !is_done {
                let path = oldest.path().display();
                tracing::warn!(
                    "{path}: given up before it was delivered: [spool] allows no more; see to the exporters"
                );
            }
            oldest.remove(&*self.disk)?;
            self.segments.pop_front();
        }
        Ok(())
    }
}

/// Removes a file that may be gone.
pub(super) fn remove_if_there(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn is_older(segment: &Segment, age: Duration) -> bool {
    let modified = segment.modified().ok();
    modified.and_then(|at| SystemTime::now().duration_since(at).ok()).is_some_and(|passed| passed > age)
}
