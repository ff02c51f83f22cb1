//! Secure Shell, by what is sent before anything is encrypted: the identification (RFC 4253 section 4.2, also that of SSH 1 and 1.99), the
//! key exchange (section 7.1) and the server's host key (section 8). One end is `payload`, both are `confirmed`. The port means nothing.
//!
//! False alarms: none known; HTTP to an SSH server is SSH that did not come about. Cannot see: a connection of which only what is encrypted
//! was captured, SSH inside of something else, and what goes on inside of SSH.

use sensor_ebpf::class::Class;

use super::text::lines;
use crate::inspect::{Conversation, End, Verdict};

/// Messages of an end that may hold its key exchange, where the capture began behind its identification.
const MAX_PACKETS: usize = 8;
/// Lines that a server may send before its identification.
const MAX_LINES_BEFORE: usize = 16;
/// Bytes of a binary packet's length, of its padding's length and of its message number.
const PACKET_HEADER: usize = 6;
/// The longest packet that is believed; section 6.1 asks for 35,000 bytes at least.
const MAX_PACKET: u32 = 1 << 18;
/// The least padding (section 6).
const MIN_PADDING: u8 = 4;
/// Numbers of messages (RFC 4250 section 4.1.2, RFC 4419).
const KEXINIT: u8 = 20;
const KEX_REPLY: u8 = 31;
const KEX_GROUP_REPLY: u8 = 33;
/// Random bytes in front of the name lists of a key exchange.
const COOKIE: usize = 16;
/// The shortest list of key exchange methods that is believed.
const MIN_NAMES: usize = 8;
/// Beginnings of the names of host keys (IANA registry of SSH parameters).
const HOST_KEYS: [&[u8]; 6] = [b"ssh-", b"ecdsa-sha2-", b"rsa-sha2-", b"sk-", b"x509v3-", b"pgp-sign-"];

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let speaks = End::ALL.map(|end| speaks(conversation, end));
    match speaks {
        [true, true] => Some(Verdict::confirmed(Class::Ssh)),
        [false, false] => None,
        // Lines of any text may be there before a server's identification, so they only count where the other end is known to speak SSH.
        [client, _] => {
            let other = if client { End::Server } else { End::Client };
            let late = lines(conversation.stream(other)).take(MAX_LINES_BEFORE).any(is_identification);
            Some(if late { Verdict::confirmed(Class::Ssh) } else { Verdict::payload(Class::Ssh) })
        }
    }
}

/// Whether what an end said first can only be SSH.
fn speaks(conversation: &Conversation, end: End) -> bool {
    is_identification(conversation.stream(end))
        || conversation.messages_of(end).take(MAX_PACKETS).any(|message| is_key_exchange(&message.bytes))
}

fn is_identification(bytes: &[u8]) -> bool {
    let Some([major, b'.', minor, rest @ ..]) = bytes.strip_prefix(b"SSH-") else { return false };
    let rest = match rest {
        [digit, rest @ ..] if digit.is_ascii_digit() => rest,
        rest => rest,
    };
    matches!(major, b'1' | b'2')
        && minor.is_ascii_digit()
        && matches!(rest, [b'-', software, ..] if software.is_ascii_graphic())
}

/// Whether a packet offers methods or shows a host key.
fn is_key_exchange(bytes: &[u8]) -> bool {
    let Some(([a, b, c, d, padding, number], rest)) = bytes.split_first_chunk::<PACKET_HEADER>() else { return false };
    let length = u32::from_be_bytes([*a, *b, *c, *d]);
    if length > MAX_PACKET || length <= u32::from(*padding) || *padding < MIN_PADDING {
        return false;
    }
    match *number {
        KEXINIT => rest.get(COOKIE..).is_some_and(are_methods),
        KEX_REPLY | KEX_GROUP_REPLY => string(rest).and_then(|(key, _)| string(key)).is_some_and(|(name, _)| {
            name.iter().all(u8::is_ascii_graphic) && HOST_KEYS.iter().any(|start| name.starts_with(start))
        }),
        _ => false,
    }
}

