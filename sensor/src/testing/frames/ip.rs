//! IP packets, with the lengths and the troubles they were built with.
#![expect(clippy::wildcard_enum_match_arm, reason = "an oddity changes one thing; for all others it stays plain")]

use std::net::IpAddr;

use crate::testing::rng::Rng;

/// Bytes every layout below can do with: the IPv6 header, one extension header, the longest upper header.
pub(super) const MIN_ROOM: usize = V6_LEN + EXTENSION_LEN + 20;

const V4_LEN: usize = 20;
const V6_LEN: usize = 40;
const EXTENSION_LEN: usize = 8;
/// Most bytes of IPv4 options, in words of four.
const MOST_OPTION_WORDS: usize = 10;
/// Extension headers that must still be followed.
const MOST_EXTENSIONS: usize = 8;

const TCP: u8 = 6;
const FRAGMENT: u8 = 44;
/// Protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [TCP, 17, 33, 132, 136];
/// Protocols without, and so without trouble: ICMP, IPv6 in IPv6, GRE, ESP, AH, ICMPv6, OSPF.
const WITHOUT_PORTS: [u8; 7] = [1, 41, 47, 50, 51, 58, 89];
/// Hop-by-hop, routing, destination options, mobility, HIP, shim6.
const EXTENSIONS: [u8; 6] = [0, 43, 60, 135, 139, 140];

/// What a packet looks like; one oddity at a time, so that its truth is easily told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Bytes of the whole packet, if its headers leave any.
    room: usize,
    oddity: Oddity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Oddity {
    None,
    /// IPv4 options, or IPv6 extension headers that are followed.
    LongHeader,
    /// The first fragment: it has its ports.
    FirstFragment,
    LaterFragment,
    /// A protocol with ports, and a packet that ends before them.
    NoPorts,
    /// More IPv6 extension headers than are followed; IPv4 has none.
    TooLongHeader,
    LengthZero,
    LengthOverFrame,
    /// IPv4 alone can say so: the length of IPv6 does not include its header.
    LengthUnderHeader,
}

/// A packet, and what is true of it.
pub(super) struct Built {
    pub(super) bytes: Vec<u8>,
    /// Billed bytes where the length field decides; to the end of the frame where it does not.
    pub(super) stated: Option<u64>,
    pub(super) length_trouble: Option<&'static str>,
    pub(super) port_trouble: Option<&'static str>,
    /// Whether bytes behind it would change none of that.
    pub(super) may_be_padded: bool,
}

impl Layout {
    pub(super) fn plain(room: usize) -> Self {
        Self { room, oddity: Oddity::None }
    }

    /// Half of them plain.
    pub(super) fn any(rng: &mut Rng, room: usize) -> Self {
        const ODDITIES: [Oddity; 9] = [
            Oddity::LongHeader,
            Oddity::LongHeader,
            Oddity::FirstFragment,
            Oddity::LaterFragment,
            Oddity::NoPorts,
            Oddity::TooLongHeader,
            Oddity::LengthZero,
            Oddity::LengthOverFrame,
            Oddity::LengthUnderHeader,
        ];
        let oddity = if rng.one_in(2) { Oddity::None } else { rng.pick(&ODDITIES) };
        Self { room, oddity }
    }
}

/// The packet of a layout between two addresses of one family.
pub(super) fn build(rng: &mut Rng, source: IpAddr, destination: IpAddr, layout: Layout) -> Built {
    let protocol = match layout.oddity {
        Oddity::NoPorts => rng.pick(&WITH_PORTS),
        _ if rng.one_in(4) => rng.pick(&WITHOUT_PORTS),
        _ => rng.pick(&WITH_PORTS),
    };
    let mut bytes = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            v4(rng, [source.octets(), destination.octets()], protocol, layout)
        }
        (source, destination) => {
            let octets = [source, destination].map(|address| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            });
            v6(rng, octets, protocol, layout)
        }
    };
    let header_len = bytes.len();
    let payload = match layout.oddity {
        // Up to three bytes of the four that two ports take. IPv6 says nothing by a length of zero, so there is one at least.
        Oddity::NoPorts => rng.between(1, 3),
        _ => layout.room.saturating_sub(header_len).max(if protocol == TCP { 20 } else { 8 }),
    };
    bytes.extend((0..payload).map(|_| rng.next_u64() as u8));
    let (stated, length_trouble) = write_length(rng, &mut bytes, header_len, layout.oddity);
    let port_trouble = match layout.oddity {
        Oddity::LaterFragment => Some("later_fragment"),
        Oddity::NoPorts => Some("l4_truncated"),
        Oddity::TooLongHeader if source.is_ipv6() => Some("extension_depth"),
        _ => None,
    };
    let may_be_padded = !matches!(layout.oddity, Oddity::NoPorts | Oddity::LengthOverFrame);
    Built { bytes, stated, length_trouble, port_trouble, may_be_padded }
}

