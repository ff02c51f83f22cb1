//! A life without end: floods, places that are used again, clocks, and when nobody listens any more.

use std::net::IpAddr;

use super::*;
use crate::testing::rng::Rng;

fn end(number: u32, port: u16) -> (IpAddr, u16) {
    (IpAddr::from(number.to_be_bytes()), port)
}

fn udp(source: (IpAddr, u16), destination: (IpAddr, u16), payload: &[u8]) -> Packet<'_> {
    let flow = Flow { protocol: 17, source, destination };
    let payload_len = payload.len() as u32;
    Packet { flow, length: 28 + payload_len, tcp: None, payload, payload_len }
}

fn tcp(source: (IpAddr, u16), destination: (IpAddr, u16), sequence: u32, payload: &[u8]) -> Packet<'_> {
    let flow = Flow { protocol: 6, source, destination };
    let payload_len = payload.len() as u32;
    Packet { flow, length: 40 + payload_len, tcp: Some(Tcp { sequence, flags: 24 }), payload, payload_len }
}

/// A question for a name of a type that only tunnels ask for, or its answer.
fn question(name: &str, flags: [u8; 2]) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, flags[0], flags[1], 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend(label.bytes());
    }
    bytes.extend([0, 0, 10, 0, 1]);
    bytes
}

const QUERY: [u8; 2] = [1, 0];
const ANSWER: [u8; 2] = [0x81, 0x80];

impl Inspector {
    /// What is remembered of flows agrees with itself.
    fn check(&mut self) {
        let ids = self.slots.ids();
        let of = |id: &FlowId| self.slots.get(*id).expect("it is there");
        assert_eq!(ids.iter().map(|id| of(id).held_bytes()).sum::<usize>(), self.held_bytes);
        let held: BTreeSet<FlowId> = ids.iter().copied().filter(|id| of(id).has_conversation()).collect();
        assert_eq!(held, self.held);
        assert!(self.changed.iter().all(|id| ids.contains(id)));
        assert_eq!(ids.len(), self.len());
        assert!(ids.iter().all(|id| self.slots.find(of(id).flow) == Some(*id)));
    }
}

#[test]
fn floods_of_flows_are_counted_in_flat_memory() {
    const FLOWS: u32 = 60_000;
    let limits = Limits { flows: 50_000, held_bytes: 16 << 20, ..Limits::default() };
    let mut inspector = Inspector::new(limits);
    let mut rng = Rng::new(5);
    let payload: Vec<u8> = (0..1400).map(|_| rng.next_u64() as u8).collect();
    for number in 0..FLOWS {
        let look = inspector.look(&udp(end(number, 4000), end(1, 40_001), &payload), 0);
        assert_eq!(look.is_some(), number < 50_000);
        assert!(inspector.held_bytes <= limits.held_bytes);
    }
    inspector.check();
    assert!(inspector.given_up() > 0);
    assert_eq!((inspector.len(), inspector.overflow()), (50_000, 10_000));
}

/// Random flows for hours, every one new: what is remembered stays as small as it was in the first minutes.
#[test]
fn a_million_flows_in_their_time_take_the_places_of_those_before() {
    const A_MINUTE: u32 = 4_000;
    let mut inspector = Inspector::new(Limits { flows: 30_000, held_bytes: 64 << 20, ..Limits::default() });
    let mut rng = Rng::new(6);
    let mut ended = 0;
    for number in 0..1_000_000_u32 {
        let now = number / A_MINUTE;
        let [client, server] = [end(rng.next_u64() as u32, rng.next_u64() as u16), end(number, 53)];
        let name = format!("h{}.d{}.com", rng.next_u64() % 50, rng.next_u64() % 20_000);
        // Mostly of no protocol; the DNS is remembered in more than one place.
        let payload = if number % 4 == 0 { question(&name, QUERY) } else { b"what".to_vec() };
        let look = inspector.look(&udp(client, server, &payload), now).expect("there is room");
        assert_eq!(inspector.flow(look.id).map(|flow| flow.source), Some(client));
        if number % A_MINUTE == 0 {
            // Names let go of ended flows once a minute.
            ended += inspector.expire(now).len();
            let parts = inspector.names.parts(|id| inspector.slots.get(id).is_some());
            assert!(parts.iter().all(|is_alive| *is_alive) && parts.len() < 30_000);
        }
    }
    inspector.check();
    assert_eq!(inspector.overflow(), 0);
    assert!(inspector.slots.places() <= 5 * A_MINUTE as usize, "{}", inspector.slots.places());
    assert_eq!(ended + inspector.len(), 1_000_000);
    assert_eq!(inspector.finish().len(), 1_000_000 - ended);
    assert_eq!((inspector.held_bytes, inspector.held.len(), inspector.len()), (0, 0, 0));
}