/// Whether two lists of names come next, as far as they were captured.
fn are_methods(bytes: &[u8]) -> bool {
    let is_list = |names: &[u8]| names.iter().all(|byte| byte.is_ascii_graphic());
    let Some((methods, rest)) = string(bytes) else { return false };
    methods.len() >= MIN_NAMES && is_list(methods) && string(rest).is_none_or(|(keys, _)| is_list(keys))
}

/// The string that comes next, as far as it was captured, and what is behind it.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u32::from_be_bytes(*length);
    let end = rest.len().min(length as usize);
    (length <= MAX_PACKET).then(|| rest.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    const OURS: &[u8] = b"SSH-2.0-client_1.0\r\n";
    const THEIRS: &[u8] = b"SSH-1.99-server\n";

    fn packet(number: u8, body: &[u8]) -> Vec<u8> {
        let length = 2 + body.len() as u32 + 8;
        [&length.to_be_bytes()[..], &[8, number], body, &[0; 8]].concat()
    }

    fn names(text: &str) -> Vec<u8> {
        [&(text.len() as u32).to_be_bytes()[..], text.as_bytes()].concat()
    }

    fn key_exchange() -> Vec<u8> {
        packet(
            KEXINIT,
            &[vec![7; COOKIE], names("curve25519-sha256,ecdh-sha2-nistp256"), names("ssh-ed25519")].concat(),
        )
    }

    #[test]
    fn identifications_of_one_and_of_both_ends() {
        let payload = Some(Verdict::payload(Class::Ssh));
        let confirmed = Some(Verdict::confirmed(Class::Ssh));
        assert_eq!(judge(&tcp([40_000, 22], &[(End::Client, OURS)])), payload);
        assert_eq!(judge(&tcp([443, 40_000], &[(End::Client, THEIRS)])), payload);
        assert_eq!(judge(&tcp([40_000, 443], &[(End::Server, THEIRS), (End::Client, OURS)])), confirmed);
        assert_eq!(
            judge(&tcp([40_000, 22], &[(End::Client, b"GET / HTTP/1.1\r\n\r\n"), (End::Server, THEIRS)])),
            payload
        );
        let late = b"Welcome\r\nto this\r\nSSH-2.0-x\r\n";
        assert_eq!(judge(&tcp([40_000, 22], &[(End::Server, late), (End::Client, OURS)])), confirmed);
        assert_eq!(judge(&tcp([40_000, 22], &[(End::Server, late)])), None);
    }

    #[test]
    fn a_connection_that_was_seen_from_its_key_exchange_on() {
        let key = [names("ssh-ed25519"), names("0123456789abcdef")].concat();
        let reply = packet(KEX_REPLY, &[&(key.len() as u32).to_be_bytes()[..], &key].concat());
        let exchange = key_exchange();
        assert_eq!(judge(&tcp([40_000, 22], &[(End::Client, &exchange)])), Some(Verdict::payload(Class::Ssh)));
        assert_eq!(
            judge(&tcp([22, 40_000], &[(End::Client, &reply), (End::Server, &exchange)])),
            Some(Verdict::confirmed(Class::Ssh))
        );
    }

    #[test]
    fn what_only_looks_like_it() {
        for text in [
            "SSH is nice\r\n",
            "SSH-2",
            "SSH-2.0",
            "SSH-2.0-\r\n",
            "SSH-3.0-x",
            "ssh-2.0-x",
            "HTTP/1.1 200 OK\r\n\r\nSSH-2.0-x",
        ] {
            assert_eq!(of_lines(judge, text, ""), None, "{text}");
        }
        let mut other = key_exchange();
        other[PACKET_HEADER - 1] = 21;
        assert_eq!(judge(&tcp([1, 22], &[(End::Client, &other)])), None);
        assert_eq!(judge(&udp([1, 22], &[(End::Client, OURS)])), None);
        bears_anything(judge, [40_000, 22], &[OURS, &key_exchange()]);
    }
}
