//! OpenVPN (draft-openvpn-specification; `ssl_pkt.h` and `tls_crypt.h` of OpenVPN 2.6): opcode and key id in a byte, a session id, and what follows by
//! the way the control channel is protected: nothing, an HMAC (tls-auth) or encryption (tls-crypt). Over TCP each packet has its length before it.
//!
//! Confirmed: an end repeats the session id of the other one. Payload: a reset whose length and fields fit one of these ways, which for tls-crypt, where
//! no session id is repeated in the clear, is all there is; and on port 1194 data packets of one peer whose ids rise.
//!
//! False alarms: none known; the opcode alone is that of many packets, those of QUIC among them, so that nothing is said by it. Not seen: static keys,
//! the XOR patch and other obfuscation, data on another port than 1194 after the handshake.

use sensor_ebpf::class::Class;

use super::bytes::{distinct, u16_at, u32_at};
use crate::inspect::{Conversation, End, Verdict};

/// Soft reset, control, acknowledgement.
const CONTROL: [u8; 3] = [3, 4, 5];
/// Hard resets of a client: version 1, version 2, and version 3 which tls-crypt-v2 has.
const CLIENT_RESETS: [u8; 3] = [1, 7, 10];
/// Hard resets of a server: version 1 and version 2.
const SERVER_RESETS: [u8; 2] = [2, 8];
/// A client's control packet that repeats its wrapped key.
const CONTROL_WITH_KEY: u8 = 11;
/// Data with the id of the peer.
const DATA: u8 = 9;
/// Bytes of a session id.
const SESSION: usize = 8;
/// Opcode and session id.
const HEAD: usize = 1 + SESSION;
/// Packet id and time, which protected packets have.
const REPLAY: usize = 8;
/// Bytes of the HMACs of OpenVPN: MD5, SHA-1 and RIPEMD-160, SHA-224, SHA-256, SHA-384, SHA-512.
const HMACS: [usize; 6] = [16, 20, 28, 32, 48, 64];
/// Bytes of the HMAC of tls-crypt.
const CRYPT_TAG: usize = 32;
/// What a client's reset has behind that: no acknowledgement, a message id.
const CLIENT_TAIL: usize = 5;
/// A server's: one acknowledgement, the session id of the client, a message id.
const SERVER_TAIL: usize = 17;
/// What 2.6 appends to a reset: flags of the early negotiation.
const EARLY: usize = 6;
/// The packet id of a client's first packet where the server may forget it (`EARLY_NEG_START`), plus one.
const EARLY_ID: u32 = 0x0F00_0001;
/// Retransmissions of a reset until nobody answers any more.
const MAX_ID: u32 = 64;
/// No clock of OpenVPN was earlier than 2001 or is later than 2096.
const TIMES: std::ops::Range<u32> = 0x3A4F_C880..0xEEEE_EEEE;
/// The most a wrapped client key takes (`TLS_CRYPT_V2_MAX_WKC_LEN`).
const MAX_KEY: usize = 1024;
/// The port of OpenVPN.
const PORT: u16 = 1194;
/// Data packets of one end that say something on that port.
const MIN_DATA: usize = 4;
/// Packets of a TCP connection that are looked at.
const MAX_PACKETS: usize = 16;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let packets = End::ALL.map(|end| packets(conversation, end));
    let repeats = End::ALL.iter().any(|end| {
        let mut sessions = packets[*end as usize].iter().filter_map(|packet| session(packet));
        sessions.any(|session| packets[end.other() as usize].iter().any(|packet| acknowledges(packet, session)))
    });
    if repeats {
        return Some(Verdict::confirmed(Class::OpenVpn));
    }
    let is_reset = packets.iter().flatten().any(|packet| is_reset(packet));
    let is_data = conversation.has_port(PORT) && packets.iter().any(|packets| is_data(packets));
    (is_reset || is_data).then_some(Verdict::payload(Class::OpenVpn))
}

/// The packets that an end sent.
fn packets(conversation: &Conversation, end: End) -> Vec<&[u8]> {
    if conversation.is_udp() {
        return conversation.messages_of(end).map(|message| message.bytes.as_slice()).collect();
    }
    let mut rest = conversation.stream(end);
    let mut packets = Vec::new();
    while let Some(length) = u16_at(rest, 0).filter(|length| *length > 0)
        && let Some((packet, behind)) = rest.get(2..).and_then(|rest| rest.split_at_checked(usize::from(length)))
        && packets.len() < MAX_PACKETS
    {
        packets.push(packet);
        rest = behind;
    }
    packets
}

