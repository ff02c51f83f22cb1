//! Golden frames: what each becomes in the ledger, how many bytes it is billed, and with what reservation.
#![expect(clippy::unwrap_used, reason = "a test that cannot read its own table fails")]

#[path = "support/table.rs"]
mod table;

use sensor_ebpf::abi::{
    Counter, Degraded, Direction,
    Matched::{Both, Destination, Source},
    Outcome::{self, Matched, Other, Unparsed},
    Unparsed as Why,
};

use self::table::{Table, id};

/// Destination and source MAC.
const MACS: &str = "020000000001 020000000002";
/// An IPv4 header of 28 bytes in all, UDP, from 192.0.2.1 (watched) to 198.51.100.2 (counted).
const IP4: &str = "4500001c 00010000 40110000 c0000201 c6336402";
/// An IPv6 header of 48 bytes in all, UDP, from 2001:db8::1 (watched) to fd00::2 (counted).
const IP6: &str = "60000000 0008 1140 20010db8000000000000000000000001 fd000000000000000000000000000002";
/// Ports 53 and 12345.
const UDP: &str = "00353039 00080000";
/// Eight bytes.
const EIGHT: &str = "00000000 00000000";

/// The row of a frame captured whole.
macro_rules! whole {
    ($name:literal, [$($hex:expr),* $(,)?], $outcome:expr, $bytes:expr, $degraded:expr $(,)?) => {
        Row { name: $name, hex: &[MACS, $($hex),*], wire: None, outcome: $outcome, bytes: $bytes, degraded: &$degraded }
    };
}

/// The row of a frame that was longer on the wire.
macro_rules! cut {
    ($name:literal, $wire:literal, [$($hex:expr),* $(,)?], $outcome:expr, $bytes:expr, $degraded:expr $(,)?) => {
        Row { name: $name, hex: &[MACS, $($hex),*], wire: Some($wire), outcome: $outcome, bytes: $bytes, degraded: &$degraded }
    };
}

struct Row {
    name: &'static str,
    hex: &'static [&'static str],
    wire: Option<u32>,
    outcome: Outcome,
    bytes: u32,
    degraded: &'static [Degraded],
}

const TRUNCATED: Outcome = Unparsed(Why::Truncated);
const NOT_IP: Outcome = Unparsed(Why::NotIp);
const LATER: Degraded = Degraded::LaterFragment;
const NO_PORTS: Degraded = Degraded::L4Truncated;

#[rustfmt::skip] // a table: one row a line
const ADDRESSES: &[Row] = &[
    whole!("IPv4, both addresses in the table", ["0800", IP4, UDP], Matched(Both), 28, []),
    whole!("IPv4 source alone", ["0800", "4500001c 00010000 40110000 c0000201 08080808", UDP], Matched(Source), 28, []),
    whole!("IPv4 destination alone", ["0800", "4500001c 00010000 40110000 08080808 c0000201", UDP], Matched(Destination), 28, []),
    whole!("IPv4 neither", ["0800", "4500001c 00010000 40110000 08080808 09090909", UDP], Other, 28, []),
    whole!("IPv4 one prefix to itself", ["0800", "4500001c 00010000 40110000 c0000201 c0000202", UDP], Matched(Both), 28, []),
    whole!("IPv6, both addresses in the table", ["86dd", IP6, UDP], Matched(Both), 48, []),
    whole!("IPv6 source alone", ["86dd", "60000000 0008 1140 20010db8000000000000000000000001 fe800000000000000000000000000002", UDP], Matched(Source), 48, []),
    whole!("IPv6 destination alone", ["86dd", "60000000 0008 1140 fe800000000000000000000000000002 20010db8000000000000000000000001", UDP], Matched(Destination), 48, []),
    whole!("IPv6 neither", ["86dd", "60000000 0008 1140 fe800000000000000000000000000001 fe800000000000000000000000000002", UDP], Other, 48, []),
    whole!("a node that is not there", ["0800", "4500001c 00010000 40110000 08080808 64400001", UDP], Other, 28, [Degraded::MapFault]),
    whole!("a root entry that is not there", ["0800", "4500001c 00010000 40110000 64410001 c0000201", UDP], Matched(Destination), 28, [Degraded::MapFault]),
    whole!("a prefix without a counter", ["0800", "4500001c 00010000 40110000 cb007101 08080808", UDP], Matched(Source), 28, [Degraded::MapFault]),
];

