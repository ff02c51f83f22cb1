//! BitTorrent: peers over TCP and uTP, the DHT, trackers, and the search for peers in the local network.
//!
//! Source: BEP 3 (handshake, peer messages, trackers over HTTP), BEP 5 (DHT), BEP 10 (extensions), BEP 14 (local search), BEP 15 (trackers over UDP), BEP 29
//! (uTP). What each needs is said where it is looked for.
//!
//! False alarms: whoever speaks uTP for something else. Not seen here: connections that are encrypted from their first byte (MSE), which are random bytes, and the
//! rest of a connection of which nothing but pieces of files was captured, unless others of the same socket show themselves (`peers`); Vuze's own DHT; trackers
//! over TLS.

mod bencode;
mod dht;
mod peer;
mod tracker;
mod utp;

use sensor_ebpf::class::{Class, Evidence};

use crate::inspect::{Conversation, Verdict};

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let evidence = if conversation.is_udp() {
        [dht::evidence(conversation), utp::evidence(conversation), tracker::over_udp(conversation)]
    } else if conversation.is_tcp() {
        [peer::evidence(conversation), tracker::over_http(conversation), None]
    } else {
        return None;
    };
    let evidence = evidence.into_iter().flatten().max()?;
    Some(Verdict { class: Class::BitTorrent, evidence })
}

/// Which ends of a connection are peers by what they say themselves.
pub(super) fn are_peers(conversation: &Conversation) -> [bool; 2] {
    if conversation.is_tcp() { peer::are_peers(conversation) } else { [false; 2] }
}

/// The evidence where each end proves something by itself.
fn of_ends(is_proven: [bool; 2]) -> Option<Evidence> {
    match is_proven {
        [true, true] => Some(Evidence::Confirmed),
        [false, false] => None,
        _ => Some(Evidence::Payload),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::{End, packet::protocol};

    #[test]
    fn the_surest_of_several() {
        let query: &[u8] = b"d1:ad2:id20:aaaaaaaaaaaaaaaaaaaae1:q4:ping1:t2:xy1:y1:qe";
        let answer: &[u8] = b"d1:rd2:id20:bbbbbbbbbbbbbbbbbbbbe1:t2:xy1:y1:re";
        let search: &[u8] = b"BT-SEARCH * HTTP/1.1\r\n\r\n";
        let of = |protocol, messages: &[_]| judge(&Conversation::of(protocol, [6881, 6882], messages));
        let payload = Some(Verdict::payload(Class::BitTorrent));
        assert_eq!(of(protocol::UDP, &[(End::Client, search)]), payload);
        let all = [(End::Client, search), (End::Client, query), (End::Server, answer)];
        assert_eq!(of(protocol::UDP, &all), Some(Verdict::confirmed(Class::BitTorrent)));
        assert_eq!(of(protocol::TCP, &all), None);
        assert_eq!(of(protocol::GRE, &all), None);
    }

    #[test]
    fn any_bytes() {
        proptest::proptest!(|(a: Vec<u8>, b: Vec<u8>)| for protocol in [protocol::TCP, protocol::UDP] {
            let messages = [(End::Client, a.as_slice()), (End::Server, b.as_slice()), (End::Client, b.as_slice())];
            assert_eq!(judge(&Conversation::of(protocol, [6881, 6881], &messages)), None);
        });
    }
}
