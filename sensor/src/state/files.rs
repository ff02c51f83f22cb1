//! How a file of the folder is written so that a crash leaves the old one or the new one, whole.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

/// Readable by their owner alone: they say whose traffic was how much.
pub(crate) const FILE_MODE: u32 = 0o600;

/// Creates a file, or empties the one that is there.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).mode(FILE_MODE).open(path)
}

/// Puts the names of a folder on disk; a new name is not there after a power loss without it.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a whole file; its bytes are on disk when this returns, its name not yet. Removes what it could not finish.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut file = create(path)?;
    if let Err(error) = file.write_all(bytes).and_then(|()| file.sync_all()) {
        // The space it takes on a full disk; that it could not be written says more than that it cannot be removed.
        let _ = fs::remove_file(path);
        return Err(error);
    }
    Ok(file)
}

/// Writes `folder/name` by way of `folder/temporary`.
pub(crate) fn replace(folder: &Path, temporary: &str, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(temporary);
    write(&temporary, bytes)?;
    fs::rename(&temporary, folder.join(name))?;
    sync_folder(folder)
}

/// A name for something that is put aside, `prefix` and a time in seconds, later than those that are there; of these the oldest go, so that there
/// are at most so many.
pub(crate) fn spare_name(folder: &Path, prefix: &str, most: usize) -> io::Result<PathBuf> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<Vec<_>>>()?;
    let (spare, oldest) = spare(&names, prefix, most);
    oldest.iter().try_for_each(|name| fs::remove_file(folder.join(name)))?;
    Ok(folder.join(spare))
}

/// That name beside these, and those that are to go.
pub(crate) fn spare(names: &[OsString], prefix: &str, most: usize) -> (String, Vec<String>) {
    let mut saved: Vec<u64> =
        names.iter().filter_map(|name| name.to_str()?.strip_prefix(prefix)?.parse().ok()).collect();
    saved.sort_unstable();
    let name = |seconds: u64| format!("{prefix}{seconds}");
    let oldest = saved.iter().rev().skip(most.saturating_sub(1)).map(|oldest| name(*oldest)).collect();
    let now = u64::try_from(Timestamp::now().as_second()).unwrap_or_default();
    (name(saved.last().map_or(now, |last| now.max(last.saturating_add(1)))), oldest)
}