#[test]
fn an_id_means_one_flow_for_ever() {
    let mut inspector = Inspector::new(Limits { flows: 1, ..Limits::default() });
    let packet = udp(end(1, 4000), end(2, 53), &[]);
    let first = inspector.look(&packet, 7).unwrap();
    assert_eq!(inspector.look(&udp(end(3, 1), end(4, 2), &[]), 7), None);
    assert_eq!(inspector.expire(7 + IDLE - 1), []);
    let ended = inspector.expire(7 + IDLE);
    assert_eq!(ended, [Ended { id: first.id, flow: packet.flow, verdict: None }]);
    // The same addresses, the same place, another flow: a DNS this time.
    let answer = question("example.com", ANSWER);
    let second = inspector.look(&udp(end(2, 53), end(1, 4000), &answer), 11).unwrap();
    assert_ne!(first.id, second.id);
    assert!(first.id < second.id);
    assert_eq!((inspector.flow(first.id), inspector.verdict(first.id)), (None, None));
    assert_eq!(inspector.verdict(second.id), Some(Verdict::payload(Class::Dns)));
    assert_eq!(inspector.flow(second.id).map(|flow| flow.source), Some(end(2, 53)));
    assert_eq!((inspector.slots.places(), inspector.overflow()), (1, 1));
}

#[test]
fn what_speaks_stays_and_a_clock_that_goes_back_keeps_nothing() {
    let mut inspector = Inspector::default();
    let talks = udp(end(1, 1), end(2, 2), &[1]);
    let silent = udp(end(3, 3), end(4, 4), &[1]);
    let id = inspector.look(&talks, 100).unwrap().id;
    inspector.look(&silent, 100);
    for now in 101..110 {
        assert_eq!(inspector.look(&talks, now).unwrap().id, id);
        assert_eq!(inspector.expire(now).len(), usize::from(now == 100 + IDLE));
    }
    assert_eq!(inspector.expire(20), []);
    assert_eq!(inspector.expire(20 + IDLE).len(), 1);
    inspector.check();
}

#[test]
fn a_call_looks_at_some_places_only_and_the_next_at_others() {
    let mut slots = Slots::new(10);
    for number in 0..10 {
        slots.insert(Followed::new(&udp(end(number, 1), end(1, 2), &[]), false, 0));
    }
    let ids = slots.ids();
    let swept: Vec<_> = (0..3).map(|_| slots.sweep(4, |_| true)).collect();
    assert_eq!(swept, [&ids[..4], &ids[4..8], &[&ids[..2], &ids[8..]].concat()]);
    assert_eq!(slots.sweep(4, |_| true), ids[2..6]);
    assert_eq!(slots.sweep(99, |_| true), ids);
}

#[test]
fn both_directions_are_one_flow() {
    let mut inspector = Inspector::default();
    let (one, other) = (end(9, 4000), end(5, 9));
    let ids: Vec<FlowId> = [(other, one), (one, other), (other, one)]
        .into_iter()
        .map(|(source, destination)| inspector.look(&udp(source, destination, &[0; 4]), 0).unwrap().id)
        .collect();
    assert_eq!(ids, [ids[0]; 3]);
    assert_eq!(inspector.flow(ids[0]).map(|flow| flow.source), Some(other));
}

