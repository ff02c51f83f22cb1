//! uTP (BEP 29): twenty bytes of header with version 1, a chain of extensions, and a payload only where the type is data.
//!
//! One packet says little: the header has no magic. Confirmed: an answer to a SYN has its connection and acknowledges its number; or, where the beginning was not
//! seen, packets both ways of which the connections differ by one and one end acknowledges what the other sent. Payload: the handshake of peers
//! in the first data; or a run of packets of one end in which time, numbers and acknowledgements only go forward.

use sensor_ebpf::class::Evidence;

use super::{of_ends, peer};
use crate::inspect::{Conversation, End, Message};

/// Bytes of the fixed header.
const HEADER: usize = 20;
/// The lower half of the first byte.
const VERSION: u8 = 1;
/// The highest number of an extension in use: 1 selective acknowledgement, 2 bits of extensions (old), 3 the reason for closing (libtorrent).
const MAX_EXTENSION: u8 = 3;
/// Extensions of one packet.
const MAX_EXTENSIONS: usize = 4;
/// Packets of an end before a run of them says something.
const MIN_RUN: usize = 6;
/// Packets each way where the beginning was not seen.
const MIN_EACH_WAY: usize = 2;
/// Microseconds between two packets of a run.
const MAX_PAUSE: u32 = 20_000_000;
/// Packets in flight, by which numbers may go forward at once.
const MAX_STEP: u16 = 512;

/// Types of packets.
mod kind {
    pub(super) const DATA: u8 = 0;
    pub(super) const STATE: u8 = 2;
    pub(super) const SYN: u8 = 4;
}

/// A header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header<'a> {
    kind: u8,
    connection: u16,
    time: u32,
    /// What the time was apart from the other end's when its last packet came.
    difference: u32,
    window: u32,
    number: u16,
    acknowledged: u16,
    data: &'a [u8],
}

pub(super) fn evidence(conversation: &Conversation) -> Option<Evidence> {
    let of = |end| conversation.messages_of(end).filter_map(read);
    let is_opened = |end: End| {
        of(end).filter(|header| header.kind == kind::SYN).any(|syn| {
            of(end.other()).any(|state| {
                state.kind == kind::STATE && state.connection == syn.connection && state.acknowledged == syn.number
            })
        })
    };
    if End::ALL.into_iter().any(is_opened) || is_exchange(conversation) {
        return Some(Evidence::Confirmed);
    }
    let has_handshake =
        |end| of(end).any(|header| header.kind == kind::DATA && header.data.starts_with(peer::HANDSHAKE));
    let is_run = |end| is_run(conversation, end);
    of_ends(End::ALL.map(|end| has_handshake(end) || is_run(end)))
}

/// Packets both ways that agree, where nothing else is in the flow but the DHT, which shares its port.
fn is_exchange(conversation: &Conversation) -> bool {
    let [client, server] = End::ALL.map(|end| connection(conversation, end));
    let (Some(client), Some(server)) = (client, server) else { return false };
    let of = |end| conversation.messages_of(end).filter_map(read);
    let acknowledges = |end: End| {
        of(end).any(|header| of(end.other()).any(|sent| sent.kind == kind::DATA && sent.number == header.acknowledged))
    };
    (client.wrapping_add(1) == server || server.wrapping_add(1) == client) && End::ALL.into_iter().any(acknowledges)
}

/// The connection that all packets of an end have.
fn connection(conversation: &Conversation, end: End) -> Option<u16> {
    let mut connection = None;
    let mut packets = 0;
    for message in conversation.messages_of(end).filter(|message| !message.bytes.starts_with(b"d1:")) {
        let header = read(message)?;
        if *connection.get_or_insert(header.connection) != header.connection {
            return None;
        }
        packets += 1;
    }
    connection.filter(|_| packets >= MIN_EACH_WAY)
}

/// Whether everything that an end sent is a run of packets, and the other one sent none that is not uTP.
fn is_run(conversation: &Conversation, end: End) -> bool {
    let is_utp = |message: &&Message| !message.bytes.starts_with(b"d1:");
    if !conversation.messages_of(end.other()).filter(is_utp).all(|message| read(message).is_some()) {
        return false;
    }
    let mut packets = 0;
    let mut differences = 0;
    let mut has_moved = false;
    let mut before: Option<Header<'_>> = None;
    for message in conversation.messages_of(end).filter(is_utp) {
        let Some(header) = read(message).filter(|header| header.window != 0) else { return false };
        if let Some(before) = before {
            let Some(has_stepped) = follows(before, header) else { return false };
            has_moved |= has_stepped;
        }
        differences += usize::from(header.difference != 0);
        packets += 1;
        before = Some(header);
    }
    packets >= MIN_RUN && differences >= MIN_RUN / 2 && has_moved
}

/// Whether a packet can come after another of its end, and if so whether numbers went forward.
fn follows(before: Header<'_>, header: Header<'_>) -> Option<bool> {
    // What opens a connection goes to the number before it.
    let connection = before.connection.wrapping_add(u16::from(before.kind == kind::SYN && header.kind != kind::SYN));
    let pause = header.time.wrapping_sub(before.time);
    let steps = [header.number.wrapping_sub(before.number), header.acknowledged.wrapping_sub(before.acknowledged)];
    // What was acknowledged before anything came is anything.
    let [step, acknowledged] = if before.kind == kind::SYN { [steps[0], 0] } else { steps };
    let is_forward = header.connection == connection && (1..=MAX_PAUSE).contains(&pause);
    (is_forward && step <= MAX_STEP && acknowledged <= MAX_STEP).then_some(step > 0 || acknowledged > 0)
}