#[rustfmt::skip] // a table: one row a line
const LENGTHS: &[Row] = &[
    whole!("IPv4 with Ethernet padding", ["0800", IP4, UDP, EIGHT, EIGHT, "0000"], Matched(Both), 28, []),
    whole!("IPv4 total length 0", ["0800", "45000000 00010000 40110000 c0000201 c6336402", UDP], Matched(Both), 28, [Degraded::IpLengthZero]),
    whole!("IPv4 total length over the frame", ["0800", "4500001d 00010000 40110000 c0000201 c6336402", UDP], Matched(Both), 28, [Degraded::IpLengthOverFrame]),
    whole!("IPv4 total length 65535", ["0800", "4500ffff 00010000 40110000 c0000201 c6336402", UDP], Matched(Both), 28, [Degraded::IpLengthOverFrame]),
    whole!("IPv4 total length under its header", ["0800", "45000013 00010000 40110000 c0000201 c6336402", UDP], Matched(Both), 19, [Degraded::IpLengthUnderHeader]),
    whole!("IPv4 total length under its options", ["0800", "46000017 00010000 40110000 c0000201 c6336402 01010101", UDP], Matched(Both), 23, [Degraded::IpLengthUnderHeader]),
    cut!("IPv4 cut by the capture", 1514, ["0800", "450005dc 00010000 40110000 c0000201 c6336402", UDP], Matched(Both), 1500, []),
    cut!("IPv4 cut, total length 0", 60014, ["0800", "45000000 00010000 40110000 c0000201 c6336402", UDP], Matched(Both), 60000, [Degraded::IpLengthZero]),
    cut!("IPv4 cut, total length over the wire", 1000, ["0800", "450005dc 00010000 40110000 c0000201 c6336402", UDP], Matched(Both), 986, [Degraded::IpLengthOverFrame]),
    whole!("IPv6 payload length 0", ["86dd", "60000000 0000 1140 20010db8000000000000000000000001 fd000000000000000000000000000002", UDP], Matched(Both), 48, [Degraded::IpLengthZero]),
    whole!("IPv6 payload length over the frame", ["86dd", "60000000 0009 1140 20010db8000000000000000000000001 fd000000000000000000000000000002", UDP], Matched(Both), 48, [Degraded::IpLengthOverFrame]),
    cut!("IPv6 jumbogram", 90054, ["86dd", "60000000 0000 0040 20010db8000000000000000000000001 fd000000000000000000000000000002", "3b00c204 00015f90"], Matched(Both), 90040, [Degraded::IpLengthZero]),
];

