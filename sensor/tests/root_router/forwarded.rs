//! In, out, transit, hairpin, made here, for here, dropped here: each packet of the border is billed once.

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use sensor::testing::{
    netns::within,
    socket::{Pace, Sender},
    truth::{Sum, Tally},
};

use crate::{
    agent::eventually,
    books::Books,
    over::Over,
    packets::packet,
    root::is_root,
    stage::{FAR, INSIDE, NEIGHBOUR, ROUTER, Router, UP_A, UP_B},
};

/// Packets of each flow; fewer than a queue holds at a time.
const PACKETS: usize = 120;
const HOPS: u8 = 64;
const TRANSIT_PER_SECOND: u64 = 20_000;
/// UDP and IP headers, by family.
const HEADERS: [u64; 2] = [28, 48];
const STRANGER: [&str; 2] = ["100.64.0.9", "fd77::9"];
const NOWHERE: [&str; 2] = ["100.127.0.1", "fd7f::1"];
const HOSTS_INSIDE: [[&str; 3]; 2] =
    [["192.0.2.9", "192.0.2.70", "192.0.2.200"], ["2001:db8::9", "2001:db8::46", "2001:db8::c8"]];
const HOSTS_A: [[&str; 3]; 2] =
    [["198.51.100.1", "198.51.100.64", "198.51.100.127"], ["2001:db8:a::1", "2001:db8:a::2", "2001:db8:a:ffff::1"]];
const HOSTS_B: [[&str; 3]; 2] =
    [["198.51.100.128", "198.51.100.200", "198.51.100.255"], ["2001:db8:b::1", "2001:db8:b::2", "2001:db8:b:9::1"]];

