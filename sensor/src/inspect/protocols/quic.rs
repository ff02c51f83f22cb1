//! QUIC: versions 1 and 2 and their drafts, those of Google and Facebook.
//!
//! A long header must name a known version and lengths that fit the datagram (RFC 9000, section 17.2), also where it is cut. A client's first packets
//! open with keys that follow from what they show (RFC 9001, section 5.2; RFC 9369), which names the server to whoever asks for it. Both ends'
//! connection ids agreeing confirm it: long headers, a negotiation of versions (RFC 8999, section 6), a retry, or a short header with the id that the
//! other chose. Google's versions up to 43 are told by their version, and the server's answer by the id it repeats or by its refusal of a hello.
//!
//! False alarms: none known beyond one in 2^32 by chance. Unseen: connections of which only short headers were captured.

mod google;
mod initial;
mod packet;

use sensor_ebpf::class::{Class, Evidence};

use self::packet::{Kind, Long, Version};
use super::tls::hello::ClientHello;
use crate::inspect::{Conversation, End, Message, Verdict};

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    Some(Verdict { class: Class::Quic, evidence: proof(conversation)? })
}

/// The client's hello, where its packets open.
pub(super) fn hello(conversation: &Conversation) -> Option<&ClientHello> {
    let datagrams = |end| conversation.messages_of(end).map(|message| message.bytes.as_slice());
    let open = || End::ALL.into_iter().find_map(|end| initial::hello(datagrams(end)))?;
    conversation.memo().opened.get_or_init(open).as_ref()
}

/// Whether a conversation is QUIC, and how sure that is.
pub(super) fn proof(conversation: &Conversation) -> Option<Evidence> {
    *conversation.memo().quic.get_or_init(|| find_proof(conversation))
}

fn find_proof(conversation: &Conversation) -> Option<Evidence> {
    if !conversation.is_udp() {
        return None;
    }
    let [ours, theirs] = End::ALL.map(|end| headers(conversation, end));
    if ours.is_empty() && theirs.is_empty() {
        return googles(conversation);
    }
    let agree = ours.iter().any(|one| theirs.iter().any(|other| belong_together(one, other)))
        || End::ALL.into_iter().zip([&ours, &theirs]).any(|(end, long)| has_short_answer(conversation, end, long));
    Some(if agree { Evidence::Confirmed } else { Evidence::Payload })
}

/// The long headers at the start of what an end sent.
fn headers(conversation: &Conversation, end: End) -> Vec<Long<'_>> {
    let missing = |message: &Message| (message.len as usize).saturating_sub(message.bytes.len());
    let long =
        conversation.messages_of(end).filter_map(|message| Some((Long::read(&message.bytes)?, missing(message))));
    long.filter(|(header, missing)| header.makes_sense(*missing)).map(|(header, _)| header).collect()
}

/// Whether two packets of both ends name each other.
fn belong_together(one: &Long<'_>, other: &Long<'_>) -> bool {
    let versions = one.version == other.version || [one.version, other.version].contains(&Version::None);
    // A server's first answer goes to the id the client named as its own; Google's clients have none, and their servers keep theirs.
    let answers = one.destination == other.source || one.source == other.destination;
    let ids = [one.source, one.destination].concat();
    let retry = [one.kind(), other.kind()].contains(&Some(Kind::Retry));
    (versions || retry) && answers && !ids.is_empty()
}

/// Whether the other end sent short headers with the id that this one chose.
fn has_short_answer(conversation: &Conversation, end: End, headers: &[Long<'_>]) -> bool {
    /// An id of fewer bytes is found by chance.
    const MIN_ID: usize = 4;
    headers.iter().filter(|header| header.source.len() >= MIN_ID).any(|header| {
        conversation.messages_of(end.other()).any(|message| {
            let short = message.bytes.split_first().filter(|(first, _)| *first & 0x80 == 0);
            short.is_some_and(|(_, rest)| rest.starts_with(header.source))
        })
    })
}

fn googles(conversation: &Conversation) -> Option<Evidence> {
    let asked = End::ALL.into_iter().find_map(|client| {
        let id = conversation.messages_of(client).find_map(|message| google::with_version(&message.bytes))?;
        let mut answers = conversation.messages_of(client.other());
        let agrees = answers.any(|message| google::answers(&message.bytes, id));
        Some(if agrees { Evidence::Confirmed } else { Evidence::Payload })
    });
    let refused = || conversation.messages().iter().any(|message| google::refuses(&message.bytes));
    asked.or_else(|| refused().then_some(Evidence::Payload))
}

#[cfg(test)]
mod tests;
