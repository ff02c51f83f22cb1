//! Data in ICMP and ICMPv6 echoes (RFC 792, RFC 4443 section 4). An answer has to repeat the data of the question, and what `ping` sends is a time and a
//! pattern that is the same in each of its packets.
//!
//! Confirmed: several answers whose data are others than those of the questions with their id and number. Payload: twice the header of a tunnel (ptunnel and
//! ptunnel-ng, hans, an IP packet as icmptunnel and icmptx carry it); or data of one end that change from packet to packet behind where times are, in
//! several sizes.
//!
//! False alarms: a monitor that sends random data of random sizes. Pings of any size and pattern, path MTU probes, answers that are cut short and
//! answers of zeros are none. Not seen: tunnels of one size whose answers repeat the questions, a few packets, data in other fields than the payload.

use sensor_ebpf::class::Class;

use super::bytes::u32_at;
use crate::inspect::{Conversation, End, Message, Verdict, packet::protocol};

/// Type, code, checksum, id and sequence number.
const HEADER: usize = 8;
/// Where times and counters of `ping` end: 16 bytes of most, 24 where a number is before them.
const TIMES: usize = 24;
/// Answers that differ before it is no damage.
const MIN_DIFFERENT: usize = 3;
/// Headers of a tunnel: one may be a probe, or chance.
const MIN_KNOWN: usize = 2;
/// Packets of one end whose data change.
const MIN_CHANGES: usize = 8;
/// Sizes that they have.
const MIN_SIZES: usize = 3;
/// The magic numbers of ptunnel, and of ptunnel-ng.
const PTUNNEL: [u32; 2] = [0xD520_0880, 0xDEAD_C0DE];
/// Bytes of its header.
const PTUNNEL_HEADER: usize = 28;
/// More than its states; the two bits before them say who speaks.
const PTUNNEL_STATES: u32 = 8;
/// What a header of hans begins with, those of its later versions included.
const HANS: [&[u8; 4]; 8] = [b"hanc", b"hans", b"hnc2", b"hns2", b"hnc3", b"hns3", b"hnc4", b"hns4"];
/// More than the types that its packets have.
const HANS_TYPES: u8 = 32;

/// An echo.
#[derive(Clone, Copy)]
struct Echo<'a> {
    from: End,
    is_answer: bool,
    /// Id and sequence number.
    number: u32,
    data: &'a [u8],
    /// On the wire.
    len: usize,
}

pub(super) fn judge(conversation: &Conversation) -> Option<Verdict> {
    let kinds = match conversation.protocol() {
        protocol::ICMP => [8, 0],
        protocol::ICMPV6 => [128, 129],
        _ => return None,
    };
    let echoes: Vec<Echo<'_>> = conversation.messages().iter().filter_map(|message| echo(message, kinds)).collect();
    if echoes.iter().filter(|answer| is_different(answer, &echoes)).count() >= MIN_DIFFERENT {
        return Some(Verdict::confirmed(Class::IcmpTunnel));
    }
    let is_tunnel = echoes.iter().filter(|echo| is_known(echo)).count() >= MIN_KNOWN
        || End::ALL.iter().any(|end| changes(&echoes, *end));
    is_tunnel.then_some(Verdict::payload(Class::IcmpTunnel))
}

fn echo(message: &Message, kinds: [u8; 2]) -> Option<Echo<'_>> {
    let (header, data) = message.bytes.split_at_checked(HEADER)?;
    let is_echo = kinds.contains(&header[0]) && header[1] == 0;
    is_echo.then_some(Echo {
        from: message.from,
        is_answer: header[0] == kinds[1],
        number: u32_at(header, 4)?,
        data,
        len: message.len as usize - HEADER,
    })
}

/// Whether an answer has other data than every question with its number, of which there is one.
fn is_different(answer: &Echo<'_>, echoes: &[Echo<'_>]) -> bool {
    let mut questions = echoes
        .iter()
        .filter(|question| !question.is_answer && question.from != answer.from && question.number == answer.number)
        .peekable();
    // Answers that are cut short repeat what is left of them; those of zeros repeat nothing and say nothing.
    answer.is_answer
        && answer.data.iter().any(|byte| *byte != 0)
        && questions.peek().is_some()
        && questions.all(|question| {
            let len = question.data.len().min(answer.data.len());
            question.data[..len] != answer.data[..len] || answer.len > question.len
        })
}

/// Whether it has the header of a tunnel.
fn is_known(echo: &Echo<'_>) -> bool {
    let is_ptunnel = || {
        u32_at(echo.data, 0).is_some_and(|magic| PTUNNEL.contains(&magic))
            && echo.len >= PTUNNEL_HEADER
            && u32_at(echo.data, 12).is_some_and(|state| state & 0x3FFF_FFFF < PTUNNEL_STATES)
    };
    let is_hans = || {
        echo.data.first_chunk().is_some_and(|magic| HANS.contains(&magic))
            && echo.data.get(4).is_some_and(|kind| (1..=HANS_TYPES).contains(kind))
    };
    is_ptunnel() || is_hans() || is_ip(echo)
}

/// Whether the data are an IPv4 packet: of their length, with the right checksum; or an IPv6 packet of their length that is what is common.
fn is_ip(echo: &Echo<'_>) -> bool {
    match echo.data.first() {
        Some(0x45..=0x4F) => {
            let length = usize::from(echo.data[0] & 15) * 4;
            let Some(header) = echo.data.get(..length) else { return false };
            let total = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
            let folded = (sum & 0xFFFF) + (sum >> 16);
            total == echo.len && (folded & 0xFFFF) + (folded >> 16) == 0xFFFF
        }
        Some(0x60..=0x6F) => {
            let Some(header) = echo.data.get(..40) else { return false };
            let total = 40 + usize::from(u16::from_be_bytes([header[4], header[5]]));
            // Global or unique local, link-local or multicast addresses.
            let is_address = |first: u8| matches!(first, 0x20..=0x3F | 0xFC..=0xFF);
            total == echo.len && [6, 17, 58].contains(&header[6]) && is_address(header[8]) && is_address(header[24])
        }
        _ => false,
    }
}

/// Whether what an end sends changes from packet to packet where a pattern would not, and its sizes do.
fn changes(echoes: &[Echo<'_>], end: End) -> bool {
    // Who is asked repeats what the other one sent.
    let mut mine = echoes.iter().filter(|echo| echo.from == end);
    let Some(mut before) = mine.next() else { return false };
    let (mut count, mut changed) = (0, 0);
    let mut sizes = vec![before.len];
    for echo in mine {
        if echo.number == before.number && echo.data == before.data {
            continue;
        }
        let len = echo.data.len().min(before.data.len());
        if !sizes.contains(&echo.len) {
            sizes.push(echo.len);
        }
        count += 1;
        // Where one has nothing behind the times there is nothing to compare.
        let differs = || {
            let pairs = echo.data[TIMES..len].iter().zip(&before.data[TIMES..len]);
            pairs.filter(|(one, other)| one != other).count() * 4 > len - TIMES
        };
        changed += usize::from(len > TIMES + 4 && differs());
        before = echo;
    }
    changed >= MIN_CHANGES && changed * 3 >= count * 2 && sizes.len() >= MIN_SIZES
}

#[cfg(test)]
mod tests;