/// Which looks say that a verdict changed, and after which nobody listens.
#[test]
fn nobody_listens_once_both_ends_have_said_what_it_is() {
    let mut inspector = Inspector::default();
    let (client, server) = (end(1, 4000), end(2, 2222));
    let first = inspector.look(&tcp(client, server, 1, b"SSH-2.0-one\r\n"), 0).unwrap();
    assert_eq!((first.verdict, first.listening), (Some(Verdict::payload(Class::Ssh)), Listening::Open));
    let second = inspector.look(&tcp(server, client, 1, b"SSH-2.0-two\r\n"), 0).unwrap();
    assert_eq!((second.verdict, second.listening), (Some(Verdict::confirmed(Class::Ssh)), Listening::Closed));
    let third = inspector.look(&tcp(client, server, 14, b"GET / HTTP/1.1\r\n\r\n"), 0).unwrap();
    assert_eq!((third.verdict, third.listening), (second.verdict, Listening::Closed));
    assert_eq!([first, second, third].map(|look| look.changed), [true, true, false]);
    assert_eq!(inspector.held_bytes, 0);
    inspector.check();
}

#[test]
fn nobody_listens_to_the_unknown_for_ever() {
    let mut inspector = Inspector::default();
    let closes = |inspector: &mut Inspector, packet: &dyn Fn(u32) -> Packet<'static>| {
        (1..=MAX).find(|nth| inspector.look(&packet(*nth), 0).unwrap().listening == Listening::Closed)
    };
    const MAX: u32 = 100;
    let datagram = |_| udp(end(1, 1), end(2, 2), b"what");
    assert_eq!(closes(&mut inspector, &datagram), Some(24));
    let segment = |nth: u32| tcp(end(1, 1), end(2, 2), nth * 4, b"what");
    assert_eq!(closes(&mut inspector, &segment), Some(24));
    // Where one end says what it is, the other is waited for.
    let greeting = |_| tcp(end(1, 1), end(2, 3), 1, b"SSH-2.0-one\r\n");
    assert_eq!(closes(&mut inspector, &greeting), Some(25));
    // Packets without a payload tell nothing and take nothing from the budget.
    let empty = |_| tcp(end(1, 1), end(2, 4), 1, b"");
    assert_eq!(closes(&mut inspector, &empty), None);
    // Its number says it.
    let inside = |_| Packet { flow: Flow { protocol: 4, source: end(1, 0), destination: end(2, 0) }, ..datagram(0) };
    assert_eq!(closes(&mut inspector, &inside), Some(1));
}

#[test]
fn names_are_listened_to_beyond_the_usual_and_within_bounds() {
    let mut inspector = Inspector::default();
    let (client, server) = (end(1, 4000), end(2, 53));
    let query = question("www.example.com", QUERY);
    let mut ask = || inspector.look(&udp(client, server, &query), 0).unwrap().listening;
    let listening: Vec<Listening> = (0..2 * patience::MAX_LONG_LOOKS).map(|_| ask()).collect();
    let (long, closed) = listening.split_at(patience::MAX_LONG_LOOKS as usize - 1);
    assert!(long.iter().all(|listening| *listening == Listening::Long));
    assert!(closed.iter().all(|listening| *listening == Listening::Closed));
    // Long after the conversation ended, a tunnel shows itself; and flows that asked before are told of.
    let mut inspector = Inspector::default();
    let early = inspector.look(&udp(end(7, 7), server, &question("aaaaaaaa.t.example.org", QUERY)), 0).unwrap();
    for _ in 0..100 {
        inspector.look(&udp(client, server, &query), 0);
    }
    assert_eq!(inspector.changed().count(), 0);
    let ask = |inspector: &mut Inspector, name: &str, flags| {
        let bytes = question(name, flags);
        let (source, destination) = if flags == QUERY { (client, server) } else { (server, client) };
        inspector.look(&udp(source, destination, &bytes), 0).unwrap()
    };
    let looks: Vec<Look> = ["bbbbbbbb", "cccccccc", "dddddddd", "eeeeeeee", "ffffffff"]
        .map(|label| ask(&mut inspector, &format!("{label}.t.example.org"), QUERY))
        .into();
    let last = looks.last().unwrap();
    assert_eq!(last.verdict, Some(Verdict::payload(Class::DnsTunnel)));
    assert_eq!(looks.iter().filter(|look| look.changed).count(), 1);
    assert_eq!(inspector.changed().collect::<Vec<_>>(), [(early.id, Verdict::payload(Class::DnsTunnel))]);
    assert_eq!(inspector.changed().count(), 0);
    let both = ask(&mut inspector, "gggggggg.t.example.org", ANSWER);
    assert_eq!((both.verdict, both.listening), (Some(Verdict::confirmed(Class::DnsTunnel)), Listening::Closed));
    inspector.check();
}

