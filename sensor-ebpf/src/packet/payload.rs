//! Behind the L4 header: what a packet carries.

use super::{MAX_OFFSET, Upper, Window};

/// Protocol numbers with a header that is looked into (IANA registry).
mod protocol {
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
}

/// Bytes of a UDP header (RFC 768).
const UDP_HEADER_LEN: usize = 8;

/// Bits of [`Payload::flags`] (RFC 9293 section 3.1).
pub mod tcp_flag {
    /// Opens a direction.
    pub const SYN: u32 = 1 << 1;
    /// Ends both.
    pub const RST: u32 = 1 << 2;
    /// Acknowledges something.
    pub const ACK: u32 = 1 << 4;
}

/// What an upper layer carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Offset of its first byte in the frame; of what is neither TCP nor UDP the first behind the IP headers.
    pub offset: usize,
    /// Bytes on the wire.
    pub len: u32,
    /// Of TCP, its sequence number of its first byte.
    pub sequence: u32,
    /// Flags, as [`tcp_flag`], and [`Payload::IS_TCP`] where they and the sequence number are to be had.
    pub flags: u32,
}

impl Payload {
    /// See [`Payload::flags`]: above the flags themselves.
    pub const IS_TCP: u32 = 1 << 8;

    /// Of the upper layer of a packet that ends at `end`, counted from the link header on the wire. Where the header of TCP is cut nothing is known of it; what
    /// begins beyond [`MAX_OFFSET`] is not looked for.
    #[inline(always)]
    pub fn read<W: Window>(window: &W, upper: Upper, end: u32) -> Self {
        // What is still to be cut has its headers once.
        let end = if window.segments() > 1 { window.reach() } else { end };
        let at = |offset: usize| {
            let len = end.saturating_sub(offset as u32);
            Self { offset, len, sequence: 0, flags: 0 }
        };
        let found = match upper.protocol {
            protocol::TCP => match window.words::<4>(upper.offset) {
                Some([_, sequence, _, last]) => Self {
                    sequence,
                    flags: last >> 16 & 0xff | Self::IS_TCP,
                    ..at(upper.offset + (last >> 28) as usize * size_of::<u32>())
                },
                None => at(end as usize),
            },
            protocol::UDP => at(upper.offset + UDP_HEADER_LEN),
            _ => at(upper.offset),
        };
        let len = if found.offset > MAX_OFFSET { 0 } else { found.len };
        let [len, sequence, flags] = [len, found.sequence, found.flags].map(|number| window.forget(number));
        Self { offset: window.obscure(found.offset), len, sequence, flags }
    }

    /// Whether it is TCP whose header is there.
    #[inline(always)]
    pub const fn is_tcp(&self) -> bool {
        self.flags & Self::IS_TCP != 0
    }

    /// Its first 16 bytes as big-endian words, zeros where there are fewer.
    #[inline(always)]
    pub fn head<W: Window>(&self, window: &W) -> [u32; 4] {
        let offset = self.offset;
        let words = match window.words::<4>(offset) {
            Some(words) => words,
            // The frame ends before.
            None => [0, 4, 8, 12].map(|at| word(window, offset + at)),
        };
        let [a, b, c, d] = words;
        [
            a & mask(self.len),
            b & mask(self.len.saturating_sub(4)),
            c & mask(self.len.saturating_sub(8)),
            d & mask(self.len.saturating_sub(12)),
        ]
    }
}

/// Four bytes, zeros where there are none. Each is read with the one before it: the verifier learns nothing of a packet's range from a comparison for one byte.
#[inline(always)]
fn word<W: Window>(window: &W, offset: usize) -> u32 {
    let byte = |at: usize| {
        let [_, byte] = window.read::<2>((offset + at).saturating_sub(1)).unwrap_or_default();
        byte
    };
    u32::from_be_bytes([byte(0), byte(1), byte(2), byte(3)])
}

/// The bits of the first bytes of a word, as many as are left, four at most.
#[inline(always)]
const fn mask(left: u32) -> u32 {
    if left >= 4 { u32::MAX } else { !(u32::MAX >> (8 * left)) }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::packet::{SliceWindow, Upper};

    #[test]
    fn the_head_is_what_the_payload_has() {
        let frame: Vec<u8> = (0..60).collect();
        for len in 0..20 {
            for rest in [0, 1, 15, 16, 40] {
                let end = 28 + len + rest;
                let window = SliceWindow::whole(&frame[..end.min(frame.len())]);
                let payload = Payload::read(&window, Upper { protocol: 17, offset: 20 }, 28 + len as u32);
                assert_eq!((payload.offset, payload.len, payload.is_tcp()), (28, len as u32, false));
                let bytes: Vec<u8> = payload.head(&window).iter().flat_map(|word| word.to_be_bytes()).collect();
                let mut expected: Vec<u8> = frame[28..28 + len.min(16)].to_vec();
                expected.resize(16, 0);
                assert_eq!(bytes, expected, "{len} {rest}");
            }
        }
    }

    #[test]
    fn a_tcp_header_says_where_its_payload_begins() {
        let mut frame = std::vec![0; 14];
        frame.extend([0, 80, 1, 187, 1, 2, 3, 4, 0, 0, 0, 0, 0x60, 0x12, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 9, 8, 7]);
        let upper = Upper { protocol: 6, offset: 14 };
        let read = |len: usize, end: u32| Payload::read(&SliceWindow::whole(&frame[..len]), upper, end);
        let whole = read(frame.len(), 41);
        assert_eq!((whole.offset, whole.len, whole.sequence), (38, 3, 0x0102_0304));
        assert!(whole.is_tcp() && whole.flags & 0xff == tcp_flag::SYN | tcp_flag::ACK);
        // A header that claims to be longer than the packet carries nothing, and one that is cut is not known.
        assert_eq!(read(frame.len(), 30).len, 0);
        let cut = read(29, 41);
        assert!(!cut.is_tcp() && cut.len == 0);
    }
}
