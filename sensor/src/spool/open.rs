//! Opening a spool: whatever is in the folder, what can be read of it counts.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};

use super::{
    Bounds,
    cursors::{CursorFile, Cursors},
    disk::Disk,
    log::{End, Log},
    merge,
    piece::{Beginning, Header, SEGMENT_HEADER_LEN},
    segment::{Name, Segment},
};
use crate::{epoch::Epoch, state::files};

/// Where files are moved that cannot be read.
const QUARANTINE: &str = "quarantine";
/// Files that are kept there; the oldest go first.
const MAX_QUARANTINED: usize = 16;

/// Opens a folder.
///
/// Without cursors, all that is there is to be delivered.
pub(super) fn open(
    disk: &Arc<dyn Disk>,
    folder: &Path,
    bounds: Bounds,
    piece_len: usize,
) -> Result<(Log, CursorFile, Option<Cursors>)> {
    let reading = || format!("cannot read {}; check the disk", folder.display());
    let created =
        disk.create_folder(folder).and_then(|()| folder.parent().map_or(Ok(()), |above| disk.sync_folder(above)));
    created.with_context(|| format!("cannot create {}; check state_dir", folder.display()))?;
    let (file, cursors) = CursorFile::open(&**disk, folder)?;
    let mut log = Log {
        disk: Arc::clone(disk),
        folder: folder.to_owned(),
        bounds,
        piece_len,
        segments: VecDeque::new(),
        end: End::default(),
        committed: End::default(),
        is_torn: false,
        leftovers: vec![],
        known: HashMap::new(),
    };
    let mut segments = vec![];
    for name in disk.names(folder).with_context(reading)? {
        let Some(name) = name.to_str().and_then(Name::parse) else { continue };
        let mut segment = Segment::open(&**disk, folder, name).with_context(reading)?;
        match segment.beginning().with_context(reading)? {
            Beginning::Known(first, level) if first == segment.first => {
                segment.level = level;
                segments.push(segment);
            }
            Beginning::Other(version) => bail!(
                "{} is of version {version} of the spool: run the sensor that wrote it until it is delivered, or move the file away",
                segment.path().display()
            ),
            Beginning::Damaged if segment.has_pieces().with_context(reading)? => {
                tracing::error!(
                    "{}: its beginning is damaged; what can be read of it counts",
                    segment.path().display()
                );
                segments.push(segment);
            }
            Beginning::Known(..) | Beginning::Damaged => set_aside(&**disk, folder, &segment),
        }
    }
    let segments = without_merged(&**disk, folder, segments).with_context(reading)?;
    merge::remove_draft(&**disk, folder).with_context(reading)?;
    // What is delivered is not given a second time, whatever is left of the segments.
    for cursor in cursors.iter().flat_map(Cursors::values) {
        log.end.position = log.end.position.max(cursor.acknowledged);
        log.end.total = log.end.total.max(cursor.total);
    }
    let count = segments.len();
    let found = look_into(&segments).with_context(reading)?;
    for (index, (segment, found)) in segments.into_iter().zip(found).enumerate() {
        log.adopt(segment, found, index + 1 == count).with_context(reading)?;
    }
    log.end.offset = log.segments.back().map_or(0, |segment| segment.len);
    log.committed = log.end;
    Ok((log, file, cursors))
}

/// What is in a segment.
#[derive(Debug, Default)]
struct Found {
    /// How far the records of epochs are.
    known: HashMap<Epoch, (u64, u32)>,
    /// The last piece, and where it ends.
    last: Option<(Header, u64)>,
    /// Pieces of one interval, not counted yet, and where they are.
    tail: Vec<(Header, u64)>,
}

impl Found {
    /// Looks for pieces. Of a segment that is open, the last interval counts as far as an append has come that was interrupted.
    fn of(segment: &Segment) -> io::Result<Self> {
        let mut found = Self::default();
        segment.scan(|header, at| {
            let interval = |header: &Header| (header.epoch, header.sequence);
            if found.tail.last().is_some_and(|(before, _)| interval(before) != interval(&header)) {
                std::mem::take(&mut found.tail).into_iter().for_each(|piece| found.count(piece));
            }
            found.tail.push((header, at));
        })?;
        for (header, at) in std::mem::take(&mut found.tail) {
            // The disk may have taken any part of what was not synced. What was synced and is damaged was lost either way.
            let is_next = match &found.last {
                Some((before, _)) => header.before == 0 || header.position == before.position + 1,
                None => header.before == 0 || header.position == segment.first,
            };
            if !(segment.is_sealed || is_next && segment.is_whole(&header, at)?) {
                break;
            }
            found.count((header, at));
        }
        Ok(found)
    }

