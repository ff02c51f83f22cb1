//! WireGuard (protocol paper, section 5.4; `drivers/net/wireguard/messages.h` of Linux): a type, three zero bytes, fixed lengths of the handshake and
//! the index that each side gives itself and the other side repeats.
//!
//! Confirmed: the answer to a handshake repeats the index of its initiation. Payload: one initiation, answer or cookie of the right length with random
//! fields, or transport messages of one receiver whose counters rise.
//!
//! False alarms: none known; the four first bytes alone are also those of some DNS and game messages, so that nothing is said by them. Not seen: a
//! single transport message, reserved bytes that are used (Cloudflare WARP), obfuscation (AmneziaWG).

use sensor_ebpf::class::Class;

use super::bytes::looks_random;
use crate::inspect::{Conversation, End, Message, Verdict};

/// Bytes of a handshake initiation.
const INITIATION: u32 = 148;
/// Bytes of its answer.
const ANSWER: u32 = 92;
/// Bytes of a cookie reply.
const COOKIE: u32 = 64;
/// Bytes of a transport message without data, a keepalive.
const KEEPALIVE: u32 = 32;
/// Transport messages are padded to a multiple of this.
const PADDING: u32 = 16;
/// The longest a handshake message gets where an implementation adds to it (TunnelBear: 56 and 8 bytes).
const MAX_HANDSHAKE: u32 = 400;
/// The port that `wg` proposes.
const PORT: u16 = 51820;
/// Transport messages of one direction that say something where no handshake was seen.
const MIN_TRANSPORTS: usize = 3;
/// How far a counter gets ahead between two messages that were seen.
const MAX_STEP: u64 = 1 << 16;

/// A message by its type.
#[derive(Clone, Copy)]
enum Kind {
    Initiation { sender: u32 },
    Answer { receiver: u32 },
    Cookie { receiver: u32 },
    Transport { receiver: u32, counter: u64 },
}

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_udp() {
        return None;
    }
    let is_repeated = End::ALL.iter().any(|end| {
        let mut answers = conversation.messages_of(end.other()).filter_map(kind);
        answers.any(|answer| match answer {
            Kind::Answer { receiver } | Kind::Cookie { receiver } => conversation
                .messages_of(*end)
                .filter_map(kind)
                .any(|question| matches!(question, Kind::Initiation { sender } if sender == receiver && sender != 0)),
            Kind::Initiation { .. } | Kind::Transport { .. } => false,
        })
    });
    if is_repeated {
        return Some(Verdict::confirmed(Class::WireGuard));
    }
    let is_usual = conversation.has_port(PORT);
    let is_handshake = conversation.messages().iter().any(|message| is_handshake(message, is_usual));
    let is_transport = End::ALL.iter().any(|end| is_transport(conversation, *end));
    (is_handshake || is_transport).then_some(Verdict::payload(Class::WireGuard))
}

fn kind(message: &Message) -> Option<Kind> {
    let (head, rest) = message.bytes.split_first_chunk::<4>()?;
    let (index, rest) = rest.split_first_chunk::<4>()?;
    let index = u32::from_le_bytes(*index);
    let len = message.len;
    Some(match head {
        [1, 0, 0, 0] if (INITIATION..MAX_HANDSHAKE).contains(&len) => Kind::Initiation { sender: index },
        [2, 0, 0, 0] if (ANSWER..MAX_HANDSHAKE).contains(&len) => {
            Kind::Answer { receiver: u32::from_le_bytes(*rest.first_chunk()?) }
        }
        [3, 0, 0, 0] if len == COOKIE => Kind::Cookie { receiver: index },
        [4, 0, 0, 0] if len >= KEEPALIVE && len.is_multiple_of(PADDING) => {
            Kind::Transport { receiver: index, counter: u64::from_le_bytes(*rest.first_chunk()?) }
        }
        _ => return None,
    })
}

/// Whether one message alone is a handshake's.
fn is_handshake(message: &Message, is_usual: bool) -> bool {
    let Some(kind) = kind(message) else { return false };
    let bytes = message.bytes.as_slice();
    // Keys and ciphertexts between the indices and the codes at the end.
    let is_random = |from, to| bytes.get(from..to).is_some_and(looks_random);
    match kind {
        Kind::Initiation { sender } => {
            message.len == INITIATION && sender != 0 && is_random(8, 72) && is_random(72, 116)
        }
        Kind::Answer { receiver } => message.len == ANSWER && receiver != 0 && is_random(12, 60),
        Kind::Cookie { receiver } => receiver != 0 && (is_usual || is_random(8, 64)),
        Kind::Transport { .. } => false,
    }
}

