//! One file of the spool.

use std::{
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    disk::{Disk, DiskFile},
    piece::{self, Header, MAX_NUMBER, SEGMENT_HEADER_LEN},
};

/// How the name of a file ends that is appended to, and of one that is complete.
const OPEN: &str = ".open";
const SEALED: &str = ".sealed";
/// Bytes that are copied at a time.
const COPY_LEN: usize = 1 << 16;

/// A piece: its header and its payload.
pub(super) type Whole = (Header, Vec<u8>);

/// A file of pieces whose positions follow each other.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// Position of its first piece.
    pub(super) first: u64,
    /// Position of its last one; below the first: it has none.
    pub(super) last: u64,
    /// Bytes of it that count.
    pub(super) len: u64,
    /// Nothing is appended to it any more.
    pub(super) is_sealed: bool,
    /// How coarse its intervals may be.
    pub(super) level: u32,
}

/// What the name of a file says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Name {
    /// A segment that is appended to: its first position.
    Open(u64),
    /// A segment that is complete: its first and its last position.
    Sealed(u64, u64),
}

impl Name {
    /// Reads a name; `None`: it is no segment's.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let name = match name.strip_suffix(OPEN) {
            Some(first) => Self::Open(first.parse().ok()?),
            None => {
                let (first, last) = name.strip_suffix(SEALED)?.split_once('-')?;
                Self::Sealed(first.parse().ok()?, last.parse().ok()?)
            }
        };
        let is_sealed = matches!(name, Self::Sealed(..));
        let is_sound = name.first() >= 1 && name.first().max(name.last()) <= MAX_NUMBER;
        (is_sound && (name.first() <= name.last() || !is_sealed)).then_some(name)
    }

    fn first(self) -> u64 {
        match self {
            Self::Open(first) | Self::Sealed(first, _) => first,
        }
    }

    /// Position of the last piece; of one that is open nobody knows it yet.
    fn last(self) -> u64 {
        match self {
            Self::Open(first) => first.saturating_sub(1),
            Self::Sealed(_, last) => last,
        }
    }

    pub(super) fn path(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Open(first) => format!("{first:020}{OPEN}"),
            Self::Sealed(first, last) => format!("{first:020}-{last:020}{SEALED}"),
        })
    }
}

impl Segment {
    /// A new file for pieces from this position on; its name is on disk when this returns.
    pub(super) fn create(disk: &dyn Disk, folder: &Path, first: u64) -> io::Result<Self> {
        let path = Name::Open(first).path(folder);
        let file = disk.create(&path)?;
        let begun = file.write_all_at(&piece::begin(first, 0), 0).and_then(|()| disk.sync_folder(folder));
        if let Err(error) = begun {
            // The next attempt empties what may be left.
            let _ = disk.remove(&path);
            return Err(error);
        }
        Ok(Self {
            path,
            file,
            first,
            last: first.saturating_sub(1),
            len: SEGMENT_HEADER_LEN,
            is_sealed: false,
            level: 0,
        })
    }

    /// A file that is there; how much of one that is open counts is found out by [`Segment::scan`].
    pub(super) fn open(disk: &dyn Disk, folder: &Path, name: Name) -> io::Result<Self> {
        let path = name.path(folder);
        let file = disk.open(&path)?;
        let len = file.len()?;
        let is_sealed = matches!(name, Name::Sealed(..));
        Ok(Self { path, file, first: name.first(), last: name.last(), len, is_sealed, level: 0 })
    }

    /// Gives a file that was written under another name its own, on disk when this returns; where that fails it may have it.
    pub(super) fn publish(disk: &dyn Disk, folder: &Path, draft: &str, name: Name, level: u32) -> io::Result<Self> {
        let draft = folder.join(draft);
        let file = disk.open(&draft)?;
        let len = file.len()?;
        let (first, last) = (name.first(), name.last());
        let segment = Self { path: name.path(folder), file, first, last, len, is_sealed: true, level };
        disk.rename(&draft, &segment.path)?;
        disk.sync_folder(folder)?;
        Ok(segment)
    }

