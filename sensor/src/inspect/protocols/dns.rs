//! The DNS over UDP and TCP (RFC 1035, RFC 7766), and the raw mode of iodine, which is no DNS any more (`doc/proto_00000502.txt` of iodine).
//!
//! Confirmed: a question and an answer with the same id and, where the answer repeats it, the same name. Payload: one message on port 53 whose header is
//! one and whose question is whole; on another port one whose records are all there and nothing else. Tunnels in the DNS: see `names.rs`.
//!
//! DNSCrypt begins with a question in the clear, for the certificate of the resolver, and is encrypted DNS (DNSCrypt protocol, version 2).
//!
//! False alarms: protocols with the same format are left out by their ports: multicast DNS, LLMNR, NetBIOS names. Not seen: what is cut in its first
//! question.

use sensor_ebpf::class::Class;

use super::bytes::u16_at;
use crate::inspect::{
    Conversation, End, Verdict,
    names::message::{Dns, kind},
};

/// The port of the DNS.
const PORT: u16 = 53;
/// Ports of multicast DNS, LLMNR, and NetBIOS names and datagrams.
const OTHERS: [u16; 4] = [5353, 5355, 137, 138];
/// What a raw packet of iodine begins with.
const IODINE: &[u8] = &[0x10, 0xD1, 0x9E];
/// Its commands, in the upper half of the next byte: login, data, ping.
const IODINE_COMMANDS: std::ops::RangeInclusive<u8> = 1..=3;
/// Messages of an end that are looked at.
const MAX_MESSAGES: usize = 8;
/// Flags of an ordinary query and response: recursion, authority, checking disabled and authentic data may be set, and an error be told.
const USUAL_FLAGS: u16 = 0x85BF;
/// The label of a question for a certificate of DNSCrypt.
const DNSCRYPT: &[u8] = b"dnscrypt-cert";
/// Bytes that such a certificate begins with.
const CERTIFICATE: usize = 6;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let is_raw = |end| is_raw(conversation, end);
    if conversation.is_udp() {
        match End::ALL.map(is_raw) {
            [true, true] => return Some(Verdict::confirmed(Class::DnsTunnel)),
            [false, false] => {}
            _ => return Some(Verdict::payload(Class::DnsTunnel)),
        }
        if OTHERS.iter().any(|port| conversation.has_port(*port)) {
            return None;
        }
    } else if !conversation.is_tcp() {
        return None;
    }
    let is_usual = conversation.has_port(PORT);
    let found = End::ALL.map(|end| {
        let all = messages(conversation, end).into_iter().filter_map(|bytes| Some((Dns::read(bytes)?, bytes)));
        all.filter(|(dns, bytes)| is_dns(dns, bytes, is_usual)).map(|(dns, _)| dns).collect::<Vec<_>>()
    });
    let is_crypt = conversation.messages().iter().take(MAX_MESSAGES).any(|message| is_certificate(&message.bytes));
    let [client, server] = &found;
    let class = if is_crypt { Class::EncryptedDns } else { Class::Dns };
    let agree = |one: &Dns, other: &Dns| {
        one.id == other.id
            && one.is_answer != other.is_answer
            && (one.question.is_none() || other.question.is_none() || is_same(one, other))
    };
    if client.iter().any(|one| server.iter().any(|other| agree(one, other))) {
        return Some(Verdict::confirmed(class));
    }
    (!client.is_empty() || !server.is_empty()).then_some(Verdict::payload(class))
}

/// Whether two messages ask the same; the case of letters may differ.
fn is_same(one: &Dns, other: &Dns) -> bool {
    one.question.iter().zip(&other.question).all(|(one, other)| one.name.eq_ignore_ascii_case(&other.name))
}

fn is_dns(dns: &Dns, bytes: &[u8], is_usual: bool) -> bool {
    if is_usual {
        // A whole question, or a header as most are, whatever is wrong behind it; an answer to nothing, as some errors are, has none.
        let is_question = dns.question.as_ref().is_some_and(|question| (1..=255).contains(&question.class));
        let [questions, answers, authorities, more] = dns.counts;
        let is_query = questions == 1 && answers == 0 && authorities == 0 && more <= 2;
        let is_answer =
            dns.is_answer && questions <= 1 && [answers, authorities, more].iter().all(|count| *count < 256);
        return is_question || dns.flags & !USUAL_FLAGS == 0 && (is_query || is_answer);
    }
    // Elsewhere only what is whole, has a name and no bit that is reserved.
    let is_question = dns.question.as_ref().is_some_and(|question| {
        [1, 3, 4, 255].contains(&question.class) && question.kind > 0 && !question.name.is_empty()
    });
    is_question && dns.flags & 0x40 == 0 && dns.is_whole(bytes)
}

/// Whether a message asks for a certificate of DNSCrypt or has one.
fn is_certificate(bytes: &[u8]) -> bool {
    let asks = || {
        let question = Dns::read(bytes).and_then(|dns| dns.question);
        question.is_some_and(|question| {
            question.kind == kind::TXT
                && question.labels().nth(1).is_some_and(|label| label.eq_ignore_ascii_case(DNSCRYPT))
        })
    };
    // Magic and one of the two constructions.
    let is_start = |window: &[u8]| matches!(window, [b'D', b'N', b'S', b'C', 0, 1 | 2]);
    bytes.windows(CERTIFICATE).any(is_start) || asks()
}

