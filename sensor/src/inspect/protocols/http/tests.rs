//! Requests and answers, whole and cut, and what is none.

use super::*;
use crate::inspect::{
    packet::protocol::{TCP, UDP},
    protocols::testing::{finds_nothing, stands_damage},
};

const ASK: &[u8] = b"GET /a?b=c HTTP/1.1\r\nHost: www.example\r\n\r\n";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn of(said: &[(End, &[u8])]) -> Option<Verdict> {
    judge(&Conversation::of(TCP, [40_000, 8089], said))
}

const ALONE: Option<Verdict> = Some(Verdict::payload(Class::Http));
const BOTH: Option<Verdict> = Some(Verdict::confirmed(Class::Http));

#[test]
fn requests_and_answers() {
    assert_eq!(of(&[(End::Client, ASK)]), ALONE);
    assert_eq!(of(&[(End::Server, ANSWER)]), ALONE);
    assert_eq!(of(&[(End::Client, ASK), (End::Server, ANSWER)]), BOTH);
    assert_eq!(of(&[(End::Server, ASK), (End::Client, ANSWER)]), BOTH);
    // Two of one kind do not agree.
    assert_eq!(of(&[(End::Client, ASK), (End::Server, ASK)]), ALONE);
    for line in [
        &b"\r\nPOST / HTTP/1.0\r\n\r\n"[..],
        b"GET /old\r\n",
        b"GET /with spaces in it HTTP/1.1\r\n\r\n",
        b"GET /a-line-that-goes-on-beyond-what-was-captured",
        b"PROPFIND /dav/ HTTP/1.1\r\n",
        b"OPTIONS * HTTP/1.1\r\n",
    ] {
        assert_eq!(of(&[(End::Client, line)]), ALONE, "{}", String::from_utf8_lossy(line));
    }
}

#[test]
fn version_2() {
    let opens = [PREFACE, &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]].concat();
    assert_eq!(of(&[(End::Client, &opens)]), ALONE);
    assert_eq!(of(&[(End::Client, &opens), (End::Server, &[0, 0, 0, 4, 0, 0, 0, 0, 0])]), BOTH);
    assert_eq!(of(&[(End::Server, &[0, 0, 0, 4, 0, 0, 0, 0, 0])]), None);
}

#[test]
fn in_the_middle() {
    let said: [(End, &[u8]); 3] = [(End::Client, b"of a body"), (End::Client, ASK), (End::Server, ANSWER)];
    assert_eq!(of(&said[..2]), None);
    assert_eq!(judge(&Conversation::of(TCP, [40_000, 80], &said).later()), BOTH);
}

#[test]
fn what_is_not_http() {
    for line in [
        &b"OPTIONS rtsp://media.example RTSP/1.0\r\n\r\n"[..],
        b"OPTIONS sip:a@b.example SIP/2.0\r\n\r\n",
        b"GET key\r\n",
        b"get /a HTTP/1.1\r\n",
        b"RTSP/1.0 200 OK\r\n",
        b"HTTP/1.1 abc\r\n",
        b"HTTP/1.1 000 zero\r\n",
        b"NICK GET / HTTP/1.1\r\n",
        b"220 HTTP/1.1\r\n",
    ] {
        assert_eq!(of(&[(End::Client, line)]), None, "{}", String::from_utf8_lossy(line));
    }
    assert_eq!(judge(&Conversation::of(UDP, [1, 1900], &[(End::Client, b"NOTIFY * HTTP/1.1\r\n\r\n")])), None);
    finds_nothing(judge, 80);
    stands_damage(judge, TCP, 80, &[(End::Client, ASK), (End::Server, ANSWER)]);
}
