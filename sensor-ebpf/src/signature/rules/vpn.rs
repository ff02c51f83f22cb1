//! Virtual private networks, and SOCKS.

use super::super::{rule::Rule, service::Service};
use crate::class::Class::{Ipsec, L2tp, OpenVpn, Pptp, Socks, WireGuard};

/// Messages of WireGuard (protocol paper, section 5.4; `drivers/net/wireguard/messages.h` of Linux): a type in four bytes, little endian, the
/// exact length of the three handshake messages, an index and keys that are random; data are padded to 16 bytes and have a counter, here below
/// 2^32.
///
/// False alarms: a message of another protocol with such a number, length and random bytes behind it, of which none is known. Not seen:
/// reserved bytes that are used (Cloudflare WARP), one in sixteen cookies by its index.
pub(super) const WIREGUARD: &[Rule] = &[
    Rule::udp(WireGuard).bytes(0, &[1, 0, 0, 0]).random(0b1110).len(148, 148),
    Rule::udp(WireGuard).bytes(0, &[2, 0, 0, 0]).random(0b1110).len(92, 92),
    Rule::udp(WireGuard).bytes(0, &[3, 0, 0, 0]).random(0b1110).len(64, 64),
    Rule::udp(WireGuard).bytes(0, &[4, 0, 0, 0]).bytes(12, &[0; 4]).random(0b0010).len(32, u32::MAX).multiple(16),
];

/// The id of a first protected packet: 1, or that of a client whose server may forget it (`EARLY_NEG_START` of `ssl_pkt.h`, plus one).
const fn first_id(rule: Rule, place: usize) -> Rule {
    rule.bits(place, 0xf0, 0).bytes(place + 1, &[0, 0, 1])
}

/// Hard resets of OpenVPN (draft-openvpn-specification; `ssl_pkt.h` and `tls_crypt.h` of OpenVPN 2.6), the first packets of both ends: opcode and
/// key id 0, a session id, then without protection no acknowledgement (or one) and message 0, with tls-crypt the packet id 1, a time from
/// 2004 to 2038 and the exact length, with tls-crypt-v2 a wrapped key behind that. Over TCP a length stands before it. With tls-auth only random
/// bytes are within sight: over TCP the length with SHA-1 before it is enough, over UDP it counts at port 1194, from the length with SHA-1 to that
/// with SHA-512. So do data there, by a peer id below 256, and other control packets over TCP.
///
/// False alarms: none known by bytes that are no others'; by chance one of 2^24 segments of 44 or 56 bytes, at port 1194 one of 2^16 packets.
pub(super) const OPENVPN: &[Rule] = &[
    Rule::udp(OpenVpn).bytes(0, &[0x38]).bytes(9, &[0; 5]).random(0b0010).len(14, 14),
    Rule::udp(OpenVpn).bytes(0, &[0x40]).bytes(9, &[1, 0, 0, 0, 0]).random(0b0010).len(26, 26),
    first_id(Rule::udp(OpenVpn).bytes(0, &[0x38]), 9).bits(13, 0xc0, 0x40).random(0b0010).len(54, 60),
    first_id(Rule::udp(OpenVpn).bytes(0, &[0x40]), 9).bits(13, 0xc0, 0x40).random(0b0010).len(66, 72),
    first_id(Rule::udp(OpenVpn).bytes(0, &[0x50]), 9).bits(13, 0xc0, 0x40).random(0b0010).len(54, 1200),
    Rule::tcp(OpenVpn).bytes(0, &[0, 14, 0x38]).bytes(11, &[0; 5]).random(0b0010).len(16, 16),
    Rule::tcp(OpenVpn).bytes(0, &[0, 26, 0x40]).bytes(11, &[1, 0, 0, 0, 0]).random(0b0010).len(28, 28),
    first_id(Rule::tcp(OpenVpn).bytes(0, &[0, 54, 0x38]), 11).bits(15, 0xc0, 0x40).random(0b0010).len(56, 56),
    first_id(Rule::tcp(OpenVpn).bytes(0, &[0, 60, 0x38]), 11).bits(15, 0xc0, 0x40).random(0b0010).len(62, 62),
    first_id(Rule::tcp(OpenVpn).bytes(0, &[0, 66, 0x40]), 11).bits(15, 0xc0, 0x40).random(0b0010).len(68, 68),
    first_id(Rule::tcp(OpenVpn).bytes(0, &[0, 72, 0x40]), 11).bits(15, 0xc0, 0x40).random(0b0010).len(74, 74),
    Rule::tcp(OpenVpn).bytes(0, &[0, 42, 0x38]).random(0b1110).len(44, 44),
    Rule::tcp(OpenVpn).bytes(0, &[0, 54, 0x40]).random(0b1110).len(56, 56),
    Rule::udp(OpenVpn).bytes(0, &[0x38]).random(0b0110).len(42, 86).at(Service::OpenVpn),
    Rule::udp(OpenVpn).bytes(0, &[0x40]).random(0b0110).len(54, 98).at(Service::OpenVpn),
    Rule::udp(OpenVpn).bits(0, 0xf8, 0x48).bytes(1, &[0, 0]).at(Service::OpenVpn),
    Rule::tcp(OpenVpn).bytes(0, &[0]).bits(2, 0xf7, 0x30).length_field(0, 2, 2).random(0b0110).at(Service::OpenVpn),
];