/// Packets of one kind: where they come in, and where they go out.
struct Flow {
    name: &'static str,
    comes: &'static str,
    goes: Option<&'static str>,
    hops: u8,
    source: [[&'static str; 3]; 2],
    destination: [[&'static str; 3]; 2],
}

fn one(address: [&'static str; 2]) -> [[&'static str; 3]; 2] {
    address.map(|address| [address; 3])
}

fn flows() -> Vec<Flow> {
    let flow = |name, comes, goes, source, destination| Flow { name, comes, goes, hops: HOPS, source, destination };
    let mut flows = vec![
        flow("in by a", UP_A, Some(INSIDE), HOSTS_A, HOSTS_INSIDE),
        flow("in by b", UP_B, Some(INSIDE), one(STRANGER), HOSTS_INSIDE),
        flow("out by a", INSIDE, Some(UP_A), HOSTS_INSIDE, HOSTS_A),
        flow("out by b", INSIDE, Some(UP_B), HOSTS_INSIDE, HOSTS_B),
        flow("transit a to b", UP_A, Some(UP_B), HOSTS_A, HOSTS_B),
        flow("transit b to a", UP_B, Some(UP_A), one(STRANGER), HOSTS_A),
        flow("hairpin at a", UP_A, Some(UP_A), one(STRANGER), HOSTS_A),
        flow("to the router", UP_A, None, one(STRANGER), one(ROUTER[0])),
        flow("to nowhere", UP_B, None, one(STRANGER), one(NOWHERE)),
        flow("to the router from inside", INSIDE, None, one(STRANGER), one(ROUTER[2])),
    ];
    flows.push(Flow { hops: 1, ..flow("expired", UP_B, None, one(STRANGER), HOSTS_INSIDE) });
    flows
}

/// What must be counted: billed at the border, and what is seen at each side of each interface.
#[derive(Default)]
struct Expected {
    border: Tally,
    /// Where nothing brought the packets that was billed.
    first: BTreeMap<(&'static str, &'static str), Tally>,
    again: BTreeMap<(&'static str, &'static str), Tally>,
}

impl Expected {
    /// Packets of a flow, counted one by one.
    fn add(&mut self, comes: Option<&'static str>, goes: Option<&'static str>, tally: &Tally) {
        let external = |interface: &Option<&'static str>| interface.is_some_and(|name| name != INSIDE);
        if external(&comes) || external(&goes) {
            self.border.add(tally);
        }
        if let Some(comes) = comes {
            self.first.entry((comes, "rx")).or_default().add(tally);
        }
        if let Some(goes) = goes {
            let book = if external(&comes) { &mut self.again } else { &mut self.first };
            book.entry((goes, "tx")).or_default().add(tally);
        }
    }
}

/// Sends the packets of a flow, and waits until the router is done with them.
fn send(router: &Router, flow: &Flow, seed: usize) -> Tally {
    let table = Router::table();
    let place = if flow.comes == INSIDE { "i" } else { &flow.comes[3..] };
    let mut sender = within(router.namespace(place), || Sender::open(FAR)).unwrap();
    let before = router.packets("r", flow.comes)[0];
    let sent_before = flow.goes.map(|goes| router.packets("r", goes)[1]);
    let mut tally = Tally::default();
    for number in 0..PACKETS {
        let family = number % 2;
        let (source, destination) = (flow.source[family][number / 2 % 3], flow.destination[family][number / 6 % 3]);
        let payload = (seed * 131 + number * 37) % 1400;
        let frame = packet(source.parse().unwrap(), destination.parse().unwrap(), flow.hops, payload);
        sender.send(&frame.bytes).unwrap();
        tally.count(&table, &frame);
    }
    let packets = PACKETS as u64;
    assert!(eventually(|| router.packets("r", flow.comes)[0] - before >= packets), "{}", flow.name);
    if let Some((goes, before)) = flow.goes.zip(sent_before) {
        let sent = || router.packets("r", goes)[1] - before;
        assert!(eventually(|| sent() >= packets), "{}: {} of {packets} forwarded", flow.name, sent());
    }
    tally
}

/// Sends transit from a to b until told to stop, at a pace that a router keeps up with.
fn transit(router: &Router, over: &AtomicBool) {
    let mut sender = within(router.namespace("a"), || Sender::open(FAR)).unwrap();
    let (mut pace, [source, destination]) = (Pace::new(TRANSIT_PER_SECOND), [HOSTS_A[0][0], HOSTS_B[0][0]]);
    let frame = packet(source.parse().unwrap(), destination.parse().unwrap(), HOPS, 100);
    while !over.load(Ordering::Relaxed) {
        sender.send(&frame.bytes).unwrap();
        pace.wait();
    }
}

/// Datagrams of the router itself.
fn make(router: &Router, source: [&str; 2], destination: [&str; 2]) -> Tally {
    let table = Router::table();
    let mut tally = Tally::default();
    for (family, headers) in HEADERS.into_iter().enumerate() {
        let (source, destination) = (source[family].parse().unwrap(), destination[family].parse().unwrap());
        let open = || Ok(UdpSocket::bind(std::net::SocketAddr::new(source, 0))?);
        let socket = within(router.sensor(), open).unwrap();
        for number in 0..PACKETS {
            socket.send_to(&vec![7; number], std::net::SocketAddr::new(destination, 9)).unwrap();
            let mut frame = packet(source, destination, HOPS, number + 8);
            assert_eq!(frame.bytes.len() as u64, 14 + headers + number as u64);
            if let sensor::testing::frames::Truth::Packet(packet) = &mut frame.truth {
                packet.bytes = headers + number as u64;
            }
            tally.count(&table, &frame);
        }
    }
    tally
}

fn networks(truth: &Tally) -> BTreeMap<(String, String), Sum> {
    let mut networks = BTreeMap::<_, Sum>::new();
    for ((prefix, direction), sum) in &truth.prefixes {
        if let Some((_, name)) = Router::networks().into_iter().find(|(known, _)| known == prefix) {
            networks.entry((name.to_owned(), direction.clone())).or_default().add(*sum);
        }
    }
    networks
}

fn counts_a_border(name: &str, interfaces: &[(&str, &str)]) {
    let router = Router::new(name);
    router.address([UP_A, UP_B, INSIDE]);
    let agent = router.start(interfaces);
    let mut expected = Expected::default();
    for (seed, flow) in flows().iter().enumerate() {
        let tally = send(&router, flow, seed);
        assert!(tally.matched().packets > 0 || flow.name == "to nowhere", "{}", flow.name);
        expected.add(Some(flow.comes), flow.goes, &tally);
    }
    let made_for = |host: [&'static str; 2]| make(&router, ROUTER[0], host);
    expected.add(None, Some(UP_A), &made_for(NEIGHBOUR[0]));
    expected.add(None, Some(UP_B), &made_for([HOSTS_B[0][0], HOSTS_B[1][0]]));
    expected.add(None, Some(INSIDE), &made_for(NEIGHBOUR[2]));
    let books = Books::of(&router.stop(agent));

    books.check_prefixes(&expected.border);
    assert_eq!(books.networks, networks(&expected.border));
    for (interface, role) in interfaces {
        for side in ["rx", "tx"] {
            let ledger = books.ledger(interface, side);
            let cells =
                |kind: &str| [format!("{kind}_packets"), format!("{kind}_bytes")].map(|name| ledger.cell(&name));
            let what = format!("{interface} {side}");
            let first = expected.first.get(&(interface, side)).cloned().unwrap_or_default();
            let again = expected.again.get(&(interface, side)).cloned().unwrap_or_default();
            let both = |sum: Sum| [sum.packets, sum.bytes];
            assert_eq!(cells("matched"), both(first.matched()), "{what}");
            assert_eq!(cells("seen_before"), both(again.seen), "{what}");
            // Besides, the router reports its multicast groups now and then: the interface's own counters know.
            let least = first.seen.packets + again.seen.packets;
            assert!(ledger.seen().0 >= least && ledger.nic == Some(ledger.seen().0), "{what}: {ledger:?}");
            assert_eq!(ledger.cell("external") > 0, *role == "external");
        }
    }
    let billed: u64 = books.prefixes.values().map(|sum| sum.packets).sum();
    println!("{name}: {billed} packets billed, {} frames crossed the border", expected.border.seen.packets);
}

#[test]
fn a_router_with_an_internal_interface() {
    if is_root("a_router_with_an_internal_interface") {
        counts_a_border("internal", &[(UP_A, "external"), (UP_B, "external"), (INSIDE, "internal")]);
    }
}

#[test]
fn a_router_whose_inside_is_not_configured() {
    if is_root("a_router_whose_inside_is_not_configured") {
        counts_a_border("border", &[(UP_A, "external"), (UP_B, "external")]);
    }
}

#[test]
fn transit_while_an_agent_attaches_is_billed_once() {
    if !is_root("transit_while_an_agent_attaches_is_billed_once") {
        return;
    }
    for ad_hoc in [false, true] {
        let router = Router::new("start");
        router.address([UP_A, UP_B, INSIDE]);
        let over = AtomicBool::new(false);
        let records = thread::scope(|scope| {
            scope.spawn(|| transit(&router, &over));
            let end = Over(&over);
            // The last one takes a while in which both of the others are at work.
            let agent = if ad_hoc {
                router.start_ad_hoc([UP_A, UP_B, INSIDE])
            } else {
                router.start(&[(UP_A, "external"), (UP_B, "external"), (INSIDE, "internal")])
            };
            drop(end);
            router.stop(agent)
        });
        check_transit(&Books::of(&records));
    }
}

fn check_transit(books: &Books) {
    let [came, again, twice] = [
        books.ledger(UP_A, "rx").cell("matched_packets"),
        books.ledger(UP_B, "tx").cell("seen_before_packets"),
        books.ledger(UP_B, "tx").cell("matched_packets"),
    ];
    println!("{came} came, {again} seen again, {twice} billed again");
    assert!(again > 0 && came >= again);
    assert_eq!(twice, 0);
}

#[test]
fn transit_by_an_interface_that_comes_anew_is_billed_once() {
    if !is_root("transit_by_an_interface_that_comes_anew_is_billed_once") {
        return;
    }
    let router = Router::new("anew");
    router.address([UP_A, UP_B, INSIDE]);
    let agent = router.start_ad_hoc([UP_A, UP_B, INSIDE]);
    router.ip("r", &format!("link delete {UP_A}"));
    // Traffic before it bears its name: billed where it is sent, until a program is at work where it comes in.
    router.link("nameless", "a");
    router.permit("nameless");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| transit(&router, &over));
        let end = Over(&over);
        router.ip("r", &format!("link set nameless name {UP_A}"));
        let again = |record: &serde_json::Value| record["seen_before_packets"].as_u64() > Some(0);
        let seen = eventually(|| agent.records().iter().any(again));
        drop(end);
        assert!(seen, "no transit is recognised");
    });
    let books = Books::of(&agent.stop("TERM").records);
    let [came, sent, billed, twice] = [
        books.ledger(UP_A, "rx").cell("matched_packets"),
        books.ledger(UP_B, "tx").seen().0,
        books.ledger(UP_B, "tx").cell("matched_packets"),
        books.prefixes[&("198.51.100.0/26".to_owned(), "out".to_owned())].packets,
    ];
    println!("{sent} sent: {billed} billed there, {came} where they came in, {twice} in all");
    assert!(billed > 0 && came > 0 && twice <= sent);
}
