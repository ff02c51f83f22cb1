//! The bytes of a journal: a header, then frames.
//!
//! | header | bytes |
//! |---|---|
//! | name | 8 |
//! | format version | 4, little endian |
//! | CRC-32 of these | 4, little endian |
//!
//! | frame | bytes |
//! |---|---|
//! | kind | 1, never 0 |
//! | length of the payload | 4, little endian |
//! | CRC-32 of kind, length and payload | 4, little endian |
//! | payload | postcard |

use std::io::{self, Read};

use anyhow::{Context as _, Result, bail};
use serde::{Serialize, de::DeserializeOwned};

/// What a journal begins with.
const MAGIC: [u8; 8] = *b"snsrjrnl";
/// Number of this format.
pub(super) const VERSION: u32 = 3;
/// Bytes of the header.
pub(super) const HEADER_LEN: usize = 16;
/// Bytes of a frame before its payload.
pub(super) const FRAME_HEADER_LEN: usize = 9;
/// Longest payload in bytes; the baseline of the largest table with every counter in use takes a quarter of it.
const MAX_PAYLOAD_LEN: usize = 1 << 30;

/// What a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// All that the history held when the file was written; only as its first frame.
    Snapshot = 1,
    /// A batch was committed.
    Batch = 2,
    /// Batches were written out.
    Delivered = 3,
    /// A baseline was dropped.
    Forget = 4,
    /// An epoch began.
    Begin = 5,
}

impl Kind {
    fn new(byte: u8) -> Option<Self> {
        [Self::Snapshot, Self::Batch, Self::Delivered, Self::Forget, Self::Begin]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// What the first bytes of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// A journal of this version.
    Known,
    /// A journal of another version.
    Other(u32),
    /// No journal.
    Damaged,
}

/// The header of a new file.
pub(super) fn header() -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    let (name, rest) = header.split_at_mut(MAGIC.len());
    name.copy_from_slice(&MAGIC);
    rest[..4].copy_from_slice(&VERSION.to_le_bytes());
    let crc = crc32fast::hash(&header[..HEADER_LEN - 4]);
    header[HEADER_LEN - 4..].copy_from_slice(&crc.to_le_bytes());
    header
}

/// Reads the header.
pub(super) fn read_header(mut file: impl Read) -> io::Result<Header> {
    let mut bytes = Vec::new();
    file.by_ref().take(HEADER_LEN as u64).read_to_end(&mut bytes)?;
    if bytes == header() {
        return Ok(Header::Known);
    }
    let other = || {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (version, crc) = rest.split_first_chunk::<4>()?;
        (crc == crc32fast::hash(&bytes[..HEADER_LEN - 4]).to_le_bytes()).then_some(u32::from_le_bytes(*version))
    };
    Ok(other().map_or(Header::Damaged, Header::Other))
}

/// The bytes of a frame.
pub(super) fn encode(kind: Kind, value: &impl Serialize) -> Result<Vec<u8>> {
    let bytes = vec![0; FRAME_HEADER_LEN];
    seal(kind, postcard::to_extend(value, bytes).context("cannot encode an entry of the journal")?)
}

/// Room for a frame's header: its payload is appended, and the frame then sealed.
pub(super) fn begin() -> Vec<u8> {
    vec![0; FRAME_HEADER_LEN]
}

/// Fills in the header of a frame that was begun.
pub(super) fn seal(kind: Kind, mut frame: Vec<u8>) -> Result<Vec<u8>> {
    let len = frame.len() - FRAME_HEADER_LEN;
    if len > MAX_PAYLOAD_LEN {
        bail!("an entry of {len} bytes is too long for the journal: at most {MAX_PAYLOAD_LEN}");
    }
    frame[0] = kind as u8;
    frame[1..5].copy_from_slice(&(len as u32).to_le_bytes());
    let crc = crc(&frame[..5], &frame[FRAME_HEADER_LEN..]);
    frame[5..FRAME_HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    Ok(frame)
}

/// Reads the next frame of `left` bytes: its kind and payload, and how many bytes it took; `None` where it is damaged.
pub(super) fn read(mut file: impl Read, left: u64) -> io::Result<Option<(Kind, Vec<u8>, u64)>> {
    let Some(left) = left.checked_sub(FRAME_HEADER_LEN as u64) else { return Ok(None) };
    let mut head = [0; FRAME_HEADER_LEN];
    file.read_exact(&mut head)?;
    let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = head;
    let len = u32::from_le_bytes([l0, l1, l2, l3]);
    // Nothing is allocated for bytes that are not there.
    let (Some(kind), true) = (Kind::new(kind), u64::from(len) <= left && len as usize <= MAX_PAYLOAD_LEN) else {
        return Ok(None);
    };
    let mut payload = vec![0; len as usize];
    file.read_exact(&mut payload)?;
    let whole = crc(&head[..5], &payload) == u32::from_le_bytes([c0, c1, c2, c3]);
    Ok(whole.then_some((kind, payload, FRAME_HEADER_LEN as u64 + u64::from(len))))
}

/// Whether `left` bytes that begin like this are what an append that was interrupted leaves: less than one frame.
pub(super) fn is_cut(head: &[u8], left: u64) -> bool {
    let Some(head) = head.first_chunk::<FRAME_HEADER_LEN>() else { return true };
    let [kind, l0, l1, l2, l3, ..] = *head;
    let len = u64::from(u32::from_le_bytes([l0, l1, l2, l3]));
    Kind::new(kind).is_some() && len <= MAX_PAYLOAD_LEN as u64 && left < FRAME_HEADER_LEN as u64 + len
}

/// The value of a payload that holds nothing else.
pub(super) fn decode<T: DeserializeOwned>(payload: &[u8]) -> Result<T> {
    let (value, rest) = postcard::take_from_bytes(payload)?;
    if !rest.is_empty() {
        bail!("{} bytes too many in an entry of the journal", rest.len());
    }
    Ok(value)
}

fn crc(head: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(payload);
    crc.finalize()
}
