//! Names and time.

use super::super::{rule::Rule, service::Service};
use crate::class::Class::{Dns, DnsTunnel, EncryptedDns, Ntp};

/// The raw mode of iodine at port 53 (`doc/proto_00000502.txt` of iodine): three bytes, login, data or ping.
///
/// False alarms: none known; as the DNS it would be an operation that nobody defined. Not seen: tunnels inside names, which take many queries to tell.
pub(super) const DNS_TUNNEL: &[Rule] =
    &[Rule::udp(DnsTunnel).bytes(0, &[0x10, 0xd1, 0x9e]).bits(3, 0xc0, 0).at(Service::Dns)];

/// A query or an answer of the DNS at port 53 (RFC 1035 section 4.1.1): operation 0, one question, less than 256 records of each kind. Over TCP its length
/// stands before it (section 4.2.2), which for a message of one segment is the segment's.
///
/// False alarms: tunnels inside names are this, too.
pub(super) const DNS: &[Rule] = &[
    Rule::udp(Dns)
        .bits(2, 0x78, 0)
        .bits(3, 0x40, 0)
        .bytes(4, &[0, 1, 0])
        .bytes(8, &[0])
        .bytes(10, &[0])
        .len(17, u32::MAX)
        .at(Service::Dns),
    Rule::tcp(Dns)
        .bits(4, 0x78, 0)
        .bits(5, 0x40, 0)
        .bytes(6, &[0, 1, 0])
        .bytes(10, &[0])
        .bytes(12, &[0])
        .length_field(0, 2, 2)
        .len(19, u32::MAX)
        .at(Service::Dns),
];

/// TLS and QUIC at the port of the DNS in them (RFC 7858, RFC 9250).
///
/// False alarms: other services that are moved to port 853.
pub(super) const ENCRYPTED_DNS: &[Rule] = &[
    super::web::record(Rule::tcp(EncryptedDns)).at(Service::EncryptedDns),
    super::web::long_header(Rule::udp(EncryptedDns)).bytes(1, &[0, 0, 0, 1]).at(Service::EncryptedDns),
];

/// NTP at its port (RFC 5905 section 7.3; earlier versions likewise): version 4, or at most 3; a stratum below 32, whole words from 48 bytes on. And control
/// and private messages (RFC 9327 section 2; `ntp_request.h` of ntpd) by their mode.
///
/// False alarms: something else at port 123 that begins with few bits alike.
pub(super) const NTP: &[Rule] = &[
    Rule::udp(Ntp).bits(0, 0x38, 0x20).bits(1, 0xe0, 0).len(48, 1280).multiple(4).at(Service::Ntp),
    Rule::udp(Ntp).bits(0, 0x20, 0).bits(1, 0xe0, 0).len(48, 1280).multiple(4).at(Service::Ntp),
    Rule::udp(Ntp).bits(0, 0x26, 0x06).len(8, 1280).multiple(4).at(Service::Ntp),
];
