//! A store that is read: nothing of it is changed, and whoever may read its files may ask.

use std::{
    fmt::Write as _,
    fs, io,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, anyhow, bail};
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{BUSY, FILE, one_line, schema, unreadable};

/// What has commits that are not in the file yet, beside it.
const LOG: &str = "store.sqlite-wal";

/// A store that is read.
#[derive(Debug)]
pub struct Archive {
    pub(super) connection: Connection,
    path: PathBuf,
}

impl Archive {
    /// Opens the store in a folder, as it is at that moment.
    ///
    /// # Errors
    /// There is none, or it is of another version or damaged, or this user may not read it.
    pub fn open(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == 0 => bail!(
                "{}: the file is empty; remove it and write a store with sensor run --store or sensor replay --store",
                path.display()
            ),
            Ok(metadata) if metadata.is_file() => {}
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(anyhow!(error).context(refused(&path)));
            }
            Ok(_) | Err(_) => bail!(
                "{}: there is no store; write one with sensor run --store or sensor replay --store, or name its folder",
                folder.display()
            ),
        }
        // Before SQLite is asked, which has one word for all that it cannot open.
        fs::File::open(&path).with_context(|| refused(&path))?;
        let connection = connect(folder, &path)?;
        // All that is asked sees the same records.
        connection.execute_batch("BEGIN").with_context(|| unreadable(&path))?;
        Ok(Self { connection, path })
    }

    /// Bytes on disk.
    pub fn size(&self) -> u64 {
        self.path.metadata().map_or(0, |metadata| metadata.len())
    }

    /// What went wrong with a question.
    pub(super) fn damaged(&self, error: rusqlite::Error) -> anyhow::Error {
        self.placed(anyhow!(error))
    }

    /// The same of something that may have gone wrong elsewhere.
    pub(super) fn placed(&self, error: anyhow::Error) -> anyhow::Error {
        if !error.is::<rusqlite::Error>() {
            return error;
        }
        one_line(error).context(format!("{}: cannot be read; restore it from a copy", self.path.display()))
    }
}

/// What to do where this user may not read it.
fn refused(path: &Path) -> String {
    format!("{}: cannot be read; run this as a user that may read the store, or see to its permissions", path.display())
}

/// A connection that reads. Readers and the writer meet in a file beside the store. The last one at it takes that away, so a reader that may write does, though no
/// record; in a folder that takes no new file there is no writer either, and the store is read as a file that does not change.
fn connect(folder: &Path, path: &Path) -> Result<Connection> {
    // SQLite takes leave to write for what may be: of a file that is write-protected, to read.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
    let open = |query: &str| -> Result<Connection> {
        let connection = Connection::open_with_flags(uri(path, query)?, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch("PRAGMA query_only = ON; PRAGMA temp_store = MEMORY")?;
        if schema::version(&connection)? < schema::VERSION {
            bail!(Older);
        }
        Ok(connection)
    };
    match open("") {
        Err(error) if error.is::<Older>() => {
            upgrade(path)?;
            return open("").map_err(one_line).with_context(|| unreadable(path));
        }
        Err(error) if wants_making(&error) => {}
        opened => return opened.map_err(one_line).with_context(|| unreadable(path)),
    }
    if fs::metadata(folder.join(LOG)).is_ok_and(|log| log.len() > 0) {
        bail!(
            "{}: its last records are in {LOG} beside it, which can only be read where files can be made; copy the folder to where you may write, and name \
             that",
            path.display()
        );
    }
    open("?immutable=1").map_err(one_line).with_context(|| unreadable(path))
}

/// A store was written by an earlier version of the sensor.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("it is of an earlier version; run `sensor store vacuum` on it once, as a user that may write to it")]
struct Older;

/// Makes a store of this version of it: the one thing that a reader changes.
fn upgrade(path: &Path) -> Result<()> {
    let make = || {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.busy_timeout(BUSY)?;
        schema::prepare(&connection)
    };
    make().map_err(|error| anyhow!(Older).context(format!("{error:#}")).context(unreadable(path)))
}

/// Whether that is what goes wrong where the file beside the store cannot be made.
fn wants_making(error: &anyhow::Error) -> bool {
    let code = error.downcast_ref::<rusqlite::Error>().and_then(rusqlite::Error::sqlite_error_code);
    matches!(code, Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// The name of a file as SQLite takes it with a query behind, whatever bytes it has.
fn uri(path: &Path, query: &str) -> Result<String> {
    let mut uri = String::from("file://");
    for byte in std::path::absolute(path).context("the current folder is gone")?.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            other => write!(uri, "%{other:02x}")?,
        }
    }
    Ok(uri + query)
}
