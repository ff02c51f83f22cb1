//! Messages of the DHT (BEP 5): a dictionary with the kind `y`, the transaction `t`, and the sender's 20 bytes of `id` in `a` or `r`.
//!
//! Confirmed: an answer or an error has the transaction of the other end's query.

use sensor_ebpf::class::Evidence;

use super::bencode;
use crate::inspect::{Conversation, End};

/// What a query and an answer begin with where keys are in order: enough where the rest is cut.
const STARTS: [&[u8]; 2] = [b"d1:ad2:id20:", b"d1:rd2:id20:"];
/// Bytes of an identity.
const ID: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Krpc<'a> {
    is_query: bool,
    /// Empty where it is cut.
    transaction: &'a [u8],
}

pub(super) fn evidence(conversation: &Conversation) -> Option<Evidence> {
    let of = |end| conversation.messages_of(end).filter_map(|message| read(&message.bytes));
    let is_answered = End::ALL.into_iter().any(|end| {
        of(end)
            .filter(|query| query.is_query && !query.transaction.is_empty())
            .any(|query| of(end.other()).any(|answer| !answer.is_query && answer.transaction == query.transaction))
    });
    if is_answered {
        return Some(Evidence::Confirmed);
    }
    End::ALL.into_iter().any(|end| of(end).next().is_some()).then_some(Evidence::Payload)
}

fn read(bytes: &[u8]) -> Option<Krpc<'_>> {
    if !bytes.starts_with(b"d") {
        return None;
    }
    let (mut kind, mut transaction, mut query) = (None, None, None);
    let (mut has_query_id, mut has_answer_id, mut has_error) = (false, false, false);
    for (key, value) in bencode::members(bytes) {
        match key {
            b"y" => kind = text(value),
            b"t" => transaction = text(value),
            b"q" => query = text(value),
            b"a" => has_query_id = has_id(value),
            b"r" => has_answer_id = has_id(value),
            b"e" => has_error = value.starts_with(b"li"),
            _ => {}
        }
    }
    let is_whole = match kind {
        Some(b"q") => has_query_id && query.is_some_and(is_method),
        Some(b"r") => has_answer_id,
        Some(b"e") => has_error && transaction.is_some(),
        _ => false,
    };
    let is_known = is_whole || STARTS.iter().any(|start| bytes.starts_with(start) && bytes.len() >= start.len() + ID);
    let is_query = kind.map_or(bytes.starts_with(STARTS[0]), |kind| kind == b"q");
    is_known.then_some(Krpc { is_query, transaction: transaction.unwrap_or_default() })
}

fn text(value: &[u8]) -> Option<&[u8]> {
    bencode::string(value).map(|(text, _)| text)
}

fn has_id(dictionary: &[u8]) -> bool {
    bencode::member(dictionary, b"id").and_then(text).is_some_and(|id| id.len() == ID)
}

fn is_method(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::packet::protocol;

    const QUERY: &[u8] =
        b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa6:target20:ccccccccccccccccccccce1:q9:find_node1:t2:xy1:y1:qe";
    const ANSWER: &[u8] = b"d1:rd2:id20:bbbbbbbbbbbbbbbbbbbbe1:t2:xy1:y1:re";

    fn of(messages: &[(End, &[u8])]) -> Option<Evidence> {
        evidence(&Conversation::of(protocol::UDP, [6881, 6881], messages))
    }

    #[test]
    fn one_end_and_both() {
        let query: &[u8] = b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:xy1:y1:qe";
        for end in End::ALL {
            assert_eq!(of(&[(end, query)]), Some(Evidence::Payload));
            assert_eq!(of(&[(end, ANSWER)]), Some(Evidence::Payload));
            assert_eq!(of(&[(end, query), (end.other(), ANSWER)]), Some(Evidence::Confirmed));
        }
        let error: &[u8] = b"d1:eli203e9:bad thinge1:t2:xy1:y1:ee";
        assert_eq!(of(&[(End::Client, query), (End::Server, error)]), Some(Evidence::Confirmed));
        let with_address: &[u8] = b"d2:ip6:aaaabb1:rd2:id20:bbbbbbbbbbbbbbbbbbbbe1:t2:xy1:y1:re";
        assert_eq!(of(&[(End::Client, query), (End::Server, with_address)]), Some(Evidence::Confirmed));
        let other: &[u8] = b"d1:rd2:id20:bbbbbbbbbbbbbbbbbbbbe1:t2:zz1:y1:re";
        assert_eq!(of(&[(End::Client, query), (End::Server, other)]), Some(Evidence::Payload));
        // A member that is cut, or wrong: the start is enough.
        assert_eq!(of(&[(End::Client, &QUERY[..60])]), Some(Evidence::Payload));
    }

    #[test]
    fn look_alikes() {
        for bytes in [
            b"d1:ad2:id19:aaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:xy1:y1:qe".as_slice(),
            b"d1:ad2:id20:aaaaaaaa",
            b"d1:t2:xy1:y1:re",
            b"d4:name5:value1:y1:qe",
            b"d8:intervali1800e5:peers0:e",
            b"data of a game: d1:ad2:id20:aaaaaaaaaaaaaaaaaaaa",
            b"",
        ] {
            assert_eq!(of(&[(End::Client, bytes)]), None, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn any_bytes() {
        proptest::proptest!(|(bytes in "d[dlie0-9:aqrty]{0,100}")| { of(&[(End::Client, bytes.as_bytes())]); });
        for cut in 0..ANSWER.len() {
            of(&[(End::Client, &QUERY[..cut]), (End::Server, &ANSWER[..cut])]);
        }
    }
}
