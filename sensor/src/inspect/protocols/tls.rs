//! TLS: the hellos of both ends (RFC 8446, section 4.1; RFC 5246; RFC 6101), or records in the middle of a connection.
//!
//! A hello alone is payload; the answer confirms it when it chooses a cipher suite that was offered, or is an alert. Without a hello, as where the
//! capture began later, records must stand one behind another. SSL 2 is known by its hello whose lengths add up.
//!
//! False alarms: protocols that turn to TLS later (STARTTLS) are called by their own name as long as their beginning was seen; where it was not,
//! they are TLS. Tunnels that look like TLS to everyone are TLS here, too. Unseen: TLS 1.3 with its hello encrypted shows the outer name only.

pub(super) mod hello;
pub(super) mod records;

use sensor_ebpf::class::{Class, Evidence};

use self::{
    hello::{ClientHello, ServerHello},
    records::{Shown, handshake, is_alert, records, shown},
};
use super::reader::Reader;
use crate::inspect::{Conversation, End, Verdict};

/// That something is TLS, and what is known of it.
#[derive(Debug)]
pub(super) struct Proof {
    /// How sure it is.
    pub(super) evidence: Evidence,
    /// Whoever said, or was answered, the client's hello.
    pub(super) client: End,
    /// The client's hello.
    pub(super) hello: Option<ClientHello>,
    /// The server's.
    pub(super) answer: Option<ServerHello>,
}

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let evidence = proof(conversation)?.evidence;
    Some(Verdict { class: Class::Tls, evidence })
}

/// A connection that nobody knows and that turned to TLS later: hellos of both ends begin a segment each.
pub(super) fn judge_upgraded(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let segments = |end| conversation.messages_of(end).map(|message| handshake(&message.bytes));
    End::ALL.into_iter().find_map(|client| {
        let hello = segments(client).find_map(|messages| ClientHello::read(&messages))?;
        let answer = segments(client.other()).find_map(|messages| ServerHello::read(&messages))?;
        // No more than payload, though both agree: whoever knows what turned to TLS is to be believed.
        chooses(&hello, answer).then_some(Verdict::payload(Class::Tls))
    })
}

/// Whether an answer takes what a hello offered.
fn chooses(hello: &ClientHello, answer: ServerHello) -> bool {
    hello.ciphers.chunks_exact(2).any(|cipher| cipher == answer.cipher)
}

/// Whether a conversation is TLS.
pub(super) fn proof(conversation: &Conversation) -> Option<&Proof> {
    conversation.memo().tls.get_or_init(|| find_proof(conversation)).as_ref()
}

fn find_proof(conversation: &Conversation) -> Option<Proof> {
    if !conversation.is_tcp() {
        return None;
    }
    End::ALL.into_iter().find_map(|client| by_hello(conversation, client)).or_else(|| by_records(conversation))
}

fn by_hello(conversation: &Conversation, client: End) -> Option<Proof> {
    let (asked, answered) = (conversation.stream(client), conversation.stream(client.other()));
    // Where bytes before it are missing, it still begins a segment.
    let in_a_segment =
        || conversation.messages_of(client.other()).find_map(|message| ServerHello::read(&handshake(&message.bytes)));
    let answer = ServerHello::read(&handshake(answered)).or_else(in_a_segment);
    if let Some(hello) = ClientHello::read(&handshake(asked)) {
        let agrees = answer.is_some_and(|answer| chooses(&hello, answer));
        let evidence = if agrees || is_alert(answered) { Evidence::Confirmed } else { Evidence::Payload };
        return Some(Proof { evidence, client, hello: Some(hello), answer });
    }
    if is_ssl2_hello(asked) {
        let agrees = answer.is_some() || is_alert(answered) || is_ssl2_answer(answered);
        let evidence = if agrees { Evidence::Confirmed } else { Evidence::Payload };
        return Some(Proof { evidence, client, hello: None, answer });
    }
    let began = conversation.from_start(client.other()) && records(answered).next().is_none();
    answer.filter(|_| !began).map(|answer| Proof {
        evidence: Evidence::Payload,
        client,
        hello: None,
        answer: Some(answer),
    })
}

/// Records without a hello.
fn by_records(conversation: &Conversation) -> Option<Proof> {
    // Whatever began otherwise is something else that turned to TLS.
    let began_otherwise = |end| {
        let stream = conversation.stream(end);
        conversation.from_start(end) && !stream.is_empty() && records(stream).next().is_none()
    };
    if End::ALL.into_iter().any(began_otherwise) {
        return None;
    }
    let [client, server] = End::ALL.map(|end| shown(conversation.messages_of(end)));
    let evidence = match (client.min(server), client.max(server)) {
        (Shown::Chain, Shown::Chain) => Evidence::Confirmed,
        (_, Shown::Chain) | (Shown::Header, Shown::Header) => Evidence::Payload,
        _ => return None,
    };
    Some(Proof { evidence, client: End::Client, hello: None, answer: None })
}

/// `CLIENT-HELLO` of SSL 2, also as the one that offers later versions (RFC 6101, appendix E): the lengths inside add up to the one outside.
fn is_ssl2_hello(stream: &[u8]) -> bool {
    ssl2_lengths(stream, 1).is_some_and(|(version, length, [ciphers, session, challenge])| {
        matches!(version, 2 | 0x0300..=0x0303)
            && length == 9 + ciphers + session + challenge
            && ciphers > 0
            && ciphers % 3 == 0
            && matches!(session, 0 | 16)
            && (16..=32).contains(&challenge)
    })
}

/// `SERVER-HELLO` of SSL 2: two flags stand before the version.
fn is_ssl2_answer(stream: &[u8]) -> bool {
    let mut reader = Reader(stream);
    let header = reader.number(2).unwrap_or_default();
    header & 0x8000 != 0 && reader.number(1) == Some(4) && reader.take(2).is_some() && reader.number(2) == Some(2)
}

fn ssl2_lengths(stream: &[u8], kind: usize) -> Option<(usize, usize, [usize; 3])> {
    let mut reader = Reader(stream);
    let header = reader.number(2)?;
    let is_it = header & 0x8000 != 0 && reader.number(1)? == kind;
    let version = reader.number(2)?;
    let lengths = [reader.number(2)?, reader.number(2)?, reader.number(2)?];
    is_it.then_some((version, header & 0x7fff, lengths))
}

#[cfg(test)]
pub(super) mod tests;
