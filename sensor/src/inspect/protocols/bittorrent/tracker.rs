//! Trackers over UDP (BEP 15) and HTTP (BEP 3), and the search for peers in the local network (BEP 14).
//!
//! Over UDP a request to connect has a number of its own and the announcement behind it the client's name; confirmed by an answer with its action and
//! transaction. Over HTTP it is a request with `info_hash`; confirmed by an answer of success.

use sensor_ebpf::class::Evidence;

use crate::inspect::{Conversation, End, Message};

/// What a request to connect begins with, in place of a connection's number.
const PROTOCOL: u64 = 0x0417_2710_1980;
/// Bytes of a request and of an answer to connect.
const CONNECT: usize = 16;
/// Bytes of an announcement, without what extensions add (BEP 41).
const ANNOUNCE: usize = 98;
/// Where its peer begins.
const PEER_AT: usize = 36;
/// The first bytes of an answer to an announcement; peers follow.
const ANNOUNCED: usize = 20;
/// Actions.
mod action {
    pub(super) const CONNECT: u32 = 0;
    pub(super) const ANNOUNCE: u32 = 1;
    pub(super) const ERROR: u32 = 3;
}

/// First line of a search in the local network.
const SEARCH: &[u8] = b"BT-SEARCH * HTTP/1.1\r\n";

/// The longest line of a request over HTTP that is looked at.
const MAX_LINE: usize = 2048;

/// A request: its action and transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Request {
    action: u32,
    transaction: u32,
}

pub(super) fn over_udp(conversation: &Conversation) -> Option<Evidence> {
    let requests = |end| conversation.messages_of(end).filter_map(request);
    let is_answered = End::ALL.into_iter().any(|end| {
        requests(end).any(|request| conversation.messages_of(end.other()).any(|message| is_answer(message, request)))
    });
    let is_known = || {
        End::ALL.into_iter().any(|end| requests(end).next().is_some())
            || conversation.messages().iter().any(|message| message.bytes.starts_with(SEARCH))
    };
    if is_answered { Some(Evidence::Confirmed) } else { is_known().then_some(Evidence::Payload) }
}

fn request(message: &Message) -> Option<Request> {
    let bytes = message.bytes.as_slice();
    let (connection, rest) = bytes.split_first_chunk()?;
    let (action, transaction) = action_and_transaction(rest)?;
    let is_connect = u64::from_be_bytes(*connection) == PROTOCOL && action == action::CONNECT && bytes.len() == CONNECT;
    let is_announce =
        || action == action::ANNOUNCE && bytes.len() >= ANNOUNCE && bytes.get(PEER_AT..).is_some_and(is_peer);
    (is_connect || is_announce()).then_some(Request { action, transaction })
}

/// A client's name and version at the beginning of its number (BEP 20): `-XX1234-`.
fn is_peer(bytes: &[u8]) -> bool {
    let Some([b'-', name @ .., b'-']) = bytes.first_chunk::<8>() else { return false };
    name.iter().all(u8::is_ascii_alphanumeric) && name[..2].iter().all(u8::is_ascii_alphabetic)
}

fn is_answer(message: &Message, request: Request) -> bool {
    let Some((action, transaction)) = action_and_transaction(&message.bytes) else { return false };
    let is_action = match action {
        action::CONNECT => message.bytes.len() == CONNECT,
        action::ANNOUNCE => message.bytes.len() >= ANNOUNCED,
        _ => action == action::ERROR,
    };
    transaction == request.transaction && is_action && (action == request.action || action == action::ERROR)
}

fn action_and_transaction(bytes: &[u8]) -> Option<(u32, u32)> {
    let (action, rest) = bytes.split_first_chunk()?;
    let (transaction, _) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*action), u32::from_be_bytes(*transaction)))
}

pub(super) fn over_http(conversation: &Conversation) -> Option<Evidence> {
    let client = End::ALL.into_iter().find(|end| asks_tracker(conversation.stream(*end)))?;
    let answer = conversation.stream(client.other());
    let is_success =
        answer.starts_with(b"HTTP/1.") && answer.get(b"HTTP/1.x".len()..).is_some_and(|rest| rest.starts_with(b" 200"));
    Some(if is_success { Evidence::Confirmed } else { Evidence::Payload })
}

