//! Nodes of Monero and other CryptoNote coins: the Levin protocol.
//!
//! Source: contrib/epee/include/net/levin_base.h of Monero, `bucket_head2`: eight bytes of signature (0x0101010101012101, little endian), the length,
//! whether an answer is wanted, the command, the return code, flags, and the version, which is 1. Confirmed: both ends have such a header.
//!
//! False alarms: none known. Not seen: nodes over Tor and I2P, and miners, who speak Stratum to their pool; a connection whose beginning was not captured
//! and of which no segment begins with a message.

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, End, Verdict};

/// `LEVIN_SIGNATURE`.
const SIGNATURE: u64 = 0x0101_0101_0101_2101;
/// Bytes of `bucket_head2`.
const HEADER: usize = 33;
/// `LEVIN_DEFAULT_MAX_PACKET_SIZE`.
const MAX_LENGTH: u64 = 100_000_000;
/// `LEVIN_PROTOCOL_VER_1`.
const VERSION: u32 = 1;
/// All of `LEVIN_PACKET_*`.
const FLAGS: u32 = 0x0f;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let is_levin = End::ALL.map(|end| {
        is_header(conversation.stream(end)) || conversation.messages_of(end).any(|message| is_header(&message.bytes))
    });
    match is_levin {
        [true, true] => Some(Verdict::confirmed(Class::MoneroP2p)),
        [false, false] => None,
        _ => Some(Verdict::payload(Class::MoneroP2p)),
    }
}

fn is_header(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<HEADER>() else { return false };
    let [length_at, flags_at, version_at] = [8, 25, 29];
    let word = |at: usize| header.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u32::from_le_bytes(*bytes));
    let long = |at: usize| header.get(at..).and_then(|rest| rest.first_chunk()).map(|bytes| u64::from_le_bytes(*bytes));
    long(0) == Some(SIGNATURE)
        && long(length_at).is_some_and(|length| length <= MAX_LENGTH)
        && header[16] <= 1
        && word(flags_at).is_some_and(|flags| flags & !FLAGS == 0)
        && word(version_at) == Some(VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::packet::protocol;

    fn message(command: u32, flags: u32) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_le_bytes().to_vec();
        bytes.extend_from_slice(&10_u64.to_le_bytes());
        bytes.push(1);
        for word in [command, 0, flags, VERSION] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&[1, 0x11, 1, 1, 1, 1, 2, 1, 1, 0]);
        bytes
    }

    fn of(messages: &[(End, &[u8])]) -> Option<Verdict> {
        judge(&Conversation::of(protocol::TCP, [40_000, 18_080], messages))
    }

    #[test]
    fn one_end_and_both() {
        let [request, answer] = [message(1001, 1), message(1001, 2)];
        assert!(request.starts_with(&[1, 0x21, 1, 1, 1, 1, 1, 1]));
        for end in End::ALL {
            assert_eq!(of(&[(end, &request)]), Some(Verdict::payload(Class::MoneroP2p)));
        }
        let confirmed = Some(Verdict::confirmed(Class::MoneroP2p));
        assert_eq!(of(&[(End::Client, &request), (End::Server, &answer)]), confirmed);
        assert_eq!(of(&[(End::Client, &[9; 50]), (End::Client, &request), (End::Server, &answer)]), confirmed);
    }

    #[test]
    fn look_alikes_and_any_bytes() {
        let request = message(1001, 1);
        for (place, byte) in [(1, 1), (15, 1), (16, 2), (28, 1), (29, 2)] {
            let mut other = request.clone();
            other[place] = byte;
            assert_eq!(of(&[(End::Client, &other)]), None, "byte {place}");
        }
        for cut in 0..HEADER {
            assert_eq!(of(&[(End::Client, &request[..cut])]), None);
        }
        assert_eq!(judge(&Conversation::of(protocol::UDP, [1, 18_080], &[(End::Client, &request)])), None);
        proptest::proptest!(|(bytes: Vec<u8>)| assert_eq!(of(&[(End::Client, &bytes), (End::Server, &bytes)]), None));
    }
}
