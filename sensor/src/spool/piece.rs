//! The bytes of a segment: a header, then pieces.
//!
//! A piece is a part of one interval's records: a header of its own and a payload, the records as JSON lines, compressed (Zstandard, RFC 8878).
//! Header and payload have a CRC-32 each, so that of a piece whose payload is damaged it is still known how much is lost; and each piece begins with a
//! marker, so that behind a damaged header the next one is found. Numbers stand in the order of the machine: a spool does not travel.

use std::io;

use bytemuck::{Pod, Zeroable};

use super::{
    cut::{Cut, MAX_PAYLOAD_LEN},
    disk::DiskFile,
};
use crate::summary::Key;

/// What a segment begins with.
const MAGIC: [u8; 8] = *b"snsrspol";
/// Number of this format.
const VERSION: u32 = 1;
/// What a piece begins with.
const MARKER: [u8; 4] = *b"pie\xce";
/// Bytes before the first piece of a segment.
pub(super) const SEGMENT_HEADER_LEN: u64 = size_of::<SegmentHeader>() as u64;
/// Bytes of a piece before its payload.
pub(super) const HEADER_LEN: u64 = size_of::<Header>() as u64;
/// Positions, sequences and numbers of records are at most this: what is added to them does not overflow.
pub(super) const MAX_NUMBER: u64 = 1 << 60;
/// Bytes that are looked through at a time for the next piece.
const SEARCH_LEN: usize = 1 << 16;

/// The beginning of a segment.
#[derive(Clone, Copy, Pod, Zeroable)]
#[repr(C)]
struct SegmentHeader {
    magic: [u8; 8],
    version: u32,
    /// Of the rest, with zeros here.
    crc: u32,
    /// Position of its first piece.
    first: u64,
    /// How coarse its intervals may be: 0, as they were committed.
    level: u32,
    /// Zero.
    reserved: u32,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
#[repr(C)]
pub(super) struct Header {
    marker: [u8; 4],
    /// Of the rest, with zeros here.
    crc: u32,
    /// Bytes of the payload.
    pub(super) len: u32,
    payload_crc: u32,
    /// Number of the piece, from 1.
    pub(super) position: u64,
    /// Number of the first piece that it stands for: its own, unless it was merged.
    pub(super) since: u64,
    /// Records of all pieces ever, this one included, before any were merged.
    pub(super) total: u64,
    /// Of its key.
    pub(super) epoch: [u8; 16],
    /// Of its key.
    pub(super) sequence: u64,
    /// Records of its interval in the pieces before.
    pub(super) before: u32,
    /// Records in it.
    pub(super) records: u32,
    /// Records that were merged into these: as many, unless it was.
    pub(super) stands_for: u32,
    /// [`flag`]s.
    pub(super) flags: u32,
    /// Start and end of its interval, in milliseconds since the Unix epoch.
    pub(super) span: [i64; 2],
}

/// What is said of a piece beside numbers.
pub(super) mod flag {
    /// It is the last one of its interval.
    pub(in super::super) const LAST: u32 = 1;
    /// Its interval was merged of several.
    pub(in super::super) const MERGED: u32 = 2;
}

const _: () = assert!(size_of::<SegmentHeader>() == 32 && size_of::<Header>() == 96);

/// What the first bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Beginning {
    /// A segment of this version, whose first piece has this position, and how coarse it may be.
    Known(u64, u32),
    /// A segment of another version.
    Other(u32),
    /// No segment.
    Damaged,
}

/// The first bytes of a segment.
pub(super) fn begin(first: u64, level: u32) -> Vec<u8> {
    let mut header = SegmentHeader { magic: MAGIC, version: VERSION, crc: 0, first, level, reserved: 0 };
    header.crc = crc32fast::hash(bytemuck::bytes_of(&header));
    bytemuck::bytes_of(&header).to_vec()
}

/// Reads them.
pub(super) fn read_beginning(file: &dyn DiskFile) -> io::Result<Beginning> {
    let mut header = SegmentHeader::zeroed();
    match file.read_exact_at(bytemuck::bytes_of_mut(&mut header), 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Beginning::Damaged),
        read => read?,
    }
    let crc = std::mem::take(&mut header.crc);
    let is_whole = header.magic == MAGIC && crc == crc32fast::hash(bytemuck::bytes_of(&header));
    Ok(match header.version {
        _ if !is_whole => Beginning::Damaged,
        VERSION => Beginning::Known(header.first, header.level),
        other => Beginning::Other(other),
    })
}

