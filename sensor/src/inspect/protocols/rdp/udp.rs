//! RDP over UDP ([MS-RDPEUDP] 2.2, version 1 of the transport, which version 2 begins with): a SYN with a sequence number that the SYN-ACK
//! names; else data, whose sequence number the other end's next packet names.
//!
//! False alarms: none known. Cannot see: version 2 behind its handshake.

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, End, Message, Verdict};

/// Flags (2.2.2.1).
const SYN: u16 = 0x0001;
const ACK: u16 = 0x0004;
const HAS_DATA: u16 = 0x0008;
const SYN_LOSSY: u16 = 0x0200;
const CORRELATION: u16 = 0x0800;
const SYN_EX: u16 = 0x1000;
/// What stands in a SYN, where the number of a packet is named else.
const NOTHING_YET: u32 = u32::MAX;
/// MTUs of both directions (2.2.2.5); a SYN is filled up to one.
const MTUS: std::ops::RangeInclusive<u16> = 1132..=1232;
/// Types of TLS records, from change cipher spec to data, and the first bytes of their versions.
const RECORDS: std::ops::RangeInclusive<u8> = 20..=23;
const VERSIONS: [u8; 2] = [3, 0xfe];
/// Messages of each end that are compared.
const MAX_TOLD: usize = 8;

/// What a packet says of sequence numbers.
#[derive(Clone, Copy)]
struct Numbers {
    /// The last one of the other end.
    acknowledged: u32,
    own: u32,
}

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let telling =
        |end, read: fn(&Message) -> Option<Numbers>| conversation.messages_of(end).take(MAX_TOLD).filter_map(read);
    let mut found = false;
    for end in End::ALL {
        for syn in telling(end, syn) {
            found = true;
            if telling(end.other(), syn_ack).any(|answer| answer.acknowledged == syn.own) {
                return Some(Verdict::confirmed(Class::Rdp));
            }
        }
        for sent in telling(end, data) {
            found = true;
            if telling(end.other(), data).any(|answer| answer.acknowledged == sent.own) {
                return Some(Verdict::confirmed(Class::Rdp));
            }
        }
    }
    found.then_some(Verdict::payload(Class::Rdp))
}

/// Acknowledged number, window (passed over), flags.
fn header(bytes: &[u8]) -> Option<(u32, u16, &[u8])> {
    let (acknowledged, rest) = bytes.split_first_chunk()?;
    let (_window, rest) = rest.split_first_chunk::<2>()?;
    let (flags, rest) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*acknowledged), u16::from_be_bytes(*flags), rest))
}

fn syn(message: &Message) -> Option<Numbers> {
    opening(message, SYN).filter(|numbers| numbers.acknowledged == NOTHING_YET)
}

fn syn_ack(message: &Message) -> Option<Numbers> {
    opening(message, SYN | ACK)
}

/// A packet that opens a direction: its first number, then the MTUs.
fn opening(message: &Message, kind: u16) -> Option<Numbers> {
    let (acknowledged, flags, rest) = header(&message.bytes)?;
    let (own, rest) = rest.split_first_chunk()?;
    let (up, rest) = rest.split_first_chunk()?;
    let down = rest.first_chunk()?;
    let fits = [*up, *down].map(u16::from_be_bytes).iter().all(|mtu| MTUS.contains(mtu))
        && message.len >= u32::from(*MTUS.start())
        && flags & !(SYN_LOSSY | CORRELATION | SYN_EX) == kind;
    fits.then(|| Numbers { acknowledged, own: u32::from_be_bytes(*own) })
}

/// A packet with a vector of what arrived (2.2.2.7), the numbers of what is coded, which are the same without error correction (2.2.2.4),
/// and TLS.
fn data(message: &Message) -> Option<Numbers> {
    let (acknowledged, flags, rest) = header(&message.bytes)?;
    let (size, _) = rest.split_first_chunk()?;
    let vector = (size_of::<u16>() + usize::from(u16::from_be_bytes(*size))).next_multiple_of(4);
    let (coded, rest) = rest.get(vector..)?.split_first_chunk()?;
    let (start, rest) = rest.split_first_chunk::<4>()?;
    let [kind, version, ..] = rest else { return None };
    let fits = flags == ACK | HAS_DATA && coded == start && RECORDS.contains(kind) && VERSIONS.contains(version);
    fits.then(|| Numbers { acknowledged, own: u32::from_be_bytes(*coded) })
}

#[cfg(test)]
mod tests {
    use super::{super::super::testing::*, *};

    fn opening_packet(acknowledged: u32, flags: u16, own: u32) -> Vec<u8> {
        let mut bytes = [&acknowledged.to_be_bytes()[..], &[0, 64], &flags.to_be_bytes(), &own.to_be_bytes()].concat();
        bytes.extend([4, 0xd0, 4, 0xd0]);
        bytes.resize(1232, 0);
        bytes
    }

    fn data_packet(acknowledged: u32, own: u32) -> Vec<u8> {
        let numbers = [own.to_be_bytes(), own.to_be_bytes()].concat();
        [&acknowledged.to_be_bytes()[..], &[4, 0, 0, 12, 0, 1, 1, 0], &numbers, &[23, 3, 3, 0, 1, 7]].concat()
    }

    #[test]
    fn handshakes_and_data() {
        let payload = Some(Verdict::payload(Class::Rdp));
        let confirmed = Some(Verdict::confirmed(Class::Rdp));
        let syn = opening_packet(NOTHING_YET, SYN | SYN_EX | CORRELATION, 77);
        let answer = opening_packet(77, SYN | ACK | SYN_EX, 99);
        assert_eq!(judge(&udp([40_000, 50_000], &[(End::Client, &syn)])), payload);
        assert_eq!(judge(&udp([40_000, 50_000], &[(End::Server, &syn), (End::Client, &answer)])), confirmed);
        let other = opening_packet(78, SYN | ACK, 99);
        assert_eq!(judge(&udp([40_000, 50_000], &[(End::Client, &syn), (End::Server, &other)])), payload);
        let (sent, answer) = (data_packet(5, 77), data_packet(77, 6));
        assert_eq!(judge(&udp([40_000, 50_000], &[(End::Client, &sent)])), payload);
        assert_eq!(judge(&udp([40_000, 50_000], &[(End::Client, &sent), (End::Server, &answer)])), confirmed);
    }

    #[test]
    fn what_only_looks_like_it() {
        let mut short = opening_packet(NOTHING_YET, SYN, 77);
        short.truncate(200);
        // A question to a game server.
        let game = [&[255; 4][..], b"TSource Engine Query\0"].concat();
        for bytes in [&short[..], &game, &opening_packet(5, SYN, 77), &opening_packet(NOTHING_YET, SYN | HAS_DATA, 77)]
        {
            assert_eq!(judge(&udp([40_000, 3389], &[(End::Client, bytes)])), None);
        }
        let known = [opening_packet(NOTHING_YET, SYN, 77), data_packet(5, 77)];
        bears_anything(judge, [40_000, 3389], &[&known[0], &known[1]]);
    }
}
