//! What holds of every frame: it is booked once, never beyond its end, and read as another parser reads it.
#![expect(clippy::unwrap_used, reason = "a property that cannot be stated fails")]

#[path = "support/table.rs"]
mod table;

use std::cell::RefCell;

use etherparse::{LinkExtSlice, NetSlice, SlicedPacket, TransportSlice};
use proptest::{
    prelude::*,
    test_runner::{Config, RngSeed, TestRunner},
};
use sensor_ebpf::{
    abi::{Counter, Degraded, Direction, Matched, Outcome, Unparsed},
    packet::{Ipv4, Ipv6, L3, L4, Ports, SliceWindow, link},
};

use self::table::Table;

/// The same cases in every run: a failure is not an event, it is a finding.
fn cases(cases: u32) -> Config {
    Config { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Config::default() }
}

/// What may stand between the addresses and the IP header.
fn links() -> impl Strategy<Value = Vec<u8>> {
    let ethertype = prop::sample::select(vec![
        [0x08, 0x00],
        [0x86, 0xdd],
        [0x81, 0x00],
        [0x88, 0xa8],
        [0x91, 0x00],
        [0x88, 0x47],
        [0x88, 0x64],
        [0x00, 0x30],
        [0x08, 0x06],
    ]);
    let pieces = prop_oneof![
        3 => ethertype.prop_map(|kind| kind.to_vec()),
        1 => Just(vec![0, 1]),
        1 => Just(vec![0, 0, 1, 64]),
        1 => Just(vec![0x11, 0, 0, 7, 0, 30, 0, 0x21]),
        1 => Just(vec![0xaa, 0xaa, 3, 0, 0, 0]),
    ];
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

/// Frames that get past the first check more often than noise does, and noise.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let ip = prop_oneof![
        1 => Just(vec![0x45]),
        1 => Just(vec![0x60]),
        1 => Just(vec![0x4f]),
        1 => Just(vec![0x43]),
        1 => Just(vec![]),
        4 => known_addresses(),
    ];
    let parts = (prop::array::uniform12(any::<u8>()), links(), ip, prop::collection::vec(any::<u8>(), 0..120));
    let shaped = parts.prop_map(|(addresses, link, ip, rest)| [&addresses[..], &link, &ip, &rest].concat());
    prop_oneof![4 => shaped, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

/// An IP header between prefixes of the table, with a length of any kind.
fn known_addresses() -> impl Strategy<Value = Vec<u8>> {
    let v4 =
        prop::sample::select(vec![[192, 0, 2, 1], [198, 51, 7, 7], [203, 0, 113, 1], [100, 64, 0, 1], [9, 9, 9, 9]]);
    let v6 = prop::sample::select(vec![[0x20, 0x01], [0xfd, 0], [0xfe, 0x80]]);
    let length = prop_oneof![Just(0_u16), 0_u16..200, any::<u16>()];
    let v4 = (v4.clone(), v4, length.clone(), any::<u8>()).prop_map(|(source, destination, length, protocol)| {
        let [high, low] = length.to_be_bytes();
        [&[0x45, 0, high, low, 0, 1, 0, 0, 64, protocol, 0, 0][..], &source, &destination].concat()
    });
    let v6 = (v6.clone(), v6, length, any::<u8>()).prop_map(|(source, destination, length, next)| {
        let [high, low] = length.to_be_bytes();
        let rest = [0; 14];
        [&[0x60, 0, 0, 0, high, low, next, 64][..], &source, &rest, &destination, &rest].concat()
    });
    prop_oneof![v4, v6]
}

/// A header whose fields the other parser tends to accept.
fn packets() -> impl Strategy<Value = Vec<u8>> {
    let protocol = prop::sample::select(vec![6_u8, 17, 17, 6, 1, 58, 132, 50, 0, 43, 44, 51, 60, 59]);
    let tags = prop::collection::vec(prop::sample::select(vec![[0x81, 0x00], [0x88, 0xa8], [0x91, 0x00]]), 0..4);
    let v4 = (any::<[u8; 8]>(), protocol.clone(), 5_u8..8, prop::sample::select(vec![0_u16, 0x4000, 0x2000, 3]));
    let v6 = (any::<[u8; 32]>(), protocol, prop::collection::vec((0_u8..3, any::<u16>()), 0..3));
    let header = prop_oneof![v4.prop_map(ipv4), v6.prop_map(ipv6)];
    (tags, header, 20_usize..60, any::<u8>(), 0_usize..4).prop_map(
        |(tags, (kind, mut header), payload, fill, padding)| {
            header.extend((0..payload).map(|at| match at {
                4 => 0,
                5 => payload as u8, // the length of UDP
                12 => 0x50,         // the data offset of TCP
                _ => fill.wrapping_add(at as u8),
            }));
            let room = header.len() as u16;
            if kind == [0x08, 0x00] {
                header[2..4].copy_from_slice(&room.to_be_bytes());
            } else {
                header[4..6].copy_from_slice(&(room - 40).to_be_bytes());
            }
            let types = tags.iter().chain([&kind]).map(|kind| kind.to_vec());
            let link = types.collect::<Vec<_>>().join(&[0, 5][..]);
            [&[2; 12][..], &link, &header, &vec![0; padding]].concat()
        },
    )
}

fn ipv4((addresses, protocol, words, fragment): ([u8; 8], u8, u8, u16)) -> ([u8; 2], Vec<u8>) {
    let mut header = vec![0x40 | words, 0, 0, 0, 0, 1];
    header.extend(fragment.to_be_bytes());
    header.extend([64, protocol, 0, 0]);
    header.extend(addresses);
    header.resize(usize::from(words) * 4, 1);
    ([0x08, 0x00], header)
}

fn ipv6((addresses, protocol, extensions): ([u8; 32], u8, Vec<(u8, u16)>)) -> ([u8; 2], Vec<u8>) {
    let kinds: Vec<u8> = extensions.iter().map(|(kind, _)| [60, 43, 44][usize::from(*kind)]).collect();
    let next = |at: usize| kinds.get(at).copied().unwrap_or(protocol);
    let mut header = vec![0x60, 0, 0, 0, 0, 0, next(0), 64];
    header.extend(addresses);
    for (at, (_, bits)) in extensions.iter().enumerate() {
        // Every fourth fragment is a later one; other headers say 8 or 16 bytes.
        let [high, low] = if bits % 4 == 0 { [0, 8] } else { [0, 1] };
        let long = kinds[at] != 44 && bits % 2 == 0;
        header.extend([next(at + 1), u8::from(long), high, low, 0, 0, 0, 0]);
        header.extend(vec![0; if long { 8 } else { 0 }]);
    }
    ([0x86, 0xdd], header)
}

/// All outcomes there are.
fn outcomes() -> impl Iterator<Item = Outcome> {
    let matched = Matched::ALL.map(Outcome::Matched);
    matched.into_iter().chain([Outcome::Other]).chain(Unparsed::ALL.map(Outcome::Unparsed))
}

fn total(counters: impl Iterator<Item = Counter>) -> Counter {
    counters.fold(Counter::default(), |sum, counter| sum.sum(&counter))
}

proptest! {
    #![proptest_config(cases(20_000))]

    #[test]
    fn any_frame_is_booked_once_and_not_beyond_its_end(
        frame in frames(),
        more in prop_oneof![Just(0_u32), 0_u32..3000, any::<u32>()],
        less in 0_u32..40,
    ) {
        let captured = frame.len() as u32;
        // Usually at least what was captured, sometimes less: the field of a capture says what it likes.
        let wire = captured.saturating_add(more).saturating_sub(if more == 0 { less } else { 0 });
        let mut table = Table::new();
        let outcome = table.account(&frame, wire, captured);
        prop_assert_eq!(total(outcomes().map(|possible| table.outcome(possible))), table.outcome(outcome));
        let booked = table.outcome(outcome);
        prop_assert_eq!((booked.packets, booked.frame_bytes), (1, captured.into()));
        let window = SliceWindow::captured(&frame, wire, wire);
        let offset = match link(&window) {
            Ok(L3::V4(offset) | L3::V6(offset)) => offset as u32,
            Err(reason) => {
                prop_assert_eq!(outcome, Outcome::Unparsed(reason));
                wire
            }
        };
        prop_assert!(booked.bytes <= wire.saturating_sub(offset).into(), "{} bytes", booked.bytes);
        prop_assert_eq!(booked.bytes == 0 && wire > offset, matches!(outcome, Outcome::Unparsed(_)) && wire > offset);
        let out = matches!(outcome, Outcome::Matched(Matched::Source | Matched::Both));
        let into = matches!(outcome, Outcome::Matched(Matched::Destination | Matched::Both));
        let fault = table.degraded(Degraded::MapFault).packets;
        for (direction, expected) in [(Direction::Out, out), (Direction::In, into)] {
            let rows = table.counted().into_iter().filter(|(_, of, _)| *of == direction);
            let counted = total(rows.map(|(_, _, counter)| counter));
            prop_assert!(counted == if expected { booked } else { Counter::default() } || fault == 1, "{:?}", counted);
        }
    }

    #[test]
    fn seen_is_the_sum_over_any_sequence(sequence in prop::collection::vec((frames(), 0_u32..2000), 1..12)) {
        let mut table = Table::new();
        let mut frame_bytes = 0;
        for (frame, more) in &sequence {
            let wire = frame.len() as u32 + more;
            frame_bytes += u64::from(wire);
            table.account(frame, wire, wire);
        }
        let seen = total(outcomes().map(|outcome| table.outcome(outcome)));
        prop_assert_eq!((seen.packets, seen.frame_bytes), (sequence.len() as u64, frame_bytes));
        for reason in Degraded::ALL {
            prop_assert!(table.degraded(reason).packets <= seen.packets);
        }
    }
}

/// Addresses and ports.
type Ends = (Vec<u8>, Vec<u8>, Option<(u16, u16)>);

/// What the other parser says of a frame.
struct Witness {
    ends: Ends,
    has_transport: bool,
    is_fragment: bool,
}

fn witness(frame: &[u8]) -> Option<Witness> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    assert!(packet.link_exts.iter().all(|tag| matches!(tag, LinkExtSlice::Vlan(_))));
    let (source, destination, is_fragment) = match packet.net? {
        NetSlice::Ipv4(ip) => {
            (ip.header().source().to_vec(), ip.header().destination().to_vec(), ip.is_payload_fragmented())
        }
        NetSlice::Ipv6(ip) => {
            (ip.header().source().to_vec(), ip.header().destination().to_vec(), ip.is_payload_fragmented())
        }
        NetSlice::Arp(_) => return None,
    };
    let ports = match &packet.transport {
        Some(TransportSlice::Udp(udp)) => Some((udp.source_port(), udp.destination_port())),
        Some(TransportSlice::Tcp(tcp)) => Some((tcp.source_port(), tcp.destination_port())),
        Some(TransportSlice::Icmpv4(_) | TransportSlice::Icmpv6(_) | TransportSlice::Igmp(_)) | None => None,
    };
    Some(Witness { ends: (source, destination, ports), has_transport: packet.transport.is_some(), is_fragment })
}

