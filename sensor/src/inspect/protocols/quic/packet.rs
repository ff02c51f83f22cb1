//! Long headers of QUIC: what all versions have in common (RFC 8999, section 5.1), and what those that are known add.

use super::super::reader::Reader;

/// Connection ids are no longer in any version that is known (RFC 9000, section 17.2).
const MAX_ID: usize = 20;
/// A long header, and that it is of a version with a fixed bit (RFC 9000, section 17.2).
const LONG: u8 = 0x80;
const FIXED: u8 = 0x40;
/// What a protected packet has at least: a number, and the tag behind its payload.
const MIN_PROTECTED: usize = 20;

/// Version 2 (RFC 9369), and two of its drafts.
pub(super) const V2: u32 = 0x6b33_43cf;
const V2_DRAFTS: [u32; 2] = [0x709a_50c4, 0xff02_0000];
/// Drafts of version 1; those before the 22nd wrote the lengths of both ids into one byte.
pub(super) const DRAFT: u32 = 0xff00_0000;
const FIRST_DRAFT: u32 = 13;
const FIRST_WITH_BYTES: u32 = 22;
const LAST_DRAFT: u32 = 34;
/// Versions of mvfst, Facebook's.
pub(super) const MVFST: u32 = 0xface_b000;

/// Kinds of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
}

/// What a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// The negotiation, which has none.
    None,
    /// One of the IETF's, or with its headers.
    Ietf(u32),
    /// One of Google's with a header of its own: `Q` and a number.
    Google(u32),
    /// Reserved to provoke a negotiation (RFC 9000, section 15).
    Reserved,
}

impl Version {
    /// The version with that number.
    pub(super) fn of(number: u32) -> Option<Self> {
        let [first, zero, tens, ones] = number.to_be_bytes();
        let is_drafts = (DRAFT + FIRST_DRAFT..=DRAFT + LAST_DRAFT).contains(&number);
        if number == 0 {
            Some(Self::None)
        } else if number == 1 || number == V2 || is_drafts || number & !0xf == MVFST || V2_DRAFTS.contains(&number) {
            Some(Self::Ietf(number))
        } else if zero == b'0' && tens.is_ascii_digit() && ones.is_ascii_digit() {
            match first {
                b'Q' => Some(Self::Google(u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))),
                b'T' => Some(Self::Ietf(number)),
                _ => None,
            }
        } else {
            (number & 0x0f0f_0f0f == 0x0a0a_0a0a).then_some(Self::Reserved)
        }
    }

    /// Whether the lengths of both ids are in one byte.
    fn is_narrow(self) -> bool {
        match self {
            Self::Google(version) => version < 50,
            Self::Ietf(version) => (DRAFT..DRAFT + FIRST_WITH_BYTES).contains(&version),
            Self::None | Self::Reserved => false,
        }
    }
}

/// A packet with a long header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Long<'a> {
    pub(super) version: Version,
    pub(super) destination: &'a [u8],
    pub(super) source: &'a [u8],
    /// From its first byte to the end of the datagram.
    pub(super) bytes: &'a [u8],
    /// What is behind the ids.
    pub(super) rest: &'a [u8],
}

impl<'a> Long<'a> {
    /// Reads the packet at the start of these bytes.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        let first = *reader.take(1)?.first()?;
        let version = Version::of(u32::from_be_bytes(*reader.take(4)?.first_chunk()?))?;
        // In a negotiation the other bits mean nothing.
        if first & LONG == 0 || version != Version::None && first & FIXED == 0 {
            return None;
        }
        let (destination, source) = if version.is_narrow() {
            let lengths = reader.number(1)?;
            let length = |bits: usize| if bits == 0 { 0 } else { bits + 3 };
            (reader.take(length(lengths >> 4))?, reader.take(length(lengths & 15))?)
        } else {
            (reader.vector(1)?, reader.vector(1)?)
        };
        if destination.len() > MAX_ID || source.len() > MAX_ID {
            return None;
        }
        Some(Self { version, destination, source, bytes, rest: reader.0 })
    }

    /// Which kind it is; only the IETF's versions say.
    pub(super) fn kind(&self) -> Option<Kind> {
        let Version::Ietf(version) = self.version else { return None };
        let kinds = if version == V2 || V2_DRAFTS.contains(&version) {
            [Kind::Retry, Kind::Initial, Kind::ZeroRtt, Kind::Handshake]
        } else {
            [Kind::Initial, Kind::ZeroRtt, Kind::Handshake, Kind::Retry]
        };
        kinds.get(usize::from(self.bytes.first()? >> 4 & 3)).copied()
    }

    /// Where the packet number begins, and how long it and the payload are.
    pub(super) fn protected(&self) -> Option<(usize, usize)> {
        let mut reader = Reader(self.rest);
        if self.kind()? == Kind::Initial {
            let token = reader.varint()?;
            reader.take(token)?;
        }
        let length = reader.varint()?;
        Some((self.bytes.len() - reader.0.len(), length))
    }

    /// Whether what is behind the ids makes sense in a datagram of which `missing` bytes were not captured.
    pub(super) fn makes_sense(&self, missing: usize) -> bool {
        match self.version {
            Version::None => {
                self.rest.len() >= 4 && self.rest.len().is_multiple_of(4) && self.versions().any(|known| known)
            }
            Version::Ietf(_) if self.kind() == Some(Kind::Retry) => self.rest.len() + missing > 16,
            Version::Ietf(_) => self
                .protected()
                .is_some_and(|(at, length)| (MIN_PROTECTED..=self.bytes.len() + missing - at).contains(&length)),
            Version::Google(_) => true,
            Version::Reserved => false,
        }
    }

    /// Of each version in a negotiation whether it is known.
    fn versions(&self) -> impl Iterator<Item = bool> {
        self.rest.as_chunks().0.iter().map(|number| {
            matches!(Version::of(u32::from_be_bytes(*number)), Some(Version::Ietf(_) | Version::Google(_)))
        })
    }
}
