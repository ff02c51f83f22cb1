//! Classic pcap: one file header, then records (draft-ietf-opsawg-pcap).

use std::io;

use pcap_parser::{PcapHeader, parse_pcap_header};

use super::{DamageKind, LinkType, MAX_FRAME_LEN, Record, Step, Timestamp, error::OpenError, window::Window};

/// Length of the file header in bytes.
const HEADER_LEN: usize = 24;
/// Length of a record header in bytes: seconds, fraction, captured length, length on the wire.
const RECORD_HEADER_LEN: usize = 16;
/// Magic numbers as read in little-endian order: microseconds and nanoseconds, each in both byte orders.
const MAGICS: [u32; 4] = [0xa1b2_c3d4, 0xd4c3_b2a1, 0xa1b2_3c4d, 0x4d3c_b2a1];
/// Bits of the link type field that hold the link type; the others tell of an FCS, which stays part of the frame.
const LINK_TYPE_MASK: u32 = 0x03ff_ffff;
/// Last minor version that may hold the two lengths the other way round; those before it always do (libpcap,
/// `sf-pcap.c`).
const MINOR_MAYBE_SWAPPED: u16 = 3;

/// What of the file header matters to the records.
pub(super) struct Classic {
    big_endian: bool,
    /// Nanoseconds in a unit of the second time stamp field.
    fraction: i64,
    link_type: LinkType,
    version_minor: u16,
}

/// Whether a file starts like classic pcap.
pub(super) fn is_magic(head: &[u8]) -> bool {
    head.first_chunk().is_some_and(|magic| MAGICS.contains(&u32::from_le_bytes(*magic)))
}

impl Classic {
    /// Link type of the file.
    pub(super) fn link_type(&self) -> LinkType {
        self.link_type
    }

    /// Reads the file header.
    pub(super) fn open(window: &mut Window) -> Result<Self, OpenError> {
        if !window.fill_to(HEADER_LEN)? {
            return Err(OpenError::Cut);
        }
        let (_, header) = parse_pcap_header(window.data()).map_err(|_| OpenError::Malformed)?;
        window.consume(HEADER_LEN);
        Ok(Self::new(&header))
    }

    fn new(header: &PcapHeader) -> Self {
        Self {
            big_endian: header.is_bigendian(),
            fraction: if header.is_nanosecond_precision() { 1 } else { 1_000 },
            link_type: LinkType::from(header.network.0.cast_unsigned() & LINK_TYPE_MASK),
            version_minor: header.version_minor,
        }
    }

    /// Reads one record. Its lengths are checked before anything of that length is read.
    pub(super) fn step(&self, window: &mut Window) -> io::Result<Step> {
        if !window.fill_to(RECORD_HEADER_LEN)? {
            return Ok(if window.data().is_empty() { Step::End } else { Step::Damaged(DamageKind::Cut) });
        }
        let [seconds, fraction, mut captured, mut wire_len] = self.words(window.data());
        let swapped = self.version_minor < MINOR_MAYBE_SWAPPED
            || self.version_minor == MINOR_MAYBE_SWAPPED && captured > wire_len;
        if swapped {
            (captured, wire_len) = (wire_len, captured);
        }
        if captured > MAX_FRAME_LEN {
            return Ok(Step::Damaged(DamageKind::FrameLength(captured)));
        }
        let record_len = RECORD_HEADER_LEN + captured as usize;
        if !window.fill_to(record_len)? {
            return Ok(Step::Damaged(DamageKind::Cut));
        }
        Ok(Step::Frame(Record {
            timestamp: Timestamp::from_parts(i64::from(seconds), i64::from(fraction) * self.fraction),
            interface: 0,
            link_type: self.link_type,
            wire_len,
            data: RECORD_HEADER_LEN..record_len,
            record_len,
        }))
    }

    /// The first four 32-bit words of a record.
    fn words(&self, record: &[u8]) -> [u32; 4] {
        let (words, _) = record.as_chunks();
        let word = |index: usize| match words.get(index) {
            Some(word) if self.big_endian => u32::from_be_bytes(*word),
            Some(word) => u32::from_le_bytes(*word),
            None => 0,
        };
        [word(0), word(1), word(2), word(3)]
    }
}
