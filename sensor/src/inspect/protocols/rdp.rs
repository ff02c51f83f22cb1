//! Remote Desktop Protocol. Over TCP by the X.224 connection request and confirm in a TPKT ([MS-RDPBCGR] 2.2.1.1 and 2.2.1.2; RFC 1006)
//! with the cookie or the negotiation that only RDP has, and by the keys "Duca" and "McDn" in what follows (2.2.1.3 and 2.2.1.4); over UDP
//! see `udp`.
//!
//! A request and its confirm, which names the request's reference, are `confirmed`. False alarms: none known; S7, H.323 and others with
//! TPKT have other parameters, and a request without any counts at port 3389 only. Cannot see: a connection that was captured from its TLS
//! on, and one inside of a gateway's HTTPS.

mod udp;

use sensor_ebpf::class::Class;

use super::text::in_either_role;
use crate::inspect::{Conversation, Verdict};

/// The port.
const PORT: u16 = 3389;
/// Version and reserved byte of a TPKT (RFC 1006 section 6).
const TPKT: [u8; 2] = [3, 0];
/// Bytes of a TPKT's header.
const TPKT_LEN: usize = 4;
/// Codes of X.224 (section 13): connection request, connection confirm; data with the end mark.
const REQUEST: u8 = 0xe0;
const CONFIRM: u8 = 0xd0;
const DATA: [u8; 3] = [2, 0xf0, 0x80];
/// Length indicator of a connection PDU without parameters.
const NO_PARAMETERS: u8 = 6;
/// Types of negotiation (2.2.1.1.1, 2.2.1.2.1, 2.2.1.2.2); each is eight bytes, little endian.
const NEGOTIATION_REQUEST: u8 = 1;
const NEGOTIATION_RESPONSE: u8 = 2;
const NEGOTIATION_FAILURE: u8 = 3;
const NEGOTIATION_LEN: [u8; 2] = [8, 0];
/// How routing tokens and cookies begin.
const COOKIES: [&[u8]; 2] = [b"Cookie: mst", b"tsv://MS Terminal Services"];
/// T.125 connect-initial and connect-response (BER application tags 101 and 102).
const MCS_INITIAL: [u8; 2] = [0x7f, 0x65];
const MCS_RESPONSE: [u8; 2] = [0x7f, 0x66];
/// Keys in the user data of both (H.221).
const CLIENT_KEY: &[u8] = b"Duca";
const SERVER_KEY: &[u8] = b"McDn";
/// Where the keys are looked for.
const MAX_KEY_OFFSET: usize = 512;

/// A connection PDU of X.224.
#[derive(Clone, Copy)]
struct Connection<'a> {
    code: u8,
    /// Reference of the other end.
    destination: u16,
    /// Reference of who sends it.
    source: u16,
    parameters: &'a [u8],
}

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if conversation.is_udp() {
        return udp::judge(conversation);
    }
    let at_port = conversation.has_port(PORT);
    in_either_role(conversation, |client, server| {
        let request = connection(client).filter(|request| request.code == REQUEST && request.destination == 0);
        let confirm = connection(server).filter(|confirm| confirm.code == CONFIRM);
        let asks =
            request.is_some_and(|request| request.is_telling(at_port)) || is_data(client, MCS_INITIAL, CLIENT_KEY);
        let answers =
            confirm.is_some_and(|confirm| confirm.is_telling(at_port)) || is_data(server, MCS_RESPONSE, SERVER_KEY);
        let agree = match (request, confirm) {
            (Some(request), Some(confirm)) => request.source == confirm.destination && (asks || answers),
            _ => asks && answers,
        };
        match (agree, asks || answers) {
            (true, _) => Some(Verdict::confirmed(Class::Rdp)),
            (false, true) => Some(Verdict::payload(Class::Rdp)),
            (false, false) => None,
        }
    })
}

/// The connection PDU in the TPKT at the beginning.
fn connection(bytes: &[u8]) -> Option<Connection<'_>> {
    let packet = tpkt(bytes)?;
    let ([indicator, code, d0, d1, s0, s1, class], parameters) = packet.split_first_chunk()?;
    let fits = usize::from(*indicator) + 1 == packet.len() && *indicator >= NO_PARAMETERS && *class == 0;
    fits.then(|| Connection {
        code: *code,
        destination: u16::from_be_bytes([*d0, *d1]),
        source: u16::from_be_bytes([*s0, *s1]),
        parameters,
    })
}

/// What is in the TPKT at the beginning, if all of it is there.
fn tpkt(bytes: &[u8]) -> Option<&[u8]> {
    let ([a, b, c, d], _) = bytes.split_first_chunk::<TPKT_LEN>()?;
    let packet = bytes.get(TPKT_LEN..usize::from(u16::from_be_bytes([*c, *d])))?;
    ([*a, *b] == TPKT).then_some(packet)
}