#[rustfmt::skip] // a table: one row a line
const IPV4_HEADERS: &[Row] = &[
    whole!("IPv4 with options", ["0800", "47000024 00010000 40110000 c0000201 c6336402 01010101 01010100", UDP], Matched(Both), 36, []),
    whole!("IPv4 cut inside its options", ["0800", "47000024 00010000 40110000 c0000201 c6336402 0101"], Matched(Both), 22, [Degraded::IpLengthOverFrame, NO_PORTS]),
    whole!("IPv4 header length 4 words", ["0800", "4400001c 00010000 40110000 c0000201 c6336402", UDP], Unparsed(Why::IpHeaderLength), 0, []),
    whole!("IPv4 header length 0", ["0800", "4000001c 00010000 40110000 c0000201 c6336402", UDP], Unparsed(Why::IpHeaderLength), 0, []),
    whole!("IPv6 under the ethertype of IPv4", ["0800", IP6, UDP], Matched(Both), 48, []),
    whole!("version 0 under the ethertype of IPv4", ["0800", "0500001c 00010000 40110000 c0000201 c6336402", UDP], Unparsed(Why::IpVersion), 0, []),
    whole!("IPv4 don't fragment", ["0800", "4500001c 00014000 40110000 c0000201 c6336402", UDP], Matched(Both), 28, []),
    whole!("IPv4 first fragment", ["0800", "4500001c 00012000 40110000 c0000201 c6336402", UDP], Matched(Both), 28, []),
    whole!("IPv4 middle fragment", ["0800", "4500001c 00012001 40110000 c0000201 c6336402", EIGHT], Matched(Both), 28, [LATER]),
    whole!("IPv4 last fragment", ["0800", "4500001c 00011fff 40110000 c0000201 c6336402", EIGHT], Matched(Both), 28, [LATER]),
    whole!("IPv4 fragment of the upper half alone", ["0800", "4500001c 00011000 40110000 c0000201 c6336402", EIGHT], Matched(Both), 28, [LATER]),
    whole!("IPv4 last fragment of nobody watched", ["0800", "4500001c 00011fff 40110000 c6336402 08080808", EIGHT], Matched(Source), 28, []),
    whole!("IPv4 last fragment of nobody at all", ["0800", "4500001c 00011fff 40110000 08080808 08080808", EIGHT], Other, 28, []),
    whole!("IPv4 ICMP has no ports to miss", ["0800", "45000014 00010000 40010000 c0000201 c6336402"], Matched(Both), 20, []),
    whole!("IPv4 UDP without its ports", ["0800", "45000017 00010000 40110000 c0000201 c6336402 003530"], Matched(Both), 23, [NO_PORTS]),
    whole!("IPv4 TCP without its ports", ["0800", "45000014 00010000 40060000 c0000201 c6336402"], Matched(Both), 20, [NO_PORTS]),
    whole!("IPv4 SCTP with its ports alone", ["0800", "45000018 00010000 40840000 c0000201 c6336402 00350035"], Matched(Both), 24, []),
    whole!("IPv4 UDP without its ports, nobody watched", ["0800", "45000014 00010000 40110000 c6336402 c6336402"], Matched(Both), 20, []),
    whole!("IPv4 header cut at its last byte", ["0800", "4500001c 00010000 40110000 c0000201 c63364"], TRUNCATED, 0, []),
    whole!("no byte of IPv4", ["0800"], TRUNCATED, 0, []),
];

/// An IPv6 header with 200 bytes of payload and the next header that follows in the row, from 2001:db8::1 to fd00::2.
const TO: &str = "40 20010db8000000000000000000000001 fd000000000000000000000000000002";