fn read(message: &Message) -> Option<Header<'_>> {
    let (header, mut rest) = message.bytes.split_first_chunk::<HEADER>()?;
    let (kind, version) = (header[0] >> 4, header[0] & 0x0f);
    if version != VERSION || kind > kind::SYN {
        return None;
    }
    let mut extension = header[1];
    let mut extensions = 0;
    while extension != 0 {
        let [next, len, behind @ ..] = rest else { return None };
        if extension > MAX_EXTENSION || extensions == MAX_EXTENSIONS || *len == 0 || !len.is_multiple_of(4) {
            return None;
        }
        (_, rest) = behind.split_at_checked(usize::from(*len))?;
        extension = *next;
        extensions += 1;
    }
    let is_data = kind == kind::DATA;
    if is_data == rest.is_empty() {
        return None;
    }
    let short = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let long = |at: usize| u32::from(short(at)) << 16 | u32::from(short(at + 2));
    Some(Header {
        kind,
        connection: short(2),
        time: long(4),
        difference: long(8),
        window: long(12),
        number: short(16),
        acknowledged: short(18),
        data: rest,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::packet::protocol;

    fn packet(kind: u8, connection: u16, time: u32, number: u16, acknowledged: u16, data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind << 4 | VERSION, 0];
        bytes.extend_from_slice(&connection.to_be_bytes());
        bytes.extend_from_slice(&time.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 9, 0, 16, 0, 0]);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&acknowledged.to_be_bytes());
        bytes.extend_from_slice(data);
        bytes
    }

    fn of(messages: &[(End, Vec<u8>)]) -> Option<Evidence> {
        let messages: Vec<_> = messages.iter().map(|(end, bytes)| (*end, bytes.as_slice())).collect();
        evidence(&Conversation::of(protocol::UDP, [50_000, 6881], &messages))
    }

    #[test]
    fn an_answer_to_a_syn() {
        let syn = packet(kind::SYN, 700, 1000, 5, 0, &[]);
        let state = packet(kind::STATE, 700, 1500, 90, 5, &[]);
        for end in End::ALL {
            assert_eq!(of(&[(end, syn.clone())]), None);
            assert_eq!(of(&[(end, syn.clone()), (end.other(), state.clone())]), Some(Evidence::Confirmed));
        }
        let mut with_extension = state.clone();
        with_extension[1] = 2;
        with_extension.extend_from_slice(&[0, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(of(&[(End::Client, syn.clone()), (End::Server, with_extension)]), Some(Evidence::Confirmed));
        for other in [packet(kind::STATE, 701, 1, 90, 5, &[]), packet(kind::STATE, 700, 1, 90, 6, &[])] {
            assert_eq!(of(&[(End::Client, syn.clone()), (End::Server, other)]), None);
        }
    }

    #[test]
    fn an_exchange_from_the_middle_on() {
        let data = |number| (End::Client, packet(kind::DATA, 701, 1000, number, 90, b"abc"));
        let state = |acknowledged| (End::Server, packet(kind::STATE, 700, 1000, 91, acknowledged, &[]));
        assert_eq!(of(&[data(7), state(7), data(8), state(8)]), Some(Evidence::Confirmed));
        assert_eq!(of(&[data(7), state(7)]), None);
        assert_eq!(of(&[data(7), state(17), data(8), state(18)]), None);
        let dht = (End::Server, b"d1:ad2:id20:".to_vec());
        assert_eq!(of(&[data(7), state(7), dht, data(8), state(8)]), Some(Evidence::Confirmed));
        let other = (End::Server, b"other".to_vec());
        assert_eq!(of(&[data(7), state(7), other, data(8), state(8)]), None);
    }

    #[test]
    fn one_end_alone() {
        let handshake = packet(kind::DATA, 701, 1, 2, 3, peer::HANDSHAKE);
        assert_eq!(of(&[(End::Client, handshake)]), Some(Evidence::Payload));
        let run = |step: u32, count: u16| -> Vec<_> {
            let of = |at| packet(kind::DATA, 701, u32::from(at) * step, 7 + at, 90, b"abc");
            (0..count).map(|at| (End::Client, of(at))).collect()
        };
        assert_eq!(of(&run(1000, 8)), Some(Evidence::Payload));
        assert_eq!(of(&run(1000, 5)), None);
        let opened: Vec<_> =
            [(End::Client, packet(kind::SYN, 700, u32::MAX - 9, 6, 0, &[]))].into_iter().chain(run(1000, 8)).collect();
        assert_eq!(of(&opened), Some(Evidence::Payload));
        let with_another: Vec<_> = [(End::Server, b"another".to_vec())].into_iter().chain(run(1000, 8)).collect();
        assert_eq!(of(&with_another), None);
        assert_eq!(of(&run(0, 8)), None);
        assert_eq!(of(&run(MAX_PAUSE + 1, 8)), None);
        // Nothing moves but time.
        let still: Vec<_> = (0..8).map(|at| (End::Client, packet(kind::STATE, 1, at * 50, 2, 3, &[]))).collect();
        assert_eq!(of(&still), None);
    }

    #[test]
    fn look_alikes_and_any_bytes() {
        for bytes in [
            packet(kind::STATE, 1, 1, 1, 1, b"x"),
            packet(kind::DATA, 1, 1, 1, 1, b""),
            packet(5, 1, 1, 1, 1, b""),
            vec![0x21; 30],
            vec![0x01; 60],
        ] {
            let message = Message { from: End::Client, len: 0, bytes };
            assert_eq!(read(&message), None);
        }
        proptest::proptest!(|(bytes: Vec<u8>)| assert_eq!(of(&vec![(End::Client, bytes); 8]), None));
        let syn = packet(kind::SYN, 700, 1000, 5, 0, &[]);
        for cut in 0..syn.len() {
            assert_eq!(of(&[(End::Client, syn[..cut].to_vec())]), None);
        }
    }
}
