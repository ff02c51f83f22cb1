//! The web, and what it is carried by.

use super::super::rule::Rule;
use crate::class::Class::{Http, HttpProxy, Quic, Tls};

/// Answers of proxies: a demand for credentials (RFC 9110 section 15.5.8), and `Connection established` after a CONNECT (section 9.3.6), as all that are
/// known of call it.
///
/// False alarms: none known. Not seen: a request, which origin servers are asked, too; no rule takes a `CONNECT`, so that the answer decides.
pub(super) const HTTP_PROXY: &[Rule] = &[
    Rule::tcp(HttpProxy).bytes(0, b"HTTP/1.").bits(7, 0xf0, b'0').bytes(8, b" 407"),
    Rule::tcp(HttpProxy)
        .bytes(0, b"HTTP/1.")
        .bits(7, 0xf0, b'0')
        .bytes(8, b" 200 ")
        .bits(13, 0xdf, b'C')
        .bytes(14, b"on"),
];

/// Requests and answers of HTTP 1 by the first line (RFC 9112 sections 3 and 4), and what a client opens HTTP 2 with (RFC 9113 section 3.4).
///
/// False alarms: other protocols with such a word and a blank in front of a path.
pub(super) const HTTP: &[Rule] = &[
    Rule::tcp(Http).bytes(0, b"HTTP/1.").bits(7, 0xf0, b'0').bytes(8, b" ").bits(9, 0xf8, b'0'),
    Rule::tcp(Http).bytes(0, b"GET "),
    Rule::tcp(Http).bytes(0, b"POST "),
    Rule::tcp(Http).bytes(0, b"HEAD "),
    Rule::tcp(Http).bytes(0, b"PUT "),
    Rule::tcp(Http).bytes(0, b"DELETE /"),
    // A path or an asterisk.
    Rule::tcp(Http).bytes(0, b"OPTIONS ").bits(8, 0xf8, b'(' & 0xf8),
    Rule::tcp(Http).bytes(0, b"PRI * HTTP/2.0\r\n"),
];

/// The header of a record of TLS: one of four types, a version from SSL 3 to TLS 1.2, less than 32 KiB.
pub(super) const fn record(rule: Rule) -> Rule {
    rule.bits(0, 0xfc, 20).bytes(1, &[3]).bits(2, 0xfc, 0).bits(3, 0x80, 0).len(6, u32::MAX)
}

/// A segment of TLS that begins with a record (RFC 8446 section 5.1).
///
/// False alarms: one of 2^25 segments of anything; what turns to TLS later (STARTTLS), which is known by its beginning.
pub(super) const TLS: &[Rule] = &[record(Rule::tcp(Tls))];

/// A long header of QUIC (RFC 9000 section 17.2), with the fixed bit.
pub(super) const fn long_header(rule: Rule) -> Rule {
    rule.bits(0, 0xc0, 0xc0).len(21, u32::MAX)
}

/// Long headers of versions 1 and 2 (RFC 9000, RFC 9369), of the drafts of version 1, of Google's own with the header of the drafts, and Google's first
/// header with a version (draft-tsvwg-quic-protocol-02 section 6).
///
/// False alarms: one of 2^26 datagrams of anything. Not seen: short headers.
pub(super) const QUIC: &[Rule] = &[
    long_header(Rule::udp(Quic)).bytes(1, &[0, 0, 0, 1]).bits(5, 0xe0, 0),
    long_header(Rule::udp(Quic)).bytes(1, &[0x6b, 0x33, 0x43, 0xcf]).bits(5, 0xe0, 0),
    long_header(Rule::udp(Quic)).bytes(1, &[0xff, 0, 0]),
    long_header(Rule::udp(Quic)).bytes(1, b"Q0").bits(3, 0xf0, b'0').bits(4, 0xf0, b'0'),
    Rule::udp(Quic).bits(0, 0x8b, 0x09).bytes(9, b"Q0").bits(11, 0xf0, b'0').bits(12, 0xf0, b'0'),
];
