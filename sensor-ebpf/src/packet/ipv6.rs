//! The IPv6 header (RFC 8200).

use super::{Behind, LengthCheck, Lengths, Window, billed_length, claimed_end};
use crate::abi::Unparsed;

/// Bytes of the header.
const HEADER_LEN: usize = 8 * HEADER_WORDS;
/// Its words of eight bytes.
const HEADER_WORDS: usize = 5;

/// What Linux puts behind the header of a TCP packet beyond 65,535 bytes that is still to be cut, and takes out when cutting it
/// ("BIG TCP"): a hop-by-hop header (RFC 8200) with the jumbo payload option (RFC 2675) alone.
mod jumbo {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const LEN: u32 = 8;
    /// Its length in units of 8 bytes beyond the first, the option, and the option's length.
    pub(super) const HEADER: [u8; 3] = [0, 0xc2, 4];
}

/// What counting needs of an IPv6 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv6 {
    /// Source address: leading and trailing 64 bits.
    pub source: [u64; 2],
    /// Destination address: leading and trailing 64 bits.
    pub destination: [u64; 2],
    /// Billed bytes, this header included: see `docs/counting.md`.
    pub length: u32,
    /// What the length field was worth.
    pub length_check: LengthCheck,
    /// Bytes of the whole frame.
    pub frame_len: u32,
    next_header: u8,
    offset: usize,
    payload: usize,
}

impl Ipv6 {
    /// Reads the header at `offset`.
    ///
    /// # Errors
    /// The reason why the packet cannot be counted.
    #[inline(always)]
    pub fn read<W: Window>(window: &W, offset: usize) -> Result<Self, Unparsed> {
        let words = window.double_words::<HEADER_WORDS>(offset).ok_or(Unparsed::Truncated)?;
        Self::of_words(window, offset, words)
    }

    /// From the words of the header at `offset`.
    #[inline(always)]
    pub(super) fn of_words<W: Window>(
        window: &W,
        offset: usize,
        [first, source @ .., destination, rest]: [u64; HEADER_WORDS],
    ) -> Result<Self, Unparsed> {
        if first >> 60 != 6 {
            return Err(Unparsed::IpVersion);
        }
        let next_header = (first >> 8) as u8;
        let stated = match (first >> 16) as u32 & 0xffff {
            0 => 0,
            payload => payload + HEADER_LEN as u32,
        };
        let Lengths { wire, frame } = window.lengths(claimed_end(offset, stated));
        let (length, length_check) = billed_length(wire, window.segments(), offset, stated, HEADER_LEN as u32);
        let payload = offset + HEADER_LEN;
        let taken_out = match window.segments() {
            segments @ 2.. if stated == 0 && next_header == jumbo::HOP_BY_HOP && is_jumbo(window, payload) => {
                jumbo::LEN * segments
            }
            _ => 0,
        };
        Ok(Self {
            source,
            destination: [destination, rest],
            length: length.saturating_sub(taken_out),
            length_check,
            frame_len: frame.saturating_sub(taken_out),
            next_header,
            offset,
            payload,
        })
    }

    /// What is behind it.
    #[inline(always)]
    pub const fn behind(&self) -> Behind {
        Behind {
            protocol: self.next_header,
            has_extensions: true,
            is_later_fragment: false,
            offset: self.payload,
            end: (self.offset as u32).saturating_add(self.length),
        }
    }
}