/// A flow that has ended is told of no tunnel, nor is the one in its place.
#[test]
fn flows_that_have_ended_take_part_in_nothing() {
    let mut inspector = Inspector::default();
    let server = end(2, 53);
    let ask = |inspector: &mut Inspector, client: u32, label: &str, now| {
        let bytes = question(&format!("{label}.t.example.org"), QUERY);
        inspector.look(&udp(end(client, 7), server, &bytes), now).unwrap().id
    };
    ask(&mut inspector, 1, "aaaaaaaa", 0);
    assert_eq!(inspector.expire(IDLE).len(), 1);
    let other = inspector.look(&udp(end(9, 9), end(8, 8), b"what"), IDLE).unwrap().id;
    assert_eq!(inspector.slots.places(), 1);
    for label in ["bbbbbbbb", "cccccccc", "dddddddd", "eeeeeeee"] {
        ask(&mut inspector, 3, label, IDLE);
    }
    assert_eq!(inspector.verdict(other), None);
    assert_eq!(inspector.changed().count(), 0);
    assert_eq!(inspector.finish().iter().filter(|ended| ended.verdict.is_some()).count(), 1);
}

/// What a flow was found to be for want of memory is told, and where nothing was, it is counted.
#[test]
fn conversations_that_end_for_want_of_memory_are_told_of() {
    let mut inspector = Inspector::new(Limits { flows: 100, held_bytes: 4000, ..Limits::default() });
    // Port 25 says something once nothing more comes.
    let guessed = inspector.look(&tcp(end(1, 4000), end(2, 25), 1, b"what"), 0).unwrap();
    assert_eq!(guessed.verdict, None);
    for number in 0..20 {
        inspector.look(&udp(end(number, 1), end(5, 2), &[7; 900]), 0);
    }
    assert_eq!(inspector.changed().collect::<Vec<_>>(), [(guessed.id, Verdict::port(Class::Smtp))]);
    assert!(inspector.given_up() > 1 && inspector.held_bytes <= 4000);
    let after = inspector.look(&tcp(end(1, 4000), end(2, 25), 5, b"more"), 0).unwrap();
    assert_eq!((after.listening, after.changed), (Listening::Closed, false));
    inspector.check();
}

/// A change that was not asked for yet is told by the flow's own next packet, and once.
#[test]
fn changes_are_told_once() {
    let mut inspector = Inspector::default();
    let ask = |inspector: &mut Inspector, client: u32, label: &str| {
        let bytes = question(&format!("{label}.t.example.org"), QUERY);
        inspector.look(&udp(end(client, 7), end(2, 53), &bytes), 0).unwrap()
    };
    ask(&mut inspector, 1, "aaaaaaaa");
    for label in ["bbbbbbbb", "cccccccc", "dddddddd", "eeeeeeee", "ffffffff"] {
        ask(&mut inspector, 3, label);
    }
    let again = ask(&mut inspector, 1, "aaaaaaaa");
    assert_eq!((again.verdict, again.changed), (Some(Verdict::payload(Class::DnsTunnel)), true));
    assert!(!ask(&mut inspector, 1, "aaaaaaaa").changed);
    assert_eq!(inspector.changed().count(), 0);
}

/// A control connection announces a transfer, for a while; a file in it that looks like a control connection announces nothing.
#[test]
fn transfers_are_announced_by_control_connections_alone() {
    let (client, server) = (9, 5);
    let mut inspector = Inspector::default();
    let mut say = |source, destination, sequence: u32, text: &str, now| {
        inspector.look(&tcp(source, destination, sequence, text.as_bytes()), now).unwrap()
    };
    let (control, listening) = (end(client, 40_000), end(server, 21));
    say(listening, control, 1, "220 FTP ready\r\n", 0);
    say(control, listening, 1, "USER me\r\n", 0);
    say(listening, control, 16, "331 more\r\n", 0);
    let look = say(listening, control, 26, "227 Entering Passive Mode (0,0,0,5,4,1)\r\n", 0);
    assert_eq!((look.verdict, look.listening), (Some(Verdict::confirmed(Class::Ftp)), Listening::Long));
    let classes = [
        say(end(client, 40_001), end(server, 1025), 1, "220 FTP ready\r\nPORT 0,0,0,9,4,2\r\n", 1),
        say(end(server, 1026), end(client, 1026), 1, "what", 1),
        say(end(client, 40_002), end(server, 1025), 1, "late", 9),
    ]
    .map(|look| look.verdict.map(|verdict| verdict.class));
    assert_eq!(classes, [Some(Class::Ftp), None, None]);
}

