//! Where the records of a capture end, found without the code under test: lengths are followed, nothing is decoded.

/// A record or block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where it starts and where the next one does.
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Length on the wire, where it is a frame.
    pub(crate) frame: Option<u32>,
    /// Whether it starts a section: what stood before matters no more.
    pub(crate) section: bool,
}

/// A capture as its lengths say.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shape {
    /// Bytes without which there is no capture: the file header, or the first section header.
    pub(crate) header: usize,
    /// What follows, as far as it is whole, the first section header included.
    pub(crate) pieces: Vec<Piece>,
    /// Frames and their bytes on the wire before each piece, and behind the last one.
    before: Vec<(u64, u64)>,
}

/// Classic pcap: file header, record header.
const FILE_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;
/// pcapng: section header, which reads the same in both byte orders, and the blocks that hold frames.
const SECTION: u32 = 0x0a0d_0d0a;
const SIMPLE_PACKET: u32 = 3;
const PACKETS: [u32; 2] = [2, 6];
const BLOCK: usize = 12;

impl Shape {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let mut shape = if bytes.starts_with(&SECTION.to_be_bytes()) { blocks(bytes) } else { records(bytes) };
        shape.add_up();
        shape
    }

    fn add_up(&mut self) {
        let mut sum = (0, 0);
        self.before = vec![sum];
        for piece in &self.pieces {
            if let Some(wire_len) = piece.frame {
                sum = (sum.0 + 1, sum.1 + u64::from(wire_len));
            }
            self.before.push(sum);
        }
    }

    /// Leaves out everything from a place on that the capture is damaged at by itself.
    pub(crate) fn end_at(&mut self, offset: usize) {
        self.pieces.retain(|piece| piece.end <= offset);
        self.add_up();
    }

    /// End of the last whole piece.
    pub(crate) fn end(&self) -> usize {
        self.pieces.last().map_or(self.header, |piece| piece.end)
    }

    /// What is left of a capture that is cut after `len` bytes: whole frames, their bytes on the wire, end of the last whole piece.
    pub(crate) fn cut(&self, len: usize) -> (u64, u64, usize) {
        let whole = self.pieces.partition_point(|piece| piece.end <= len);
        let end = whole.checked_sub(1).map_or(self.start(), |last| self.pieces[last].end);
        (self.before[whole].0, self.before[whole].1, end)
    }

    /// Where the first piece starts.
    fn start(&self) -> usize {
        self.pieces.first().map_or(self.header, |piece| piece.start)
    }
}

fn word(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let word = *bytes.get(at..)?.first_chunk()?;
    Some(if big { u32::from_be_bytes(word) } else { u32::from_le_bytes(word) })
}

fn records(bytes: &[u8]) -> Shape {
    let big = bytes.first() == Some(&0xa1);
    // Old files, and some of version 2.3, have the two lengths the other way round (libpcap, `sf-pcap.c`).
    let minor = word(bytes, 4, big).map_or(0, |version| if big { version & 0xffff } else { version >> 16 });
    let mut shape = Shape { header: FILE_HEADER, ..Shape::default() };
    let mut start = FILE_HEADER;
    while let (Some(first), Some(second)) = (word(bytes, start + 8, big), word(bytes, start + 12, big)) {
        let swapped = minor < 3 || minor == 3 && first > second;
        let (captured, wire_len) = if swapped { (second, first) } else { (first, second) };
        let end = start + RECORD_HEADER + captured as usize;
        if end > bytes.len() {
            break;
        }
        shape.pieces.push(Piece { start, end, frame: Some(wire_len), section: false });
        start = end;
    }
    shape
}

fn blocks(bytes: &[u8]) -> Shape {
    let (mut shape, mut start, mut big) = (Shape::default(), 0, false);
    while bytes.len() - start >= BLOCK {
        let section = bytes[start..].starts_with(&SECTION.to_be_bytes());
        if section {
            big = bytes[start + 8] == 0x1a;
        }
        let word = |at| word(bytes, start + at, big);
        let (Some(kind), Some(len)) = (word(0), word(4)) else { break };
        let end = start + len as usize;
        if (len as usize) < BLOCK || end > bytes.len() {
            break;
        }
        let frame = match kind {
            SIMPLE_PACKET => word(8),
            kind if PACKETS.contains(&kind) => word(24),
            _ => None,
        };
        shape.pieces.push(Piece { start, end, frame, section });
        start = end;
    }
    shape.header = shape.pieces.first().map_or(bytes.len(), |piece| piece.end);
    shape
}
