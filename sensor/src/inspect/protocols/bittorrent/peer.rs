//! Peers over TCP: the handshake (BEP 3), and messages where the capture began later.
//!
//! A handshake is 19, "BitTorrent protocol", eight bytes of flags, the torrent and the peer. Of the messages behind it three are telling: a request for a block
//! of 16 KiB and an extension's dictionary (BEP 10) in a segment of whole messages, and the head of such a block. Confirmed: both ends have one of them.

use sensor_ebpf::class::Evidence;

use super::{bencode, of_ends};
use crate::inspect::{Conversation, End};

/// What a connection begins with, on TCP and in uTP.
pub(super) const HANDSHAKE: &[u8] = b"\x13BitTorrent protocol";
/// Bytes of the blocks that everyone asks for (BEP 3: 2^14).
const BLOCK: u32 = 1 << 14;
/// What a block of that size begins with: the length of number, piece, place and data, and the number of such a message.
const BLOCK_START: [u8; 5] = [0, 0, 0x40, 9, 7];
/// Pieces of a torrent, as many as make sense.
const MAX_PIECES: u32 = 1 << 20;
/// The highest number of a message (BEP 52).
const MAX_ID: u8 = 23;
/// Messages of a segment that are looked at.
const MAX_MESSAGES: usize = 64;

/// Numbers of messages (BEP 3, BEP 10).
mod id {
    pub(super) const REQUEST: u8 = 6;
    pub(super) const CANCEL: u8 = 8;
    pub(super) const EXTENDED: u8 = 20;
}

pub(super) fn evidence(conversation: &Conversation) -> Option<Evidence> {
    of_ends(are_peers(conversation))
}

/// Whether each end says by itself that it is a peer.
pub(super) fn are_peers(conversation: &Conversation) -> [bool; 2] {
    End::ALL.map(|end| {
        conversation.stream(end).starts_with(HANDSHAKE)
            || conversation
                .messages_of(end)
                .any(|message| message.bytes.starts_with(HANDSHAKE) || are_messages(&message.bytes))
            // Where the beginning was seen it tells more. One segment at a time: those before it were looked at when they came.
            || !conversation.from_start(end)
                && conversation.messages_of(end).last().is_some_and(|message| has_block(&message.bytes))
    })
}

/// Whether a segment is whole messages, a telling one among them.
fn are_messages(segment: &[u8]) -> bool {
    let mut rest = segment;
    let mut is_telling = false;
    for _ in 0..MAX_MESSAGES {
        let Some((length, behind)) = rest.split_first_chunk::<4>() else { break };
        let Some((message, behind)) = behind.split_at_checked(u32::from_be_bytes(*length) as usize) else { break };
        // One without a number keeps the connection alive.
        if let Some((id, content)) = message.split_first() {
            if *id > MAX_ID {
                return false;
            }
            is_telling |= is_telling_message(*id, content);
        }
        rest = behind;
    }
    is_telling && rest.is_empty()
}

/// Whether a block begins somewhere in a segment.
fn has_block(segment: &[u8]) -> bool {
    segment.windows(BLOCK_START.len() + 8).any(|window| {
        let Some(numbers) = window.strip_prefix(&BLOCK_START) else { return false };
        let Ok([piece, begin]) = <[[u8; 4]; 2]>::try_from(numbers.as_chunks().0) else { return false };
        u32::from_be_bytes(piece) < MAX_PIECES && u32::from_be_bytes(begin).is_multiple_of(BLOCK)
    })
}

