//! Post Office Protocol 3 (RFC 1939, RFC 2449, RFC 2595): a server greets and answers with "+OK" or "-ERR", a client has commands of three
//! and four letters. STLS changes nothing.
//!
//! An answer and a command are `confirmed`. False alarms: none known; Redis answers "+OK", too, but does not greet, and what both have
//! (AUTH, QUIT) only counts behind a greeting. Cannot see: POP3 in TLS from the first byte (port 995): `tls`, or a guess by port; a client
//! alone off the port.

use sensor_ebpf::class::Class;

use super::text::{has, in_either_role, lines, starts_with, starts_with_one_of};
use crate::inspect::{Conversation, End, Verdict};

/// The port.
const PORT: u16 = 110;
/// Commands that nobody else answers so.
const COMMANDS: &[&str] = &["USER", "PASS", "APOP", "CAPA", "STLS", "STAT", "UIDL", "RETR", "TOP", "DELE"];
/// Those that others have, too.
const SHARED: &[&str] = &["AUTH", "LIST", "QUIT", "NOOP"];

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let at_port = conversation.has_port(PORT);
    in_either_role(conversation, |client, server| {
        let command = lines(client).next();
        let asks = command.is_some_and(|line| starts_with_one_of(line, COMMANDS));
        let may_ask = command.is_some_and(|line| starts_with_one_of(line, SHARED));
        let answer = lines(server).next().filter(|line| is_answer(line));
        // Whoever spoke first is the same in both roles.
        let greeted =
            conversation.messages().first().and_then(|message| lines(&message.bytes).next()).is_some_and(is_answer);
        let greeted = greeted && End::ALL.iter().all(|end| conversation.from_start(*end));
        match answer {
            Some(_) if asks || may_ask && (greeted || at_port) => Some(Verdict::confirmed(Class::Pop3)),
            Some(line) if at_port || starts_with(line, "+OK") && has(line, "POP") => {
                Some(Verdict::payload(Class::Pop3))
            }
            None if at_port && asks && server.is_empty() => Some(Verdict::payload(Class::Pop3)),
            _ => None,
        }
    })
}

/// Whether a line is "+OK" or "-ERR", alone or with a text.
fn is_answer(line: &[u8]) -> bool {
    starts_with_one_of(line, &["+OK", "-ERR"])
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn both_ends() {
        for (server, client) in [
            ("+OK ready\r\n+OK\r\n", "USER me\r\n"),
            ("+OK <1@example>\r\n", "APOP me 0123\r\n"),
            ("-ERR what\r\n", "capa\r\n"),
            ("+OK ready\r\n", "AUTH\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), Some(Verdict::confirmed(Class::Pop3)), "{server}");
        }
        // Roles are a guess.
        assert_eq!(of_lines(judge, "USER me\r\n", "+OK\r\n"), Some(Verdict::confirmed(Class::Pop3)));
    }

    #[test]
    fn one_end() {
        assert_eq!(of_lines(judge, "+OK POP3 ready\r\n", ""), Some(Verdict::payload(Class::Pop3)));
        for said in [(End::Server, &b"+OK ready\r\n"[..]), (End::Client, b"USER me\r\nPASS secret\r\n")] {
            assert_eq!(judge(&tcp([40_000, 110], &[said])), Some(Verdict::payload(Class::Pop3)));
            assert_eq!(judge(&tcp([40_000, 50_000], &[said])), None);
        }
    }

    #[test]
    fn what_only_looks_like_it() {
        let redis = [(End::Client, &b"AUTH secret\r\n"[..]), (End::Server, b"+OK\r\n")];
        assert_eq!(judge(&tcp([40_000, 6379], &redis)), None);
        for (server, client) in [
            ("220 ready\r\n331 password\r\n", "USER me\r\nPASS secret\r\n"),
            ("+OKAY\r\n", "USER me\r\n"),
            ("* OK ready\r\n", "a LOGIN me secret\r\n"),
            ("+PONG\r\n+OK\r\n", "PING\r\nQUIT\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), None, "{server}{client}");
        }
        bears_anything(judge, [40_000, 110], &[b"+OK POP3\r\n-ERR\r\n", b"USER me\r\nPASS x\r\n"]);
    }
}
