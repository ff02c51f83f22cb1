//! Records of TLS (RFC 8446, section 5.1): a header of type, version and length before everything.

use super::super::reader::Reader;
use crate::inspect::Message;

/// Bytes of a header.
const HEADER: usize = 5;
/// The longest: 2^14 of plain text and what encryption may add (RFC 5246, section 6.2.3).
const MAX_RECORD: usize = (1 << 14) + 2048;
/// Records of one direction that are looked at.
const MAX_RECORDS: usize = 64;

/// Types of content.
pub(in super::super) const CHANGE_CIPHER_SPEC: usize = 20;
pub(in super::super) const ALERT: usize = 21;
pub(in super::super) const HANDSHAKE: usize = 22;
pub(in super::super) const APPLICATION_DATA: usize = 23;

/// A record, of which the end may be missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Record<'a> {
    /// Type of content.
    pub(in super::super) kind: usize,
    /// Bytes that the header announces.
    pub(in super::super) length: usize,
    /// Those of them that are there.
    pub(in super::super) body: &'a [u8],
}

/// The records at the start of these bytes, up to the first thing that is none.
pub(in super::super) fn records(bytes: &[u8]) -> impl Iterator<Item = Record<'_>> {
    let mut reader = Reader(bytes);
    std::iter::from_fn(move || {
        let record = read(&mut reader);
        if record.is_none() {
            reader = Reader(&[]);
        }
        record
    })
    .take(MAX_RECORDS)
}

fn read<'a>(reader: &mut Reader<'a>) -> Option<Record<'a>> {
    let kind = reader.number(1)?;
    let version = reader.number(2)?;
    let length = reader.number(2)?;
    let fits = match kind {
        CHANGE_CIPHER_SPEC => length == 1,
        // In the clear a level and a description; encrypted at least a tag more.
        ALERT => length == 2 || (16..=64).contains(&length),
        HANDSHAKE => length >= 4,
        APPLICATION_DATA => length > 0,
        _ => false,
    };
    if !fits || length > MAX_RECORD || !(0x0300..=0x0304).contains(&version) {
        return None;
    }
    Some(Record { kind, length, body: reader.take_up_to(length) })
}

/// The handshake messages at the start of a direction, put together from their records.
pub(in super::super) fn handshake(stream: &[u8]) -> Vec<u8> {
    records(stream).take_while(|record| record.kind == HANDSHAKE).flat_map(|record| record.body).copied().collect()
}

/// Whether an alert in the clear is what these bytes begin with.
pub(in super::super) fn is_alert(stream: &[u8]) -> bool {
    records(stream)
        .next()
        .is_some_and(|first| first.kind == ALERT && first.length == 2 && matches!(first.body.first(), Some(1 | 2)))
}

/// How well segments in the middle of a connection show records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) enum Shown {
    /// Not at all.
    Not,
    /// One segment begins with a header.
    Header,
    /// Two headers stand where they should, or one segment ends where its record does.
    Chain,
}

/// Judges the segments of one end.
pub(in super::super) fn shown<'a>(messages: impl Iterator<Item = &'a Message>) -> Shown {
    let mut headers = 0;
    for message in messages {
        let (mut at, mut here) = (0, 0);
        for record in records(&message.bytes) {
            at += HEADER + record.length;
            here += 1;
        }
        let total = message.len as usize;
        // Something else stands where the next header should.
        if here == 0 || at + HEADER <= message.bytes.len() {
            continue;
        }
        headers += here;
        if at == total || here > 1 {
            return Shown::Chain;
        }
    }
    match headers {
        0 => Shown::Not,
        1 => Shown::Header,
        _ => Shown::Chain,
    }
}
