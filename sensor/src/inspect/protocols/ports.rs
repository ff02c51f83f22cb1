//! What a well-known port (IANA registry of service names) suggests, where nobody knows better: a guess, of ordinary protocols only, and of
//! those in TLS only where TLS is what is there.
//!
//! False alarms: whatever else uses the port. Cannot see: the protocol on any other port.

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, End, Verdict};

/// Ports of TCP.
const TCP: &[(u16, Class)] = &[
    (21, Class::Ftp),
    (25, Class::Smtp),
    (587, Class::Smtp),
    (110, Class::Pop3),
    (143, Class::Imap),
    (139, Class::Smb),
    (445, Class::Smb),
    (3389, Class::Rdp),
    (5060, Class::Sip),
];
/// Ports of the same in TLS.
const TLS: &[(u16, Class)] =
    &[(990, Class::Ftp), (465, Class::Smtp), (993, Class::Imap), (995, Class::Pop3), (5061, Class::Sip)];
/// Ports of UDP.
const UDP: &[(u16, Class)] = &[(123, Class::Ntp), (3389, Class::Rdp), (5060, Class::Sip)];

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let ports = match () {
        () if conversation.is_tcp() && End::ALL.iter().any(|end| is_tls(conversation.stream(*end))) => TLS,
        () if conversation.is_tcp() => TCP,
        () if conversation.is_udp() => UDP,
        () => return None,
    };
    // Who only knocks says nothing.
    conversation.messages().first()?;
    let (_, class) = ports.iter().find(|(port, _)| conversation.has_port(*port))?;
    Some(Verdict::port(*class))
}

/// Whether a record of TLS comes first: its type, its version (RFC 8446 section 5.1).
fn is_tls(bytes: &[u8]) -> bool {
    matches!(bytes, [20..=23, 3, 0..=4, ..])
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};

    #[test]
    fn a_guess_where_something_was_said() {
        let said = [(End::Client, &b"?"[..])];
        assert_eq!(judge(&tcp([40_000, 25], &said)), Some(Verdict::port(Class::Smtp)));
        assert_eq!(judge(&tcp([40_000, 465], &said)), None);
        let record = [(End::Server, &[23, 3, 3, 0, 9][..])];
        assert_eq!(judge(&tcp([40_000, 465], &record)), Some(Verdict::port(Class::Smtp)));
        assert_eq!(judge(&tcp([40_000, 25], &record)), None);
        assert_eq!(judge(&udp([123, 123], &said)), Some(Verdict::port(Class::Ntp)));
        assert_eq!(judge(&tcp([40_000, 25], &[])), None);
        assert_eq!(judge(&udp([40_000, 465], &said)), None);
        bears_anything(judge, [40_000, 465], &[b"?"]);
    }
}