fn asks_tracker(stream: &[u8]) -> bool {
    let Some(request) = stream.strip_prefix(b"GET ") else { return false };
    let line = &request[..request.len().min(MAX_LINE)];
    let target = line.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default();
    // A whole URL is for a proxy.
    if !target.starts_with(b"/") {
        return false;
    }
    let mut parts = target.splitn(2, |byte| *byte == b'?');
    let [path, query] = [(); 2].map(|()| parts.next().unwrap_or_default());
    let has = |key: &[u8]| query.split(|byte| *byte == b'&').any(|part| part.starts_with(key));
    let is_path = |name: &[u8]| path.windows(name.len()).any(|window| window == name);
    has(b"info_hash=") && (has(b"peer_id=") || is_path(b"/announce") || is_path(b"/scrape"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::packet::protocol;

    fn udp(messages: &[(End, &[u8])]) -> Option<Evidence> {
        over_udp(&Conversation::of(protocol::UDP, [50_000, 6969], messages))
    }

    fn http(client: &[u8], server: &[u8]) -> Option<Evidence> {
        over_http(&Conversation::of(protocol::TCP, [50_000, 80], &[(End::Client, client), (End::Server, server)]))
    }

    fn connect() -> Vec<u8> {
        [&PROTOCOL.to_be_bytes()[..], &[0; 4], b"abcd"].concat()
    }

    fn announce() -> Vec<u8> {
        let mut bytes = [&[9; 8][..], &1_u32.to_be_bytes(), b"efgh", &[5; 20], b"-TR2940-"].concat();
        bytes.resize(ANNOUNCE, 0);
        bytes
    }

    #[test]
    fn over_udp_one_end_and_both() {
        let answer = [&[0; 4][..], b"abcd", &[9; 8]].concat();
        let announced = [&1_u32.to_be_bytes()[..], b"efgh", &[0; 12]].concat();
        let error = [&3_u32.to_be_bytes()[..], b"efgh", b"no"].concat();
        let [connect, announce] = [connect(), announce()];
        for end in End::ALL {
            assert_eq!(udp(&[(end, &connect)]), Some(Evidence::Payload));
            assert_eq!(udp(&[(end, &announce)]), Some(Evidence::Payload));
            assert_eq!(udp(&[(end, &answer)]), None);
            assert_eq!(udp(&[(end, &connect), (end.other(), &answer)]), Some(Evidence::Confirmed));
            assert_eq!(udp(&[(end, &announce), (end.other(), &announced)]), Some(Evidence::Confirmed));
            assert_eq!(udp(&[(end, &announce), (end.other(), &error)]), Some(Evidence::Confirmed));
            assert_eq!(udp(&[(end, &connect), (end.other(), &announced)]), Some(Evidence::Payload));
        }
    }

    #[test]
    fn searches() {
        let search = b"BT-SEARCH * HTTP/1.1\r\nHost: 239.192.152.143:6771\r\n\r\n";
        assert_eq!(udp(&[(End::Client, search)]), Some(Evidence::Payload));
        assert_eq!(udp(&[(End::Client, b"M-SEARCH * HTTP/1.1\r\n")]), None);
    }

    #[test]
    fn over_http_one_end_and_both() {
        let request = b"GET /announce?info_hash=%aa%bb&peer_id=-TR2940-aaaaaaaaaaaa&port=51413 HTTP/1.1\r\n\r\n";
        assert_eq!(http(request, b""), Some(Evidence::Payload));
        assert_eq!(http(request, b"HTTP/1.1 404 Not Found\r\n\r\n"), Some(Evidence::Payload));
        assert_eq!(http(request, b"HTTP/1.1 200 OK\r\n\r\nd8:intervali1800e5:peers0:e"), Some(Evidence::Confirmed));
        assert_eq!(http(b"GET /x/scrape.php?a=1&info_hash=%aa HTTP/1.0\r\n\r\n", b""), Some(Evidence::Payload));
        for look_alike in [
            b"GET /announce?title=info_hash= HTTP/1.1\r\n\r\n".as_slice(),
            b"GET /torrent?info_hash=12 HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\nReferer: http://a/announce?info_hash=1\r\n\r\n",
            b"GET http://a/announce?info_hash=1 HTTP/1.1\r\n\r\n",
            b"POST /announce?info_hash=1 HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(http(look_alike, b""), None, "{}", look_alike.escape_ascii());
        }
    }

    #[test]
    fn look_alikes_and_any_bytes() {
        let mut other = connect();
        other[3] ^= 1;
        assert_eq!(udp(&[(End::Client, &other)]), None);
        assert_eq!(udp(&[(End::Client, &[connect(), vec![0]].concat())]), None);
        let mut nameless = announce();
        nameless[PEER_AT] = b'x';
        assert_eq!(udp(&[(End::Client, &nameless)]), None);
        for cut in 0..CONNECT {
            assert_eq!(udp(&[(End::Client, &connect()[..cut])]), None);
        }
        proptest::proptest!(|(bytes: Vec<u8>)| {
            assert_eq!(udp(&[(End::Client, &bytes), (End::Server, &bytes)]), None);
            assert_eq!(http(&bytes, &bytes), None);
        });
    }
}
