//! Google's QUIC up to version 43, whose public header is its own (draft-tsvwg-quic-protocol-02, section 6).

use super::packet::Version;

/// Flags: a version is there, it is a reset, an id of eight bytes is there; the highest is unused.
const HAS_VERSION: u8 = 1;
const RESET: u8 = 2;
const HAS_ID: u8 = 8;
const UNUSED: u8 = 0x80;
/// Bytes within which a server's first message stands in its packet.
const MAX_BEFORE_TAG: usize = 80;

/// The id in a packet that names its version.
pub(super) fn with_version(bytes: &[u8]) -> Option<[u8; 8]> {
    let (flags, rest) = bytes.split_first()?;
    let (id, rest) = rest.split_first_chunk()?;
    let version = Version::of(u32::from_be_bytes(*rest.first_chunk()?))?;
    let is_it = flags & (HAS_VERSION | HAS_ID | RESET | UNUSED) == HAS_VERSION | HAS_ID;
    (is_it && matches!(version, Version::Google(..=43))).then_some(*id)
}

/// Whether a packet refuses a hello, with the token that is to be sent next time: a server's, seen alone.
pub(super) fn refuses(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(MAX_BEFORE_TAG)];
    // The message: its tag, how many tags it has, two bytes of padding, the first of them and where its value ends (section 8.1).
    start.windows(16).any(|message| {
        message.starts_with(b"REJ\0")
            && message[5..8] == [0; 3]
            && message[8..12] == *b"STK\0"
            && message[14..] == [0; 2]
    })
}

/// Whether a packet answers one with that id: it repeats the id, or refuses or accepts a hello.
pub(super) fn answers(bytes: &[u8], id: [u8; 8]) -> bool {
    let Some((flags, rest)) = bytes.split_first() else { return false };
    let repeats = flags & HAS_ID != 0 && rest.first_chunk() == Some(&id);
    let start = &bytes[..bytes.len().min(MAX_BEFORE_TAG)];
    let says = start.windows(4).any(|tag| tag == b"REJ\0" || tag == b"SHLO");
    flags & UNUSED == 0 && (repeats || flags & HAS_VERSION == 0 && says)
}
