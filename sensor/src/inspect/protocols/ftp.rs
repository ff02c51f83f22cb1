//! The control connection of the File Transfer Protocol (RFC 959, RFC 2228, RFC 2428, RFC 3659), by its commands and answers. A server's
//! greeting (220) is that of mail, too: it counts with a command that mail does not have, with an answer that mail does not give, with
//! "FTP" in it, or at port 21.
//!
//! An answer and a command are `confirmed`. False alarms: what calls itself FTP in a greeting is believed, and HylaFAX, which speaks it, is
//! FTP. Cannot see: data connections, whose ports the control connection agrees on; FTP in TLS from the first byte (port 990): `tls`, or a
//! guess by port.

use sensor_ebpf::class::Class;

use super::text::{code, has, in_either_role, is_one_of, lines, starts_with_one_of, words};
use crate::inspect::{Conversation, Verdict};

/// The port.
const PORT: u16 = 21;
/// Lines that may tell.
const MAX_TOLD: usize = 12;
/// Commands that neither mail nor news have, those of POP3 excepted.
const COMMANDS: &[&str] = &[
    "USER", "PASS", "FEAT", "SYST", "PORT", "PASV", "EPSV", "EPRT", "LPRT", "LPSV", "CWD", "XCWD", "PWD", "XPWD",
    "TYPE", "SIZE", "MDTM", "MFMT", "CLNT", "OPTS", "HOST", "ACCT", "PBSZ", "PROT", "CCC", "ADAT", "CDUP", "MKD",
    "XMKD", "RMD", "STOR", "STOU", "RETR", "APPE", "NLST", "MLSD", "MLST", "REST", "RNFR", "RNTO", "SITE", "ABOR",
    "REIN", "SMNT", "STRU", "ALLO",
];
/// Those that only FTP has.
const ONLY: &[&str] = &[
    "SYST", "PASV", "EPSV", "EPRT", "CWD", "XCWD", "PWD", "XPWD", "MDTM", "PBSZ", "CDUP", "MKD", "XMKD", "STOR",
    "NLST", "MLSD", "MLST", "RNFR",
];
/// Mechanisms of AUTH (RFC 2228, RFC 4217); those of mail have other names.
const MECHANISMS: &[&str] = &["TLS", "SSL", "TLS-C", "TLS-P", "GSSAPI", "KERBEROS_V4"];
/// Commands after which it is mail.
const MAIL: &[&str] = &["EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT"];
/// Service ready.
const READY: u16 = 220;
/// Answers that mail does not have: features, system type, passive mode, logged in, go ahead with TLS, need a password.
const ANSWERS: &[u16] = &[211, 215, 227, 229, 230, 234, 331, 332];

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    let at_port = conversation.has_port(PORT);
    in_either_role(conversation, |client, server| {
        let told = || lines(client).take(MAX_TOLD).take_while(|line| !starts_with_one_of(line, MAIL));
        let commands = told().filter(|line| is_command(line)).count();
        let only = told().any(|line| starts_with_one_of(line, ONLY));
        let answered = lines(server).next().and_then(code).is_some();
        if answered && commands > 0 {
            return Some(Verdict::confirmed(Class::Ftp));
        }
        let greets = lines(server).next().and_then(code) == Some(READY);
        let says_so =
            greets && greeting(server).any(|line| has(line, "FTP")) && !greeting(server).any(|line| has(line, "SMTP"));
        let answers = greets && lines(server).filter_map(code).any(|code| ANSWERS.contains(&code));
        // One end only: POP3 has some of the commands.
        let asks = commands > 1 && only;
        let by_port = at_port && (greets || commands > 0 && only || asks_who(client));
        (says_so || answers || asks || by_port).then_some(Verdict::payload(Class::Ftp))
    })
}

fn is_command(line: &[u8]) -> bool {
    let mut words = words(line);
    words.next().is_some_and(|word| {
        is_one_of(word, COMMANDS)
            || is_one_of(word, &["AUTH"]) && words.next().is_some_and(|mechanism| is_one_of(mechanism, MECHANISMS))
    })
}

/// Whether a client begins with a name.
fn asks_who(client: &[u8]) -> bool {
    lines(client).next().is_some_and(|line| starts_with_one_of(line, &["USER"]) && words(line).count() == 2)
}

/// The lines of a greeting.
fn greeting(server: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(server).take_while(|line| code(line) == Some(READY))
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::inspect::End;

    #[test]
    fn both_ends() {
        for (server, client) in [
            ("220 ready\r\n331 password\r\n", "USER me\r\nPASS secret\r\n"),
            ("220-hello\r\n220 ready\r\n", "AUTH TLS\r\n"),
            ("220 ready\r\n", "PORT 192,0,2,1,78,33\r\n"),
            ("211-Features\r\n", "feat\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), Some(Verdict::confirmed(Class::Ftp)), "{server}");
            assert_eq!(of_lines(judge, client, server), Some(Verdict::confirmed(Class::Ftp)), "{server}");
        }
    }

    #[test]
    fn one_end() {
        for (server, client) in [
            ("220 example FTP server\r\n", ""),
            ("220 example\r\n331 password\r\n", ""),
            ("", "USER me\r\nPASS secret\r\nSYST\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), Some(Verdict::payload(Class::Ftp)), "{server}{client}");
        }
        for said in [(End::Server, &b"220 example\r\n"[..]), (End::Client, b"USER me\r\n"), (End::Client, b"PASV\r\n")]
        {
            assert_eq!(judge(&tcp([40_000, 21], &[said])), Some(Verdict::payload(Class::Ftp)));
            assert_eq!(judge(&tcp([40_000, 50_000], &[said])), None);
        }
    }

    #[test]
    fn what_only_looks_like_it() {
        for (server, client) in [
            (
                "220 example ESMTP (no FTP)\r\n250 example\r\n",
                "EHLO me\r\nMAIL FROM:<a@example>\r\nDATA\r\nUSER me\r\nPASV\r\n",
            ),
            ("220 example\r\n", "QUIT\r\n"),
            ("220 example\r\n250-example\r\n250 AUTH PLAIN\r\n", "AUTH PLAIN AAAA\r\n"),
            ("+OK ready\r\n", "USER me\r\nPASS secret\r\nRETR 1\r\n"),
            (":irc 001 me :hi\r\n", "NICK me\r\nUSER me 0 * :Me\r\n"),
            ("HTTP/1.1 220 FTP\r\n", "GET / HTTP/1.1\r\n"),
            ("200 news ready\r\n", "MODE READER\r\nGROUP a.b\r\nLIST\r\n"),
        ] {
            assert_eq!(of_lines(judge, server, client), None, "{server}{client}");
        }
        bears_anything(judge, [40_000, 21], &[b"220 FTP\r\n331 x\r\n", b"USER me\r\nPASS x\r\nAUTH TLS\r\n"]);
    }
}