    /// What it begins with.
    pub(super) fn beginning(&self) -> io::Result<piece::Beginning> {
        piece::read_beginning(&*self.file)
    }

    /// Tells each of its pieces with a whole header, and where it is.
    pub(super) fn scan(&self, mut each: impl FnMut(Header, u64)) -> io::Result<()> {
        let mut offset = SEGMENT_HEADER_LEN;
        while let Some((header, at)) = piece::find(&*self.file, offset, self.len)? {
            offset = at + header.piece_len();
            // Behind its last one may be what was taken back.
            if header.position >= self.first && (header.position <= self.last || !self.is_sealed) {
                each(header, at);
            }
        }
        Ok(())
    }

    /// Whether anything of what its name says is in it.
    pub(super) fn has_pieces(&self) -> io::Result<bool> {
        let mut has_pieces = false;
        self.scan(|_, _| has_pieces = true)?;
        Ok(has_pieces)
    }

    /// Whether the payload of a piece is as it was written.
    pub(super) fn is_whole(&self, header: &Header, at: u64) -> io::Result<bool> {
        Ok(piece::read_payload(&*self.file, header, at)?.is_some())
    }

    /// Writes pieces behind what counts; they count themselves once [`Segment::sync`] took them.
    pub(super) fn append(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Puts on disk what was appended, up to this length and position.
    pub(super) fn sync(&mut self, len: u64, last: u64) -> io::Result<()> {
        self.file.sync_data()?;
        (self.len, self.last) = (len, last);
        Ok(())
    }

    /// Cuts off what does not count.
    pub(super) fn cut(&self) -> io::Result<()> {
        self.file.set_len(self.len)
    }

    /// Copies the bytes that do not count to another file; on disk when this returns.
    pub(super) fn copy_rest(&self, to: &dyn DiskFile) -> io::Result<()> {
        let total = self.file.len()?;
        let mut block = vec![0; COPY_LEN];
        let mut from = self.len;
        while from < total {
            let len = COPY_LEN.min(usize::try_from(total - from).unwrap_or(COPY_LEN));
            let Some(block) = block.get_mut(..len) else { break };
            self.file.read_exact_at(block, from)?;
            to.write_all_at(block, from - self.len)?;
            from += len as u64;
        }
        to.sync_all()
    }

    /// From here on nothing is appended to it.
    pub(super) fn seal(&mut self, disk: &dyn Disk, folder: &Path) -> io::Result<()> {
        let path = Name::Sealed(self.first, self.last.max(self.first)).path(folder);
        disk.rename(&self.path, &path)?;
        (self.path, self.is_sealed) = (path, true);
        disk.sync_folder(folder)
    }

    /// The first piece from `offset` on behind position `after` that is whole, with its payload, and where it ends; else where the segment does.
    pub(super) fn read(&self, mut offset: u64, after: u64) -> io::Result<(u64, Option<Whole>)> {
        while let Some((header, at)) = piece::find(&*self.file, offset, self.len)? {
            offset = at + header.piece_len();
            // Behind its last one may be what was taken back.
            if header.position <= after || header.position > self.last {
                continue;
            }
            if let Some(payload) = piece::read_payload(&*self.file, &header, at)? {
                return Ok((offset, Some((header, payload))));
            }
        }
        Ok((self.len, None))
    }

    /// When it was last written to.
    pub(super) fn modified(&self) -> io::Result<SystemTime> {
        self.file.modified()
    }

    /// Removes the file.
    pub(super) fn remove(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.remove(&self.path)
    }

    /// Path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_file_is() {
        for name in [Name::Open(7), Name::Sealed(7, 9)] {
            let path = name.path(Path::new("x"));
            assert_eq!(Name::parse(path.file_name().unwrap().to_str().unwrap()), Some(name));
        }
        for other in ["", "cursors", "7.open.x", "x.open", "9-7.sealed", "7.sealed", "-1.open"] {
            assert_eq!(Name::parse(other), None, "{other}");
        }
    }
}
