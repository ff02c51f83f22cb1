//! Telnet, by its commands: IAC and WILL, WON'T, DO, DON'T or a subnegotiation (RFC 854) of an option that exists (IANA registry of Telnet
//! options, and those that MUDs added). Off its port it takes two at the very beginning, or one from each end; at its port one among text,
//! a prompt, or characters that come back one by one (RFC 857).
//!
//! False alarms: other protocols that negotiate as Telnet does (TN3270, MUDs, serial consoles by RFC 2217) are Telnet. Cannot see: a
//! connection off its port in which no option is negotiated, and Telnet in TLS.

use sensor_ebpf::class::Class;

use super::text::starts_with;
use crate::inspect::{Conversation, End, Message, Verdict};

/// The port, and the one that is used in its place where 23 is closed.
const PORTS: [u16; 2] = [23, 2323];
/// Commands (RFC 854).
const SE: u8 = 240;
const NOP: u8 = 241;
const GA: u8 = 249;
const SB: u8 = 250;
const WILL: u8 = 251;
const DONT: u8 = 254;
const IAC: u8 = 255;
/// Commands at the beginning that are nothing else, wherever they are sent to.
const ENOUGH: usize = 2;
/// What a server that asks for a name or a password writes last.
const PROMPTS: [&str; 4] = ["login:", "username:", "password:", "user:"];
/// The longest prompt of a shell that is believed.
const MAX_PROMPT: usize = 48;
/// Characters that come back, which are no coincidence.
const ECHOES: usize = 3;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let at_port = PORTS.iter().any(|port| conversation.has_port(*port));
    let counts = End::ALL.map(|end| commands(conversation.stream(end), at_port));
    match counts {
        [ours, theirs] if ours > 0 && theirs > 0 => Some(Verdict::confirmed(Class::Telnet)),
        [ours, theirs] if at_port && ours + theirs > 0 || ours.max(theirs) >= ENOUGH => {
            Some(Verdict::payload(Class::Telnet))
        }
        _ if at_port && echoes(conversation) => Some(Verdict::confirmed(Class::Telnet)),
        _ if End::ALL.iter().any(|end| PORTS.contains(&conversation.port(*end)) && asks(conversation, *end)) => {
            Some(Verdict::payload(Class::Telnet))
        }
        _ => None,
    }
}

/// Commands before anything else is said; at the port, before anything that is not ASCII.
fn commands(bytes: &[u8], with_text: bool) -> usize {
    let mut rest = bytes;
    let mut count = 0;
    loop {
        rest = match rest {
            [IAC, WILL..=DONT, option, rest @ ..] if is_option(*option) => {
                count += 1;
                rest
            }
            [IAC, SB, option, rest @ ..] if is_option(*option) => {
                let Some(end) = rest.windows(2).position(|pair| pair == [IAC, SE]) else {
                    // Not all of it is there yet.
                    return count + usize::from(with_text);
                };
                count += ENOUGH;
                rest.get(end + 2..).unwrap_or_default()
            }
            [IAC, NOP..=GA, rest @ ..] => rest,
            [IAC, IAC, rest @ ..] if with_text => rest,
            [byte, rest @ ..] if with_text && byte.is_ascii() => rest,
            _ => return count,
        };
    }
}

/// Those of the registry, of MUDs (MSDP, MSSP, MCCP, MSP, MXP, ATCP, GMCP), and the one for more.
fn is_option(option: u8) -> bool {
    matches!(option, 0..=49 | 69 | 70 | 85 | 86 | 90 | 91 | 93 | 138..=140 | 200 | 201 | 255)
}

/// Whether an end asks who is there, or what to do: its last line is a prompt.
fn asks(conversation: &Conversation, end: End) -> bool {
    conversation.messages_of(end).any(|message| {
        let text = message.bytes.trim_ascii_end();
        let line = text.rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
        let ending = |prompt: &str| line.get(line.len().saturating_sub(prompt.len())..).unwrap_or_default();
        let of_shell =
            line.len() <= MAX_PROMPT && !line.contains(&b'<') && matches!(line, [_, .., b'#' | b'$' | b'>' | b'%']);
        text.is_ascii() && (of_shell || PROMPTS.iter().any(|prompt| starts_with(ending(prompt), prompt)))
    })
}