#[rustfmt::skip] // a table: one row a line
const IPV6_HEADERS: &[Row] = &[
    whole!("IPv6 hop-by-hop options", ["86dd", "60000000 0010 00", TO, "1100000000000000", UDP], Matched(Both), 56, []),
    whole!("IPv6 routing header", ["86dd", "60000000 0010 2b", TO, "1100000000000000", UDP], Matched(Both), 56, []),
    whole!("IPv6 destination options of 16 bytes", ["86dd", "60000000 0018 3c", TO, "1101000000000000", EIGHT, UDP], Matched(Both), 64, []),
    whole!("IPv6 authentication header of 24 bytes", ["86dd", "60000000 0020 33", TO, "1104000000000000", EIGHT, EIGHT, UDP], Matched(Both), 72, []),
    whole!("IPv6 mobility, HIP and shim6", ["86dd", "60000000 0020 87", TO, "8b00000000000000", "8c00000000000000", "1100000000000000", UDP], Matched(Both), 72, []),
    whole!("IPv6 first fragment", ["86dd", "60000000 0010 2c", TO, "1100000100000001", UDP], Matched(Both), 56, []),
    whole!("IPv6 atomic fragment", ["86dd", "60000000 0010 2c", TO, "1100000000000001", UDP], Matched(Both), 56, []),
    whole!("IPv6 middle fragment", ["86dd", "60000000 0010 2c", TO, "1100000900000001", EIGHT], Matched(Both), 56, [LATER]),
    whole!("IPv6 last fragment", ["86dd", "60000000 0010 2c", TO, "1100fff800000001", EIGHT], Matched(Both), 56, [LATER]),
    whole!("IPv6 no next header", ["86dd", "60000000 0008 3b", TO, EIGHT], Matched(Both), 48, []),
    whole!("IPv6 ESP", ["86dd", "60000000 0008 32", TO, EIGHT], Matched(Both), 48, []),
    whole!("IPv6 ICMP", ["86dd", "60000000 0008 3a", TO, EIGHT], Matched(Both), 48, []),
    whole!("IPv6 eight extension headers", ["86dd", "60000000 0048 3c", TO, "3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 1100000000000000", UDP], Matched(Both), 112, []),
    whole!("IPv6 nine extension headers", ["86dd", "60000000 0050 3c", TO, "3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 3c00000000000000 1100000000000000", UDP], Matched(Both), 120, [Degraded::ExtensionDepth]),
    whole!("IPv6 extension header beyond the frame", ["86dd", "60000000 0010 00", TO, "11ff000000000000", UDP], Matched(Both), 56, [NO_PORTS]),
    whole!("IPv6 extension header cut", ["86dd", "60000000 0003 00", TO, "110000"], Matched(Both), 43, [NO_PORTS]),
    whole!("IPv6 UDP without its ports", ["86dd", "60000000 0003 11", TO, "003530"], Matched(Both), 43, [NO_PORTS]),
    whole!("IPv4 under the ethertype of IPv6", ["86dd", IP4, UDP, EIGHT, EIGHT], Matched(Both), 28, []),
    whole!("version 5 under the ethertype of IPv6", ["86dd", "5500001c 00010000 40110000 c0000201 c6336402", UDP], Unparsed(Why::IpVersion), 0, []),
    whole!("IPv6 header cut at its last byte", ["86dd", "60000000 0008 11 40 20010db8000000000000000000000001 fd0000000000000000000000000000"], TRUNCATED, 0, []),
];

