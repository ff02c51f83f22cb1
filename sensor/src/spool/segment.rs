//! One file of the spool.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::piece::{self, Header, SEGMENT_HEADER_LEN};
use crate::state::files;

/// How the name of a file ends that is appended to, and of one that is complete.
const OPEN: &str = ".open";
const SEALED: &str = ".sealed";

/// A piece: its header and its payload.
pub(super) type Whole = (Header, Vec<u8>);

/// A file of pieces whose positions follow each other.
#[derive(Debug)]
pub(super) struct Segment {
    path: PathBuf,
    file: File,
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
        if let Some(first) = name.strip_suffix(OPEN) {
            return first.parse().ok().map(Self::Open);
        }
        let (first, last) = name.strip_suffix(SEALED)?.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(Self::Sealed(first, last))
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

    fn path(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Open(first) => format!("{first:020}{OPEN}"),
            Self::Sealed(first, last) => format!("{first:020}-{last:020}{SEALED}"),
        })
    }
}

impl Segment {
    /// A new file for pieces from this position on; its name is on disk when this returns.
    pub(super) fn create(folder: &Path, first: u64) -> io::Result<Self> {
        let path = Name::Open(first).path(folder);
        let file = files::create(&path)?;
        file.write_all_at(&piece::begin(first, 0), 0)?;
        files::sync_folder(folder)?;
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
    pub(super) fn open(folder: &Path, name: Name) -> io::Result<Self> {
        let path = name.path(folder);
        let file = File::options().read(true).write(true).open(&path)?;
        let len = file.metadata()?.len();
        let is_sealed = matches!(name, Name::Sealed(..));
        Ok(Self { path, file, first: name.first(), last: name.last(), len, is_sealed, level: 0 })
    }

    /// Gives a file that was written under another name its own. Where that cannot be put on disk, it has none.
    pub(super) fn publish(folder: &Path, draft: &str, name: Name, level: u32) -> io::Result<Self> {
        let draft = folder.join(draft);
        let file = File::options().read(true).write(true).open(&draft)?;
        let len = file.metadata()?.len();
        let (first, last) = (name.first(), name.last());
        let segment = Self { path: name.path(folder), file, first, last, len, is_sealed: true, level };
        let named = fs::rename(&draft, &segment.path).and_then(|()| files::sync_folder(folder));
        if let Err(error) = named {
            // As far as it has the name.
            let _ = segment.remove();
            return Err(error);
        }
        Ok(segment)
    }

    /// What it begins with.
    pub(super) fn beginning(&self) -> io::Result<piece::Beginning> {
        piece::read_beginning(&self.file)
    }

    /// Tells each piece with a whole header, and where the last of them ends.
    pub(super) fn scan(&self, mut each: impl FnMut(&Header)) -> io::Result<u64> {
        let mut offset = SEGMENT_HEADER_LEN;
        while let Some((header, at)) = piece::find(&self.file, offset, self.len)? {
            each(&header);
            offset = at + header.piece_len();
        }
        Ok(offset)
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

    /// The bytes that do not count.
    pub(super) fn rest(&self) -> io::Result<Vec<u8>> {
        let total = self.file.metadata()?.len();
        let mut rest = vec![0; usize::try_from(total.saturating_sub(self.len)).unwrap_or_default()];
        self.file.read_exact_at(&mut rest, self.len)?;
        Ok(rest)
    }

    /// From here on nothing is appended to it.
    pub(super) fn seal(&mut self, folder: &Path) -> io::Result<()> {
        let path = Name::Sealed(self.first, self.last.max(self.first)).path(folder);
        fs::rename(&self.path, &path)?;
        (self.path, self.is_sealed) = (path, true);
        files::sync_folder(folder)
    }

    /// The first piece from `offset` on behind position `after` that is whole, with its payload, and where it ends; else where the segment does.
    pub(super) fn read(&self, mut offset: u64, after: u64) -> io::Result<(u64, Option<Whole>)> {
        while let Some((header, at)) = piece::find(&self.file, offset, self.len)? {
            offset = at + header.piece_len();
            if header.position <= after {
                continue;
            }
            if let Some(payload) = piece::read_payload(&self.file, &header, at)? {
                return Ok((offset, Some((header, payload))));
            }
        }
        Ok((self.len, None))
    }

    /// When it was last written to.
    pub(super) fn modified(&self) -> io::Result<SystemTime> {
        self.file.metadata()?.modified()
    }

    /// Removes the file.
    pub(super) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
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