impl Connection<'_> {
    /// Whether nothing else has such parameters; none at all are those of the first versions.
    fn is_telling(&self, at_port: bool) -> bool {
        match self.parameters {
            [] => at_port,
            [kind, _, a, b, _, _, _, _] if self.code == CONFIRM => {
                [*a, *b] == NEGOTIATION_LEN && matches!(*kind, NEGOTIATION_RESPONSE | NEGOTIATION_FAILURE)
            }
            [NEGOTIATION_REQUEST, _, a, b, ..] => self.code == REQUEST && [*a, *b] == NEGOTIATION_LEN,
            parameters => self.code == REQUEST && COOKIES.iter().any(|start| parameters.starts_with(start)),
        }
    }
}

/// Whether the first data, wherever the capture began, connects for RDP. A stream goes on behind the connection PDU.
fn is_data(bytes: &[u8], tag: [u8; 2], key: &[u8]) -> bool {
    let behind = tpkt(bytes).and_then(|packet| bytes.get(TPKT_LEN + packet.len()..));
    [Some(bytes), behind].into_iter().flatten().any(|bytes| {
        let Some(data) = bytes.strip_prefix(&TPKT).and_then(|rest| rest.get(2..)?.strip_prefix(&DATA)) else {
            return false;
        };
        data.starts_with(&tag) && data.windows(key.len()).take(MAX_KEY_OFFSET).any(|part| part == key)
    })
}

#[cfg(test)]
mod tests {
    use super::{super::testing::*, *};
    use crate::inspect::End;

    fn pdu(code: u8, references: [u8; 4], parameters: &[u8]) -> Vec<u8> {
        let x224 = [&[6 + parameters.len() as u8, code][..], &references, &[0], parameters].concat();
        [&[3, 0, 0, 4 + x224.len() as u8][..], &x224].concat()
    }

    fn data(tag: [u8; 2], key: &[u8]) -> Vec<u8> {
        let body = [&DATA[..], &tag, &[0; 60], key, &[0; 8]].concat();
        [&[3, 0, 0, 4 + body.len() as u8][..], &body].concat()
    }

    const ASK: [u8; 8] = [1, 0, 8, 0, 3, 0, 0, 0];
    const ANSWER: [u8; 8] = [2, 1, 8, 0, 2, 0, 0, 0];

    #[test]
    fn requests_and_confirms() {
        let cookie = [&b"Cookie: mstshash=me\r\n"[..], &ASK].concat();
        for parameters in [&ASK[..], &cookie, b"Cookie: msts=1.2.3\r\n"] {
            let request = pdu(REQUEST, [0; 4], parameters);
            assert_eq!(judge(&tcp([40_000, 50_000], &[(End::Client, &request)])), Some(Verdict::payload(Class::Rdp)));
            let confirm = pdu(CONFIRM, [0, 0, 0x12, 0x34], &ANSWER);
            let both = [(End::Client, &request[..]), (End::Server, &confirm)];
            assert_eq!(judge(&tcp([40_000, 50_000], &both)), Some(Verdict::confirmed(Class::Rdp)));
            let both = [(End::Server, &request[..]), (End::Client, &confirm)];
            assert_eq!(judge(&tcp([40_000, 50_000], &both)), Some(Verdict::confirmed(Class::Rdp)));
            let other = pdu(CONFIRM, [9, 9, 0x12, 0x34], &ANSWER);
            let both = [(End::Client, &request[..]), (End::Server, &other)];
            assert_eq!(judge(&tcp([40_000, 50_000], &both)), Some(Verdict::payload(Class::Rdp)));
        }
    }

    #[test]
    fn a_request_without_parameters_needs_the_port() {
        let request = pdu(REQUEST, [0; 4], &[]);
        assert_eq!(judge(&tcp([40_000, 3389], &[(End::Client, &request)])), Some(Verdict::payload(Class::Rdp)));
        assert_eq!(judge(&tcp([40_000, 102], &[(End::Client, &request)])), None);
    }

    #[test]
    fn what_follows() {
        let first = data(MCS_INITIAL, CLIENT_KEY);
        let answer = data(MCS_RESPONSE, SERVER_KEY);
        assert_eq!(judge(&tcp([40_000, 50_000], &[(End::Client, &first)])), Some(Verdict::payload(Class::Rdp)));
        let both = [(End::Client, &first[..]), (End::Server, &answer)];
        assert_eq!(judge(&tcp([40_000, 50_000], &both)), Some(Verdict::confirmed(Class::Rdp)));
    }

    #[test]
    fn what_only_looks_like_it() {
        // S7, whose parameters are C1, C2 and C0; a call of H.323; a conference without the key.
        let s7 = pdu(REQUEST, [0, 0, 0, 1], &[0xc1, 2, 1, 0, 0xc2, 2, 1, 2, 0xc0, 1, 10]);
        let q931 = [3, 0, 0, 12, 8, 2, 0, 1, 5, 4, 3, 0x80];
        for bytes in [&s7[..], &q931, &data(MCS_INITIAL, b"NetM")] {
            assert_eq!(judge(&tcp([40_000, 3389], &[(End::Client, bytes)])), None);
        }
        bears_anything(judge, [40_000, 3389], &[&pdu(REQUEST, [0; 4], &ASK), &data(MCS_INITIAL, CLIENT_KEY)]);
    }
}
