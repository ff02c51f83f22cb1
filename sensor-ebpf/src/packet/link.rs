//! The link layer: from the first byte of an Ethernet frame to the outermost IP header.

use super::{Window, be16};
use crate::abi::Unparsed;

/// Destination, source, type.
pub const ETHERNET_HEADER_LEN: usize = 14;
/// VLAN and backbone tags followed before a frame counts as `vlan_depth`.
pub const MAX_VLAN_TAGS: usize = 4;
/// MPLS labels followed before a frame counts as `mpls_depth`.
pub const MAX_MPLS_LABELS: usize = 8;

const TYPE_OFFSET: usize = 12;
/// Type and tag control information (IEEE 802.1Q).
pub const VLAN_TAG_LEN: usize = 4;
/// Service instance tag of a provider backbone bridge (IEEE 802.1ah): four bytes, and the customer's whole Ethernet header.
const BACKBONE_TAG_LEN: usize = 4 + ETHERNET_HEADER_LEN;
const MPLS_LABEL_LEN: usize = 4;
const PPPOE_HEADER_LEN: usize = 6;

/// Ethertypes (IEEE 802 numbers, IANA registry) and the largest value that is an 802.3 length instead.
pub(in crate::packet) mod ethertype {
    pub(in crate::packet) const MAX_LENGTH: u16 = 1500;
    pub(in crate::packet) const IPV4: u16 = 0x0800;
    pub(in crate::packet) const VLAN: u16 = 0x8100;
    pub(in crate::packet) const IPV6: u16 = 0x86dd;
    pub(in crate::packet) const MPLS: u16 = 0x8847;
    pub(in crate::packet) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(in crate::packet) const PPPOE_SESSION: u16 = 0x8864;
    pub(in crate::packet) const BACKBONE_SERVICE: u16 = 0x88e7;
    pub(in crate::packet) const PROVIDER_VLAN: u16 = 0x88a8;
    pub(in crate::packet) const OLD_QINQ: u16 = 0x9100;
    pub(in crate::packet) const OLD_QINQ_2: u16 = 0x9200;
}

/// An IP header: which one, and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L3 {
    /// IPv4 at this offset.
    V4(usize),
    /// IPv6 at this offset.
    V6(usize),
}

/// Finds the outermost IP header behind Ethernet II or 802.3, VLAN and backbone tags, MPLS labels or a PPPoE session.
///
/// # Errors
/// The reason why the frame has none.
#[inline(always)]
pub fn link<W: Window>(window: &W) -> Result<L3, Unparsed> {
    let mut kind = be16(window, TYPE_OFFSET).ok_or(Unparsed::Truncated)?;
    let mut offset = ETHERNET_HEADER_LEN;
    // The common case of a border takes no loop.
    if kind == ethertype::IPV4 {
        return Ok(L3::V4(offset));
    }
    if kind == ethertype::IPV6 {
        return Ok(L3::V6(offset));
    }
    for _ in 0..MAX_VLAN_TAGS {
        offset += match kind {
            ethertype::BACKBONE_SERVICE => BACKBONE_TAG_LEN,
            _ if is_vlan(kind) => VLAN_TAG_LEN,
            _ => break,
        };
        // The type of what follows is the last thing in either tag.
        kind = be16(window, offset - size_of::<u16>()).ok_or(Unparsed::Truncated)?;
    }
    if kind <= ethertype::MAX_LENGTH {
        return logical_link(window, offset);
    }
    match kind {
        ethertype::IPV4 => Ok(L3::V4(offset)),
        ethertype::IPV6 => Ok(L3::V6(offset)),
        ethertype::MPLS | ethertype::MPLS_UPSTREAM => mpls(window, offset),
        ethertype::PPPOE_SESSION => ppp(window, offset + PPPOE_HEADER_LEN),
        ethertype::BACKBONE_SERVICE => Err(Unparsed::VlanDepth),
        _ if is_vlan(kind) => Err(Unparsed::VlanDepth),
        _ => Err(Unparsed::NotIp),
    }
}

/// Whether a type announces a VLAN tag.
#[inline(always)]
pub const fn is_vlan(kind: u16) -> bool {
    matches!(kind, ethertype::VLAN | ethertype::PROVIDER_VLAN | ethertype::OLD_QINQ | ethertype::OLD_QINQ_2)
}

