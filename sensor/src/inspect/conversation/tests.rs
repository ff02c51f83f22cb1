//! Streams out of segments in any order.

use super::*;
use crate::inspect::Tcp;

fn flow() -> Flow {
    let address = |last| IpAddr::from([192, 0, 2, last]);
    Flow { protocol: protocol::TCP, source: (address(1), 40_000), destination: (address(2), 80) }
}

fn segment(sequence: u32, flags: u8, payload: &[u8]) -> Packet<'_> {
    let payload_len = payload.len() as u32;
    Packet { flow: flow(), length: 40 + payload_len, tcp: Some(Tcp { sequence, flags }), payload, payload_len }
}

#[test]
fn segments_in_any_order_and_twice_are_one_stream() {
    let syn = segment(u32::MAX - 2, 2, &[]);
    let mut conversation = Conversation::new(&syn);
    assert_eq!(conversation.hear(&syn, End::Client), Heard::Nothing);
    for (sequence, text) in [(1, "defg"), (u32::MAX - 1, "ab"), (u32::MAX - 1, "abc"), (0, "cde"), (7, "j"), (5, "hij")]
    {
        assert_eq!(conversation.hear(&segment(sequence, 16, text.as_bytes()), End::Client), Heard::Something);
    }
    assert!(conversation.from_start(End::Client));
    assert_eq!(String::from_utf8_lossy(conversation.stream(End::Client)), "abcdefghij");
    assert!(!conversation.is_two_way());
}

#[test]
fn data_may_come_with_the_syn() {
    let syn = segment(99, 2, b"at ");
    let mut conversation = Conversation::new(&syn);
    assert_eq!(conversation.hear(&syn, End::Client), Heard::Something);
    // The server took none of it: all comes again.
    for (sequence, text) in [(100, "at once"), (107, "!")] {
        conversation.hear(&segment(sequence, 24, text.as_bytes()), End::Client);
    }
    assert_eq!(conversation.stream(End::Client), b"at once!");
    assert!(conversation.from_start(End::Client));
}

#[test]
fn a_connection_that_was_already_there_begins_where_it_is_seen() {
    let first = segment(77, 24, b"middle");
    let mut conversation = Conversation::new(&first);
    conversation.hear(&first, End::Client);
    conversation.hear(&segment(5, 24, b"answer"), End::Server);
    assert!(!conversation.from_start(End::Client));
    assert_eq!(conversation.stream(End::Client), b"middle");
    assert!(conversation.is_two_way());
}

#[test]
fn whoever_answers_a_syn_is_the_server() {
    let answer = segment(5, 18, &[]);
    let mut conversation = Conversation::new(&answer);
    conversation.hear(&answer, End::Client);
    assert_eq!((conversation.port(End::Client), conversation.port(End::Server)), (80, 40_000));
    conversation.hear(&segment(6, 24, b"220 "), End::Client);
    assert_eq!(conversation.stream(End::Server), b"220 ");
}

#[test]
fn floods_fill_no_memory() {
    let syn = segment(0, 2, &[]);
    let mut conversation = Conversation::new(&syn);
    conversation.hear(&syn, End::Client);
    let payload = [7; 60_000];
    for round in 0..100_u32 {
        conversation.hear(&segment(1 + round * 1_000_003, 16, &payload), End::Client);
        conversation.hear(&segment(1 + round * 60_000, 16, &payload), End::Client);
    }
    assert_eq!(conversation.stream(End::Client).len(), MAX_STREAM);
    assert_eq!(conversation.messages().len(), MAX_MESSAGES);
    assert!(conversation.messages().iter().all(|message| message.bytes.len() <= MAX_MESSAGE));
    assert!(conversation.streams.iter().all(|stream| stream.early.len() <= MAX_EARLY));
}