#[rustfmt::skip] // a table: one row a line
const LINKS: &[Row] = &[
    whole!("one VLAN tag", ["81000064 0800", IP4, UDP], Matched(Both), 28, []),
    whole!("a VLAN tag before IPv6", ["8100e064 86dd", IP6, UDP], Matched(Both), 48, []),
    whole!("QinQ 88a8", ["88a80064 81000065 0800", IP4, UDP], Matched(Both), 28, []),
    whole!("QinQ 9100", ["91000064 81000065 0800", IP4, UDP], Matched(Both), 28, []),
    whole!("QinQ 9200", ["92000064 81000065 86dd", IP6, UDP], Matched(Both), 48, []),
    whole!("three VLAN tags", ["88a80064 81000065 81000066 0800", IP4, UDP], Matched(Both), 28, []),
    whole!("four VLAN tags", ["88a80064 81000065 81000066 81000067 0800", IP4, UDP], Matched(Both), 28, []),
    whole!("five VLAN tags", ["88a80064 81000065 81000066 81000067 81000068 0800", IP4, UDP], Unparsed(Why::VlanDepth), 0, []),
    whole!("a VLAN tag cut", ["8100 0064 08"], TRUNCATED, 0, []),
    whole!("a VLAN tag before ARP", ["81000064 0806", EIGHT, EIGHT], NOT_IP, 0, []),
    whole!("a VLAN tag before 802.3 and SNAP", ["81000064 0024 aaaa03 000000 0800", IP4, UDP], Matched(Both), 28, []),
    whole!("one MPLS label", ["8847 00010140", IP4, UDP], Matched(Both), 28, []),
    whole!("one MPLS label before IPv6, upstream-assigned", ["8848 00010140", IP6, UDP], Matched(Both), 48, []),
    whole!("three MPLS labels behind a VLAN tag", ["81000064 8847 00010040 00020040 00030140", IP4, UDP], Matched(Both), 28, []),
    whole!("eight MPLS labels", ["8847 00010040 00010040 00010040 00010040 00010040 00010040 00010040 00010140", IP4, UDP], Matched(Both), 28, []),
    whole!("nine MPLS labels", ["8847 00010040 00010040 00010040 00010040 00010040 00010040 00010040 00010040 00010140", IP4, UDP], Unparsed(Why::MplsDepth), 0, []),
    whole!("an MPLS label before a pseudowire", ["8847 00010140 00000000", EIGHT, EIGHT, EIGHT], NOT_IP, 0, []),
    whole!("an MPLS label cut", ["8847 000101"], TRUNCATED, 0, []),
    whole!("an MPLS label and no more", ["8847 00010140"], TRUNCATED, 0, []),
    whole!("an MPLS label before an IPv4 header length of 3 words", ["8847 00010140 4300001c 00010000 40110000 c0000201 c6336402"], Unparsed(Why::IpHeaderLength), 0, []),
    whole!("PPPoE with IPv4", ["8864 11000007001e 0021", IP4, UDP], Matched(Both), 28, []),
    whole!("PPPoE with IPv6", ["8864 110000070032 0057", IP6, UDP], Matched(Both), 48, []),
    whole!("PPPoE with a compressed protocol field", ["8864 11000007001d 21", IP4, UDP], Matched(Both), 28, []),
    whole!("PPPoE behind two VLAN tags", ["88a80064 81000065 8864 11000007001e 0021", IP4, UDP], Matched(Both), 28, []),
    whole!("PPPoE with LCP", ["8864 11000007000a c021", EIGHT], NOT_IP, 0, []),
    whole!("PPPoE discovery", ["8863 110900000004 01010000"], NOT_IP, 0, []),
    whole!("PPPoE cut inside its protocol field", ["8864 11000007001e 00"], TRUNCATED, 0, []),
    whole!("802.3 with SNAP and IPv4", ["0024 aaaa03 000000 0800", IP4, UDP], Matched(Both), 28, []),
    whole!("802.3 with SNAP and IPv6", ["0038 aaaa03 000000 86dd", IP6, UDP], Matched(Both), 48, []),
    whole!("802.3 with SNAP and Cisco discovery", ["0024 aaaa03 00000c 2000", EIGHT, EIGHT], NOT_IP, 0, []),
    whole!("802.3 with SNAP cut", ["0024 aaaa03 000000 08"], TRUNCATED, 0, []),
    whole!("802.3 with LLC and IPv4", ["001f 060603", IP4, UDP], Matched(Both), 28, []),
    whole!("802.3 with a spanning tree", ["0026 424203", EIGHT, EIGHT], NOT_IP, 0, []),
    whole!("802.3 with LLC cut", ["0026 4242"], TRUNCATED, 0, []),
    whole!("ARP", ["0806 0001080006040001 020000000002c0000201 000000000000c6336402"], NOT_IP, 0, []),
    whole!("LLDP", ["88cc 0207 04020000000001"], NOT_IP, 0, []),
    whole!("an ethertype between length and type", ["05dd", IP4, UDP], NOT_IP, 0, []),
    whole!("an Ethernet header and no more", ["86dd"], TRUNCATED, 0, []),
    whole!("an Ethernet header cut", ["08"], TRUNCATED, 0, []),
];

