//! What a spool asks of a disk: the seam at which tests let it fail.

use std::{
    ffi::OsString,
    fmt,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    time::SystemTime,
};

use crate::state::files;

/// Where the files of a spool are. Any step may fail, and leave a part of what it was to do.
pub(super) trait Disk: fmt::Debug + Send + Sync {
    /// Makes a folder, and those above it, where it is missing.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Names of all that is in a folder.
    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>>;
    /// Opens a file that is there, to be read and written.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Creates a file, or empties the one that is there.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, and takes that from the file that has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Returns once the names of a folder are on disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// One open file.
pub(super) trait DiskFile: fmt::Debug + Send + Sync {
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// When it was last written to.
    fn modified(&self) -> io::Result<SystemTime>;
    /// Says when it was last written to.
    fn set_modified(&self, at: SystemTime) -> io::Result<()>;
    /// Fills `bytes` from `offset` on; fails where the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes at `offset`.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file, or makes it longer with zeros.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Returns once what was written is on disk, and what it takes to read it.
    fn sync_data(&self) -> io::Result<()>;
    /// Returns once all of it is on disk.
    fn sync_all(&self) -> io::Result<()>;
}

/// The file system.
#[derive(Debug)]
pub(super) struct FileSystem;

impl Disk for FileSystem {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect()
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(File::options().read(true).write(true).open(path)?))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(files::create(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        files::sync_folder(path)
    }
}

impl DiskFile for File {
    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn modified(&self) -> io::Result<SystemTime> {
        self.metadata()?.modified()
    }

    fn set_modified(&self, at: SystemTime) -> io::Result<()> {
        self.set_modified(at)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_all()
    }
}