/// A first message of IKE at port 500: the SPI of the initiator, which is random, and none of the responder (RFC 2408 section 3.1, RFC 7296
/// section 3.1). At port 4500 (RFC 3948): four zeros and an SPI, where ESP has an SPI of its own; a keepalive of one byte. Over TCP: its prefix
/// (RFC 8229 section 4). Version and exchange stand behind the 16th byte.
///
/// False alarms: none known.
pub(super) const IPSEC: &[Rule] = &[
    Rule::udp(Ipsec).bytes(8, &[0; 8]).random(0b0011).len(28, u32::MAX).at(Service::Ike),
    Rule::udp(Ipsec).bytes(0, &[0; 4]).random(0b0110).len(32, u32::MAX).at(Service::IkeNat),
    Rule::udp(Ipsec).bytes(0, &[0xff]).len(1, 1).at(Service::IkeNat),
    Rule::tcp(Ipsec).bytes(0, b"IKETCP"),
];

/// Control messages of L2TP at its port (RFC 2661 section 3.1, RFC 3931 section 4.1.2): their bits, version 2 or 3, a length that is that of the
/// datagram; and data of version 2 with a length, or with the address and control bytes of PPP (RFC 1662) behind a header of six bytes.
///
/// False alarms: none known.
pub(super) const L2TP: &[Rule] = &[
    Rule::udp(L2tp).bits(0, 0xf4, 0xc0).bits(1, 0xfe, 2).length_field(2, 2, 0).len(12, u32::MAX).at(Service::L2tp),
    Rule::udp(L2tp).bits(0, 0xf4, 0x40).bytes(1, &[2]).length_field(2, 2, 0).len(8, u32::MAX).at(Service::L2tp),
    Rule::udp(L2tp).bits(0, 0xfe, 0).bytes(1, &[2]).bytes(6, &[0xff, 0x03]).at(Service::L2tp),
];

/// A control message of PPTP at its port (RFC 2637 section 2): less than 256 bytes, type 1, the magic cookie, one of fifteen numbers, zeros.
///
/// False alarms: none known.
pub(super) const PPTP: &[Rule] = &[Rule::tcp(Pptp)
    .bytes(0, &[0])
    .bytes(2, &[0, 1, 0x1a, 0x2b, 0x3c, 0x4d, 0])
    .bits(9, 0xf0, 0)
    .bytes(10, &[0, 0])
    .at(Service::Pptp)];

/// A request of SOCKS 5 to connect, and the answer that it is done (RFC 1928 sections 4 and 6), whole: its length is that of its kind of address. At
/// port 1080 also a greeting that offers one or two methods, no authentication first (section 3), and a request and an answer of version 4 (the
/// memo of Ying-Da Lee).
///
/// False alarms: at port 1080 one of 2^16 segments. Elsewhere none known; version 4 has too few fixed bytes there, OpenFlow begins alike.
pub(super) const SOCKS: &[Rule] = &[
    Rule::tcp(Socks).bytes(0, &[5, 1, 0, 1]).len(10, 10),
    Rule::tcp(Socks).bytes(0, &[5, 1, 0, 3]).bits(4, 0x80, 0).length_field(4, 1, 7).len(9, 134),
    Rule::tcp(Socks).bytes(0, &[5, 0, 0, 1]).len(10, 10),
    Rule::tcp(Socks).bytes(0, &[5, 1, 0]).len(3, 3).at(Service::Socks),
    Rule::tcp(Socks).bytes(0, &[5, 2, 0]).len(4, 4).at(Service::Socks),
    Rule::tcp(Socks).bytes(0, &[4, 1]).len(9, 520).at(Service::Socks),
    Rule::tcp(Socks).bytes(0, &[0]).bits(1, 0xfc, 0x58).len(8, 8).at(Service::Socks),
];
