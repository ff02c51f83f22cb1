//! Requests to proxies, and those to origin servers that look alike.

use super::*;
use crate::inspect::{
    packet::protocol::TCP,
    protocols::testing::{finds_nothing, stands_damage},
};

const ALONE: Option<Verdict> = Some(Verdict::payload(Class::HttpProxy));
const BOTH: Option<Verdict> = Some(Verdict::confirmed(Class::HttpProxy));

fn of(port: u16, ask: &str, answer: &str) -> Option<Verdict> {
    let both = [(End::Client, ask.as_bytes()), (End::Server, answer.as_bytes())];
    let said: Vec<_> = both.into_iter().filter(|(_, bytes)| !bytes.is_empty()).collect();
    judge(&Conversation::of(TCP, [40_000, port], &said))
}

#[test]
fn connect() {
    let ask = "CONNECT host.example:443 HTTP/1.1\r\nHost: host.example:443\r\n\r\n";
    assert_eq!(of(3128, ask, ""), ALONE);
    assert_eq!(of(3128, ask, "HTTP/1.1 200 OK\r\n\r\n"), BOTH);
    assert_eq!(of(80, ask, "HTTP/1.0 407 Proxy Authentication Required\r\n\r\n"), BOTH);
    assert_eq!(of(3128, ask, "HTTP/1.1 503 Service Unavailable\r\nVia: 1.1 cache\r\n\r\n"), BOTH);
    // A server that is no proxy says so; what does not speak HTTP is none.
    assert_eq!(of(80, ask, "HTTP/1.1 405 Method Not Allowed\r\nAllow: GET\r\n\r\n"), None);
    assert_eq!(of(80, ask, "220 mail.example\r\n"), None);
    assert_eq!(of(80, "CONNECT / HTTP/1.1\r\n\r\n", ""), None);
    assert_eq!(of(8080, "", "HTTP/1.0 200 Connection established\r\n\r\n"), ALONE);
    assert_eq!(of(8080, "", "HTTP/1.0 200 OK\r\n\r\n"), None);
}

#[test]
fn whole_urls() {
    let ask = "GET http://host.example/a HTTP/1.1\r\nHost: host.example\r\n\r\n";
    let meant = "GET HTTP://host.example/a HTTP/1.1\r\nProxy-Connection: Keep-Alive\r\n\r\n";
    let fine = "HTTP/1.1 200 OK\r\nServer: any\r\n\r\n";
    let by_way = "HTTP/1.1 200 OK\r\nvia: 1.1 proxy\r\n\r\n";
    assert_eq!(of(8080, ask, ""), None);
    assert_eq!(of(8080, ask, fine), BOTH);
    assert_eq!(of(8080, ask, "HTTP/1.1 400 Bad Request\r\n\r\n"), None);
    // Origin servers take whole URLs, too.
    assert_eq!(of(80, ask, fine), None);
    assert_eq!(of(80, ask, ""), None);
    assert_eq!(of(80, ask, by_way), BOTH);
    assert_eq!(of(80, meant, fine), BOTH);
    assert_eq!(of(80, meant, ""), None);
    assert_eq!(of(8080, "GET http://host.example:8080/ HTTP/1.1\r\n\r\n", fine), None);
    // Its own address is 192.0.2.2.
    assert_eq!(of(8080, "GET http://192.0.2.2/ HTTP/1.1\r\n\r\n", fine), None);
    assert_eq!(of(8080, "GET http://192.0.2.3/ HTTP/1.1\r\n\r\n", fine), BOTH);
    // The way by which an ordinary answer came says nothing.
    assert_eq!(of(80, "GET / HTTP/1.1\r\n\r\n", by_way), None);
    assert_eq!(of(80, "GET /?u=http://host.example/ HTTP/1.1\r\n\r\n", by_way), None);
    // In a body it is no field.
    assert_eq!(of(80, ask, "HTTP/1.1 200 OK\r\n\r\nVia: 1.1 proxy\r\n"), None);
}

#[test]
fn who_asks_again_was_answered() {
    let asks = |asks: &[&str]| {
        let asks: Vec<_> = asks.iter().map(|ask| (End::Client, ask.as_bytes())).collect();
        judge(&Conversation::of(TCP, [40_000, 3128], &asks))
    };
    let one = "GET http://host.example/a HTTP/1.1\r\nProxy-Connection: Keep-Alive\r\n\r\n";
    let other = "GET http://host.example/b HTTP/1.1\r\nProxy-Connection: Keep-Alive\r\n\r\n";
    assert_eq!(asks(&[one, other]), ALONE);
    // A segment that came twice is one request; what goes on in its body is none.
    assert_eq!(asks(&[one, one]), None);
    assert_eq!(asks(&[one, "a=b\r\n\r\n"]), None);
}

#[test]
fn noise_is_no_proxy() {
    finds_nothing(judge, 8080);
    let ask = b"GET http://host.example:81/a HTTP/1.1\r\nProxy-Connection: Keep-Alive\r\n\r\n";
    stands_damage(judge, TCP, 8080, &[(End::Client, ask), (End::Server, b"HTTP/1.0 407 No\r\nVia: a\r\n\r\n")]);
}
