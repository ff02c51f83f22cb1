//! Link layers of captures: how long their header is, and what stands behind it.
//!
//! Sources: the list of link types at <https://www.tcpdump.org/linktypes.html> and the documents it names. Everything here looks at
//! captured bytes only, reads each field with a bound and answers with a value.

mod container;
mod ppp;
mod wireless;

use crate::capture::LinkType;

/// What stands behind a link header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// Ethernet, which the engine reads itself.
    Ethernet,
    /// A packet announced by an ethertype.
    Type(u16),
    /// An 802.2 LLC header.
    Llc,
    /// Something that is not IP.
    NotIp,
    /// The captured bytes end within the link header.
    Truncated,
}

/// A link header: its length, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the header.
    pub(super) len: usize,
    /// What stands behind it.
    pub(super) payload: Payload,
}

pub(super) mod ethertype {
    //! Ethertypes that link layers without one are mapped to.
    pub(in super::super) const IPV4: u16 = 0x0800;
    pub(in super::super) const IPV6: u16 = 0x86dd;
    pub(in super::super) const MPLS: u16 = 0x8847;
    pub(in super::super) const MPLS_MULTICAST: u16 = 0x8848;
    pub(in super::super) const PPPOE_SESSION: u16 = 0x8864;
    /// Reserved (RFC 1701): nothing carries it, so a frame that is given it is `not_ip`.
    pub(in super::super) const RESERVED: u16 = 0xffff;
}

/// Link types by number that [`LinkType`] has no name for.
mod number {
    pub(super) const SLIP: u32 = 8;
    pub(super) const ARCNET: u32 = 7;
    pub(super) const ATM_RFC1483: u32 = 100;
    pub(super) const CISCO_HDLC: u32 = 104;
    pub(super) const IEEE802_11: u32 = 105;
    pub(super) const FRAME_RELAY: u32 = 107;
    pub(super) const SUN_ATM: u32 = 123;
    pub(super) const RADIOTAP: u32 = 127;
    pub(super) const ARCNET_LINUX: u32 = 129;
    pub(super) const MTP2: u32 = 140;
    pub(super) const BACNET_MS_TP: u32 = 165;
    pub(super) const PPI: u32 = 192;
    pub(super) const NFLOG: u32 = 239;
    pub(super) const NETLINK: u32 = 253;
    pub(super) const PKTAP: u32 = 258;
}

impl Header {
    const fn new(len: usize, payload: Payload) -> Self {
        Self { len, payload }
    }

    const TRUNCATED: Self = Self::new(0, Payload::Truncated);
}

/// Whether frames of a link type can be read.
pub(super) fn is_known(link_type: LinkType) -> bool {
    header(link_type, &[]).is_some()
}

/// The link header of a frame; `None` for a link type that this version does not know.
pub(super) fn header(link_type: LinkType, frame: &[u8]) -> Option<Header> {
    // The function of a link type reads its fields with `?`: a field that is not there is a header that is cut.
    let whole = |header: Option<Header>| header.unwrap_or(Header::TRUNCATED);
    Some(match link_type {
        LinkType::Ethernet => Header::new(0, Payload::Ethernet),
        LinkType::Raw | LinkType::Ipv4 | LinkType::Ipv6 => whole(raw_ip(frame)),
        LinkType::Null => whole(loopback(frame, u32::from_ne_bytes)),
        LinkType::Loop => whole(loopback(frame, u32::from_be_bytes)),
        LinkType::LinuxSll => whole(cooked(frame, 14, 16)),
        LinkType::LinuxSll2 => whole(cooked(frame, 0, 20)),
        LinkType::Ppp => whole(ppp::ppp(frame)),
        LinkType::PppHdlc => whole(ppp::serial(frame)),
        LinkType::PppEther => Header::new(0, Payload::Type(ethertype::PPPOE_SESSION)),
        LinkType::Other(number) => whole(other(number, frame)?),
    })
}

