//! What HTTP 1 messages begin with (RFC 9112, sections 2 to 5).

use crate::inspect::{Conversation, End};

/// Methods (IANA registry of HTTP methods, and those of UPnP).
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"CONNECT",
    b"TRACE",
    b"PATCH",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"REPORT",
    b"SEARCH",
    b"CHECKOUT",
    b"CHECKIN",
    b"MKACTIVITY",
    b"MERGE",
    b"MKCALENDAR",
    b"ACL",
    b"BIND",
    b"REBIND",
    b"UNBIND",
    b"LINK",
    b"UNLINK",
    b"LABEL",
    b"ORDERPATCH",
    b"UPDATE",
    b"UNCHECKOUT",
    b"VERSION-CONTROL",
    b"BASELINE-CONTROL",
    b"MKWORKSPACE",
    b"MKREDIRECTREF",
    b"UPDATEREDIRECTREF",
    b"QUERY",
    b"NOTIFY",
    b"SUBSCRIBE",
    b"UNSUBSCRIBE",
    b"BPROPFIND",
    b"BPROPPATCH",
    b"BCOPY",
    b"BMOVE",
    b"BDELETE",
    b"POLL",
    b"RPC_IN_DATA",
    b"RPC_OUT_DATA",
    b"PURGE",
];
/// Empty lines that may stand before a request (RFC 9112, section 2.2).
const MAX_EMPTY: usize = 4;

/// A request, as far as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Request<'a> {
    pub(in super::super) method: &'a [u8],
    pub(in super::super) target: &'a [u8],
    /// The lines behind the first.
    pub(in super::super) head: &'a [u8],
}

/// An answer, as far as it is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Answer<'a> {
    pub(in super::super) status: u16,
    pub(in super::super) reason: &'a [u8],
    /// The lines behind the first.
    pub(in super::super) head: &'a [u8],
}

impl<'a> Request<'a> {
    /// Reads the request at the start of these bytes.
    pub(in super::super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let empty = bytes.iter().take(MAX_EMPTY).take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let (line, head, ended) = first_line(&bytes[empty..]);
        let (method, rest) = line.split_at_checked(line.iter().position(|byte| *byte == b' ')?)?;
        if !METHODS.contains(&method) {
            return None;
        }
        let rest = rest.trim_ascii();
        let target = rest.split(|byte| *byte == b' ').next()?;
        let behind = rest.get(target.len()..)?.trim_ascii();
        let is_path = target.starts_with(b"/") || has_scheme(target).is_some();
        let is_http = if rest.windows(7).any(|window| window == b"HTTP/1.") {
            // The version is the last word; targets with spaces in them are seen, too.
            true
        } else if ended {
            // The first version had a path only (RFC 1945, section 5.1).
            behind.is_empty() && is_path && method == b"GET"
        } else {
            // The line goes on beyond what is there.
            is_path && (behind.is_empty() || b"HTTP/1.".starts_with(behind))
        };
        (is_http && !target.is_empty()).then_some(Self { method, target, head })
    }
}

impl<'a> Answer<'a> {
    /// Reads the answer at the start of these bytes.
    pub(in super::super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let (line, head, _) = first_line(bytes);
        let rest = line.strip_prefix(b"HTTP/1.")?;
        let (version, rest) = rest.split_first()?;
        let digits: &[u8; 3] = rest.strip_prefix(b" ")?.first_chunk()?;
        if !version.is_ascii_digit() || !digits.iter().all(u8::is_ascii_digit) || !(b'1'..=b'9').contains(&digits[0]) {
            return None;
        }
        let status = digits.iter().fold(0, |status, digit| status * 10 + u16::from(digit - b'0'));
        Some(Self { status, reason: rest.get(4..).unwrap_or_default().trim_ascii(), head })
    }
}

/// The scheme of a target that is a whole URL, and what is behind it.
pub(in super::super) fn has_scheme(target: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = target.windows(3).position(|window| window == b"://")?;
    let scheme = &target[..at];
    let is_known = [&b"http"[..], b"https", b"ftp", b"ws"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    is_known.then(|| (scheme, &target[at + 3..]))
}

/// Whether a field of that name is in a head.
pub(in super::super) fn has_field(head: &[u8], name: &[u8]) -> bool {
    head.split(|byte| *byte == b'\n').take_while(|line| !line.trim_ascii().is_empty()).any(|line| {
        line.split_at_checked(name.len())
            .is_some_and(|(start, rest)| start.eq_ignore_ascii_case(name) && rest.first() == Some(&b':'))
    })
}

/// The first line, what is behind it, and whether it ended.
fn first_line(bytes: &[u8]) -> (&[u8], &[u8], bool) {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (bytes[..end].trim_ascii_end(), &bytes[end + 1..], true),
        None => (bytes, &[], false),
    }
}

/// What an end said, from places where a message may begin: the start of its stream; where that was not the connection's, of its segments, too.
pub(in super::super) fn starts(conversation: &Conversation, end: End) -> impl Iterator<Item = &[u8]> {
    let messages = conversation.messages_of(end).map(|message| message.bytes.as_slice());
    let seen_whole = conversation.from_start(end);
    std::iter::once(conversation.stream(end)).chain(messages.filter(move |_| !seen_whole))
}