fn v4(rng: &mut Rng, [source, destination]: [[u8; 4]; 2], protocol: u8, layout: Layout) -> Vec<u8> {
    let words = match layout.oddity {
        Oddity::LongHeader | Oddity::TooLongHeader => rng.between(1, MOST_OPTION_WORDS),
        _ => 0,
    };
    // More-fragments and an offset in units of 8 bytes; don't-fragment is no fragment.
    let fragment = match layout.oddity {
        Oddity::FirstFragment => 0x2000,
        Oddity::LaterFragment => rng.pick(&[0x0001_u16, 0x2000 | 185, 0x1fff]),
        _ => rng.pick(&[0, 0x4000]),
    };
    let mut bytes = vec![0x45 + words as u8, rng.next_u64() as u8, 0, 0, rng.next_u64() as u8, 0];
    bytes.extend(fragment.to_be_bytes());
    bytes.extend([64, protocol, 0, 0]);
    bytes.extend([source, destination].concat());
    // Options of one byte each that mean nothing (RFC 791).
    bytes.resize(V4_LEN + words * 4, 1);
    bytes
}

fn v6(rng: &mut Rng, [source, destination]: [[u8; 16]; 2], protocol: u8, layout: Layout) -> Vec<u8> {
    let mut kinds: Vec<u8> = match layout.oddity {
        Oddity::LongHeader => (0..rng.between(1, MOST_EXTENSIONS)).map(|_| rng.pick(&EXTENSIONS)).collect(),
        Oddity::TooLongHeader => (0..=MOST_EXTENSIONS).map(|_| rng.pick(&EXTENSIONS)).collect(),
        Oddity::FirstFragment | Oddity::LaterFragment => vec![FRAGMENT],
        _ => Vec::new(),
    };
    kinds.push(protocol);
    let mut bytes = vec![0x60, 0, 0, 0, 0, 0, kinds[0], 64];
    bytes.extend([source, destination].concat());
    for pair in kinds.windows(2) {
        bytes.extend(extension(rng, pair[0], pair[1], layout.oddity));
    }
    bytes
}

/// One extension header: who follows, its length in its own unit (RFC 8200), and bytes without meaning.
fn extension(rng: &mut Rng, kind: u8, next: u8, oddity: Oddity) -> Vec<u8> {
    if kind == FRAGMENT {
        let offset = if oddity == Oddity::LaterFragment { rng.pick(&[8_u16, 1448, 0xfff8]) } else { 0 };
        let [high, low] = (offset | 1).to_be_bytes();
        return vec![next, 0, high, low, 0, 0, 0, 7];
    }
    let longer = rng.below(3);
    let mut bytes = vec![next, longer as u8];
    bytes.resize((longer + 1) * EXTENSION_LEN, 0);
    bytes
}

/// Writes the length field; returns what it bills and what is wrong with it.
fn write_length(
    rng: &mut Rng,
    bytes: &mut [u8],
    header_len: usize,
    oddity: Oddity,
) -> (Option<u64>, Option<&'static str>) {
    let v4 = bytes[0] >> 4 == 4;
    let len = bytes.len();
    let (stated, billed, trouble) = match oddity {
        Oddity::LengthZero => (None, None, Some("ip_len_zero")),
        Oddity::LengthOverFrame => (Some(len + rng.between(1, 1000)), None, Some("ip_len_over_frame")),
        Oddity::LengthUnderHeader if v4 => {
            let stated = rng.between(1, header_len - 1);
            (Some(stated), Some(stated as u64), Some("ip_len_under_header"))
        }
        _ => (Some(len), Some(len as u64), None),
    };
    let field = match stated {
        None => 0,
        Some(stated) if v4 => stated,
        Some(stated) => stated - V6_LEN,
    };
    let at = if v4 { 2 } else { 4 };
    bytes[at..at + 2].copy_from_slice(&(field as u16).to_be_bytes());
    (billed, trouble)
}

/// What stands where an IP header was announced, and why it is none.
pub(super) fn bad_header(rng: &mut Rng, v4: bool) -> (Vec<u8>, &'static str) {
    let fixed = if v4 { V4_LEN } else { V6_LEN };
    let version = if v4 { 0x45 } else { 0x60 };
    let mut bytes = vec![0; rng.between(fixed, 100)];
    bytes[0] = version;
    match rng.below(3) {
        0 => {
            bytes.truncate(rng.below(fixed));
            (bytes, "truncated")
        }
        // IPv6 has no header length: its frame says a version that is neither instead.
        1 if v4 => {
            bytes[0] = 0x40 + rng.below(5) as u8;
            (bytes, "ip_header_length")
        }
        _ => {
            bytes[0] = rng.pick(&[0x55, 0, 0xf0]);
            (bytes, "ip_version")
        }
    }
}
