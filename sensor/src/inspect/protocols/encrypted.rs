//! Connections that are encrypted from their first byte and are nothing that is known: Shadowsocks and its relatives, and obfs4.
//!
//! Nothing is told by a byte; what is told is that there is nothing. The client's first data, from the start of the connection, has 3.4 to 4.6 set
//! bits per byte and none of the exemptions (Wu and others, "How the Great Firewall of China Detects and Blocks Fully Encrypted Traffic", USENIX
//! Security 2023): six printable bytes first, half of them printable, more than twenty printable in a row. That fits many a private protocol, so more
//! is asked: both ends' first data is even in its nibbles, no length stands in front, and the sizes are those of a TLS handshake inside, as of
//! almost everything that is sent through a proxy now (Xue and others, "Fingerprinting Obfuscated Proxy Traffic with Encapsulated TLS Handshakes",
//! USENIX Security 2024): a hello, a longer answer, a short end. obfs4 exchanges keys with up to 8 KiB of padding before that (obfs4-spec, section
//! 4), Shadowsocks does not: a first flight longer than any hello, then the three sizes, is obfs4.
//!
//! False alarms: private protocols that are encrypted whole and whose sizes happen to fit; well-known ports, and those of media, chat and file
//! sharing that hide themselves, are left out. Unseen: what runs on those ports or carries no TLS, UDP, plug-ins that look like TLS or HTTP, obfs4
//! with little padding, resumed sessions with short answers, connections of which the start was not seen.

use sensor_ebpf::class::Class;

use crate::inspect::{Conversation, End, Verdict};

/// Bits set per byte, in tenths, and the share of printable bytes and their runs that are exempt (Wu and others, section 4).
const SET_BITS: std::ops::RangeInclusive<usize> = 34..=46;
const PRINTABLE_FIRST: usize = 6;
const PRINTABLE_RUN: usize = 20;
/// Fewer bytes say nothing of chance.
const MIN_SAMPLE: usize = 120;
const MAX_SAMPLE: usize = 1400;
/// Chi squared of 16 nibbles, 15 degrees of freedom: beyond it lies chance of 1 in 10,000.
const MAX_CHI_SQUARED: usize = 45;
/// Ports below are those of protocols that have a name; HTTPS is where others hide.
const WELL_KNOWN: u16 = 1024;
const HTTPS: u16 = 443;
/// Ports of protocols that hide themselves and are something else: RTMP, eDonkey, XMPP and its relatives, BitTorrent.
const OTHERS: [std::ops::RangeInclusive<u16>; 4] = [1935..=1935, 4661..=4672, 5222..=5228, 6881..=6999];
/// Sizes of a TLS handshake within: what a hello and the address before it take, what a server answers with a certificate, and how a client ends.
const HELLO: std::ops::RangeInclusive<usize> = 250..=2400;
const ANSWER: std::ops::RangeInclusive<usize> = 700..=12_000;
const END: std::ops::RangeInclusive<usize> = 60..=1200;
/// On the port of HTTPS only a hello that is padded as browsers pad theirs (RFC 7685), and what goes before it; messengers begin shorter.
const PADDED: usize = 540;
/// The client's and the server's part of the exchange of keys (obfs4-spec, section 4: `ClientMaxPadLength`, `ServerMaxPadLength`, with the seed).
const CLIENT_KEYS: std::ops::RangeInclusive<usize> = *HELLO.end() + 1..=8192;
const SERVER_KEYS: std::ops::RangeInclusive<usize> = 141..=8192 + 45;

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    if !conversation.is_tcp() || !conversation.from_start(End::Client) {
        return None;
    }
    let server = conversation.port(End::Server);
    let is_others = OTHERS.iter().any(|ports| End::ALL.iter().any(|end| ports.contains(&conversation.port(*end))));
    if server < WELL_KNOWN && server != HTTPS || is_others {
        return None;
    }
    let class = by_sizes(&flights(conversation), server)?;
    let [ours, theirs] = End::ALL.map(|end| conversation.stream(end));
    (is_exchange(ours) && is_exchange(theirs)).then_some(Verdict::payload(class))
}

/// Bytes that were said by turns, the client first.
fn flights(conversation: &Conversation) -> Vec<usize> {
    let mut flights: Vec<usize> = Vec::new();
    let mut last = End::Server;
    for message in conversation.messages() {
        match flights.last_mut() {
            Some(flight) if message.from == last => *flight += message.len as usize,
            None if message.from == End::Server => break,
            _ => flights.push(message.len as usize),
        }
        last = message.from;
    }
    flights
}

fn by_sizes(flights: &[usize], port: u16) -> Option<Class> {
    let is_handshake =
        |flights: &[usize; 3]| HELLO.contains(&flights[0]) && ANSWER.contains(&flights[1]) && END.contains(&flights[2]);
    let first = flights.first_chunk::<3>()?;
    if is_handshake(first) {
        return (port != HTTPS || first[0] >= PADDED).then_some(Class::Shadowsocks);
    }
    let inner = flights.get(2..)?.first_chunk::<3>()?;
    let exchanged = CLIENT_KEYS.contains(&first[0]) && SERVER_KEYS.contains(&first[1]);
    (exchanged && is_handshake(inner)).then_some(Class::Obfs4)
}

/// Whether the first data of an end looks like nothing.
fn is_exchange(stream: &[u8]) -> bool {
    let sample = &stream[..stream.len().min(MAX_SAMPLE)];
    sample.len() >= MIN_SAMPLE && !is_exempt(sample) && is_even(sample) && !has_length(sample)
}

/// Whether the first data of an end is what the censor lets pass.
fn is_exempt(sample: &[u8]) -> bool {
    let is_printable = |byte: &u8| (0x20..=0x7e).contains(byte);
    let bits: usize = sample.iter().map(|byte| byte.count_ones() as usize).sum();
    let printable = sample.iter().filter(|byte| is_printable(byte)).count();
    let longest = sample.split(|byte| !is_printable(byte)).map(<[u8]>::len).max().unwrap_or_default();
    !SET_BITS.contains(&(bits * 10 / sample.len()))
        || sample.iter().take(PRINTABLE_FIRST).all(is_printable)
        || printable * 2 > sample.len()
        || longest > PRINTABLE_RUN
}

/// Whether all nibbles are as frequent as chance has them, in the first bytes, too, where formats have their headers.
fn is_even(sample: &[u8]) -> bool {
    let mut counts = [0_usize; 16];
    for byte in sample {
        counts[usize::from(byte >> 4)] += 1;
        counts[usize::from(byte & 15)] += 1;
    }
    let total = 2 * sample.len();
    // Sum of (count - expected)^2 / expected, with expected = total / 16.
    let squares: usize = counts.iter().map(|count| (16 * count).abs_diff(total).pow(2)).sum();
    let start = &sample[..sample.len().min(32)];
    let zeros = start.iter().filter(|byte| **byte == 0).count();
    squares <= MAX_CHI_SQUARED * 16 * total
        && zeros <= 3
        && !start.windows(3).any(|bytes| bytes[0] == bytes[1] && bytes[1] == bytes[2])
}

/// Whether the first bytes are a header: a small number in front of the rest, in either order.
fn has_length(sample: &[u8]) -> bool {
    let Some(start) = sample.first_chunk::<4>() else { return true };
    u32::from_be_bytes(*start) < 1 << 16 || u32::from_le_bytes(*start) < 1 << 16
}

#[cfg(test)]
mod tests;
