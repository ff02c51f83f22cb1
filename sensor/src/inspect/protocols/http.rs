//! HTTP 1 (RFC 9112) by the first line of a request or an answer, on any port, and HTTP 2 in the clear by what a client opens it with (RFC 9113,
//! section 3.4).
//!
//! A request and an answer confirm each other, as does a server's first frame of HTTP 2. Where the beginning was not seen, segments that begin with
//! such a line are taken.
//!
//! False alarms: protocols that borrow the line and are known by another name (RTSP and SIP say so in their version and are not taken). Unseen:
//! bodies in the middle of a connection.

pub(super) mod head;

use sensor_ebpf::class::Class;

use self::head::{Answer, Request, starts};
use super::{Inside, reader::Reader};
use crate::inspect::{Conversation, End, Verdict};

/// What a client opens HTTP 2 with.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The frame that both ends begin with, its numbers, and how long it may be.
const SETTINGS: usize = 4;
const SETTING: usize = 6;
const MAX_SETTINGS: usize = 1 << 14;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let asks = End::ALL.map(|end| starts(conversation, end).any(|start| Request::read(start).is_some()));
    let answers = End::ALL.map(|end| starts(conversation, end).any(|start| Answer::read(start).is_some()));
    let opens = End::ALL.map(|end| conversation.stream(end).starts_with(PREFACE));
    let settles = End::ALL.map(|end| begins_with_settings(conversation.stream(end)));
    let agree = |one: [bool; 2], other: [bool; 2]| one[0] && other[1] || one[1] && other[0];
    if agree(asks, answers) || agree(opens, settles) {
        return Some(Verdict::confirmed(Class::Http));
    }
    let any = asks.into_iter().chain(answers).chain(opens).any(|seen| seen);
    any.then_some(Verdict::payload(Class::Http))
}

/// What else a confirmed one may turn out to be: what the other protocol says that an answer switches to (RFC 9110, section 15.2.2), or what the bodies
/// of requests ask for; proxies and miners show themselves in the heads.
pub(super) fn inside(conversation: &Conversation) -> Inside {
    const SWITCHES: &[&[u8]] = &[b"HTTP/1.1 101 ", b"POST "];
    let has_body = |end| SWITCHES.iter().any(|start| conversation.stream(end).starts_with(start));
    if End::ALL.into_iter().any(has_body) { Inside::MayCome } else { Inside::Cut }
}

/// Whether the first frame of HTTP 2 is `SETTINGS` (RFC 9113, section 6.5).
fn begins_with_settings(stream: &[u8]) -> bool {
    let mut reader = Reader(stream);
    let length = reader.number(3);
    let fits = length.is_some_and(|length| length <= MAX_SETTINGS && length % SETTING == 0);
    fits && reader.number(1) == Some(SETTINGS) && reader.number(1) == Some(0) && reader.number(4) == Some(0)
}

#[cfg(test)]
mod tests;