/// A socket that took two peers in clear text is heard with a third whose bytes are random, or were before it was known.
#[test]
fn what_a_socket_of_peers_says_is_theirs() {
    let handshake = [b"\x13BitTorrent protocol".as_slice(), &[0; 8], &[7; 40]].concat();
    let mut rng = Rng::new(8);
    let random: Vec<u8> = (0..700).map(|_| rng.next_u64() as u8).collect();
    let socket = end(5, 51_413);
    let found = |verdict: Option<Verdict>| verdict.is_some_and(|verdict| verdict == Verdict::list(Class::BitTorrent));
    let mut inspector = Inspector::default();
    let early = inspector.look(&tcp(socket, end(1, 4001), 1, &random), 0).unwrap();
    assert_eq!(
        inspector.look(&tcp(socket, end(2, 4002), 1, &handshake), 0).unwrap().verdict.map(|it| it.class),
        Some(Class::BitTorrent)
    );
    assert!(!found(inspector.look(&tcp(socket, end(1, 4001), 701, &random), 0).unwrap().verdict));
    inspector.look(&tcp(socket, end(3, 4003), 1, &handshake), 0);
    let late = inspector.look(&tcp(end(4, 4004), socket, 1, &random), 1).unwrap();
    assert_eq!(late.verdict, None);
    let answered = inspector.look(&tcp(socket, end(4, 4004), 1, &random), 1).unwrap();
    assert!(found(answered.verdict) && answered.changed);
    // What has a name of its own keeps it, and so does another protocol at the same port, and another port.
    let others = [
        tcp(socket, end(6, 4005), 1, b"SSH-2.0-one\r\n"),
        udp(socket, end(6, 4006), &random),
        tcp(end(5, 51_414), end(6, 4007), 1, &random),
        // A port that a peer calls from, to one address.
        tcp(end(2, 4002), end(6, 4008), 1, &random),
        // Nothing but what somebody sends there.
        tcp(end(6, 4009), socket, 1, &random),
    ];
    let looks = others.map(|packet| inspector.look(&packet, 1).unwrap());
    assert!(looks.iter().all(|look| !found(look.verdict)));
    inspector.check();
    let ended = inspector.finish();
    let is_found = |id: FlowId| ended.iter().any(|ended| ended.id == id && found(ended.verdict));
    assert!(is_found(early.id) && is_found(late.id) && looks.iter().all(|look| !is_found(look.id)));
}

/// Requests that nobody answers with BitTorrent, trackers that many ask, and peers of yesterday make no socket of peers.
#[test]
fn who_is_no_socket_of_peers() {
    let handshake = [b"\x13BitTorrent protocol".as_slice(), &[0; 8], &[7; 40]].concat();
    let announce =
        b"GET /announce?info_hash=aaaaaaaaaaaaaaaaaaaa&peer_id=bbbbbbbbbbbbbbbbbbbb HTTP/1.1\r\n\r\n".to_vec();
    for (ask, answer, now) in [
        (&handshake[..], &b"what do you want?"[..], 0),
        (&announce[..], b"HTTP/1.1 200 OK\r\n\r\nd8:intervali1800ee", 0),
        (&handshake, &handshake, 100),
    ] {
        let mut inspector = Inspector::default();
        let socket = end(5, 8080);
        for number in 10..20 {
            inspector.look(&tcp(end(number, 4000), socket, 1, ask), 0);
            inspector.look(&tcp(socket, end(number, 4000), 1, answer), 0);
        }
        let third = tcp(socket, end(30, 4000), 1, b"\xF4\x11\x9A\x03");
        assert_eq!(inspector.look(&third, now).unwrap().verdict, None, "{}", answer.escape_ascii());
    }
}