fn other(link_type: u32, frame: &[u8]) -> Option<Option<Header>> {
    Some(match link_type {
        number::CISCO_HDLC => ppp::cisco(frame),
        number::FRAME_RELAY => ppp::frame_relay(frame),
        number::IEEE802_11 => wireless::ieee802_11(frame, 0),
        number::RADIOTAP => wireless::radiotap(frame),
        number::PPI => container::ppi(frame),
        number::PKTAP => container::pktap(frame),
        number::NFLOG => container::nflog(frame),
        number::ATM_RFC1483 => Some(Header::new(0, Payload::Llc)),
        number::SUN_ATM => sun_atm(frame),
        number::ARCNET => arcnet(frame, 2),
        number::ARCNET_LINUX => arcnet(frame, 4),
        // Links that carry no IP, or (SLIP) only behind a header that captures leave out.
        number::SLIP | number::MTP2 | number::BACNET_MS_TP | number::NETLINK => Some(Header::new(0, Payload::NotIp)),
        _ => return None,
    })
}

/// No header at all: the version field says which IP it is, also where the link type names one and the packet is the other.
fn raw_ip(frame: &[u8]) -> Option<Header> {
    let payload = match frame.first()? >> 4 {
        4 => Payload::Type(ethertype::IPV4),
        6 => Payload::Type(ethertype::IPV6),
        _ => Payload::NotIp,
    };
    Some(Header::new(0, payload))
}

/// BSD loopback: an address family, for `NULL` in the byte order of the machine that captured, which may be the other one. What is
/// too large for a family is an ethertype, as some writers store it.
fn loopback(frame: &[u8], order: fn([u8; 4]) -> u32) -> Option<Header> {
    const LEN: usize = 4;
    const LOW_HALF: u32 = 0xffff;
    const IPV4: u32 = 2;
    /// Linux, NetBSD and OpenBSD, FreeBSD, Darwin.
    const IPV6: [u32; 4] = [10, 24, 28, 30];
    const FIRST_ETHERTYPE: u32 = 0x0600;
    let family = order(*frame.first_chunk::<LEN>()?);
    let family = if family > LOW_HALF { family.swap_bytes() & LOW_HALF } else { family };
    let payload = match family {
        IPV4 => Payload::Type(ethertype::IPV4),
        _ if IPV6.contains(&family) => Payload::Type(ethertype::IPV6),
        FIRST_ETHERTYPE..=LOW_HALF => Payload::Type(family as u16),
        _ => Payload::NotIp,
    };
    Some(Header::new(LEN, payload))
}

/// Linux cooked capture: an ethertype at `kind`, or one of Linux' own numbers for frames without one.
fn cooked(frame: &[u8], kind: usize, len: usize) -> Option<Header> {
    const LLC: u16 = 0x0004;
    frame.get(..len)?;
    let payload = match be16(frame, kind)? {
        LLC => Payload::Llc,
        kind => Payload::Type(kind),
    };
    Some(Header::new(len, payload))
}

/// SunATM: four bytes of which the first names the kind of traffic; multiplexed protocols come with LLC.
fn sun_atm(frame: &[u8]) -> Option<Header> {
    const LEN: usize = 4;
    const KIND: u8 = 0x0f;
    const LLC_MULTIPLEXED: u8 = 2;
    let payload = if frame.first_chunk::<LEN>()?[0] & KIND == LLC_MULTIPLEXED { Payload::Llc } else { Payload::NotIp };
    Some(Header::new(LEN, payload))
}

/// ARCNET: addresses, a protocol number at `kind`, and (RFC 1201) a split flag and a sequence number; RFC 1051 has neither.
fn arcnet(frame: &[u8], kind: usize) -> Option<Header> {
    const IP_RFC1051: u8 = 240;
    const IP_RFC1201: u8 = 212;
    const IPV6_RFC1201: u8 = 196;
    /// A split flag that announces two more bytes of flag and sequence.
    const EXCEPTION: u8 = 0xff;
    const LONG_SPLIT: usize = 4;
    let split = |kind: usize| {
        let flag = *frame.get(kind + 1)?;
        Some(kind + 4 + if flag == EXCEPTION { LONG_SPLIT } else { 0 })
    };
    Some(match *frame.get(kind)? {
        IP_RFC1051 => Header::new(kind + 1, Payload::Type(ethertype::IPV4)),
        IP_RFC1201 => Header::new(split(kind)?, Payload::Type(ethertype::IPV4)),
        IPV6_RFC1201 => Header::new(split(kind)?, Payload::Type(ethertype::IPV6)),
        _ => Header::new(kind + 1, Payload::NotIp),
    })
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn le32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests;