    fn count(&mut self, (header, at): (Header, u64)) {
        if let Some(epoch) = Epoch::from_bytes(header.epoch) {
            self.known.insert(epoch, (header.sequence, header.known()));
        }
        self.last = Some((header, at + header.piece_len()));
    }
}

/// Looks into the last two segments, which hold whatever may be committed and not be marked as such, into those that are open, and farther back as
/// long as nothing says how many records there were.
fn look_into(segments: &[Segment]) -> io::Result<Vec<Option<Found>>> {
    let mut is_known = false;
    let mut all = vec![];
    for (back, segment) in segments.iter().rev().enumerate() {
        let found = (back < 2 || !segment.is_sealed || !is_known).then(|| Found::of(segment)).transpose()?;
        is_known |= found.as_ref().is_some_and(|found| found.last.is_some());
        all.push(found);
    }
    all.reverse();
    Ok(all)
}

impl Log {
    /// Takes a segment in. The last one is gone on with.
    fn adopt(&mut self, mut segment: Segment, found: Option<Found>, is_last: bool) -> io::Result<()> {
        let found = found.unwrap_or_default();
        for (epoch, (sequence, records)) in found.known {
            self.know(epoch, sequence, records);
        }
        if let Some((last, _)) = found.last {
            self.end.position = self.end.position.max(last.position);
            self.end.total = self.end.total.max(last.total);
        }
        if segment.is_sealed {
            self.end.position = self.end.position.max(segment.last);
            self.segments.push_back(segment);
            return Ok(());
        }
        let total = segment.len;
        let Some((last, end)) = found.last else {
            if total > SEGMENT_HEADER_LEN {
                set_aside(&*self.disk, &self.folder, &segment);
                return Ok(());
            }
            return segment.remove(&*self.disk);
        };
        (segment.last, segment.len) = (last.position, end);
        if total > end {
            keep_rest(&*self.disk, &self.folder, &segment);
            segment.cut()?;
            let path = segment.path().display();
            tracing::warn!("{path}: the last {} bytes are no whole piece: cut off", total - end);
        }
        // Positions go on behind the cursors, who may know of pieces that are lost here.
        if !is_last || segment.last < self.end.position {
            segment.seal(&*self.disk, &self.folder)?;
        }
        self.segments.push_back(segment);
        Ok(())
    }
}

/// Segments in their order, without those that were merged into a longer one and not removed yet.
fn without_merged(disk: &dyn Disk, folder: &Path, mut segments: Vec<Segment>) -> io::Result<Vec<Segment>> {
    segments.sort_by_key(|segment| (segment.first, Reverse(segment.last)));
    let count = segments.len();
    let mut kept: Vec<Segment> = vec![];
    for segment in segments {
        if kept.last().is_some_and(|before| segment.is_sealed && segment.last <= before.last) {
            segment.remove(disk)?;
        } else {
            kept.push(segment);
        }
    }
    if kept.len() < count {
        // Before any of it is handed out: they could be back when the longer one is gone.
        disk.sync_folder(folder)?;
    }
    Ok(kept)
}

/// Moves a file away of which nothing can be read. Where that fails, it stays, and nothing of it counts.
fn set_aside(disk: &dyn Disk, folder: &Path, segment: &Segment) {
    let path = segment.path().display();
    match spare_name(disk, folder).and_then(|name| disk.rename(segment.path(), &name).map(|()| name)) {
        Ok(name) => tracing::error!("{path} is no segment of the spool; it was moved to {}", name.display()),
        Err(error) => tracing::error!("{path} is no segment of the spool, and cannot be moved away: {error}"),
    }
}

/// Saves what is cut off, if there is room for it.
fn keep_rest(disk: &dyn Disk, folder: &Path, segment: &Segment) {
    let kept = spare_name(disk, folder).and_then(|name| {
        let copied = disk.create(&name).and_then(|copy| segment.copy_rest(&*copy));
        if copied.is_err() {
            // A part of it helps nobody, and the disk may be full.
            let _ = disk.remove(&name);
        }
        copied
    });
    if let Err(error) = kept {
        tracing::warn!("{}: what is cut off cannot be saved: {error}", segment.path().display());
    }
}

/// A name in quarantine.
fn spare_name(disk: &dyn Disk, folder: &Path) -> io::Result<PathBuf> {
    let folder = folder.join(QUARANTINE);
    disk.create_folder(&folder)?;
    let (spare, oldest) = files::spare(&disk.names(&folder)?, "", MAX_QUARANTINED);
    oldest.iter().try_for_each(|name| disk.remove(&folder.join(name)))?;
    Ok(folder.join(spare))
}