/// MPLS (RFC 3032): labels up to the one with the bottom-of-stack bit; what follows says its version itself.
#[inline(always)]
fn mpls<W: Window>(window: &W, start: usize) -> Result<L3, Unparsed> {
    let mut offset = start;
    for _ in 0..MAX_MPLS_LABELS {
        let [_, _, bottom_of_stack, _] = window.read::<MPLS_LABEL_LEN>(offset).ok_or(Unparsed::Truncated)?;
        offset += MPLS_LABEL_LEN;
        if bottom_of_stack & 1 == 1 {
            let [first] = window.read::<1>(offset).ok_or(Unparsed::Truncated)?;
            return match first >> 4 {
                4 => Ok(L3::V4(offset)),
                6 => Ok(L3::V6(offset)),
                _ => Err(Unparsed::NotIp),
            };
        }
    }
    Err(Unparsed::MplsDepth)
}

/// The protocol field of PPP (RFC 1661, one byte where compressed) and what it announces.
#[inline(always)]
fn ppp<W: Window>(window: &W, offset: usize) -> Result<L3, Unparsed> {
    const IPV4: u8 = 0x21;
    const IPV6: u8 = 0x57;
    let [first, second] = window.read::<2>(offset).ok_or(Unparsed::Truncated)?;
    match (first, second) {
        (0, IPV4) => Ok(L3::V4(offset + 2)),
        (0, IPV6) => Ok(L3::V6(offset + 2)),
        (IPV4, _) => Ok(L3::V4(offset + 1)),
        (IPV6, _) => Ok(L3::V6(offset + 1)),
        _ => Err(Unparsed::NotIp),
    }
}

/// 802.2 LLC, with or without SNAP (RFC 1042).
#[inline(always)]
fn logical_link<W: Window>(window: &W, offset: usize) -> Result<L3, Unparsed> {
    const SAP_IP: u8 = 0x06;
    const SAP_SNAP: u8 = 0xaa;
    const UNNUMBERED: u8 = 0x03;
    let [destination, source, control] = window.read::<3>(offset).ok_or(Unparsed::Truncated)?;
    match (destination, source, control) {
        (SAP_IP, SAP_IP, UNNUMBERED) => Ok(L3::V4(offset + 3)),
        (SAP_SNAP, SAP_SNAP, UNNUMBERED) => {
            let [_, _, _, high, low] = window.read::<5>(offset + 3).ok_or(Unparsed::Truncated)?;
            match u16::from_be_bytes([high, low]) {
                ethertype::IPV4 => Ok(L3::V4(offset + 8)),
                ethertype::IPV6 => Ok(L3::V6(offset + 8)),
                _ => Err(Unparsed::NotIp),
            }
        }
        _ => Err(Unparsed::NotIp),
    }
}

#[cfg(test)]
mod tests {
    use std::{vec, vec::Vec};

    use super::*;
    use crate::packet::{SliceWindow, testing::ethernet};

    fn check(header: &[u8], tail: &[u8], expected: Result<L3, Unparsed>) {
        let frame = [header, tail].concat();
        assert_eq!(link(&SliceWindow::whole(&frame)), expected, "{frame:02x?}");
    }

    fn tagged(types: &[u16], last: u16) -> Vec<u8> {
        let mut frame = ethernet(types[0]);
        for kind in types[1..].iter().chain([&last]) {
            frame.extend([0, 100]);
            frame.extend(kind.to_be_bytes());
        }
        frame
    }

    #[test]
    fn ethernet_two() {
        check(&ethernet(0x0800), &[], Ok(L3::V4(14)));
        check(&ethernet(0x86dd), &[], Ok(L3::V6(14)));
        check(&ethernet(0x0806), &[], Err(Unparsed::NotIp));
        check(&ethernet(0x88cc), &[], Err(Unparsed::NotIp));
        check(&ethernet(0x05dd), &[0; 8], Err(Unparsed::NotIp));
    }