/// Whether characters come back as they are typed.
fn echoes(conversation: &Conversation) -> bool {
    let is_echo = |pair: &&[Message]| match pair {
        [typed, back] => {
            typed.len == 1
                && typed.from != back.from
                && PORTS.contains(&conversation.port(back.from))
                && typed.bytes.first().is_some_and(|byte| byte.is_ascii_graphic() && back.bytes.first() == Some(byte))
        }
        _ => false,
    };
    conversation.messages().windows(2).filter(is_echo).count() >= ECHOES
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    const DO_ECHO: &[u8] = &[IAC, 253, 1];
    const MANY: &[u8] = &[IAC, 253, 3, IAC, WILL, 24, IAC, WILL, 31];
    const SIZE: &[u8] = &[IAC, SB, 31, 0, 80, 0, 24, IAC, SE];

    #[test]
    fn commands_of_one_and_of_both_ends() {
        let payload = Some(Verdict::payload(Class::Telnet));
        for bytes in [MANY, SIZE] {
            assert_eq!(judge(&tcp([40_000, 50_000], &[(End::Client, bytes)])), payload);
        }
        for bytes in [DO_ECHO, &[b"\r\nwelcome\r\n", DO_ECHO].concat(), &[IAC, IAC, IAC, SB, 23, 0]] {
            assert_eq!(judge(&tcp([40_000, 23], &[(End::Server, bytes)])), payload);
            assert_eq!(judge(&tcp([40_000, 50_000], &[(End::Server, bytes)])), None);
        }
        let both = [(End::Server, DO_ECHO), (End::Client, &[IAC, WILL, 1][..])];
        assert_eq!(judge(&tcp([40_000, 50_000], &both)), Some(Verdict::confirmed(Class::Telnet)));
    }

    #[test]
    fn prompts_at_the_port() {
        for text in [
            "Ubuntu 22.04\r\nhost Login: ",
            "Password:",
            "\r\n\r\nUsername: ",
            "last login yesterday\r\nhost# ",
            "Router>",
        ] {
            let said = [(End::Server, text.as_bytes())];
            assert_eq!(judge(&tcp([40_000, 23], &said)), Some(Verdict::payload(Class::Telnet)));
            assert_eq!(judge(&tcp([40_000, 8023], &said)), None);
        }
        for text in ["login: or not", "<p>\n</html>", "hello\r\n", "#"] {
            assert_eq!(judge(&tcp([40_000, 23], &[(End::Server, text.as_bytes())])), None);
        }
        assert_eq!(judge(&tcp([40_000, 23], &[(End::Client, b"login:")])), None);
    }

    #[test]
    fn characters_that_come_back() {
        let said = [b"l", b"s", b"x"].map(|byte| [(End::Client, &byte[..]), (End::Server, &byte[..])]).concat();
        assert_eq!(judge(&tcp([40_000, 23], &said)), Some(Verdict::confirmed(Class::Telnet)));
        assert_eq!(judge(&tcp([40_000, 50_000], &said)), None);
        assert_eq!(judge(&tcp([40_000, 23], &said[..4])), None);
    }

    #[test]
    fn what_only_looks_like_it() {
        // Audio, text in UTF-16, a picture, data that begins with one command.
        for bytes in [
            &[IAC, 0xfb, 0x90, 0x64, 0, 0][..],
            &[IAC, 0xfe, 0x20, 0, 0x41, 0],
            &[IAC, 0xd8, IAC, 0xe0],
            &[IAC, 253, 1, 7, IAC, 253, 3],
            &[IAC, IAC, IAC, IAC],
        ] {
            assert_eq!(judge(&tcp([40_000, 50_000], &[(End::Client, bytes)])), None);
        }
        assert_eq!(judge(&udp([40_000, 23], &[(End::Client, MANY)])), None);
        bears_anything(judge, [40_000, 23], &[MANY, SIZE, b"x login: "]);
    }
}
