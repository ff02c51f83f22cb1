//! Text files of comma-separated fields that are no tables of prefixes, and binary ones: read as tables are, and told apart by
//! a hash of what is on disk.

use std::{
    cell::RefCell,
    fs::{File, Metadata},
    io::{self, Read},
    path::{Path, PathBuf},
    rc::Rc,
};

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{
    TableError,
    lines::{each_line, text_of, unquote},
    open::{Content, decompress},
};

/// Which file something was read from: whoever reads a report can tell whether it was theirs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provenance {
    /// Path as given.
    pub path: PathBuf,
    /// Of the file as it is on disk, compressed or not.
    pub sha256: [u8; 32],
    /// When it was last written, where the file system knows.
    pub modified: Option<Timestamp>,
    /// Lines or networks that were taken from it.
    pub entries: u64,
}

/// Reads a text file row by row: the number of the line, from 1, and its fields without white space around them. Comments and
/// empty lines are passed over. Every row that `row` took counts as an entry, if it says so.
///
/// # Errors
/// The file cannot be read or is no such text, or `row` fails.
pub(crate) fn rows<E: From<TableError>>(
    path: &Path,
    mut row: impl FnMut(u64, &[&str]) -> Result<bool, E>,
) -> Result<Provenance, E> {
    let file = Hashed::open(path)?;
    let (sha256, modified) = (Rc::clone(&file.sha256), file.modified);
    let (content, reader) = decompress(path, file)?;
    if content == Content::Mrt {
        let problem = super::LineProblem::NotText;
        return Err(TableError::Line { path: path.to_owned(), line: 1, problem }.into());
    }
    let mut entries = 0;
    each_line(path, reader, |line, bytes| {
        let problem = |problem| TableError::Line { path: path.to_owned(), line, problem };
        let text = text_of(bytes).map_err(problem)?;
        if text.is_empty() {
            return Ok(());
        }
        let taken = if text.contains('"') {
            let fields = unquote(text).map_err(problem)?;
            row(line, &fields.iter().map(|field| field.trim()).collect::<Vec<_>>())
        } else {
            row(line, &text.split(',').map(str::trim).collect::<Vec<_>>())
        };
        entries += u64::from(taken?);
        Ok::<(), E>(())
    })?;
    let sha256 = sha256.take().finalize().into();
    Ok(Provenance { path: path.to_owned(), sha256, modified, entries })
}

/// Reads a whole file, decompressed, of at most `most` bytes; its entries are for the caller to count.
///
/// # Errors
/// The file cannot be read, or is larger.
pub(crate) fn bytes(path: &Path, most: u64) -> Result<(Vec<u8>, Provenance), TableError> {
    let file = Hashed::open(path)?;
    let (sha256, modified) = (Rc::clone(&file.sha256), file.modified);
    let (_, reader) = decompress(path, file)?;
    let mut bytes = vec![];
    let read = reader.take(most + 1).read_to_end(&mut bytes);
    read.map_err(|source| TableError::Read { path: path.to_owned(), line: 0, source })?;
    if bytes.len() as u64 > most {
        return Err(TableError::TooLarge { path: path.to_owned(), most });
    }
    let sha256 = sha256.take().finalize().into();
    Ok((bytes, Provenance { path: path.to_owned(), sha256, modified, entries: 0 }))
}

/// A file whose bytes are hashed as they are read.
struct Hashed {
    file: File,
    modified: Option<Timestamp>,
    sha256: Rc<RefCell<Sha256>>,
}

impl Hashed {
    fn open(path: &Path) -> Result<Self, TableError> {
        let file = File::open(path).map_err(|source| TableError::Open { path: path.to_owned(), source })?;
        let metadata = file.metadata().ok();
        if metadata.as_ref().is_some_and(Metadata::is_dir) {
            return Err(TableError::Directory { path: path.to_owned() });
        }
        let modified = metadata.and_then(|metadata| metadata.modified().ok()?.try_into().ok());
        Ok(Self { file, modified, sha256: Rc::default() })
    }
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buffer)?;
        self.sha256.borrow_mut().update(&buffer[..len]);
        Ok(len)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn read(content: &[u8]) -> Result<(Vec<Vec<String>>, Provenance), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), content).unwrap();
        let mut found = vec![];
        let read = rows(file.path(), |line, fields| {
            found.push(
                [&[line.to_string()], &*fields.iter().map(|field| field.to_string()).collect::<Vec<_>>()].concat(),
            );
            Ok::<bool, TableError>(fields[0] != "no")
        });
        let path = file.path().display().to_string();
        read.map(|provenance| (found, provenance)).map_err(|error| error.to_string().replace(&path, "f"))
    }

    #[test]
    fn fields_and_what_they_were_read_from() {
        let text = b"\xef\xbb\xbfa , b\r\n# c\n\n\"x, \"\"y\"\"\",z\nno\n";
        let (rows, provenance) = read(text).unwrap();
        assert_eq!(rows, [vec!["1", "a", "b"], vec!["4", "x, \"y\"", "z"], vec!["5", "no"]]);
        assert_eq!(provenance.entries, 2);
        assert_eq!(provenance.sha256, <[u8; 32]>::from(Sha256::digest(text)));
        assert!(provenance.modified.is_some());
        // What is hashed is the file, not what is in it.
        let mut gzip = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        gzip.write_all(text).unwrap();
        let gzip = gzip.finish().unwrap();
        let (again, provenance) = read(&gzip).unwrap();
        assert_eq!((again, provenance.sha256), (rows, <[u8; 32]>::from(Sha256::digest(&gzip))));
    }

    #[test]
    fn what_is_no_text_of_fields() {
        for (content, expected) in [
            (&b"a\n\"b\n"[..], "f:2: a quoted field does not end"),
            (b"a\n\xff\n", "f:2: the line is not UTF-8 text"),
            (b"a\0\n", "f:1: the line is not UTF-8 text"),
            (&[b'a'; 5000], "f:1: the line is longer than 4096 bytes"),
            (b"\x28\xb5\x2f\xfd", "f is compressed with zstd"),
        ] {
            let error = read(content).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn whole_files_are_bounded() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), b"12345").unwrap();
        let (content, provenance) = bytes(file.path(), 5).unwrap();
        assert_eq!((&*content, provenance.sha256), (&b"12345"[..], Sha256::digest(b"12345").into()));
        assert!(
            bytes(file.path(), 4).unwrap_err().to_string().ends_with("is larger than 4 bytes; give a smaller file")
        );
    }
}