    #[test]
    fn up_to_four_vlan_tags_of_any_kind() {
        check(&tagged(&[0x8100], 0x0800), &[], Ok(L3::V4(18)));
        check(&tagged(&[0x88a8, 0x8100], 0x86dd), &[], Ok(L3::V6(22)));
        check(&tagged(&[0x9100, 0x8100], 0x0800), &[], Ok(L3::V4(22)));
        check(&tagged(&[0x9200, 0x9100, 0x88a8, 0x8100], 0x0800), &[], Ok(L3::V4(30)));
        check(&tagged(&[0x8100; 5], 0x0800), &[], Err(Unparsed::VlanDepth));
        check(&tagged(&[0x8100], 0x0806), &[], Err(Unparsed::NotIp));
    }

    #[test]
    fn a_backbone_tag_holds_an_ethernet_header() {
        let inner = |kind: u16| [&[0, 0, 1, 2][..], &ethernet(kind)].concat();
        check(&ethernet(0x88e7), &inner(0x0800), Ok(L3::V4(32)));
        check(&tagged(&[0x88a8], 0x88e7), &inner(0x86dd), Ok(L3::V6(36)));
        check(&ethernet(0x88e7), &[inner(0x8100), vec![0, 5, 0x08, 0x00]].concat(), Ok(L3::V4(36)));
        check(&ethernet(0x88e7), &inner(0x0806), Err(Unparsed::NotIp));
        check(&ethernet(0x88e7), &inner(0x0800)[..17], Err(Unparsed::Truncated));
        check(&tagged(&[0x8100; 4], 0x88e7), &inner(0x0800), Err(Unparsed::VlanDepth));
    }

    #[test]
    fn mpls_down_to_the_bottom_of_the_stack() {
        let label = [0, 1, 0x00, 64];
        let bottom = [0, 1, 0x01, 64];
        check(&ethernet(0x8847), &[&bottom[..], &[0x45]].concat(), Ok(L3::V4(18)));
        check(&ethernet(0x8848), &[&label[..], &bottom, &[0x60]].concat(), Ok(L3::V6(22)));
        check(&ethernet(0x8847), &[&bottom[..], &[0x00]].concat(), Err(Unparsed::NotIp));
        check(&ethernet(0x8847), &label.repeat(MAX_MPLS_LABELS), Err(Unparsed::MplsDepth));
        check(&ethernet(0x8847), &label[..3], Err(Unparsed::Truncated));
        check(&ethernet(0x8847), &bottom, Err(Unparsed::Truncated));
        check(&tagged(&[0x8100], 0x8847), &[&bottom[..], &[0x45]].concat(), Ok(L3::V4(22)));
    }

    #[test]
    fn pppoe_sessions() {
        let session = [0x11, 0, 0, 7, 0, 22];
        check(&ethernet(0x8864), &[&session[..], &[0x00, 0x21]].concat(), Ok(L3::V4(22)));
        check(&ethernet(0x8864), &[&session[..], &[0x00, 0x57]].concat(), Ok(L3::V6(22)));
        check(&ethernet(0x8864), &[&session[..], &[0x21, 0x45]].concat(), Ok(L3::V4(21)));
        check(&ethernet(0x8864), &[&session[..], &[0xc0, 0x21]].concat(), Err(Unparsed::NotIp));
        check(&ethernet(0x8864), &session, Err(Unparsed::Truncated));
        check(&ethernet(0x8863), &session, Err(Unparsed::NotIp));
    }

    #[test]
    fn llc_and_snap() {
        check(&ethernet(100), &[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x00], Ok(L3::V4(22)));
        check(&ethernet(100), &[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd], Ok(L3::V6(22)));
        check(&ethernet(100), &[0xaa, 0xaa, 3, 0, 0, 0, 0x08, 0x06], Err(Unparsed::NotIp));
        check(&ethernet(100), &[0x06, 0x06, 3], Ok(L3::V4(17)));
        check(&ethernet(38), &[0x42, 0x42, 3], Err(Unparsed::NotIp));
        check(&ethernet(100), &[0xaa, 0xaa, 3, 0], Err(Unparsed::Truncated));
        check(&ethernet(100), &[0xaa], Err(Unparsed::Truncated));
    }

    #[test]
    fn a_frame_cut_at_any_byte_is_truncated_or_whole() {
        let whole = tagged(&[0x88a8, 0x8100], 0x0800);
        for len in 0..whole.len() {
            check(&whole[..len], &[], Err(Unparsed::Truncated));
        }
    }
}