fn opcode(packet: &[u8]) -> Option<u8> {
    packet.first().map(|first| first >> 3)
}

fn is_hard(opcode: u8) -> bool {
    CLIENT_RESETS.contains(&opcode) || SERVER_RESETS.contains(&opcode)
}

/// The session id of a control packet.
fn session(packet: &[u8]) -> Option<&[u8]> {
    let opcode = opcode(packet)?;
    let is_control = is_hard(opcode) && packet[0] & 7 == 0 || CONTROL.contains(&opcode) || opcode == CONTROL_WITH_KEY;
    packet.get(1..HEAD).filter(|session| is_control && distinct(session) >= 4)
}

/// Whether a control packet acknowledges something of a session: its id is where acknowledgements end.
fn acknowledges(packet: &[u8], session: &[u8]) -> bool {
    self::session(packet).is_some_and(|own| own != session)
        && shapes().any(|start| {
            let count = packet.get(start).map_or(0, |count| usize::from(*count));
            let place = start + 1 + count * 4;
            (1..=8).contains(&count) && packet.get(place..place + SESSION) == Some(session)
        })
}

/// Where acknowledgements may begin: without protection, and with each HMAC.
fn shapes() -> impl Iterator<Item = usize> {
    std::iter::once(HEAD).chain(HMACS.into_iter().map(|hmac| HEAD + hmac + REPLAY))
}

/// Whether packet id and time are at this place.
fn is_replay(packet: &[u8], place: usize) -> bool {
    let is_id = |id: u32| (1..=MAX_ID).contains(&id) || id == EARLY_ID;
    u32_at(packet, place).is_some_and(is_id) && u32_at(packet, place + 4).is_some_and(|time| TIMES.contains(&time))
}

/// Whether it is a hard reset, by its length and everything in it that is known.
fn is_reset(packet: &[u8]) -> bool {
    let Some(opcode) = opcode(packet).filter(|opcode| is_hard(*opcode)) else { return false };
    if session(packet).is_none() {
        return false;
    }
    let is_server = SERVER_RESETS.contains(&opcode);
    let tail = if is_server { SERVER_TAIL } else { CLIENT_TAIL };
    // A client acknowledges nothing; a server one message, which is the first. And both send their first message.
    let is_tail = |bytes: &[u8]| match bytes {
        [0, id @ ..] if !is_server => id.starts_with(&[0; 4]),
        [1, rest @ ..] if is_server => {
            rest.starts_with(&[0; 4]) && rest.get(4 + SESSION..4 + SESSION + 4) == Some(&[0; 4])
        }
        _ => false,
    };
    let fits = |start: usize| {
        let rest = packet.get(start..).filter(|rest| rest.len() == tail || rest.len() == tail + EARLY);
        rest.is_some_and(is_tail)
    };
    let is_crypt = || {
        let least = HEAD + REPLAY + CRYPT_TAG + tail;
        let is_length = match opcode {
            10 => (least..=least + EARLY + MAX_KEY).contains(&packet.len()),
            7 | 8 => packet.len() == least || packet.len() == least + EARLY,
            _ => false,
        };
        is_length && is_replay(packet, HEAD) && distinct(&packet[HEAD + REPLAY..HEAD + REPLAY + CRYPT_TAG]) > 16
    };
    fits(HEAD) || HMACS.iter().any(|hmac| is_replay(packet, HEAD + hmac) && fits(HEAD + hmac + REPLAY)) || is_crypt()
}

/// Whether these are data packets of one peer, whose ids rise.
fn is_data(packets: &[&[u8]]) -> bool {
    let mut ids = packets.iter().map(|packet| {
        let id = u32_at(packet, 4).filter(|_| opcode(packet) == Some(DATA))?;
        Some((u32_at(packet, 0)?, id))
    });
    let Some(mut before) = ids.next().flatten() else { return false };
    let mut count = 1;
    for id in ids {
        let Some(id) = id.filter(|id| id.0 == before.0 && (1..=64).contains(&id.1.wrapping_sub(before.1))) else {
            return false;
        };
        before = id;
        count += 1;
    }
    count >= MIN_DATA
}

#[cfg(test)]
mod tests;
