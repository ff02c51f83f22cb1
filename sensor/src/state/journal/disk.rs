//! What a journal asks of a disk: the seam at which tests let it fail.

use std::{
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::state::files;

/// Name of the journal.
const NAME: &str = "journal";
/// Name under which a new one is written.
const NEW: &str = "journal.new";

/// Where a journal is written. Any step may fail, and leave a part of what it was to do.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// What to call the file in messages.
    fn name(&self) -> String;
    /// Writes at `offset`, which is the end of what counts.
    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Returns once all that was appended is on disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Writes a new file beside it; its bytes are on disk when this returns.
    fn write_new(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Puts the new file in the place of the old one, on disk when this returns.
    fn publish_new(&mut self) -> io::Result<()>;
}

/// The journal of a folder.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    file: Option<File>,
    new: Option<File>,
}

impl Folder {
    /// The journal of a folder, which may not be there.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = match File::options().read(true).write(true).open(path.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            file => Some(file?),
        };
        Ok(Self { path: path.to_owned(), file, new: None })
    }

    /// Path of the folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the journal.
    pub(super) fn file_path(&self) -> PathBuf {
        self.path.join(NAME)
    }

    /// The file, at its beginning when opened, and its length.
    pub(super) fn file(&self) -> io::Result<Option<(&File, u64)>> {
        self.file.as_ref().map(|file| Ok((file, file.metadata()?.len()))).transpose()
    }

    /// Moves the journal away, so that a new one will be written.
    pub(super) fn set_aside(&mut self, name: &Path) -> io::Result<()> {
        self.file = None;
        fs::rename(self.file_path(), name)
    }

    fn current(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or_else(|| io::Error::other("there is no journal"))
    }
}

impl Disk for Folder {
    fn name(&self) -> String {
        self.file_path().display().to_string()
    }

    fn append(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.current()?.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.current()?.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.current()?.set_len(len)
    }

    fn write_new(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.new = None;
        self.new = Some(files::write(&self.path.join(NEW), bytes)?);
        Ok(())
    }

    fn publish_new(&mut self) -> io::Result<()> {
        fs::rename(self.path.join(NEW), self.file_path())?;
        self.file = self.new.take();
        files::sync_folder(&self.path)
    }
}
