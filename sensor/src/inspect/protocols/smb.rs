//! Server Message Block: versions 1 ([MS-CIFS] 2.2.3.1), 2 and 3 ([MS-SMB2] 2.2.1, encrypted 2.2.41, compressed 2.2.42) behind the header
//! of a NetBIOS session (RFC 1002 section 4.3) or of the same shape (port 445), and a NetBIOS session's own request (port 139). The ports
//! mean nothing.
//!
//! Both ends are `confirmed`. False alarms: NetBIOS sessions with something else in them, which nobody has seen for long. Cannot see: SMB
//! over QUIC, and a connection of which only the rest of a long transfer was captured. The datagrams of port 138 that tell who browses are
//! no files, though they look alike.

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, End, Verdict};

/// Bytes of a session's header: a type, and a length.
const SESSION: usize = 4;
/// Types of NetBIOS session packets (RFC 1002 section 4.3.1).
const MESSAGE: u8 = 0;
const REQUEST: u8 = 0x81;
const POSITIVE: u8 = 0x82;
const NEGATIVE: u8 = 0x83;
/// Bytes of a version 1 header (MS-CIFS 2.2.3.1), and where its count of words is.
const HEADER_1: usize = 32;
/// Structure size of a version 2 header.
const HEADER_2: [u8; 2] = [64, 0];
/// A NetBIOS name: its length, 32 letters from A to P, a zero.
const NAME_LEN: u8 = 32;
const NAME: usize = 34;
/// Messages of an end that may tell, where the capture began in the middle.
const MAX_TOLD: usize = 12;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let speaks = End::ALL.map(|end| speaks(conversation, end));
    let answered = || {
        // An answer without a name only counts behind a request.
        End::ALL
            .iter()
            .any(|end| matches!(conversation.stream(*end), [POSITIVE, 0, 0, 0, ..] | [NEGATIVE, 0, 0, 1, ..]))
    };
    match speaks {
        [false, false] => None,
        [true, true] => Some(Verdict::confirmed(Class::Smb)),
        _ if answered() => Some(Verdict::confirmed(Class::Smb)),
        _ => Some(Verdict::payload(Class::Smb)),
    }
}

fn speaks(conversation: &Conversation, end: End) -> bool {
    conversation.is_tcp()
        && (is_session(conversation.stream(end))
            || conversation
                .messages_of(end)
                .take(MAX_TOLD)
                .any(|message| is_session(&message.bytes) || is_smb(&message.bytes)))
}

fn is_session(bytes: &[u8]) -> bool {
    let Some(([kind, ..], rest)) = bytes.split_first_chunk::<SESSION>() else { return false };
    match *kind {
        MESSAGE => is_smb(rest),
        REQUEST => is_name(rest).and_then(is_name).is_some(),
        _ => false,
    }
}

/// What is behind a NetBIOS name that is coded in halves of bytes (RFC 1001 section 14.1).
fn is_name(bytes: &[u8]) -> Option<&[u8]> {
    let (name, rest) = bytes.split_first_chunk::<NAME>()?;
    let [NAME_LEN, letters @ .., 0] = name else { return None };
    letters.iter().all(|letter| (b'A'..=b'P').contains(letter)).then_some(rest)
}

fn is_smb(bytes: &[u8]) -> bool {
    match bytes {
        // As many words as there are bytes for.
        [0xff, b'S', b'M', b'B', ..] => bytes.len() > HEADER_1,
        [0xfe, b'S', b'M', b'B', a, b, ..] => [*a, *b] == HEADER_2,
        // A session's keys, or what was compressed, come next.
        [0xfd | 0xfc, b'S', b'M', b'B', ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    fn session(smb: &[u8]) -> Vec<u8> {
        [&[0, 0, 0, smb.len() as u8][..], smb].concat()
    }

    fn first() -> Vec<u8> {
        [&b"\xffSMBr"[..], &[0; 40]].concat()
    }

    fn second() -> Vec<u8> {
        [&b"\xfeSMB\x40\0"[..], &[0; 58]].concat()
    }

    fn names() -> Vec<u8> {
        let name = [&[NAME_LEN][..], &[b'C'; 32], &[0]].concat();
        [&name[..], &name].concat()
    }

    #[test]
    fn sessions_of_one_and_of_both_ends() {
        for bytes in [session(&first()), session(&second()), session(b"\xfdSMB0123"), first()] {
            assert_eq!(judge(&tcp([40_000, 50_000], &[(End::Server, &bytes)])), Some(Verdict::payload(Class::Smb)));
            let both = [(End::Client, &session(&first())[..]), (End::Server, &bytes)];
            assert_eq!(judge(&tcp([40_000, 445], &both)), Some(Verdict::confirmed(Class::Smb)));
        }
        let middle = [(End::Client, &[7; 90][..]), (End::Client, &session(&second()))];
        assert_eq!(judge(&tcp([40_000, 445], &middle)), Some(Verdict::payload(Class::Smb)));
    }

    #[test]
    fn sessions_of_netbios() {
        let request = [&[REQUEST, 0, 0, 68][..], &names()].concat();
        assert_eq!(judge(&tcp([40_000, 139], &[(End::Client, &request)])), Some(Verdict::payload(Class::Smb)));
        let both = [(End::Client, &request[..]), (End::Server, &[POSITIVE, 0, 0, 0])];
        assert_eq!(judge(&tcp([40_000, 139], &both)), Some(Verdict::confirmed(Class::Smb)));
    }

    #[test]
    fn what_only_looks_like_it() {
        let datagram = [&[0x11; 14][..], &names(), &first()].concat();
        assert_eq!(judge(&udp([138, 138], &[(End::Client, &datagram)])), None);
        for bytes in
            [&b"\xffSMB"[..], b"\xfeSMB\x41\0", b"SMB", &[POSITIVE, 0, 0, 0], &[REQUEST, 0, 0, 68, 32, b'A', b'Z']]
        {
            assert_eq!(judge(&tcp([40_000, 445], &[(End::Server, bytes)])), None);
        }
        bears_anything(judge, [40_000, 445], &[&session(&first()), &[&[REQUEST, 0, 0, 68][..], &names()].concat()]);
    }
}
