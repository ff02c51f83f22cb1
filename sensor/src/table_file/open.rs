//! Opening of tables: decompression and what the content is, both told by the first bytes.

use std::{
    cell::Cell,
    fs::{File, Metadata},
    io::{self, BufRead, BufReader, Cursor, Read},
    path::Path,
    rc::Rc,
};

use bzip2::bufread::MultiBzDecoder;
use flate2::bufread::MultiGzDecoder;

use super::{TableError, mrt, progress::Source};

/// Buffer for reading, in bytes.
const READ_LEN: usize = 256 << 10;
/// First two bytes of a gzip member (RFC 1952, 2.3.1).
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
/// First bytes of a bzip2 stream; the block size follows.
const BZIP2_MAGIC: &[u8] = b"BZh";
/// Compressions that are not read, or not a second time: first bytes, name.
const COMPRESSIONS: [(&[u8], &str); 4] =
    [(b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (GZIP_MAGIC, "gzip twice"), (BZIP2_MAGIC, "bzip2 twice")];

/// What a table is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Text,
    Mrt,
}

/// Opens a table and decompresses it.
pub(super) fn open(path: &Path) -> Result<(Content, Box<dyn BufRead>, Source), TableError> {
    let file = File::open(path).map_err(|source| TableError::Open { path: path.to_owned(), source })?;
    let metadata = file.metadata();
    if metadata.as_ref().is_ok_and(Metadata::is_dir) {
        return Err(TableError::Directory { path: path.to_owned() });
    }
    let source = Source { len: metadata.map_or(0, |metadata| metadata.len()), ..Source::default() };
    let (content, reader) = decompress(path, Counted { file, read: Rc::clone(&source.read) })?;
    Ok((content, reader, source))
}

/// Decompresses what a file holds; `path` names it in messages.
pub(super) fn decompress(path: &Path, file: impl Read + 'static) -> Result<(Content, Box<dyn BufRead>), TableError> {
    let read_error = |source| TableError::Read { path: path.to_owned(), line: 0, source };
    let (mut head, mut reader) = peek(file).map_err(read_error)?;
    if head.starts_with(GZIP_MAGIC) {
        (head, reader) = peek(MultiGzDecoder::new(reader)).map_err(read_error)?;
    } else if head.starts_with(BZIP2_MAGIC) {
        (head, reader) = peek(MultiBzDecoder::new(reader)).map_err(read_error)?;
    }
    if let Some((_, compression)) = COMPRESSIONS.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Err(TableError::Compression { path: path.to_owned(), compression });
    }
    let content = if mrt::starts(&head) { Content::Mrt } else { Content::Text };
    Ok((content, reader))
}

/// What a file of text holds, decompressed; `path` names it in messages.
///
/// # Errors
/// It cannot be read, or is compressed in a way that is not known.
pub(crate) fn text(path: &Path, file: impl Read + 'static) -> Result<Box<dyn BufRead>, TableError> {
    decompress(path, file).map(|(_, reader)| reader)
}

/// A file that tells how much of it was read.
struct Counted {
    file: File,
    read: Rc<Cell<u64>>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = self.file.read(buffer)?;
        self.read.set(self.read.get() + len as u64);
        Ok(len)
    }
}

/// Reads ahead: the first bytes, and a reader that gives them again.
fn peek(mut reader: impl Read + 'static) -> io::Result<(Vec<u8>, Box<dyn BufRead>)> {
    let mut head = vec![];
    reader.by_ref().take(mrt::HEADER_LEN as u64).read_to_end(&mut head)?;
    let reader = Cursor::new(head.clone()).chain(reader);
    Ok((head, Box::new(BufReader::with_capacity(READ_LEN, reader))))
}
