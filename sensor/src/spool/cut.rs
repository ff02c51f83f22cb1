//! The records of an interval cut into pieces: as JSON lines, as they are written everywhere else.

use std::io::{self, Write};

use crate::{output::Format, summary::Summary};

/// Bytes of JSON lines from which on a piece is full: 16,000 records of prefixes.
const PIECE_LEN: usize = 4 << 20;
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

/// Gives the records of an interval but the first `skip` piece by piece.
pub(super) fn cut(summary: &Summary, skip: u32, each: impl FnMut(Cut) -> io::Result<()>) -> io::Result<()> {
    let mut cutter = Cutter::new(skip, each);
    Format::Jsonl.write(summary, &mut cutter)?;
    cutter.finish()
}

/// The lines of a piece.
pub(super) fn lines(payload: &[u8]) -> io::Result<Vec<u8>> {
    zstd::stream::decode_all(payload)
}

/// Makes pieces of lines that are written to it.
pub(super) struct Cutter<F> {
    lines: Vec<u8>,
    /// Records still to be left out.
    skip: u32,
    before: u32,
    records: u32,
    each: F,
}

impl<F: FnMut(Cut) -> io::Result<()>> Cutter<F> {
    /// Leaves the first records out.
    pub(super) fn new(skip: u32, each: F) -> Self {
        Self { lines: vec![], skip, before: skip, records: 0, each }
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
            if self.lines.len() >= PIECE_LEN {
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