/// Whether what an end sent are transport messages: to one receiver for the most part, under counters that rise.
fn is_transport(conversation: &Conversation, end: End) -> bool {
    let mut steps = 1;
    let mut before: Option<(u32, u64)> = None;
    for message in conversation.messages_of(end) {
        let Some(Kind::Transport { receiver, counter }) = kind(message) else { return false };
        // The tag of a keepalive, or the first bytes of what is encrypted.
        if !message.bytes.get(16..).is_some_and(looks_random) {
            return false;
        }
        if let Some((to, last)) = before
            && to == receiver
        {
            if counter <= last || counter - last > MAX_STEP {
                continue;
            }
            steps += 1;
        }
        before = Some((receiver, counter));
    }
    steps >= MIN_TRANSPORTS && steps * 2 > conversation.messages_of(end).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{
        packet::protocol::UDP,
        protocols::testing::{assert_robust, noise},
    };

    fn message(kind: u8, indices: &[u32], len: usize) -> Vec<u8> {
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(indices.iter().flat_map(|index| index.to_le_bytes()));
        bytes.extend(noise(u64::from(kind) + 7, len - bytes.len()));
        bytes
    }

    fn transport(receiver: u32, counter: u64) -> Vec<u8> {
        let mut bytes = message(4, &[receiver], 8);
        bytes.extend(counter.to_le_bytes());
        bytes.extend(noise(counter ^ 99, 80));
        bytes
    }

    fn of(messages: &[(End, &[u8])]) -> Option<Verdict> {
        judge(&Conversation::of(UDP, [40000, 4711], messages))
    }

    #[test]
    fn an_answer_repeats_the_index() {
        let [initiation, answer] = [message(1, &[0xABCD], 148), message(2, &[5, 0xABCD], 92)];
        let messages: [(End, &[u8]); 2] = [(End::Client, &initiation), (End::Server, &answer)];
        assert_eq!(of(&messages), Some(Verdict::confirmed(Class::WireGuard)));
        assert_robust(judge, UDP, [40000, 51820], &messages);
        // Whoever speaks first, and with what some add.
        let [initiation, answer] = [message(1, &[0xABCD], 204), message(2, &[5, 0xABCD], 100)];
        assert_eq!(of(&[(End::Server, &initiation)]), None);
        let turned: [(End, &[u8]); 2] = [(End::Server, &initiation), (End::Client, &answer)];
        assert_eq!(of(&turned), Some(Verdict::confirmed(Class::WireGuard)));
        let cookie = message(3, &[0xABCD], 64);
        assert_eq!(
            of(&[(End::Server, &initiation), (End::Client, &cookie)]),
            Some(Verdict::confirmed(Class::WireGuard))
        );
    }

    #[test]
    fn one_message_of_a_handshake() {
        let payload = Some(Verdict::payload(Class::WireGuard));
        assert_eq!(of(&[(End::Client, &message(1, &[7], 148))]), payload);
        assert_eq!(of(&[(End::Client, &message(2, &[7, 8], 92))]), payload);
        assert_eq!(of(&[(End::Client, &message(3, &[7], 64))]), payload);
        assert_eq!(of(&[(End::Client, &message(1, &[7], 147))]), None);
        let mut plain = vec![1, 0, 0, 0, 1, 0, 0, 0];
        plain.resize(148, b'a');
        assert_eq!(of(&[(End::Client, &plain)]), None);
        assert_eq!(judge(&Conversation::of(6, [1, 51820], &[(End::Client, &message(1, &[7], 148))])), None);
    }

    #[test]
    fn transport_by_its_counters() {
        let [one, two, three, other] =
            [transport(9, 100), transport(9, 101), transport(9, 105), transport(9, u64::MAX - 5)];
        let three_of: [(End, &[u8]); 3] = [(End::Client, &one), (End::Client, &two), (End::Client, &three)];
        assert_eq!(of(&three_of), Some(Verdict::payload(Class::WireGuard)));
        assert_eq!(of(&three_of[..2]), None);
        assert_eq!(of(&[(End::Client, &three), (End::Client, &two), (End::Client, &one)]), None);
        assert_eq!(of(&[(End::Client, &one), (End::Client, &other), (End::Client, &other)]), None);
        // A DNS query with the id 0x0400 of a resolver that sets no flag.
        let query: &[u8] = b"\x04\0\0\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
        assert_eq!(of(&[(End::Client, query); 4]), None);
    }
}
