//! Nodes of Ethereum: discovery over UDP, and the handshake of RLPx over TCP.
//!
//! Source: ethereum/devp2p, discv4.md (hash, signature, type, a list in RLP), rlpx.md with EIP-8 (length, 0x04, a point of secp256k1, ciphertext) and the
//! handshake before it (no length; 307 and 210 bytes). The list must have the members of its type; the point must lie on the curve, which random
//! bytes do not. Confirmed: both ends have such a packet, or such a point.
//!
//! False alarms: none known; the hash of a discovery packet is not computed. Other networks on devp2p look the same. Not seen: discv5, which is masked with the
//! identity of whom it is sent to; RLPx after its first message; nodes of the consensus layer (libp2p).

mod curve;
mod discovery;

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, End, Verdict};

/// Bytes behind the length of EIP-8: the point, an IV, the smallest content and a MAC; and what a handshake with its padding stays below.
const HANDSHAKE: std::ops::RangeInclusive<u16> = 180..=2048;
/// Bytes of the messages before EIP-8.
const OLD_HANDSHAKE: [u32; 2] = [307, 210];

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let is_node = End::ALL.map(|end| {
        if conversation.is_udp() {
            conversation.messages_of(end).any(|message| discovery::is_packet(&message.bytes))
        } else {
            conversation.is_tcp() && is_handshake(conversation, end)
        }
    });
    match is_node {
        [true, true] => Some(Verdict::confirmed(Class::EthereumP2p)),
        [false, false] => None,
        _ => Some(Verdict::payload(Class::EthereumP2p)),
    }
}

fn is_handshake(conversation: &Conversation, end: End) -> bool {
    let stream = conversation.stream(end);
    let is_new = || {
        stream.split_first_chunk().is_some_and(|(length, rest)| {
            HANDSHAKE.contains(&u16::from_be_bytes(*length)) && curve::starts_with_point(rest)
        })
    };
    let is_old = || {
        let first = conversation.messages_of(end).next();
        first.is_some_and(|first| OLD_HANDSHAKE.contains(&first.len)) && curve::starts_with_point(stream)
    };
    is_new() || is_old()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::packet::protocol;

    fn of(protocol: u8, messages: &[(End, &[u8])]) -> Option<Verdict> {
        judge(&Conversation::of(protocol, [40_000, 30_303], messages))
    }

    fn handshake(length: u16) -> Vec<u8> {
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend_from_slice(&curve::tests::GENERATOR);
        bytes.resize(2 + usize::from(length), 0xa5);
        bytes
    }

    #[test]
    fn handshakes() {
        let [auth, ack] = [handshake(500), handshake(400)];
        let payload = Some(Verdict::payload(Class::EthereumP2p));
        let confirmed = Some(Verdict::confirmed(Class::EthereumP2p));
        assert_eq!(of(protocol::TCP, &[(End::Client, &auth)]), payload);
        assert_eq!(of(protocol::TCP, &[(End::Server, &ack)]), payload);
        assert_eq!(of(protocol::TCP, &[(End::Client, &auth), (End::Server, &ack)]), confirmed);
        let [old_auth, old_ack] = [handshake(307)[2..].to_vec(), handshake(210)[2..].to_vec()];
        assert_eq!(of(protocol::TCP, &[(End::Client, &old_auth), (End::Server, &old_ack)]), confirmed);
    }

    #[test]
    fn look_alikes() {
        let mut off_the_curve = handshake(500);
        off_the_curve[40] ^= 1;
        for bytes in [&off_the_curve, &handshake(3000), &handshake(100), &handshake(500)[..60].to_vec()] {
            assert_eq!(of(protocol::TCP, &[(End::Client, bytes)]), None);
        }
        assert_eq!(of(protocol::UDP, &[(End::Client, &handshake(500))]), None);
    }

    #[test]
    fn discovery() {
        let [ping, pong] = discovery::tests::ping_and_pong();
        let payload = Some(Verdict::payload(Class::EthereumP2p));
        assert_eq!(of(protocol::UDP, &[(End::Server, &ping)]), payload);
        let both = [(End::Client, ping.as_slice()), (End::Server, pong.as_slice())];
        assert_eq!(of(protocol::UDP, &both), Some(Verdict::confirmed(Class::EthereumP2p)));
        assert_eq!(of(protocol::TCP, &both), None);
    }

    #[test]
    fn any_bytes() {
        proptest::proptest!(|(bytes: Vec<u8>)| for protocol in [protocol::TCP, protocol::UDP] {
            assert_eq!(of(protocol, &[(End::Client, &bytes), (End::Server, &bytes)]), None);
        });
        let auth = handshake(500);
        for cut in 0..67 {
            assert_eq!(of(protocol::TCP, &[(End::Client, &auth[..cut])]), None);
        }
    }
}
