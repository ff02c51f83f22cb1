//! Calls and chat.

use super::super::{rule::Rule, service::Service};
use crate::class::Class::{Irc, Sip};

/// An answer of SIP, and requests for a `sip` or `sips` URI (RFC 3261 sections 7.1 and 7.2; IANA registry of SIP methods).
///
/// False alarms: none known; requests of HTTP and RTSP are for other URIs.
pub(super) const SIP: &[Rule] = &[
    Rule::any(Sip).bytes(0, b"SIP/2.0 "),
    Rule::any(Sip).bytes(0, b"INVITE sip"),
    Rule::any(Sip).bytes(0, b"REGISTER sip"),
    Rule::any(Sip).bytes(0, b"OPTIONS sip"),
    Rule::any(Sip).bytes(0, b"ACK sip"),
    Rule::any(Sip).bytes(0, b"BYE sip"),
    Rule::any(Sip).bytes(0, b"CANCEL sip"),
    Rule::any(Sip).bytes(0, b"MESSAGE sip"),
    Rule::any(Sip).bytes(0, b"NOTIFY sip"),
    Rule::any(Sip).bytes(0, b"SUBSCRIBE sip"),
    Rule::any(Sip).bytes(0, b"INFO sip"),
    Rule::any(Sip).bytes(0, b"REFER sip"),
    Rule::any(Sip).bytes(0, b"UPDATE sip"),
    Rule::udp(Sip).bytes(0, b"PUBLISH sip"),
    Rule::udp(Sip).bytes(0, b"PRACK sip"),
];

/// Lines of IRC: anywhere what only IRC has (a channel joined, words to somebody, RFC 2812 sections 3.2.1 and 3.3.1; a first notice; capabilities, IRCv3), at its
/// ports who registers (section 3.1), and what a server says behind its name (section 2.3): 15 bytes of ASCII.
///
/// False alarms: at the ports other lines that begin with such a word or a colon.
pub(super) const IRC: &[Rule] = &[
    Rule::tcp(Irc).bytes(0, b"NOTICE AUTH :***"),
    Rule::tcp(Irc).bytes(0, b"CAP LS"),
    Rule::tcp(Irc).bytes(0, b"JOIN #"),
    Rule::tcp(Irc).bytes(0, b"PRIVMSG "),
    Rule::tcp(Irc).bytes(0, b"NICK ").at(Service::Irc),
    Rule::tcp(Irc).bytes(0, b"USER ").at(Service::Irc),
    Rule::tcp(Irc).bytes(0, b"PASS ").at(Service::Irc),
    Rule::tcp(Irc).bytes(0, b":").each(1, 15, 0x80, 0).at(Service::Irc),
];