#[inline(always)]
fn is_jumbo<W: Window>(window: &W, offset: usize) -> bool {
    // Not as an Option of bytes: they would be compared where there are none.
    window.read::<4>(offset).is_some_and(|[_, header @ ..]| header == jumbo::HEADER)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;
    use crate::{
        abi::{Degraded, MAX_SAMPLE},
        packet::{L4, MAX_EXTENSION_HEADERS, Ports, SliceWindow, Upper, testing::ipv6},
    };

    fn l4_of(packet: &[u8]) -> Result<L4, Degraded> {
        let window = SliceWindow::whole(packet);
        Ipv6::read(&window, 0).unwrap().behind().l4(&window)
    }

    fn chain(kinds: &[u8], protocol: u8) -> Vec<u8> {
        let mut packet = ipv6(200, kinds.first().copied().unwrap_or(protocol));
        for (index, _) in kinds.iter().enumerate() {
            packet.extend([kinds.get(index + 1).copied().unwrap_or(protocol), 0, 0, 0, 0, 0, 0, 0]);
        }
        packet.extend([0, 80, 1, 187, 0, 0, 0, 0]);
        packet
    }

    #[test]
    fn addresses_and_length_of_a_plain_header() {
        let packet = [ipv6(8, 17), std::vec![0, 53, 0x30, 0x39, 0, 8, 0, 0]].concat();
        let header = Ipv6::read(&SliceWindow::whole(&packet), 0).unwrap();
        assert_eq!(header.source, [0x2001_0db8_0000_0000, 1]);
        assert_eq!(header.destination, [0x2001_0db8_0001_0000, 2]);
        assert_eq!((header.length, header.length_check), (48, LengthCheck::Plausible));
        assert_eq!(l4_of(&packet).unwrap().ports, Some(Ports { source: 53, destination: 12345 }));
    }

    #[test]
    fn the_length_rule() {
        let at_wire = |payload: u16, wire: u32| {
            let packet = ipv6(payload, 6);
            let header = Ipv6::read(&SliceWindow::captured(&packet, wire, wire), 0).unwrap();
            (header.length, header.length_check)
        };
        assert_eq!(at_wire(1460, 1500), (1500, LengthCheck::Plausible));
        assert_eq!(at_wire(1461, 1500), (1500, LengthCheck::OverFrame));
        assert_eq!(at_wire(0, 70_000), (70_000, LengthCheck::Zero));
        assert_eq!(at_wire(1, 60), (41, LengthCheck::Plausible));
    }

    /// A packet that is still to be cut, every segment of it with the headers of the first bytes.
    struct Uncut<'a> {
        bytes: &'a [u8],
        wire_len: u32,
        segments: u32,
    }

    impl Window for Uncut<'_> {
        fn read<const N: usize>(&self, offset: usize) -> Option<[u8; N]> {
            self.bytes.get(offset..)?.first_chunk().copied()
        }

        fn words<const N: usize>(&self, offset: usize) -> Option<[u32; N]> {
            SliceWindow::whole(self.bytes).words(offset)
        }

        fn double_words<const N: usize>(&self, offset: usize) -> Option<[u64; N]> {
            SliceWindow::whole(self.bytes).double_words(offset)
        }

        fn lengths(&self, _claimed: u32) -> Lengths {
            Lengths { wire: self.wire_len, frame: self.wire_len }
        }

        fn segments(&self) -> u32 {
            self.segments
        }

        fn reach(&self) -> u32 {
            SliceWindow::whole(self.bytes).reach()
        }

        fn copy(&self, offset: usize, len: u32, to: &mut [u8; MAX_SAMPLE]) -> bool {
            SliceWindow::whole(self.bytes).copy(offset, len, to)
        }
    }

    #[test]
    fn what_cutting_takes_out_is_not_counted() {
        let jumbo = [ipv6(0, 0), std::vec![6, 0, 0xc2, 4, 0, 1, 0x86, 0xa0, 0, 80, 1, 187]].concat();
        let read = |bytes: &[u8], segments| {
            let header = Ipv6::read(&Uncut { bytes, wire_len: 100_000, segments }, 0).unwrap();
            (header.length, 100_000 - header.frame_len, header.length_check)
        };
        assert_eq!(read(&jumbo, 70), (100_000 - 560, 560, LengthCheck::Plausible));
        // A jumbogram that is one, another option, another length, a length field that says something.
        assert_eq!(read(&jumbo, 1), (100_000, 0, LengthCheck::Zero));
        for (at, value) in [(42, 1), (41, 1), (43, 5), (6, 60), (5, 9)] {
            let mut other = jumbo.clone();
            other[at] = value;
            assert_eq!(read(&other, 70), (100_000, 0, LengthCheck::Plausible), "byte {at}");
        }
        assert_eq!(read(&jumbo[..43], 70), (100_000, 0, LengthCheck::Plausible));
    }

    #[test]
    fn extension_headers_up_to_the_bound() {
        assert_eq!(l4_of(&chain(&[0, 43, 60], 6)).unwrap().ports, Some(Ports { source: 80, destination: 443 }));
        let most = std::vec![60; MAX_EXTENSION_HEADERS];
        assert!(l4_of(&chain(&most, 17)).unwrap().ports.is_some());
        let more = std::vec![60; MAX_EXTENSION_HEADERS + 1];
        assert_eq!(l4_of(&chain(&more, 17)), Err(Degraded::ExtensionDepth));
    }

    /// As it is in IPv4.
    #[test]
    fn an_authentication_header_is_an_upper_layer() {
        let mut packet = chain(&[0], 51);
        packet.extend([0; 24]);
        let expected = L4 { upper: Upper { protocol: 51, offset: 48 }, ports: None };
        assert_eq!(l4_of(&packet), Ok(expected));
    }

    #[test]
    fn first_fragments_have_ports_and_later_ones_do_not() {
        let mut packet = chain(&[44], 17);
        assert!(l4_of(&packet).unwrap().ports.is_some());
        packet[43] = 1; // more fragments
        assert!(l4_of(&packet).unwrap().ports.is_some());
        packet[43] = 8; // offset 1
        assert_eq!(l4_of(&packet), Err(Degraded::LaterFragment));
    }

    #[test]
    fn a_packet_cut_at_any_byte_is_counted_as_soon_as_its_header_is_whole() {
        let packet = chain(&[0, 44], 6);
        for len in 0..packet.len() {
            let window = SliceWindow::whole(&packet[..len]);
            match Ipv6::read(&window, 0) {
                Ok(header) => {
                    assert!(len >= 40);
                    assert_eq!(header.behind().l4(&window).is_ok(), len >= 60, "cut at {len}");
                }
                Err(reason) => assert_eq!((reason, len < 40), (Unparsed::Truncated, true)),
            }
        }
    }
}
