//! Opening a spool: whatever is in the folder, what can be read of it counts.

use std::{
    cmp::Reverse,
    collections::{HashMap, VecDeque},
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail};

use super::{
    Bounds,
    cursors::{CursorFile, Cursors},
    log::{End, Log},
    merge,
    piece::{Beginning, Header},
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
pub(super) fn open(folder: &Path, bounds: Bounds) -> Result<(Log, CursorFile, Option<Cursors>)> {
    let reading = || format!("cannot read {}; check the disk", folder.display());
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}; check state_dir", folder.display()))?;
    let (file, cursors) = CursorFile::open(folder)?;
    let mut log = Log {
        folder: folder.to_owned(),
        bounds,
        segments: VecDeque::new(),
        end: End::default(),
        committed: End::default(),
        known: HashMap::new(),
    };
    let mut segments = vec![];
    for entry in fs::read_dir(folder).with_context(reading)? {
        let name = entry.with_context(reading)?.file_name();
        let Some(name) = name.to_str().and_then(Name::parse) else { continue };
        let mut segment = Segment::open(folder, name).with_context(reading)?;
        match segment.beginning().with_context(reading)? {
            Beginning::Known(first, level) if first == segment.first => {
                segment.level = level;
                segments.push(segment);
            }
            Beginning::Other(version) => bail!(
                "{} is of version {version} of the spool: run the sensor that wrote it until it is delivered, or move the file away",
                segment.path().display()
            ),
            Beginning::Known(..) | Beginning::Damaged => set_aside(folder, &segment).with_context(reading)?,
        }
    }
    let segments = without_merged(segments).with_context(reading)?;
    merge::remove_draft(folder).with_context(reading)?;
    // What is delivered is not given a second time, whatever is left of the segments.
    for cursor in cursors.iter().flat_map(Cursors::values) {
        log.end.position = log.end.position.max(cursor.acknowledged);
        log.end.total = log.end.total.max(cursor.total);
    }
    let count = segments.len();
    for (index, segment) in segments.into_iter().enumerate() {
        // The last two hold whatever may be committed and not be marked as such.
        if segment.is_sealed && index + 2 < count {
            log.end.position = log.end.position.max(segment.last);
            log.segments.push_back(segment);
        } else {
            log.adopt(segment, index + 1 == count).with_context(reading)?;
        }
    }
    log.end.offset = log.segments.back().map_or(0, |segment| segment.len);
    log.committed = log.end;
    Ok((log, file, cursors))
}

impl Log {
    /// Reads what is in a segment. The last one is gone on with.
    fn adopt(&mut self, mut segment: Segment, is_last: bool) -> io::Result<()> {
        let mut last = None;
        let mut known = vec![];
        let end = segment.scan(|header: &Header| {
            last = Some(*header);
            known.push((Epoch::from_bytes(header.epoch), header.sequence, header.known()));
        })?;
        for (epoch, sequence, records) in known {
            if let Some(epoch) = epoch {
                self.know(epoch, sequence, records);
            }
        }
        if let Some(last) = last {
            self.end.position = self.end.position.max(last.position);
            self.end.total = self.end.total.max(last.total);
        }
        if segment.is_sealed {
            self.end.position = self.end.position.max(segment.last);
            self.segments.push_back(segment);
            return Ok(());
        }
        let rest = segment.len - end;
        segment.len = end;
        if rest > 0 {
            keep_rest(&self.folder, &segment)?;
            segment.cut()?;
            tracing::warn!("{}: the last {rest} bytes are no whole piece: cut off", segment.path().display());
        }
        match last {
            None => segment.remove(),
            Some(last) => {
                segment.last = last.position;
                // Positions go on behind the cursors, who may know of pieces that are lost here.
                if !is_last || segment.last < self.end.position {
                    segment.seal(&self.folder)?;
                }
                self.segments.push_back(segment);
                Ok(())
            }
        }
    }
}

/// Segments in their order, without those that were merged into a longer one and not removed yet.
fn without_merged(mut segments: Vec<Segment>) -> io::Result<Vec<Segment>> {
    segments.sort_by_key(|segment| (segment.first, Reverse(segment.last)));
    let mut kept: Vec<Segment> = vec![];
    for segment in segments {
        if kept.last().is_some_and(|before| segment.is_sealed && segment.last <= before.last) {
            segment.remove()?;
        } else {
            kept.push(segment);
        }
    }
    Ok(kept)
}

/// Moves a file away that does not begin like a segment.
fn set_aside(folder: &Path, segment: &Segment) -> io::Result<()> {
    let name = spare_name(folder)?;
    fs::rename(segment.path(), &name)?;
    tracing::error!("{} is no segment of the spool; it was moved to {}", segment.path().display(), name.display());
    Ok(())
}

/// Saves what is cut off.
fn keep_rest(folder: &Path, segment: &Segment) -> io::Result<()> {
    files::write(&spare_name(folder)?, &segment.rest()?).map(drop)
}

/// A name in quarantine.
fn spare_name(folder: &Path) -> io::Result<PathBuf> {
    let folder = folder.join(QUARANTINE);
    fs::create_dir_all(&folder)?;
    files::spare_name(&folder, "", MAX_QUARANTINED)
}