fn is_telling_message(id: u8, content: &[u8]) -> bool {
    match id {
        id::REQUEST | id::CANCEL => {
            let Ok([_, begin, length]) = <[[u8; 4]; 3]>::try_from(content.as_chunks().0) else { return false };
            content.len() == 12
                && u32::from_be_bytes(length) == BLOCK
                && u32::from_be_bytes(begin).is_multiple_of(BLOCK)
        }
        id::EXTENDED => content.split_first().is_some_and(|(_, dictionary)| {
            // Behind a piece of metadata's dictionary comes the piece (BEP 9).
            bencode::members(dictionary).next().is_some() && bencode::length(dictionary).is_some()
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{Flow, Packet, Tcp, packet::protocol};

    fn handshake(peer: u8) -> Vec<u8> {
        [HANDSHAKE, &[0; 8], &[7; 20], &[peer; 20]].concat()
    }

    fn message(id: u8, content: &[u8]) -> Vec<u8> {
        [&(content.len() as u32 + 1).to_be_bytes()[..], &[id], content].concat()
    }

    fn request(begin: u32, length: u32) -> Vec<u8> {
        message(id::REQUEST, &[[0, 0, 1, 14], begin.to_be_bytes(), length.to_be_bytes()].concat())
    }

    fn of(messages: &[(End, &[u8])]) -> Option<Evidence> {
        evidence(&Conversation::of(protocol::TCP, [50_000, 6881], messages))
    }

    #[test]
    fn handshakes() {
        let [ours, theirs] = [handshake(1), handshake(2)];
        for end in End::ALL {
            assert_eq!(of(&[(end, &ours)]), Some(Evidence::Payload));
            assert_eq!(of(&[(end, &ours), (end.other(), &theirs)]), Some(Evidence::Confirmed));
        }
        // In two segments.
        assert_eq!(of(&[(End::Client, &ours[..10]), (End::Client, &ours[10..])]), Some(Evidence::Payload));
    }

    #[test]
    fn messages_from_the_middle_on() {
        let requests = [request(0, BLOCK), request(3 * BLOCK, BLOCK)].concat();
        let extended = message(id::EXTENDED, b"\x01d5:added6:abcdef7:added.f1:xe");
        let alive = [&[0; 4][..], &request(0, BLOCK)].concat();
        for bytes in [&requests, &extended, &alive] {
            assert_eq!(of(&[(End::Server, bytes)]), Some(Evidence::Payload));
        }
        assert_eq!(of(&[(End::Server, &requests), (End::Client, &extended)]), Some(Evidence::Confirmed));
    }

    #[test]
    fn blocks_within_segments() {
        let block = [&[0x5a; 300][..], &BLOCK_START, &[0, 0, 2, 107, 0, 12, 0x40, 0], &[0x5a; 500]].concat();
        assert!(has_block(&block));
        let mut elsewhere = block.clone();
        elsewhere[312] = 1;
        let mut many = block.clone();
        many[305] = 1;
        for other in [&elsewhere, &many, &block[..312].to_vec()] {
            assert!(!has_block(other));
        }
        // A connection whose beginning was seen has begun with a handshake.
        assert_eq!(of(&[(End::Client, &block)]), None);
        let end = |last: u8| (std::net::IpAddr::from([192, 0, 2, last]), 6881);
        let flow = Flow { protocol: protocol::TCP, source: end(1), destination: end(2) };
        let tcp = Some(Tcp { sequence: 7, flags: 16 });
        let packet = Packet { flow, length: 900, tcp, payload: &block, payload_len: block.len() as u32 };
        let mut later = Conversation::new(&packet);
        later.hear(&packet, End::Client);
        assert_eq!(evidence(&later), Some(Evidence::Payload));
    }

    #[test]
    fn look_alikes() {
        for bytes in [
            b"\x13BitTorrent".to_vec(),
            b"about the BitTorrent protocol".to_vec(),
            request(100, BLOCK),
            request(0, 77),
            message(1, &[]),
            message(id::EXTENDED, b"\x01de"),
            message(id::EXTENDED, b"\x01d5:added"),
            message(200, b"\x01d1:ai1ee"),
            [request(0, BLOCK), vec![1, 2, 3]].concat(),
            vec![0; 64],
        ] {
            assert_eq!(of(&[(End::Client, &bytes)]), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn any_bytes() {
        let whole = [request(0, BLOCK), message(id::EXTENDED, b"\x01d1:ai1ee")].concat();
        for cut in 0..whole.len() {
            are_messages(&whole[..cut]);
            are_messages(&whole[cut..]);
        }
        proptest::proptest!(|(bytes: Vec<u8>)| assert_eq!(of(&[(End::Client, &bytes)]), None));
    }
}
