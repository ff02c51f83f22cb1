//! SOCKS 5 (RFC 1928) and 4 with its extension 4a (the memo of Ying-Da Lee). The first bytes are few, so that the answer has to fit them.
//!
//! Confirmed: methods, and the choice of one of them, or a request of version 4 and its answer; whatever follows has to fit, too. Whoever connected may be
//! the proxy, and may have said a word before (reverse proxies). Payload: of one end alone, methods and a request, a choice and a reply, or a request of
//! version 4a with a name.
//!
//! False alarms: none known once both agree. Not seen: a greeting alone, version 4 without its answer, encrypted SOCKS, datagrams.

use sensor_ebpf::class::Class;

use super::bytes::u16_at;
use crate::inspect::{Conversation, End, Verdict};

/// The most methods that are offered by anybody.
const MAX_METHODS: usize = 16;
/// No method is acceptable.
const NONE: u8 = 0xFF;
/// The longest name of a user, and of a host.
const MAX_NAME: usize = 255;
/// A reply of version 4.
const REPLY4: usize = 8;
/// Messages in which a greeting is looked for where it is not the first.
const MAX_LATE: usize = 4;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let first = |end| agree(conversation.stream(end), conversation.stream(end.other()));
    if End::ALL.iter().any(|end| first(*end)) || is_late(conversation) {
        return Some(Verdict::confirmed(Class::Socks));
    }
    let is_alone = End::ALL.iter().any(|end| {
        // The other one said nothing that was seen, else it would have agreed.
        conversation.stream(end.other()).is_empty() && is_half(conversation.stream(*end))
    });
    is_alone.then_some(Verdict::payload(Class::Socks))
}

/// Whether these are a client and a proxy.
fn agree(client: &[u8], proxy: &[u8]) -> bool {
    match client.first() {
        Some(5) => agree5(client, proxy).unwrap_or_default(),
        Some(4) => request4(client).is_some() && is_reply4(proxy),
        _ => false,
    }
}

/// Whether a proxy chose one of the methods of a client, and both went on as they have to.
fn agree5(client: &[u8], proxy: &[u8]) -> Option<bool> {
    let (methods, request) = methods(client)?;
    let ([5, chosen], reply) = proxy.split_first_chunk::<2>()? else { return None };
    if *chosen == NONE {
        return Some(request.is_empty() && reply.is_empty());
    }
    let goes_on = match chosen {
        0 => (request.is_empty() || is_request5(request)) && (reply.is_empty() || is_reply5(reply)),
        // Name and password, and their answer (RFC 1929).
        2 => (request.is_empty() || request[0] == 1) && (reply.is_empty() || reply[0] == 1),
        _ => true,
    };
    Some(methods.contains(chosen) && goes_on)
}

/// The methods of a greeting, and what is behind them.
fn methods(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([5, count], rest) = bytes.split_first_chunk::<2>()? else { return None };
    let (methods, rest) = rest.split_at_checked(usize::from(*count))?;
    // Registered ones, up to JSON parameters, and private ones; each once.
    let is_method = |method: &u8| *method <= 9 || (0x80..NONE).contains(method);
    let is_once = methods.iter().enumerate().all(|(place, method)| !methods[..place].contains(method));
    let is_greeting = (1..=MAX_METHODS).contains(&methods.len()) && methods.iter().all(is_method) && is_once;
    is_greeting.then_some((methods, rest))
}

/// Whether this begins with a request: connect, bind or associate.
fn is_request5(bytes: &[u8]) -> bool {
    matches!(bytes, [5, 1..=3, 0, ..]) && address5(bytes).is_some()
}

/// Whether this begins with a reply: one of nine.
fn is_reply5(bytes: &[u8]) -> bool {
    matches!(bytes, [5, 0..=8, 0, ..]) && address5(bytes).is_some()
}

/// How many bytes a request or a reply takes, by the kind of its address.
fn address5(bytes: &[u8]) -> Option<usize> {
    Some(match bytes.get(3)? {
        1 => 10,
        3 => 7 + usize::from(*bytes.get(4)?),
        4 => 22,
        _ => return None,
    })
}

/// A request of version 4 and whether it has the name of a host; then it is 4a.
fn request4(bytes: &[u8]) -> Option<bool> {
    let ([4, 1 | 2], rest) = bytes.split_first_chunk::<2>()? else { return None };
    let (port, rest) = rest.split_first_chunk::<2>()?;
    let (address, rest) = rest.split_first_chunk::<4>()?;
    let (user, rest) = text(rest)?;
    let is_user = user.iter().all(|byte| !byte.is_ascii_control());
    let is_4a = matches!(address, [0, 0, 0, 1..=255]);
    let is_host = !is_4a || text(rest).is_some_and(|(host, _)| host.len() > 1 && host.iter().all(is_host));
    (*port != [0; 2] && *address != [0; 4] && is_user && is_host).then_some(is_4a)
}

/// What is before the next zero byte, and behind it.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().take(MAX_NAME + 1).position(|byte| *byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn is_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:".contains(byte)
}

/// Whether this begins with a reply of version 4: granted, or one of three refusals.
fn is_reply4(bytes: &[u8]) -> bool {
    bytes.len() >= REPLY4 && matches!(bytes, [0, 0x5A..=0x5D, ..])
}

