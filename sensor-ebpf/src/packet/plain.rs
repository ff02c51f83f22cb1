//! The common case of a border, read with one look at the frame: Ethernet II, and right behind it an IP header that says what the
//! frame can hold. Whatever is not so plain is left to the general way, which finds the same in all that is.

use super::{ETHERNET_HEADER_LEN, Ipv4, Ipv6, LengthCheck, Window, link::ethertype};

/// A plain packet.
pub enum Plain {
    /// Of IPv4, without options.
    V4(Ipv4),
    /// Of IPv6.
    V6(Ipv6),
    /// It is not plain.
    Not,
}

/// Where the last word of an Ethernet header begins; its lower half is the type.
const LAST_WORD: usize = ETHERNET_HEADER_LEN - 4;
/// Version 4 and a header of five words.
const NO_OPTIONS: u32 = 0x45;

/// Reads the headers of a plain packet.
#[inline(always)]
pub fn plain<W: Window>(window: &W) -> Plain {
    if window.segments() != 1 {
        return Plain::Not;
    }
    let Some([last, header @ ..]) = window.words::<6>(LAST_WORD) else { return Plain::Not };
    match last as u16 {
        ethertype::IPV4 if header[0] >> 24 == NO_OPTIONS => match Ipv4::of_words(window, ETHERNET_HEADER_LEN, header) {
            Ok(header) if header.length_check == LengthCheck::Plausible => Plain::V4(header),
            _ => Plain::Not,
        },
        ethertype::IPV6 => match Ipv6::read(window, ETHERNET_HEADER_LEN) {
            Ok(header) if header.length_check == LengthCheck::Plausible => Plain::V6(header),
            _ => Plain::Not,
        },
        _ => Plain::Not,
    }
}