fn ours(frame: &[u8]) -> (Ends, Result<L4, Degraded>) {
    let window = SliceWindow::whole(frame);
    let (source, destination, l4) = match link(&window).unwrap() {
        L3::V4(offset) => {
            let header = Ipv4::read(&window, offset).unwrap();
            (
                header.source.to_be_bytes().to_vec(),
                header.destination.to_be_bytes().to_vec(),
                header.behind().l4(&window),
            )
        }
        L3::V6(offset) => {
            let header = Ipv6::read(&window, offset).unwrap();
            let bytes = |address: [u64; 2]| address.map(u64::to_be_bytes).concat();
            (bytes(header.source), bytes(header.destination), header.behind().l4(&window))
        }
    };
    let ports = l4.ok().and_then(|l4| l4.ports);
    ((source, destination, ports.map(|Ports { source, destination }| (source, destination))), l4)
}

#[test]
fn what_another_parser_accepts_is_read_alike() {
    /// DCCP, SCTP and UDP-Lite have ports too, which the other parser does not look for.
    const ONLY_OURS: [u8; 3] = [33, 132, 136];
    let counts = RefCell::new([0_u32; 3]);
    let result = TestRunner::new(cases(20_000)).run(&packets(), |frame| {
        let Some(Witness { ends, has_transport, is_fragment }) = witness(&frame) else { return Ok(()) };
        let (ours, l4) = ours(&frame);
        let findings = [true, ends.2.is_some(), l4 == Err(Degraded::LaterFragment)];
        counts.borrow_mut().iter_mut().zip(findings).for_each(|(count, found)| *count += u32::from(found));
        prop_assert_eq!((&ours.0, &ours.1), (&ends.0, &ends.1));
        if has_transport {
            prop_assert_eq!(ours.2, ends.2);
        } else if let Ok(L4 { upper, ports: Some(_) }) = l4 {
            // It leaves fragments alone, the first one too.
            prop_assert!(ONLY_OURS.contains(&upper.protocol) || is_fragment, "{:?}", upper);
        }
        if l4 == Err(Degraded::LaterFragment) {
            prop_assert!(is_fragment);
        }
        Ok(())
    });
    result.unwrap();
    let [accepted, with_ports, fragments] = counts.into_inner();
    println!("{accepted} frames accepted, {with_ports} with ports, {fragments} later fragments");
    assert!(accepted > 10_000 && with_ports > 2_000 && fragments > 500, "the generator makes too little of something");
}
