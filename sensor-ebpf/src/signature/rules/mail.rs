//! Mail, and FTP, which looks like it.

use super::super::{rule::Rule, service::Service};
use crate::class::Class::{Ftp, Imap, Pop3, Smtp};

/// An answer: three digits, then a blank or a minus (RFC 5321 section 4.2; RFC 959 section 4.2).
const fn answer(rule: Rule) -> Rule {
    rule.bits(0, 0xf8, b'0').each(1, 2, 0xf0, b'0').bits(3, 0xf0, b' ')
}

/// Commands of SMTP (RFC 5321 section 4.1.1), and answers at its ports.
///
/// False alarms: none known.
pub(super) const SMTP: &[Rule] = &[
    Rule::tcp(Smtp).bytes(0, b"EHLO "),
    Rule::tcp(Smtp).bytes(0, b"MAIL FROM:"),
    Rule::tcp(Smtp).bytes(0, b"RCPT TO:"),
    Rule::tcp(Smtp).bytes(0, b"HELO ").at(Service::Mail),
    answer(Rule::tcp(Smtp)).at(Service::Mail),
];

/// Answers of FTP at its port, and the name with which a client begins (RFC 959 section 4.1.1).
///
/// False alarms: other protocols with such answers that are moved to port 21.
pub(super) const FTP: &[Rule] =
    &[answer(Rule::tcp(Ftp)).at(Service::Ftp), Rule::tcp(Ftp).bytes(0, b"USER ").at(Service::Ftp)];

/// Answers of POP3 at its port (RFC 1939 section 3).
///
/// False alarms: none known.
pub(super) const POP3: &[Rule] =
    &[Rule::tcp(Pop3).bytes(0, b"+OK").at(Service::Pop3), Rule::tcp(Pop3).bytes(0, b"-ERR").at(Service::Pop3)];

/// What a server of IMAP says without being asked (RFC 9051 section 7), at its port; anywhere a greeting with capabilities.
///
/// False alarms: none known.
pub(super) const IMAP: &[Rule] = &[
    Rule::tcp(Imap).bytes(0, b"* OK [CAPABILITY"),
    Rule::tcp(Imap).bytes(0, b"* ").bits(2, 0xc0, 0x40).bits(3, 0xc0, 0x40).at(Service::Imap),
];
