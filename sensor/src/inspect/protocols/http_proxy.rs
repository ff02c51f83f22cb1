//! HTTP to a proxy: `CONNECT`, and requests for whole URLs (RFC 9110, section 9.3.6; RFC 9112, section 3.2.2).
//!
//! `CONNECT` is a proxy's once it is answered by success, by a demand for credentials, or by a refusal that names a proxy; a refusal without that
//! is a server that is none, and is HTTP. A whole URL alone says little, as origin servers take them, too: it needs a field that is only meant for
//! proxies (`Proxy-Connection`, `Proxy-Authorization`), a port that is not the server's, or an answer that came by way of one (`Via`). A URL of the
//! server's own address is its own. An answer alone is known by `Connection established` or status 407.
//!
//! Where no answer is seen, because there is none or because it takes another way, one request for a whole URL is what those send who look for open proxies, and
//! HTTP; who asks again was answered.
//!
//! False alarms: a `CONNECT` of who looks for open proxies and gets no answer at all. Unseen: proxies behind TLS, those that hide their fields on port 80, and
//! a single request of which the answer is not seen.

use std::net::IpAddr;

use sensor_ebpf::class::Class;

use super::http::head::{Answer, Request, has_field, has_scheme, starts};
use crate::inspect::{Conversation, End, Verdict};

/// Fields of requests and of answers that only proxies know.
const ASKED: [&[u8]; 2] = [b"Proxy-Connection", b"Proxy-Authorization"];
const ANSWERED: [&[u8]; 5] = [b"Via", b"Proxy-Agent", b"Proxy-Authenticate", b"Proxy-Connection", b"X-Squid-Error"];
/// `Proxy Authentication Required`.
const WANTS_CREDENTIALS: u16 = 407;
const ESTABLISHED: &[u8] = b"connection established";

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let verdict = End::ALL.into_iter().find_map(|client| by_request(conversation, client));
    verdict.unwrap_or_else(|| {
        let is_proxys =
            |answer: Answer<'_>| answer.status == WANTS_CREDENTIALS || answer.reason.eq_ignore_ascii_case(ESTABLISHED);
        let answers = |end| starts(conversation, end).filter_map(Answer::read).any(is_proxys);
        End::ALL.into_iter().any(answers).then_some(Verdict::payload(Class::HttpProxy))
    })
}

/// Outer `None`: there is no request.
fn by_request(conversation: &Conversation, client: End) -> Option<Option<Verdict>> {
    let request = starts(conversation, client).find_map(Request::read)?;
    let server = client.other();
    let answer = starts(conversation, server).find_map(Answer::read);
    let silent = conversation.messages_of(server).next().is_none();
    let names_itself = answer.is_some_and(|answer| {
        answer.status == WANTS_CREDENTIALS || ANSWERED.iter().any(|field| has_field(answer.head, field))
    });
    let succeeded = answer.is_some_and(|answer| (200..400).contains(&answer.status));
    if request.method == b"CONNECT" {
        if authority(request.target).1.is_none() {
            return Some(None);
        }
        return Some(evidence(succeeded || names_itself, silent));
    }
    let Some((scheme, rest)) = has_scheme(request.target) else { return Some(None) };
    let (host, port) = authority(rest);
    let wanted = port.unwrap_or(if scheme.eq_ignore_ascii_case(b"http") { 80 } else { 443 });
    let is_own = std::str::from_utf8(host)
        .is_ok_and(|host| host.parse::<IpAddr>().is_ok_and(|address| address == conversation.address(server)));
    if is_own {
        return Some(None);
    }
    let meant = ASKED.iter().any(|field| has_field(request.head, field)) || wanted != conversation.port(server);
    Some(evidence(names_itself || meant && succeeded, meant && silent && asks_again(conversation, client)))
}

/// Whether a client sent more than one request for a whole URL, and not the same one twice.
fn asks_again(conversation: &Conversation, client: End) -> bool {
    let is_whole = |bytes: &&[u8]| Request::read(bytes).is_some_and(|request| has_scheme(request.target).is_some());
    let mut asked = conversation.messages_of(client).map(|message| message.bytes.as_slice()).filter(is_whole);
    asked.next().is_some_and(|first| asked.any(|next| next != first))
}

fn evidence(agreed: bool, asked: bool) -> Option<Verdict> {
    if agreed {
        Some(Verdict::confirmed(Class::HttpProxy))
    } else {
        asked.then_some(Verdict::payload(Class::HttpProxy))
    }
}

/// Host and port in front of a path.
fn authority(rest: &[u8]) -> (&[u8], Option<u16>) {
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let authority = &rest[..end];
    let port = authority.iter().rposition(|byte| *byte == b':').and_then(|at| {
        let port = std::str::from_utf8(&authority[at + 1..]).ok()?.parse().ok()?;
        Some((at, port))
    });
    let (host, port) = port.map_or((authority, None), |(at, port)| (&authority[..at], Some(port)));
    (host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host), port)
}

#[cfg(test)]
mod tests;
