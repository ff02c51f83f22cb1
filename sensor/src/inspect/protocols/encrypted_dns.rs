//! The DNS inside TLS, HTTPS or QUIC, where the outside says so: port 853 (RFC 7858, RFC 9250), the protocol `dot` or `doq` (IANA registry of ALPN),
//! or the name of a public resolver (each operator's own documentation).
//!
//! False alarms: other services of a resolver's operator under the same name; none is known. Unseen: resolvers that are not on the list and answer
//! on port 443, and hellos that are encrypted.

use sensor_ebpf::class::Class;

use super::{quic, tls, tls::hello::ClientHello};
use crate::inspect::{Conversation, Verdict};

/// Names of public resolvers; `*.` stands for anything before the rest, and the rest itself. As of 2026.
const RESOLVERS: &[&str] = &[
    "*.adguard-dns.com",
    "dns.adguard.com",
    "dns-family.adguard.com",
    "dns-unfiltered.adguard.com",
    "dns.alidns.com",
    "doh.cleanbrowsing.org",
    "adult-filter-dns.cleanbrowsing.org",
    "family-filter-dns.cleanbrowsing.org",
    "security-filter-dns.cleanbrowsing.org",
    "*.cloudflare-dns.com",
    "*.cloudflare-gateway.com",
    "one.one.one.one",
    "1dot1dot1dot1.cloudflare-dns.com",
    "*.dns.controld.com",
    "freedns.controld.com",
    "dns.digitale-gesellschaft.ch",
    "dns.sb",
    "doh.dns.sb",
    "dot.sb",
    "*.dns0.eu",
    "doh.dns.apple.com",
    "doh.pub",
    "dot.pub",
    "dns.google",
    "dns.google.com",
    "dns64.dns.google",
    "public.dns.iij.jp",
    "doh.libredns.gr",
    "dot.libredns.gr",
    "*.dns.mullvad.net",
    "*.dns.nextdns.io",
    "dns.opendns.com",
    "doh.opendns.com",
    "doh.familyshield.opendns.com",
    "doh.sandbox.opendns.com",
    "doh.umbrella.com",
    "dns.umbrella.com",
    "dns.quad9.net",
    "dns9.quad9.net",
    "dns10.quad9.net",
    "dns11.quad9.net",
    "dns12.quad9.net",
    "dns.switch.ch",
    "doh.xfinity.com",
    "dot.xfinity.com",
    "*.dot.dns.yandex.net",
    "doh.360.cn",
    "dot.360.cn",
];
/// DNS over TLS, and over QUIC.
const PORT: u16 = 853;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let (hello, evidence) = if conversation.is_tcp() {
        let proof = tls::proof(conversation)?;
        (proof.hello.as_ref(), proof.evidence)
    } else {
        let evidence = quic::proof(conversation)?;
        (quic::hello(conversation), evidence)
    };
    let says_so = hello.is_some_and(asks_a_resolver);
    (says_so || conversation.has_port(PORT)).then_some(Verdict { class: Class::EncryptedDns, evidence })
}

fn asks_a_resolver(hello: &ClientHello) -> bool {
    hello.server_name.as_deref().is_some_and(is_resolver)
        // Drafts numbered theirs.
        || hello.offers(|protocol| protocol == b"dot" || protocol == b"doq" || protocol.starts_with(b"doq-i"))
}

fn is_resolver(name: &[u8]) -> bool {
    RESOLVERS.iter().any(|resolver| match resolver.strip_prefix("*.") {
        Some(domain) => {
            name.strip_suffix(domain.as_bytes()).is_some_and(|before| before.is_empty() || before.ends_with(b"."))
        }
        None => name == resolver.as_bytes(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{
        End,
        packet::protocol::TCP,
        protocols::{
            testing::{finds_nothing, stands_damage},
            tls::tests::{client_hello, record, server_hello},
        },
    };
    use sensor_ebpf::class::Evidence;

    fn of(port: u16, name: &str, alpn: &[&str]) -> Option<Verdict> {
        let hello = record(22, &client_hello(name, alpn, &[]));
        judge(&Conversation::of(TCP, [40_000, port], &[(End::Client, &hello)]))
    }

    #[test]
    fn resolvers_by_port_name_and_protocol() {
        let found = Some(Verdict::payload(Class::EncryptedDns));
        assert_eq!(of(853, "", &[]), found);
        assert_eq!(of(443, "dns.google", &["h2"]), found);
        assert_eq!(of(443, "Mozilla.Cloudflare-DNS.com", &["h2"]), found);
        assert_eq!(of(443, "abc123.dns.nextdns.io", &["h2"]), found);
        assert_eq!(of(8443, "resolver.example", &["dot"]), found);
        assert_eq!(of(443, "resolver.example", &["h2"]), None);
        assert_eq!(of(443, "notcloudflare-dns.com", &["h2"]), None);
        assert_eq!(of(443, "www.quad9.net", &["h2"]), None);
    }

    #[test]
    fn answers_confirm() {
        let hello = record(22, &client_hello("dns.example", &[], &[]));
        let answer = record(22, &server_hello([0x13, 1], 0x0304));
        let said: [(End, &[u8]); 2] = [(End::Client, &hello), (End::Server, &answer)];
        let verdict = judge(&Conversation::of(TCP, [40_000, 853], &said)).unwrap();
        assert_eq!(verdict.evidence, Evidence::Confirmed);
        stands_damage(judge, TCP, 853, &said);
    }

    #[test]
    fn port_853_alone_says_nothing() {
        finds_nothing(judge, 853);
        assert_eq!(judge(&Conversation::of(TCP, [40_000, 853], &[(End::Client, b"GET / HTTP/1.1\r\n\r\n")])), None);
    }
}