impl Header {
    /// Of a piece of an interval, at a position, behind which there were so many records ever.
    pub(super) fn new(key: &Key, cut: &Cut, position: u64, total: u64) -> Self {
        Self {
            position,
            since: position,
            total,
            epoch: key.epoch.to_bytes(),
            sequence: key.sequence,
            before: cut.before,
            records: cut.records,
            stands_for: cut.records,
            flags: if cut.is_last { flag::LAST } else { 0 },
            span: [key.start, key.end].map(|at| at.as_millisecond()),
            ..Self::default()
        }
    }

    /// How many of its interval's records are there up to its end; of what was merged, all that it was made of.
    pub(super) fn known(&self) -> u32 {
        if self.flags & flag::MERGED == 0 { self.before + self.records } else { u32::MAX }
    }

    /// The bytes of a piece with this payload, whose length and checksums are filled in.
    pub(super) fn encode(mut self, payload: &[u8]) -> Vec<u8> {
        (self.marker, self.crc) = (MARKER, 0);
        (self.len, self.payload_crc) = (payload.len() as u32, crc32fast::hash(payload));
        self.crc = crc32fast::hash(bytemuck::bytes_of(&self));
        [bytemuck::bytes_of(&self), payload].concat()
    }

    fn is_whole(mut self) -> bool {
        let crc = std::mem::take(&mut self.crc);
        self.marker == MARKER && crc == crc32fast::hash(bytemuck::bytes_of(&self)) && self.is_sound()
    }

    /// Whether it can be: a right checksum proves that nobody damaged it, not that it is sound.
    fn is_sound(&self) -> bool {
        (1..=MAX_NUMBER).contains(&self.position)
            && (1..=self.position).contains(&self.since)
            && self.total <= MAX_NUMBER
            && u64::from(self.stands_for) <= self.total
            && self.before.checked_add(self.records).is_some()
            && self.sequence <= MAX_NUMBER
            && self.len as usize <= MAX_PAYLOAD_LEN
    }

    /// Bytes of the piece.
    pub(super) fn piece_len(&self) -> u64 {
        HEADER_LEN + u64::from(self.len)
    }
}

/// The first piece from `offset` on that has a whole header and lies before `end`, and where it is.
pub(super) fn find(file: &dyn DiskFile, offset: u64, end: u64) -> io::Result<Option<(Header, u64)>> {
    if let Some(header) = read_header(file, offset, end)? {
        return Ok(Some((header, offset)));
    }
    let mut block = vec![0; SEARCH_LEN];
    let mut from = offset + 1;
    while from + HEADER_LEN <= end {
        let len = SEARCH_LEN.min(usize::try_from(end - from).unwrap_or(SEARCH_LEN));
        let Some(block) = block.get_mut(..len) else { break };
        file.read_exact_at(block, from)?;
        for (at, _) in block.windows(MARKER.len()).enumerate().filter(|(_, bytes)| *bytes == MARKER) {
            let at = from + at as u64;
            if let Some(header) = read_header(file, at, end)? {
                return Ok(Some((header, at)));
            }
        }
        // A marker may lie across the end of the block.
        from += (len - (MARKER.len() - 1)) as u64;
    }
    Ok(None)
}

fn read_header(file: &dyn DiskFile, offset: u64, end: u64) -> io::Result<Option<Header>> {
    if offset + HEADER_LEN > end {
        return Ok(None);
    }
    let mut header = Header::zeroed();
    file.read_exact_at(bytemuck::bytes_of_mut(&mut header), offset)?;
    Ok((header.is_whole() && offset + header.piece_len() <= end).then_some(header))
}

/// The payload of a piece at `offset`; `None`: it is damaged.
pub(super) fn read_payload(file: &dyn DiskFile, header: &Header, offset: u64) -> io::Result<Option<Vec<u8>>> {
    let mut payload = vec![0; header.len as usize];
    file.read_exact_at(&mut payload, offset + HEADER_LEN)?;
    Ok((crc32fast::hash(&payload) == header.payload_crc).then_some(payload))
}

/// Makes bytes that may begin like a piece one with right checksums, no longer than they are; its length.
#[cfg(feature = "testing")]
pub(super) fn repair(bytes: &mut [u8]) -> Option<usize> {
    let (head, payload) = bytes.split_at_mut_checked(HEADER_LEN as usize)?;
    let header: Header = bytemuck::pod_read_unaligned(head);
    let len = payload.len().min(header.len as usize);
    let piece = header.encode(&payload[..len]);
    head.copy_from_slice(&piece[..HEADER_LEN as usize]);
    Some(piece.len())
}
