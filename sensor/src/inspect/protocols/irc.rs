//! Internet Relay Chat, by its lines (RFC 1459, RFC 2812, IRCv3 capability negotiation): who registers (NICK with USER, PASS or CAP), who
//! speaks (PRIVMSG, NOTICE), who joins a channel, and what a server says behind its name: a numeric or a command. At its ports any usual
//! command tells.
//!
//! One end is `payload`, both are `confirmed`. Mail and FTP have USER and PASS, too, but neither NICK nor answers behind a name. False
//! alarms: none known. Cannot see: IRC in TLS, and a connection of which only PING and PONG were captured.

use sensor_ebpf::class::Class;

use super::text::{in_either_role, is_one_of, lines, starts_with, starts_with_one_of, words};
use crate::inspect::{Conversation, End, Verdict};

/// Lines that may tell; a client that registers says all of it in the first few.
const MAX_TOLD: usize = 16;
/// Commands with a name in front of them, from a server.
const RELAYED: &[&str] = &[
    "NOTICE",
    "PRIVMSG",
    "JOIN",
    "PART",
    "QUIT",
    "MODE",
    "NICK",
    "TOPIC",
    "KICK",
    "INVITE",
    "CAP",
    "PONG",
    "ERROR",
    "KILL",
    "WALLOPS",
    "ACCOUNT",
    "AUTHENTICATE",
    "TAGMSG",
    "CHGHOST",
];
/// Commands of clients that tell nothing by themselves.
const ASKED: &[&str] = &[
    "NICK",
    "USER",
    "PASS",
    "CAP",
    "PING",
    "PONG",
    "ISON",
    "MODE",
    "WHO",
    "WHOIS",
    "WHOWAS",
    "USERHOST",
    "LIST",
    "NAMES",
    "TOPIC",
    "PART",
    "QUIT",
    "AWAY",
    "MOTD",
    "LUSERS",
    "OPER",
    "INVITE",
    "KICK",
    "AUTHENTICATE",
    "WEBIRC",
    "PROTOCTL",
    "JOIN",
    "PRIVMSG",
    "NOTICE",
    "VERSION",
    "STATS",
];
/// Subcommands of CAP that a client sends.
const CAPABILITIES: &[&str] = &["LS", "LIST", "REQ", "END"];
/// Ports, and what tells enough there.
const PORTS: std::ops::RangeInclusive<u16> = 6660..=6669;
const TLS_PORTS: [u16; 2] = [6697, 7000];
const USUAL: &[&str] = &["NICK", "PING", "PONG", "CAP", "ISON", "WHO", "WHOIS", "MODE", "USERHOST", "ERROR"];
/// Words of USER, itself included (RFC 2812 section 3.1.3).
const USER_WORDS: usize = 5;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let at_port =
        End::ALL.map(|end| conversation.port(end)).iter().any(|port| PORTS.contains(port) || TLS_PORTS.contains(port));
    in_either_role(conversation, |client, server| {
        let (asks, registers) = client_says(client);
        let registers = registers || at_port && lines(client).next().is_some_and(is_usual);
        let answers = server_says(server);
        match (answers, asks, registers) {
            (true, true, _) => Some(Verdict::confirmed(Class::Irc)),
            (true, ..) | (.., true) => Some(Verdict::payload(Class::Irc)),
            _ => None,
        }
    })
}

/// Whether what a client says first is a command, and whether its commands are nobody else's.
fn client_says(bytes: &[u8]) -> (bool, bool) {
    let is_command = |line: &&[u8]| starts_with_one_of(line, ASKED);
    let told = || lines(bytes).take(MAX_TOLD).skip_while(|line| line.is_empty()).take_while(is_command);
    let any = |test: fn(&[u8]) -> bool| told().any(test);
    let nick = any(|line| starts_with_one_of(line, &["NICK"]) && words(line).count() == 2);
    let user = any(|line| starts_with_one_of(line, &["USER"]) && words(line).count() >= USER_WORDS);
    let named = any(|line| starts_with_one_of(line, &["USER"]) && words(line).count() >= 2);
    let pass = any(|line| starts_with_one_of(line, &["PASS"]) && words(line).count() >= 2);
    let cap = any(|line| {
        let mut words = words(line);
        words.next().is_some_and(|word| is_one_of(word, &["CAP"]))
            && words.next().is_some_and(|word| is_one_of(word, CAPABILITIES))
    });
    let speaks = any(is_spoken);
    let joins = any(|line| starts_with(line, "JOIN #") || starts_with(line, "JOIN &"));
    (told().next().is_some(), nick && (named || pass || cap) || user && cap || speaks || joins)
}