/// The messages that an end sent.
fn messages(conversation: &Conversation, end: End) -> Vec<&[u8]> {
    if conversation.is_udp() {
        return conversation.messages_of(end).take(MAX_MESSAGES).map(|message| message.bytes.as_slice()).collect();
    }
    let mut rest = conversation.stream(end);
    let mut messages = Vec::new();
    while let Some(length) = u16_at(rest, 0)
        && let Some(behind) = rest.get(2..).filter(|behind| !behind.is_empty())
        && messages.len() < MAX_MESSAGES
    {
        // The last one may not be there yet as a whole.
        let (message, behind) = behind.split_at(usize::from(length).min(behind.len()));
        messages.push(message);
        rest = behind;
    }
    messages
}

/// Whether an end sends raw packets of iodine.
fn is_raw(conversation: &Conversation, end: End) -> bool {
    conversation.messages_of(end).any(|message| {
        message.bytes.starts_with(IODINE)
            && message.bytes.get(3).is_some_and(|command| IODINE_COMMANDS.contains(&(command >> 4)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{
        packet::protocol::{TCP, UDP},
        protocols::testing::assert_robust,
    };

    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x07example\x03com\0\0\x01\0\x01";
    const ANSWER: &[u8] =
        b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x07example\x03com\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01";

    fn of(protocol: u8, port: u16, messages: &[(End, &[u8])]) -> Option<Verdict> {
        judge(&Conversation::of(protocol, [40000, port], messages))
    }

    #[test]
    fn question_and_answer() {
        let both: [(End, &[u8]); 2] = [(End::Client, QUERY), (End::Server, ANSWER)];
        for port in [53, 5300] {
            assert_eq!(of(UDP, port, &both), Some(Verdict::confirmed(Class::Dns)));
            assert_eq!(of(UDP, port, &both[..1]), Some(Verdict::payload(Class::Dns)));
            assert_eq!(of(UDP, port, &both[1..]), Some(Verdict::payload(Class::Dns)));
        }
        for port in OTHERS {
            assert_eq!(of(UDP, port, &both), None);
        }
        let mut other = ANSWER.to_vec();
        other[0] ^= 1;
        assert_eq!(of(UDP, 53, &[both[0], (End::Server, &other)]), Some(Verdict::payload(Class::Dns)));
        let cut = &ANSWER[..ANSWER.len() - 1];
        assert_eq!(of(UDP, 5300, &[(End::Server, cut)]), None);
        assert_eq!(of(UDP, 53, &[(End::Server, cut)]), Some(Verdict::payload(Class::Dns)));
        assert_robust(judge, UDP, [40000, 5300], &both);
    }

    #[test]
    fn over_tcp() {
        let frame = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
        let [query, answer] = [frame(QUERY), frame(ANSWER)];
        let both: [(End, &[u8]); 2] = [(End::Client, &query), (End::Server, &answer)];
        assert_eq!(of(TCP, 53, &both), Some(Verdict::confirmed(Class::Dns)));
        assert_eq!(of(TCP, 53, &[(End::Client, QUERY)]), None);
        assert_robust(judge, TCP, [40000, 5300], &both);
    }

    #[test]
    fn certificates_of_dnscrypt() {
        let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x012\x0dDNScrypt-cert\x07example\x03com\0\0\x10\0\x01";
        assert_eq!(of(UDP, 443, &[(End::Client, query)]), Some(Verdict::payload(Class::EncryptedDns)));
        let answer = [ANSWER, b"DNSC\0\x02"].concat();
        assert_eq!(of(UDP, 53, &[(End::Server, &answer)]), Some(Verdict::payload(Class::EncryptedDns)));
    }

    #[test]
    fn hostile_names() {
        // A pointer to itself, pointers in a ring, and labels without an end.
        let header = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0";
        for name in [&b"\xc0\x0c"[..], b"\xc0\x0e\xc0\x0c", &[63; 300], b"\x80\0\0\x01\0\x01"] {
            let message = [&header[..], name, b"\0\x01\0\x01"].concat();
            assert_eq!(Dns::read(&message).and_then(|dns| dns.question), None);
            assert_eq!(of(UDP, 53, &[(End::Client, &message)]), Some(Verdict::payload(Class::Dns)));
            assert_eq!(of(UDP, 5300, &[(End::Client, &message)]), None);
        }
    }

    #[test]
    fn raw_packets_of_iodine() {
        let raw: &[u8] = &[0x10, 0xD1, 0x9E, 0x20, 1, 2, 3];
        assert_eq!(of(UDP, 53, &[(End::Client, raw)]), Some(Verdict::payload(Class::DnsTunnel)));
        assert_eq!(of(UDP, 53, &[(End::Client, raw), (End::Server, raw)]), Some(Verdict::confirmed(Class::DnsTunnel)));
        assert_eq!(of(UDP, 53, &[(End::Client, &[0x10, 0xD1, 0x9E, 0x40])]), None);
    }
}
