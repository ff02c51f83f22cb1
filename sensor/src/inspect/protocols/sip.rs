//! Session Initiation Protocol (RFC 3261, and the methods that others added), over UDP and TCP, by the first line of a request or an
//! answer: a method with the URI of somebody to call or the version, or "SIP/2.0" and a code. The port means nothing.
//!
//! Both ends are `confirmed`. False alarms: none known; OPTIONS, NOTIFY and SUBSCRIBE of HTTP, RTSP and SSDP have other URIs and versions.
//! Cannot see: SIP in TLS (port 5061), and what is agreed on (RTP).

use sensor_ebpf::class::Class;

use super::text::{is_one_of, lines, starts_with, words};
use crate::inspect::{Conversation, End, Verdict};

/// Methods (IANA registry of SIP parameters).
const METHODS: &[&str] = &[
    "INVITE",
    "ACK",
    "BYE",
    "CANCEL",
    "OPTIONS",
    "REGISTER",
    "PRACK",
    "SUBSCRIBE",
    "NOTIFY",
    "PUBLISH",
    "INFO",
    "REFER",
    "MESSAGE",
    "UPDATE",
];
/// Whom a request may be for.
const SCHEMES: [&str; 4] = ["sip:", "sips:", "tel:", "urn:service:"];
/// The version, of requests at the end and of answers at the beginning.
const VERSION: &str = "SIP/2.0";

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    match End::ALL.map(|end| speaks(conversation, end)) {
        [true, true] => Some(Verdict::confirmed(Class::Sip)),
        [false, false] => None,
        _ => Some(Verdict::payload(Class::Sip)),
    }
}

fn speaks(conversation: &Conversation, end: End) -> bool {
    is_message(conversation.stream(end))
        || (conversation.is_udp() || conversation.is_tcp())
            && conversation.messages_of(end).any(|message| is_message(&message.bytes))
}

/// Whether the first line is one of SIP's; empty lines in front keep a way through NATs open (RFC 5626 section 3.5.1).
fn is_message(bytes: &[u8]) -> bool {
    let Some(line) = lines(bytes.trim_ascii_start()).next() else { return false };
    if starts_with(line, VERSION) {
        return words(line).nth(1).is_some_and(is_code);
    }
    let mut words = words(line);
    words.next().is_some_and(|method| is_one_of(method, METHODS))
        && words.next().is_some_and(|uri| {
            SCHEMES.iter().any(|scheme| starts_with(uri, scheme))
                || words.next().is_some_and(|version| is_one_of(version, &[VERSION]))
        })
}

/// Whether an answer is one of the six classes of section 7.2.
fn is_code(word: &[u8]) -> bool {
    matches!(word, [b'1'..=b'6', b'0'..=b'9', b'0'..=b'9'])
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    const ASK: &[u8] = b"OPTIONS sip:you@example SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n\r\n";
    const ANSWER: &[u8] = b"SIP/2.0 603 Decline\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n\r\n";

    #[test]
    fn requests_and_answers() {
        for of in [udp, tcp] {
            let registers = b"\r\n\r\nREGISTER tel:+1 SIP/2.0\r\n\r\n";
            for bytes in
                [ASK, ANSWER, registers, b"SIP/2.0 200 OK\r\n", b"INVITE sips:a@b", b"INVITE odd:a SIP/2.0\r\n"]
            {
                assert_eq!(judge(&of([40_000, 50_000], &[(End::Server, bytes)])), Some(Verdict::payload(Class::Sip)));
            }
            let both = [(End::Client, ASK), (End::Server, ANSWER)];
            assert_eq!(judge(&of([40_000, 50_000], &both)), Some(Verdict::confirmed(Class::Sip)));
        }
        let behind = [(End::Client, &[0; 4][..]), (End::Client, ASK)];
        assert_eq!(judge(&udp([40_000, 5060], &behind)), Some(Verdict::payload(Class::Sip)));
    }

    #[test]
    fn what_only_looks_like_it() {
        for bytes in [
            &b"OPTIONS * HTTP/1.1\r\n\r\n"[..],
            b"OPTIONS rtsp://example RTSP/1.0\r\n",
            b"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n",
            b"SIP/2.0\r\n",
            b"SIP/2.0 many\r\n",
            b"GET sip:you HTTP/1.1\r\n",
            b"hello",
        ] {
            for of in [udp, tcp] {
                assert_eq!(judge(&of([5060, 5060], &[(End::Client, bytes)])), None);
            }
        }
        bears_anything(judge, [5060, 5060], &[ASK, ANSWER]);
    }
}
