//! Links between Tor's relays and clients, as far as their TLS shows them.
//!
//! A client asks for `www.` + 4 to 25 random letters of base 32 + `.com`, a name that no one has (tor, `channeltls.c` and
//! `crypto_random_hostname`), and offers no protocols. Up to TLS 1.2 the server's certificate is seen: issuer `www.<8 to 20>.com`, subject
//! `www.<8 to 20>.net`, nothing else in either (tor, `tortls.c`). In TLS 1.3 it is not; there both ends send cells of 514 bytes, the client after
//! a `VERSIONS` cell (tor-spec, "Cell packet format"): records of whole cells both ways. Each of them confirms. With the client alone it takes a name
//! that nobody chose (digits scattered in it) and none of the extensions that browsers send.
//!
//! False alarms: a client without ALPN that asks for such a name of an ordinary site; the answer clears that. Unseen: bridges with a transport, a
//! name that looks chosen where only the client was seen, and connections of which the beginning was not.

mod certificate;

use sensor_ebpf::class::Class;

use super::Inside;
use super::tls::{
    self,
    hello::ClientHello,
    records::{APPLICATION_DATA, handshake, records},
};
use crate::inspect::{Conversation, Verdict};

/// Letters of the random part of a name: of a client's wish, and of a certificate.
const WISHED: std::ops::RangeInclusive<usize> = 4..=25;
const CERTIFIED: std::ops::RangeInclusive<usize> = 8..=20;
/// TLS 1.3.
const TLS_1_3: usize = 0x0304;
/// Bytes of a cell of link protocols 4 and later, and of what TLS 1.3 adds to a record: its type and a tag.
const CELL: usize = 514;
const OVERHEAD: usize = 17;
/// A `VERSIONS` cell of one to five versions: two bytes of circuit, command, length.
const VERSIONS: std::ops::RangeInclusive<usize> = 5 + 2..=5 + 2 * 5;
/// Extensions that an OpenSSL without further wishes sends (IANA registry): names, groups, point formats, signatures, heartbeat, padding, encrypt
/// then MAC, master secret, ticket, versions, key exchange modes, key share, renegotiation. No browser stays within them.
const PLAIN: [u16; 13] = [0, 10, 11, 13, 15, 21, 22, 23, 35, 43, 45, 51, 0xff01];
/// A name of that length with its digits in that many places was not chosen by anyone.
const LONG: usize = 10;
const SCATTERED: usize = 2;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let proof = tls::proof(conversation)?;
    let hello = proof.hello.as_ref()?;
    let wish = wish(hello)?;
    let [asked, answered] = [proof.client, proof.client.other()].map(|end| conversation.stream(end));
    match proof.answer {
        Some(answer) if answer.version >= TLS_1_3 => {
            (has_cells(asked, true) && has_cells(answered, false)).then_some(Verdict::confirmed(Class::Tor))
        }
        Some(_) => {
            let messages = handshake(answered);
            let [issuer, subject] = certificate::names(&messages)?;
            random_part(issuer, b".com", CERTIFIED)?;
            random_part(subject, b".net", CERTIFIED)?;
            Some(Verdict::confirmed(Class::Tor))
        }
        None => {
            let plain = hello.complete && hello.extensions.iter().all(|number| PLAIN.contains(number));
            let alone = conversation.messages_of(proof.client.other()).next().is_none();
            (plain && alone && is_scattered(wish)).then_some(Verdict::payload(Class::Tor))
        }
    }
}

/// What TLS that both ends confirm may turn out to be: a link, as long as its client asked for such a name.
pub(super) fn inside(conversation: &Conversation) -> Inside {
    match tls::proof(conversation).and_then(|proof| proof.hello.as_ref()) {
        Some(hello) if wish(hello).is_some() => Inside::MayCome,
        Some(hello) if hello.complete => Inside::Known,
        _ => Inside::Cut,
    }
}

/// The random part of the name that a client asks for as Tor's do.
fn wish(hello: &ClientHello) -> Option<&[u8]> {
    let name = hello.server_name.as_deref().filter(|_| hello.alpn.is_none())?;
    random_part(name, b".com", WISHED)
}

/// What stands between `www.` and an ending, where it is base 32 of such a length.
fn random_part<'a>(name: &'a [u8], ending: &[u8], lengths: std::ops::RangeInclusive<usize>) -> Option<&'a [u8]> {
    let part = name.strip_prefix(b"www.")?.strip_suffix(ending)?;
    let is_base32 = part.iter().all(|letter| matches!(letter, b'a'..=b'z' | b'2'..=b'7'));
    (lengths.contains(&part.len()) && is_base32).then_some(part)
}

/// Whether digits stand among the letters in places of their own.
fn is_scattered(part: &[u8]) -> bool {
    let inner = part.windows(2).filter(|pair| pair[0].is_ascii_alphabetic() && pair[1].is_ascii_digit()).count();
    part.len() >= LONG && inner >= SCATTERED && part.last().is_some_and(u8::is_ascii_alphabetic)
}

/// Whether records of an end hold whole cells, or the one that opens a link.
fn has_cells(stream: &[u8], opens: bool) -> bool {
    records(stream).filter(|record| record.kind == APPLICATION_DATA).any(|record| {
        let inside = record.length.saturating_sub(OVERHEAD);
        inside > 0 && inside % CELL == 0 || opens && VERSIONS.contains(&inside) && inside % 2 == 1
    })
}

#[cfg(test)]
mod tests;
