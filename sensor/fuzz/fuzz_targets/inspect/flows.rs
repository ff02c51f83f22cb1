//! Packets of flows out of any bytes, given to the inspector; a test does the same with the committed seeds (`tests/fuzz_seeds.rs`).
//!
//! A packet is a byte for its protocol, sender and flow, one for its TCP flags, four of its sequence number, two of the length of what is captured of its payload, and
//! that payload. The highest bit of the length: the wire held more than that.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};

use sensor::inspect::{Flow, Inspector, Packet, Tcp};

/// Bytes before a payload.
const HEADER: usize = 8;
/// What the wire held beyond what was captured, where it did.
const MORE: u32 = 700;
/// Protocols, by the lowest bits of the first byte: TCP and UDP, ICMP, GRE.
const PROTOCOLS: [u8; 4] = [6, 17, 1, 47];
/// Pairs of ports.
const PORTS: [[u16; 2]; 4] = [[40_000, 53], [40_001, 443], [40_002, 6881], [40_003, 40_003]];

/// Packets that each end of a flow sent, and how many had a payload.
type Sent = HashMap<Flow, ([u64; 2], u64)>;

/// Inspects what bytes say, and then the frames they are.
///
/// # Panics
/// A flow is there twice or not at all, what is said of it does not agree, or it was found to be something that nobody said.
pub(crate) fn inspect(bytes: &[u8]) {
    let mut inspector = Inspector::default();
    let mut sent = Sent::new();
    let mut rest = bytes;
    while let Some((packet, behind)) = packet(rest) {
        rest = behind;
        look(&mut inspector, &packet);
        let (packets, payloads) = sent.entry(packet.flow.key()).or_default();
        packets[usize::from(packet.flow != packet.flow.key())] += 1;
        *payloads += u64::from(packet.payload_len > 0);
    }
    check(inspector, &sent);

    // The same bytes as a frame: whatever the parser makes of it is inspected, too.
    let mut inspector = Inspector::default();
    let wire_len = bytes.len() as u32 + MORE;
    if let Some(packet) = Packet::of_frame(bytes, wire_len) {
        assert!(packet.payload.len() <= bytes.len(), "a payload longer than its frame");
        look(&mut inspector, &packet);
        look(&mut inspector, &packet);
        check(inspector, &HashMap::from([(packet.flow.key(), ([2, 0], 2))]));
    }
}

fn look(inspector: &mut Inspector, packet: &Packet<'_>) {
    let look = inspector.look(packet, 0).expect("a few flows are too many");
    assert_eq!(inspector.verdict(look.id), look.verdict, "another verdict than that of the look");
    assert_eq!(inspector.flow(look.id).map(Flow::key), Some(packet.flow.key()), "another flow");
}

fn check(mut inspector: Inspector, sent: &Sent) {
    assert_eq!(inspector.overflow(), 0, "a few flows are too many");
    let flows = inspector.finish();
    assert_eq!(flows.len(), sent.len(), "flows");
    for found in flows {
        let (packets, payloads) = sent[&found.flow.key()];
        let Some(verdict) = found.verdict else { continue };
        let evidence = verdict.evidence.name();
        assert!(payloads > 0 || evidence == "port", "{found:?} by nothing");
        let is_two_way = packets.iter().all(|packets| *packets > 0);
        assert!(is_two_way || evidence != "confirmed", "{found:?} confirmed by one end");
    }
}

fn packet(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let [which, flags, a, b, c, d, upper, lower] = *header;
    let len = usize::from(u16::from_be_bytes([upper & 0x7f, lower])).min(rest.len());
    let (payload, rest) = rest.split_at_checked(len)?;
    let protocol = PROTOCOLS[usize::from(which & 3)];
    let ports = if matches!(protocol, 6 | 17) { PORTS[usize::from(which >> 2 & 3)] } else { [0; 2] };
    let end = |last: u8, port| (IpAddr::from(Ipv4Addr::new(192, 0, 2, last)), port);
    let ends = [end(1 + (which >> 4 & 7), ports[0]), end(200, ports[1])];
    let [source, destination] = if which & 0x80 == 0 { ends } else { [ends[1], ends[0]] };
    let payload_len = len as u32 + if upper & 0x80 == 0 { 0 } else { MORE };
    let tcp = (protocol == 6).then_some(Tcp { sequence: u32::from_be_bytes([a, b, c, d]), flags });
    let flow = Flow { protocol, source, destination };
    Some((Packet { flow, length: payload_len.saturating_add(40), tcp, payload, payload_len }, rest))
}
