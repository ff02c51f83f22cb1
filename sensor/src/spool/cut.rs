//! The records of an interval cut into pieces: as JSON lines, as they are written everywhere else.

use std::io::{self, Read as _, Write};

use crate::{output::Format, summary::Summary};

/// Bytes of JSON lines from which on a piece is full: 16,000 records of prefixes.
pub(super) const PIECE_LEN: usize = 4 << 20;
/// Most bytes of a piece's lines: what is full is at most one line longer.
pub(super) const MAX_LINES_LEN: usize = 2 * PIECE_LEN;
/// Most bytes of them compressed: a little more, where nothing can be made of them.
pub(super) const MAX_PAYLOAD_LEN: usize = MAX_LINES_LEN + (1 << 20);
/// Most memory that a piece may ask for to be unpacked, as a power of two: [`MAX_LINES_LEN`].
const MAX_WINDOW_LOG: u32 = MAX_LINES_LEN.ilog2();
/// Level of compression: 16 bytes a record of a prefix at 800 MB/s; higher levels save nothing that would be worth their time.
const LEVEL: i32 = 1;

/// A piece that is to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cut {
    /// Records of the interval in the pieces before.
    pub(super) before: u32,
    /// Records in it.
    pub(super) records: u32,
    /// Whether it is the last piece of the interval.
    pub(super) is_last: bool,
    /// Its lines, compressed.
    pub(super) payload: Vec<u8>,
}

/// Gives the records of intervals but the first `skip` piece by piece, each full at `piece_len` bytes of lines.
pub(super) fn cut(
    summaries: &[Summary],
    piece_len: usize,
    skip: u32,
    each: impl FnMut(Cut) -> io::Result<()>,
) -> io::Result<()> {
    let mut cutter = Cutter::new(piece_len, skip, each);
    summaries.iter().try_for_each(|summary| Format::Jsonl.write(summary, &mut cutter))?;
    cutter.finish()
}

/// The lines of a piece; of whatever else, no more than a piece may have.
pub(super) fn lines(payload: &[u8]) -> io::Result<Vec<u8>> {
    let mut lines = vec![];
    let mut decoder = zstd::stream::read::Decoder::new(payload)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    decoder.take(MAX_LINES_LEN as u64 + 1).read_to_end(&mut lines)?;
    if lines.len() > MAX_LINES_LEN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "more lines than a piece has"));
    }
    Ok(lines)
}

/// Makes pieces of lines that are written to it.
pub(super) struct Cutter<F> {
    piece_len: usize,
    lines: Vec<u8>,
    /// Records still to be left out.
    skip: u32,
    before: u32,
    records: u32,
    each: F,
}

impl<F: FnMut(Cut) -> io::Result<()>> Cutter<F> {
    /// Leaves the first records out.
    pub(super) fn new(piece_len: usize, skip: u32, each: F) -> Self {
        Self { piece_len, lines: vec![], skip, before: skip, records: 0, each }
    }

    /// Gives what is left as the last piece.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.give(true)
    }

    fn give(&mut self, is_last: bool) -> io::Result<()> {
        if self.records == 0 {
            return Ok(());
        }
        let payload = zstd::bulk::compress(&self.lines, LEVEL)?;
        let (before, records) = (self.before, self.records);
        (self.before, self.records) = (before + records, 0);
        self.lines.clear();
        (self.each)(Cut { before, records, is_last, payload })
    }
}

impl<F: FnMut(Cut) -> io::Result<()>> Write for Cutter<F> {
    /// Takes whole lines.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.skip > 0 {
                self.skip -= 1;
                continue;
            }
            // Only before another one: the last piece is never empty.
            if self.lines.len() >= self.piece_len {
                self.give(false)?;
            }
            self.lines.extend_from_slice(line);
            self.records += 1;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