/// Whether a client and a proxy agree after something else was said, message by message.
fn is_late(conversation: &Conversation) -> bool {
    let messages = conversation.messages();
    messages.iter().enumerate().take(MAX_LATE).skip(1).any(|(place, greeting)| {
        let behind = || messages[place + 1..].iter();
        let choice = behind().find(|message| message.from != greeting.from);
        let request = behind().find(|message| message.from == greeting.from);
        // Two bytes are a choice to those who know of the request.
        methods(&greeting.bytes).is_some_and(|(_, rest)| rest.is_empty())
            && request.is_some_and(|request| is_request5(&request.bytes))
            && choice.is_some_and(|choice| choice.bytes.len() == 2 && agree(&greeting.bytes, &choice.bytes))
    })
}

/// Whether this is all that a client or a proxy says before data: more than a few bytes.
fn is_half(bytes: &[u8]) -> bool {
    let is_client = || {
        methods(bytes)
            .is_some_and(|(methods, request)| methods.contains(&0) && is_request5(request) && is_port5(request))
    };
    let is_proxy = || matches!(bytes, [5, 0, reply @ ..] if matches!(reply, [5, 0, 0, 1 | 4, ..]) && address5(reply).is_some_and(|len| reply.len() >= len));
    is_client() || is_proxy() || request4(bytes) == Some(true)
}

/// Whether a request is whole and its port not zero, and its name is one.
fn is_port5(request: &[u8]) -> bool {
    let Some(len) = address5(request) else { return false };
    let is_name = request.get(3) != Some(&3) || request.get(5..len - 2).is_some_and(|name| name.iter().all(is_host));
    is_name && u16_at(request, len - 2).is_some_and(|port| port != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{packet::protocol::TCP, protocols::testing::assert_robust};

    fn of(messages: &[(End, &[u8])]) -> Option<Verdict> {
        judge(&Conversation::of(TCP, [40000, 40001], messages))
    }

    const CONFIRMED: Option<Verdict> = Some(Verdict::confirmed(Class::Socks));
    const PAYLOAD: Option<Verdict> = Some(Verdict::payload(Class::Socks));
    const REQUEST: &[u8] = b"\x05\x01\0\x03\x0bexample.com\0\x50";
    const REPLY: &[u8] = &[5, 0, 0, 1, 192, 0, 2, 1, 0, 80];

    #[test]
    fn version_5() {
        let whole: &[(End, &[u8])] =
            &[(End::Client, &[5, 1, 0]), (End::Server, &[5, 0]), (End::Client, REQUEST), (End::Server, REPLY)];
        for some in [&whole[..2], &whole[..3], whole] {
            assert_eq!(of(some), CONFIRMED);
        }
        assert_robust(judge, TCP, [40000, 1080], whole);
        // Who connected is the proxy, and said something before.
        assert_eq!(of(&[(End::Server, &[5, 2, 0, 2]), (End::Client, &[5, 2])]), CONFIRMED);
        let late: &[(End, &[u8])] =
            &[(End::Client, b"hello"), (End::Server, &[5, 1, 0]), (End::Client, &[5, 0]), (End::Server, REQUEST)];
        assert_eq!(of(late), CONFIRMED);
        // And the client does not wait for the choice.
        assert_eq!(of(&[late[0], late[1], late[3], late[2]]), CONFIRMED);
        assert_eq!(of(&late[..3]), None);
        assert_eq!(of(&[(End::Client, &[5, 1, 0]), (End::Server, &[5, 0xFF])]), CONFIRMED);
    }

    #[test]
    fn version_4() {
        let reply: &[u8] = &[0, 0x5A, 0, 0, 0, 0, 0, 0];
        let plain: &[u8] = &[4, 1, 0, 80, 192, 0, 2, 1, b'm', b'e', 0];
        let named: &[u8] = b"\x04\x01\0\x50\0\0\0\x01\0example.com\0";
        assert_eq!(of(&[(End::Client, plain), (End::Server, reply)]), CONFIRMED);
        assert_eq!(of(&[(End::Client, named), (End::Server, reply)]), CONFIRMED);
        assert_eq!(of(&[(End::Client, plain)]), None);
        assert_eq!(of(&[(End::Client, named)]), PAYLOAD);
        assert_eq!(of(&[(End::Client, plain), (End::Server, &[0, 1, 0, 0, 0, 0, 0, 0])]), None);
        assert_robust(judge, TCP, [40000, 1080], &[(End::Client, named), (End::Server, reply)]);
    }

    #[test]
    fn one_end_alone() {
        assert_eq!(of(&[(End::Client, &[5, 1, 0])]), None);
        assert_eq!(of(&[(End::Client, &[5, 1, 0]), (End::Client, REQUEST)]), PAYLOAD);
        assert_eq!(of(&[(End::Server, &[5, 0]), (End::Server, REPLY)]), PAYLOAD);
    }

    #[test]
    fn what_looks_like_it() {
        assert_eq!(of(&[(End::Client, &[5, 1, 0]), (End::Server, b"220 mail")]), None);
        assert_eq!(of(&[(End::Client, &[5, 1, 0]), (End::Server, &[5, 2])]), None);
        assert_eq!(of(&[(End::Client, &[5, 1, 0]), (End::Client, b"and more"), (End::Server, &[5, 0])]), None);
        // DCE/RPC begins with 5, 0, a native protocol of Cassandra with 4.
        assert_eq!(of(&[(End::Client, &[5, 0, 11, 3, 16, 0, 0, 0]), (End::Server, &[5, 0, 12, 3])]), None);
        assert_eq!(
            of(&[(End::Client, &[4, 0, 0, 0, 1, 0, 0, 0, 22]), (End::Server, &[0x84, 0, 0, 0, 2, 0, 0, 0])]),
            None
        );
    }
}
