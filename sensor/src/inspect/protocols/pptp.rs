//! The control connection of PPTP (RFC 2637 section 2): length, message type 1, the magic cookie, a control message type, whose length is fixed.
//!
//! Confirmed: both ends send such messages. Payload: one of them does. Its data is GRE of version 1, see `ip.rs`.
//!
//! False alarms: none known, of the 96 fixed bits 32 are the cookie. Not seen: a connection whose first messages were not captured.

use sensor_ebpf::class::Class;

use super::bytes::{u16_at, u32_at};
use crate::inspect::{Conversation, End, Verdict};

/// The magic cookie.
const COOKIE: u32 = 0x1A2B_3C4D;
/// Lengths by control message type, from 1, Start-Control-Connection-Request, to 15, Set-Link-Info.
const LENGTHS: [u16; 15] = [156, 156, 16, 16, 16, 20, 168, 32, 220, 24, 28, 16, 148, 40, 24];

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() {
        return None;
    }
    match End::ALL.map(|end| is_control(conversation.stream(end))) {
        [true, true] => Some(Verdict::confirmed(Class::Pptp)),
        [false, false] => None,
        _ => Some(Verdict::payload(Class::Pptp)),
    }
}

/// Whether a stream begins with a control message.
fn is_control(stream: &[u8]) -> bool {
    let kind = u16_at(stream, 8).map_or(0, usize::from);
    let length = kind.checked_sub(1).and_then(|place| LENGTHS.get(place));
    u32_at(stream, 4) == Some(COOKIE)
        && u16_at(stream, 2) == Some(1)
        && length.is_some()
        && u16_at(stream, 0) == length.copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{packet::protocol::TCP, protocols::testing::assert_robust};

    fn control(kind: u8, length: u8) -> Vec<u8> {
        let mut bytes = vec![0, length, 0, 1, 0x1A, 0x2B, 0x3C, 0x4D, 0, kind, 0, 0];
        bytes.resize(usize::from(length), 0);
        bytes
    }

    #[test]
    fn control_messages() {
        let [request, reply] = [control(1, 156), control(2, 156)];
        let messages: [(End, &[u8]); 2] = [(End::Client, &request), (End::Server, &reply)];
        let of = |messages: &[(End, &[u8])]| judge(&Conversation::of(TCP, [40000, 1723], messages));
        assert_eq!(of(&messages), Some(Verdict::confirmed(Class::Pptp)));
        assert_eq!(of(&messages[1..]), Some(Verdict::payload(Class::Pptp)));
        assert_eq!(of(&[(End::Client, b"SSH-2.0-OpenSSH_9.6\r\n")]), None);
        assert_eq!(of(&[(End::Client, &control(1, 155))]), None);
        assert_eq!(of(&[(End::Client, &control(16, 24))]), None);
        assert_robust(judge, TCP, [40000, 1723], &messages);
    }
}