fn bytes(hex: &[&str]) -> Vec<u8> {
    let digits: Vec<char> = hex.iter().flat_map(|part| part.chars()).filter(|digit| !digit.is_whitespace()).collect();
    assert!(digits.len().is_multiple_of(2), "half a byte: {hex:?}");
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

fn check(row: &Row) {
    let Row { name, hex, wire, outcome, bytes: billed, degraded } = row;
    let frame = bytes(hex);
    let wire = wire.unwrap_or(frame.len() as u32);
    // Counted as 4 less, as of a frame whose link header the replay made: no other length may take its place.
    let frame_len = wire.saturating_sub(4);
    let mut table = Table::new();
    assert_eq!(table.account(&frame, wire, frame_len), *outcome, "{name}");
    let size = Counter { packets: 1, bytes: (*billed).into(), frame_bytes: frame_len.into(), reserved: 0 };
    for possible in outcomes() {
        let expected = if possible == *outcome { size } else { Counter::default() };
        assert_eq!(table.outcome(possible), expected, "{name}: {possible:?}");
    }
    for reason in Degraded::ALL {
        let expected = if degraded.contains(&reason) { size } else { Counter::default() };
        assert_eq!(table.degraded(reason), expected, "{name}: {reason:?}");
    }
    let directions: Vec<Direction> = table.counted().iter().map(|(_, direction, _)| *direction).collect();
    let expected: &[Direction] = match outcome {
        Matched(_) if name.contains("without a counter") => &[],
        Matched(Source) => &[Direction::Out],
        Matched(Destination) => &[Direction::In],
        Matched(Both) => &[Direction::In, Direction::Out],
        Other | Outcome::SeenBefore | Unparsed(_) => &[],
    };
    assert_eq!(directions.len(), expected.len(), "{name}: {directions:?}");
    assert!(expected.iter().all(|direction| directions.contains(direction)), "{name}: {directions:?}");
    assert!(table.counted().iter().all(|(_, _, counter)| *counter == size), "{name}: {:?}", table.counted());
}

fn outcomes() -> impl Iterator<Item = Outcome> {
    let matched = sensor_ebpf::abi::Matched::ALL.map(Matched);
    matched.into_iter().chain([Other, Outcome::SeenBefore]).chain(Why::ALL.map(Unparsed))
}

#[test]
fn addresses_decide_the_outcome() {
    ADDRESSES.iter().for_each(check);
}

#[test]
fn length_fields_decide_the_bytes() {
    LENGTHS.iter().for_each(check);
}

#[test]
fn ipv4_headers_are_read_or_refused() {
    IPV4_HEADERS.iter().for_each(check);
}

#[test]
fn ipv6_headers_are_read_or_refused() {
    IPV6_HEADERS.iter().for_each(check);
}

#[test]
fn link_layers_are_followed_or_named() {
    LINKS.iter().for_each(check);
}

#[test]
fn source_counts_out_and_destination_counts_in() {
    for (hex, source, destination) in
        [(["0800", IP4, UDP], id::V4_WATCHED, id::V4_COUNTED), (["86dd", IP6, UDP], id::V6_WATCHED, id::V6_COUNTED)]
    {
        let frame = bytes(&[&[MACS], hex.as_slice()].concat());
        let mut table = Table::new();
        table.account(&frame, frame.len() as u32, frame.len() as u32);
        let booked: Vec<_> = table.counted().into_iter().map(|(id, direction, _)| (id, direction)).collect();
        assert_eq!(booked, [(source, Direction::Out), (destination, Direction::In)]);
    }
}

#[test]
fn a_frame_cut_anywhere_is_unparsed_until_its_ip_header_is_whole() {
    for row in [ADDRESSES, LENGTHS, IPV4_HEADERS, IPV6_HEADERS, LINKS].into_iter().flatten() {
        let frame = bytes(row.hex);
        let wire = row.wire.unwrap_or(frame.len() as u32);
        let lengths = 0..=frame.len();
        let outcomes: Vec<Outcome> = lengths.map(|len| Table::new().account(&frame[..len], wire, wire)).collect();
        let known = outcomes.iter().position(|outcome| *outcome != TRUNCATED).unwrap_or(outcomes.len());
        // More of the frame can decide what it is, and never decide again.
        assert!(outcomes[known..].iter().all(|outcome| *outcome == row.outcome), "{}: {outcomes:?}", row.name);
    }
}
