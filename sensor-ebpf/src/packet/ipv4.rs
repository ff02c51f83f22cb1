//! The IPv4 header (RFC 791).

use super::{Behind, LengthCheck, Lengths, Window, billed_length, claimed_end};
use crate::abi::Unparsed;

/// Bytes of a word, in which the header counts its length.
const WORD_LEN: u32 = 4;
/// Words of the header without options.
const FIXED_WORDS: usize = 5;

/// What counting needs of an IPv4 header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ipv4 {
    /// Source address.
    pub source: u32,
    /// Destination address.
    pub destination: u32,
    /// Billed bytes: see `docs/counting.md`.
    pub length: u32,
    /// What the length field was worth.
    pub length_check: LengthCheck,
    /// Bytes of the whole frame.
    pub frame_len: u32,
    protocol: u8,
    fragment_offset: u16,
    offset: usize,
    payload: usize,
}

impl Ipv4 {
    /// Reads the header at `offset`. Options that the frame ends within are no obstacle to counting.
    ///
    /// # Errors
    /// The reason why the packet cannot be counted.
    #[inline(always)]
    pub fn read<W: Window>(window: &W, offset: usize) -> Result<Self, Unparsed> {
        // Whole words: taken apart into bytes they would be loaded byte by byte.
        let words = window.words::<FIXED_WORDS>(offset).ok_or(Unparsed::Truncated)?;
        Self::of_words(window, offset, words)
    }

    /// From the words of the header at `offset`.
    #[inline(always)]
    pub(super) fn of_words<W: Window>(
        window: &W,
        offset: usize,
        [lengths, fragment, protocol, source, destination]: [u32; FIXED_WORDS],
    ) -> Result<Self, Unparsed> {
        if lengths >> 28 != 4 {
            return Err(Unparsed::IpVersion);
        }
        let header_len = (lengths >> 24 & 0x0f) * WORD_LEN;
        if header_len < FIXED_WORDS as u32 * WORD_LEN {
            return Err(Unparsed::IpHeaderLength);
        }
        let stated = lengths & 0xffff;
        let Lengths { wire, frame } = window.lengths(claimed_end(offset, stated));
        let (length, length_check) = billed_length(wire, window.segments(), offset, stated, header_len);
        Ok(Self {
            source,
            destination,
            length,
            length_check,
            frame_len: frame,
            protocol: (protocol >> 16) as u8,
            fragment_offset: (fragment & 0x1fff) as u16,
            offset,
            payload: offset + header_len as usize,
        })
    }

    /// What is behind it.
    #[inline(always)]
    pub const fn behind(&self) -> Behind {
        Behind {
            protocol: self.protocol,
            has_extensions: false,
            is_later_fragment: self.fragment_offset != 0,
            offset: self.payload,
            end: (self.offset as u32).saturating_add(self.length),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        abi::Degraded,
        packet::{Ports, SliceWindow, testing::ipv4},
    };

    fn read(bytes: &[u8]) -> Result<Ipv4, Unparsed> {
        Ipv4::read(&SliceWindow::whole(bytes), 0)
    }

    #[test]
    fn addresses_and_length_of_a_plain_header() {
        let mut packet = ipv4(28, 17);
        packet.extend([0x30, 0x39, 0, 53, 0, 8, 0, 0]);
        packet.extend([0; 18]); // Ethernet padding is not billed
        let header = read(&packet).unwrap();
        assert_eq!((header.source, header.destination), (0xc000_0201, 0xc633_6402));
        assert_eq!((header.length, header.length_check), (28, LengthCheck::Plausible));
        let upper = header.behind().l4(&SliceWindow::whole(&packet)).unwrap();
        assert_eq!(upper.ports, Some(Ports { source: 12345, destination: 53 }));
        assert_eq!((upper.upper.protocol, upper.upper.offset), (17, 20));
    }

    #[test]
    fn options_move_the_payload() {
        let mut packet = ipv4(32, 6);
        packet[0] = 0x47;
        packet.extend([1; 8]);
        packet.extend([0, 80, 1, 187]);
        let header = read(&packet).unwrap();
        let upper = header.behind().l4(&SliceWindow::whole(&packet)).unwrap();
        assert_eq!(upper.ports, Some(Ports { source: 80, destination: 443 }));
        let cut = SliceWindow::captured(&packet[..24], 32, 32);
        assert_eq!(Ipv4::read(&cut, 0).unwrap().length, 32);
        assert_eq!(header.behind().l4(&cut), Err(Degraded::L4Truncated));
    }

    #[test]
    fn the_length_rule() {
        let at_wire = |total: u16, wire: u32| {
            let packet = ipv4(total, 17);
            let header = Ipv4::read(&SliceWindow::captured(&packet, wire, wire), 0).unwrap();
            (header.length, header.length_check)
        };
        assert_eq!(at_wire(1500, 1500), (1500, LengthCheck::Plausible));
        assert_eq!(at_wire(1500, 1501), (1500, LengthCheck::Plausible));
        assert_eq!(at_wire(1500, 1499), (1499, LengthCheck::OverFrame));
        assert_eq!(at_wire(0, 9000), (9000, LengthCheck::Zero));
        assert_eq!(at_wire(19, 60), (19, LengthCheck::UnderHeader));
        assert_eq!(at_wire(20, 20), (20, LengthCheck::Plausible));
    }

    #[test]
    fn headers_that_are_none() {
        let mut packet = ipv4(20, 6);
        packet[0] = 0x65;
        assert_eq!(read(&packet), Err(Unparsed::IpVersion));
        packet[0] = 0x44;
        assert_eq!(read(&packet), Err(Unparsed::IpHeaderLength));
        for len in 0..20 {
            assert_eq!(read(&ipv4(20, 6)[..len]), Err(Unparsed::Truncated));
        }
    }

    #[test]
    fn fragments_have_ports_once() {
        let mut packet = ipv4(60, 17);
        packet.extend([0; 40]);
        packet[6] = 0x20; // more fragments, offset 0
        let window = SliceWindow::whole(&packet);
        assert!(Ipv4::read(&window, 0).unwrap().behind().l4(&window).unwrap().ports.is_some());
        packet[7] = 1;
        let window = SliceWindow::whole(&packet);
        assert_eq!(Ipv4::read(&window, 0).unwrap().behind().l4(&window), Err(Degraded::LaterFragment));
        packet[6] = 0x40; // don't fragment is no fragment
        packet[7] = 0;
        let window = SliceWindow::whole(&packet);
        assert!(Ipv4::read(&window, 0).unwrap().behind().l4(&window).is_ok());
    }
}
