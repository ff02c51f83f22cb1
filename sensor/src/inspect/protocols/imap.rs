//! Internet Message Access Protocol, versions 4 (RFC 3501, RFC 9051): a server greets with "* OK", "* PREAUTH" or "* BYE", a client's
//! commands have a tag, and answers have the same one. STARTTLS changes nothing.
//!
//! A greeting or an answer with the tag, and a command, are `confirmed`. False alarms: none known. Cannot see: IMAP in TLS from the first
//! byte (port 993): `tls`, or a guess by port; a client of which alone was captured that only said NOOP or LOGOUT.

use sensor_ebpf::class::Class;

use super::text::{has, in_either_role, is_one_of, lines, starts_with, words};
use crate::inspect::{Conversation, Verdict};

/// The port.
const PORT: u16 = 143;
/// Lines that may tell.
const MAX_TOLD: usize = 8;
/// The longest tag that is believed.
const MAX_TAG: usize = 32;
/// Commands.
const COMMANDS: &[&str] = &[
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "STARTTLS",
    "AUTHENTICATE",
    "LOGIN",
    "ENABLE",
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LIST",
    "LSUB",
    "NAMESPACE",
    "STATUS",
    "APPEND",
    "IDLE",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "SEARCH",
    "FETCH",
    "STORE",
    "COPY",
    "MOVE",
    "UID",
    "ID",
    "COMPRESS",
    "GETQUOTAROOT",
    "XLIST",
];
/// Those that tell by themselves.
const TELLING: &[&str] = &["CAPABILITY", "AUTHENTICATE", "LOGIN", "STARTTLS", "LSUB", "GETQUOTAROOT", "XLIST"];
/// How a server's first line begins.
const GREETINGS: &[&str] = &["* OK ", "* PREAUTH ", "* BYE "];
/// What an answer with a tag says.
const RESULTS: &[&str] = &["OK", "NO", "BAD"];

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let at_port = conversation.has_port(PORT);
    in_either_role(conversation, |client, server| {
        let command = lines(client).take(MAX_TOLD).find_map(command);
        let greets = lines(server).next().is_some_and(|line| GREETINGS.iter().any(|start| starts_with(line, start)));
        let says_so = lines(server).take(MAX_TOLD).any(|line| {
            starts_with(line, "* CAPABILITY IMAP4")
                || GREETINGS.iter().any(|start| starts_with(line, start)) && has(line, "IMAP")
        });
        let answers = command.is_some_and(|(tag, _)| lines(server).any(|line| is_answer(line, tag)));
        if command.is_some() && (greets || says_so || answers) {
            return Some(Verdict::confirmed(Class::Imap));
        }
        let asks =
            at_port && lines(client).next().and_then(self::command).is_some_and(|(_, word)| is_one_of(word, TELLING));
        (says_so || asks || at_port && greets).then_some(Verdict::payload(Class::Imap))
    })
}

/// The tag and the word of a command.
fn command(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut words = words(line);
    let (tag, word) = (words.next()?, words.next()?);
    let is_tag = tag.len() <= MAX_TAG && tag.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(byte));
    (is_tag && is_one_of(word, COMMANDS)).then_some((tag, word))
}

/// Whether this is the result of the command with that tag.
fn is_answer(line: &[u8], tag: &[u8]) -> bool {
    let mut words = words(line);
    words.next() == Some(tag) && words.next().is_some_and(|word| is_one_of(word, RESULTS))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::inspect::End;

    #[test]
    fn both_ends() {
        for (server, client) in [
            ("* OK ready\r\n", "a1 LOGIN me secret\r\n"),
            ("* OK [CAPABILITY IMAP4rev1]\r\n", ". starttls\r\n"),
            ("* 3 EXISTS\r\nA7 OK SELECT completed\r\n", "A7 SELECT INBOX\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), Some(Verdict::confirmed(Class::Imap)), "{server}");
            assert_eq!(of_lines(judge, client, server), Some(Verdict::confirmed(Class::Imap)), "{server}");
        }
    }

    #[test]
    fn one_end() {
        assert_eq!(of_lines(judge, "* OK IMAP4 ready\r\n", ""), Some(Verdict::payload(Class::Imap)));
        assert_eq!(of_lines(judge, "* CAPABILITY IMAP4rev1 IDLE\r\n", ""), Some(Verdict::payload(Class::Imap)));
        for said in [(End::Server, &b"* OK ready\r\n"[..]), (End::Client, b"1 LOGIN me secret\r\n")] {
            assert_eq!(judge(&tcp([40_000, 143], &[said])), Some(Verdict::payload(Class::Imap)));
            assert_eq!(judge(&tcp([40_000, 50_000], &[said])), None);
        }
    }

    #[test]
    fn what_only_looks_like_it() {
        for (server, client) in [
            ("+OK ready\r\n", "USER me\r\n"),
            ("HTTP/1.1 200 OK\r\n", "GET / HTTP/1.1\r\n"),
            ("b OK\r\n", "a LOGIN me\r\n"),
            ("* OKAY\r\n", "please LIST it\r\n"),
            ("* OK ready\r\n", "ready\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), None, "{server}{client}");
        }
        bears_anything(judge, [40_000, 143], &[b"* OK IMAP4\r\na OK done\r\n", b"a LOGIN me secret\r\n"]);
    }
}