/// Whether a line is a command with something behind it that is usual.
fn is_usual(line: &[u8]) -> bool {
    starts_with_one_of(line, USUAL) && words(line).count() >= 2
}

/// Words to somebody: a target, then a text behind a colon.
fn is_spoken(line: &[u8]) -> bool {
    let mut words = words(line);
    words.next().is_some_and(|word| is_one_of(word, &["PRIVMSG", "NOTICE"]))
        && words.next().is_some_and(|target| !target.starts_with(b":"))
        && words.next().is_some_and(|text| text.starts_with(b":"))
}

/// Whether what a server says first is nobody else's. Where the capture began in the middle, that may be half of a line, and the next one
/// counts.
fn server_says(bytes: &[u8]) -> bool {
    lines(bytes).take(2).any(|line| is_relayed(line) || starts_with(line, "ERROR :Closing Link"))
}

/// A line with a name in front: `[@tags] :name command target ...`.
fn is_relayed(line: &[u8]) -> bool {
    let mut words = words(line).peekable();
    words.next_if(|word| word.starts_with(b"@"));
    let name = words.next().and_then(|word| word.strip_prefix(b":"));
    if !name.is_some_and(|name| name.first().is_some_and(u8::is_ascii_graphic)) {
        return false;
    }
    let numeric = |word: &[u8]| word.len() == 3 && word.iter().all(u8::is_ascii_digit);
    words.next().is_some_and(|word| numeric(word) || is_one_of(word, RELAYED)) && words.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn one_end() {
        for client in [
            "NICK me\r\nUSER me 0 * :Me\r\n",
            "USER me 0 * :Me\nNICK me\n",
            "CAP LS 302\r\nNICK me\r\n",
            "PASS secret\r\nnick me\r\n",
            "USER me * * * * * \r\n    NICK me\r\n",
            "PRIVMSG #room :hello\r\n",
            "NOTICE AUTH :*** Looking up your hostname\r\n",
            "JOIN #room\r\n",
        ] {
            assert_eq!(of_lines(judge, "", client), Some(Verdict::payload(Class::Irc)), "{client}");
        }
        for server in [
            ":irc.example 001 me :Welcome\r\n",
            "half a line\r\n:you!y@example PRIVMSG #room :hello\r\n",
            "@a=1;b= :irc.example CAP * LS :multi-prefix\r\n",
            "ERROR :Closing Link: you (bad)\r\n",
        ] {
            assert_eq!(of_lines(judge, server, ""), Some(Verdict::payload(Class::Irc)), "{server}");
        }
    }

    #[test]
    fn both_ends() {
        for client in ["NICK me\r\n", "PONG :12\r\n", "ISON you they\n"] {
            assert_eq!(
                of_lines(judge, ":irc.example 001 me :Welcome\r\n", client),
                Some(Verdict::confirmed(Class::Irc))
            );
            assert_eq!(
                of_lines(judge, client, ":irc.example 001 me :Welcome\r\n"),
                Some(Verdict::confirmed(Class::Irc))
            );
        }
    }

    #[test]
    fn what_only_looks_like_it() {
        for (server, client) in [
            ("220 ready\r\n331 password\r\n", "USER me\r\nPASS secret\r\n"),
            ("+OK ready\r\n+OK\r\n", "USER me\r\nPASS secret\r\nLIST\r\nQUIT\r\n"),
            ("250 ok\r\n", "EHLO me\r\nNICK you\r\n"),
            (":1000\r\n+OK\r\n", "PING\r\n"),
            ("PONG\r\n", "PING\r\nPING\r\n"),
            ("HTTP/1.1 200 OK\r\n\r\n:irc.example 001 me :Welcome", "GET /NICK HTTP/1.1\r\n\r\n"),
            (":10010000214601360121470136007EFE09D2190140\r\n", ""),
            ("200 ready\r\n", "MODE READER\r\nLIST\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), None, "{server} {client}");
        }
        let said = [(End::Client, &b"PING :12\r\n"[..])];
        assert_eq!(judge(&tcp([40_000, 6667], &said)), Some(Verdict::payload(Class::Irc)));
        assert_eq!(judge(&tcp([40_000, 50_000], &said)), None);
        assert_eq!(judge(&tcp([40_000, 6667], &[(End::Client, b"GET / HTTP/1.1\r\n")])), None);
        let said = [(End::Client, &b"PRIVMSG #a :b\r\n"[..])];
        assert_eq!(judge(&udp([1, 6667], &said)), None);
        bears_anything(judge, [40_000, 6667], &[b"NICK me\r\nUSER me 0 * :Me\r\n", b"@a :irc 001 me :Welcome\r\n"]);
    }
}
