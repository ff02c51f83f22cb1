//! Simple Mail Transfer Protocol (RFC 5321), and its relative for the last hop, LMTP (RFC 2033), by EHLO, HELO, LHLO and the envelope, and
//! by a server's greeting (220) that says so, is followed by what only mail servers offer, or comes from a port of mail. STARTTLS changes
//! nothing.
//!
//! An answer and a command are `confirmed`. False alarms: none known. Cannot see: mail in TLS from the first byte (port 465): `tls`, or a
//! guess by port.

use sensor_ebpf::class::Class;

use super::text::{code, has, in_either_role, lines, starts_with, starts_with_one_of, words};
use crate::inspect::{Conversation, Verdict};

/// Between servers, from people, and where those are closed.
const PORTS: [u16; 3] = [25, 587, 2525];
/// Lines of a client that may tell.
const MAX_TOLD: usize = 8;
/// Commands that introduce a client.
const HELLO: &[&str] = &["EHLO", "HELO", "LHLO"];
/// The envelope.
const ENVELOPE: &[&str] = &["MAIL FROM:", "RCPT TO:"];
/// Service ready.
const READY: u16 = 220;
/// Done.
const OK: u16 = 250;
/// What a server offers (IANA registry of SMTP service extensions).
const OFFERS: &[&str] =
    &["PIPELINING", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES", "CHUNKING", "SMTPUTF8", "DSN", "ETRN", "VRFY"];

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let at_port = PORTS.iter().any(|port| conversation.has_port(*port));
    in_either_role(conversation, |client, server| {
        let asks = lines(client).take(MAX_TOLD).take_while(|line| is_any_command(line)).any(is_command);
        let answered = lines(server).next().and_then(code);
        match (asks, answered) {
            (true, Some(_)) => Some(Verdict::confirmed(Class::Smtp)),
            (true, None) => Some(Verdict::payload(Class::Smtp)),
            (false, Some(READY)) => {
                let says_so = lines(server).take_while(|line| code(line) == Some(READY)).any(|line| has(line, "SMTP"));
                let offers = lines(server).filter(|line| code(line) == Some(OK)).any(is_offer);
                (says_so || offers || at_port).then_some(Verdict::payload(Class::Smtp))
            }
            (false, _) => None,
        }
    })
}

fn is_command(line: &[u8]) -> bool {
    starts_with_one_of(line, HELLO) && words(line).count() == 2 || ENVELOPE.iter().any(|start| starts_with(line, start))
}

/// Whether a line may come before those: any command, none of HTTP to a proxy.
fn is_any_command(line: &[u8]) -> bool {
    words(line).next().is_some_and(|word| (4..=8).contains(&word.len()) && word.iter().all(u8::is_ascii_alphabetic))
        && !has(line, "HTTP/")
}

fn is_offer(line: &[u8]) -> bool {
    line.get(4..).is_some_and(|offer| starts_with_one_of(offer, OFFERS))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::inspect::End;

    #[test]
    fn both_ends() {
        for (server, client) in [
            ("220 example\r\n250 example\r\n", "EHLO me\r\n"),
            ("220 example LMTP\r\n250 example\r\n", "lhlo me\r\n"),
            ("250 2.1.0 Ok\r\n", "MAIL FROM:<a@example>\r\n"),
            ("220 example\r\n", "NOOP\r\nHELO me\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), Some(Verdict::confirmed(Class::Smtp)), "{server}");
            assert_eq!(of_lines(judge, client, server), Some(Verdict::confirmed(Class::Smtp)), "{server}");
        }
    }

    #[test]
    fn one_end() {
        for (server, client) in [
            ("220 example ESMTP\r\n", ""),
            ("220-example\r\n220 example SMTP\r\n", "\x01\x02\r\n"),
            ("220 example\r\n250-example\r\n250-SIZE 1\r\n250 PIPELINING\r\n", ""),
            ("", "EHLO me\r\nMAIL FROM:<a@example>\r\n"),
            ("", "rcpt to:<a@example>\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), Some(Verdict::payload(Class::Smtp)), "{server}{client}");
        }
        let said = [(End::Server, &b"220 example\r\n"[..])];
        assert_eq!(judge(&tcp([40_000, 587], &said)), Some(Verdict::payload(Class::Smtp)));
        assert_eq!(judge(&tcp([40_000, 50_000], &said)), None);
    }

    #[test]
    fn what_only_looks_like_it() {
        for (server, client) in [
            ("220 example FTP\r\n331 password\r\n", "USER me\r\nPASS secret\r\n"),
            ("HTTP/1.1 200 OK\r\n", "POST / HTTP/1.1\r\nHost: a\r\n\r\nEHLO me\r\n"),
            ("HTTP/1.1 200 OK\r\n\r\n220 example ESMTP\r\n", "CONNECT example:25 HTTP/1.1\r\n\r\nEHLO me\r\n"),
            ("220 example\r\n", "QUIT\r\n"),
            ("", "EHLO\r\n"),
            ("", "HELO how are you\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), None, "{server}{client}");
        }
        bears_anything(judge, [40_000, 25], &[b"220 x ESMTP\r\n250 PIPELINING\r\n", b"EHLO me\r\nMAIL FROM:<a>\r\n"]);
    }
}
