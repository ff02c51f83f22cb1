//! A first guess of what a packet is, in constant time: from its protocol number, its ports and the first 16 bytes of its payload.
//!
//! It is what traffic is billed as where nobody looks deeper: samples over their budget, or no agent that runs. So there are few rules, each with
//! enough fixed bits to be believed on any segment of a connection, which need not be its first. Who asks about several packets of a flow
//! keeps the guess with the most [`Evidence`], and of equal ones the first.
//!
//! Rules are data (`rules`): masks and values of four words, a range of lengths, a service. A packet meets those of its service (`service`)
//! and those of its first byte (`table`), never more than [`CHAIN`] of each, and most meet none. The judges of user space see whole conversations;
//! what takes two messages, or a byte beyond the 16th, is left to them.

mod rule;
mod rules;
mod service;
mod table;
#[cfg(test)]
mod tests;

use crate::class::{Class, Evidence};

/// Most rules that a packet is compared with because of its service, and again because of its first byte.
pub const CHAIN: usize = 4;
/// Bytes of the payload that rules see.
pub const HEAD: usize = 16;

/// Protocol numbers (IANA registry).
mod protocol {
    pub(super) const IPIP: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const GRE: u8 = 47;
    pub(super) const ESP: u8 = 50;
    pub(super) const AH: u8 = 51;
    pub(super) const L2TP: u8 = 115;
}

/// What a packet shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening {
    /// IANA protocol number of the upper layer.
    pub protocol: u8,
    /// Source port in host order; 0 where there is none.
    pub source_port: u16,
    /// Destination port, likewise.
    pub destination_port: u16,
    /// Bytes on the wire behind the L4 header.
    pub payload_len: u32,
    /// The first [`HEAD`] bytes of the payload as big-endian words: byte 0 in the top byte of the first. Zeros where there are fewer.
    pub head: [u32; 4],
}

impl Opening {
    /// The words of a payload, for whoever has it in a slice: the host. The program reads them from its window.
    pub fn head_of(payload: &[u8]) -> [u32; 4] {
        let mut words = [0; 4];
        for (place, byte) in payload.iter().take(HEAD).enumerate() {
            words[place / 4] |= u32::from(*byte) << (24 - 8 * (place % 4));
        }
        words
    }
}

/// What a packet seems to be: [`Evidence::Payload`] where its bytes or its protocol number say so, [`Evidence::Port`] where only a port does,
/// `None` where nothing does or TCP and UDP carry nothing.
#[inline(always)]
pub fn guess(opening: &Opening) -> Option<(Class, Evidence)> {
    let is_udp = match opening.protocol {
        protocol::TCP => false,
        protocol::UDP => true,
        number => return by_number(number).map(|class| (class, Evidence::Payload)),
    };
    if opening.payload_len == 0 {
        return None;
    }
    let listed = service::of([opening.source_port, opening.destination_port]);
    let by_service = || table::by_service(opening, is_udp, listed.service);
    if let Some(class) = by_service().or_else(|| table::by_first_byte(opening, is_udp)) {
        return Some((class, Evidence::Payload));
    }
    by_port(listed, is_udp)
}

/// What a flow seems to be of which only protocol and ports (in host order) are known: the guess of a packet whose bytes say nothing.
pub fn by_ports(protocol: u8, ports: [u16; 2]) -> Option<(Class, Evidence)> {
    match protocol {
        protocol::TCP | protocol::UDP => by_port(service::of(ports), protocol == protocol::UDP),
        number => by_number(number).map(|class| (class, Evidence::Payload)),
    }
}

#[inline(always)]
fn by_port(listed: service::Listed, is_udp: bool) -> Option<(Class, Evidence)> {
    let [over_tcp, over_udp] = listed.classes;
    let class = if is_udp { over_udp } else { over_tcp };
    (class != Class::Unknown).then_some((class, Evidence::Port))
}

/// Protocols that their number names (IANA registry of protocol numbers): ESP (RFC 4303), AH (RFC 4302), IP in IP (RFC 2003, RFC 4213), GRE
/// (RFC 2784; PPTP's data, too, RFC 2637 section 4.1), L2TP version 3 (RFC 3931 section 4.1.1). False alarms: none; what is inside is
/// not looked at.
#[inline(always)]
fn by_number(number: u8) -> Option<Class> {
    match number {
        protocol::ESP | protocol::AH => Some(Class::Ipsec),
        protocol::IPIP | protocol::IPV6 => Some(Class::Ipip),
        protocol::GRE => Some(Class::Gre),
        protocol::L2TP => Some(Class::L2tp),
        _ => None,
    }
}
