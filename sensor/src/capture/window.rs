//! The read buffer: a window of whole bytes over a plain or gzip source.

use std::io::{self, BufReader, Chain, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::{CaptureError, DamageKind, MAX_BLOCK_LEN};

/// First two bytes of a gzip member (RFC 1952, 2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// Bytes asked of the source at a time.
const READ_LEN: usize = 256 << 10;
/// Buffer for compressed bytes.
const GZIP_READ_LEN: usize = 64 << 10;

type Boxed = Box<dyn Read + Send>;
/// The source with the bytes put back that told its compression.
type Source = Counted<Chain<Cursor<Vec<u8>>, Boxed>>;

/// Bytes of the capture from the current offset on; uncompressed.
pub(super) struct Window {
    source: Reader,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Bytes consumed before `start`.
    offset: u64,
    exhausted: bool,
    broken: Option<DamageKind>,
}

enum Reader {
    Plain(Source),
    Gzip(Box<MultiGzDecoder<BufReader<Source>>>),
}

impl Window {
    /// Tells gzip from plain by the first bytes, not by a name.
    pub(super) fn open(mut source: Boxed, name: &str) -> Result<Self, CaptureError> {
        let mut head = Vec::with_capacity(GZIP_MAGIC.len());
        (&mut source).take(GZIP_MAGIC.len() as u64).read_to_end(&mut head).map_err(|source| CaptureError::Read {
            name: name.to_owned(),
            offset: 0,
            source,
        })?;
        let gzip = head == GZIP_MAGIC;
        let source = Counted { inner: Cursor::new(head).chain(source), count: 0 };
        let source = if gzip {
            Reader::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(GZIP_READ_LEN, source))))
        } else {
            Reader::Plain(source)
        };
        Ok(Self { source, buffer: vec![0; READ_LEN], start: 0, end: 0, offset: 0, exhausted: false, broken: None })
    }

    /// The bytes at hand.
    pub(super) fn data(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Offset of the first byte of [`Window::data`] in the uncompressed capture.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    pub(super) fn bytes_read(&self) -> u64 {
        match &self.source {
            Reader::Plain(source) => source.count,
            Reader::Gzip(decoder) => decoder.get_ref().get_ref().count,
        }
    }

    /// Why the compressed stream ended early, if it did.
    pub(super) fn broken(&self) -> Option<DamageKind> {
        self.broken.clone()
    }

    /// Reads until at least `len` bytes are at hand; false where the source ends before. `len` must have been checked
    /// against a bound by the caller.
    pub(super) fn fill_to(&mut self, len: usize) -> io::Result<bool> {
        debug_assert!(len <= MAX_BLOCK_LEN as usize, "an unchecked length reached the buffer");
        while self.end - self.start < len {
            if self.exhausted {
                return Ok(false);
            }
            self.make_room(len);
            let space = &mut self.buffer[self.end..];
            let read = match &mut self.source {
                Reader::Plain(source) => source.read(space),
                Reader::Gzip(decoder) => decoder.read(space),
            };
            match read {
                Ok(0) => self.exhausted = true,
                Ok(read) => self.end += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.break_off(error)?,
            }
        }
        Ok(true)
    }

    /// Drops the first `len` bytes at hand.
    pub(super) fn consume(&mut self, len: usize) {
        debug_assert!(len <= self.end - self.start, "more consumed than read");
        self.start = self.end.min(self.start + len);
        self.offset += len as u64;
    }

    /// Makes space behind the bytes at hand so that `len` of them fit.
    fn make_room(&mut self, len: usize) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.start + len > self.buffer.len() || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if len > self.buffer.len() {
            self.buffer.resize(len.next_multiple_of(READ_LEN), 0);
        }
    }

    /// Takes note of a gzip stream that ends early: what it gave before is good. Other errors are the system's.
    fn break_off(&mut self, error: io::Error) -> io::Result<()> {
        let kind = error.kind();
        let kind = if kind == io::ErrorKind::UnexpectedEof {
            DamageKind::GzipCut
        } else if kind == io::ErrorKind::InvalidData || kind == io::ErrorKind::InvalidInput {
            DamageKind::GzipMalformed
        } else {
            return Err(error);
        };
        self.exhausted = true;
        self.broken = Some(kind);
        Ok(())
    }
}

/// Counts what is taken from a reader.
struct Counted<R> {
    inner: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}
