//! Connections through the router: merged on their way in, behind the place where XDP sees them, and counted on their way out as
//! the packets that they are on the wire.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
};

use aya::{
    programs::{SchedClassifier, TcAttachType},
    sys::{Stats, enable_stats},
};
use sensor::testing::netns::{run, within};

use crate::{
    agent::eventually,
    books::Books,
    packets::ROUTER_MAC,
    root::is_root,
    stage::{FAR, INSIDE, NEIGHBOUR, ROUTER, Router, SETTLE, UP_A, UP_B},
};

const BULK: usize = 10_000_000;
const PIECE: usize = 1 << 16;
const PORT: u16 = 7000;
const PLACES: [&str; 3] = ["a", "b", "i"];

/// Addresses and routes for the neighbours, and queues that wait where the other end's is full.
fn neighbours(router: &Router) {
    let lengths = [["25", "64"], ["25", "64"], ["24", "48"]];
    for (link, (place, interface)) in PLACES.into_iter().zip([UP_A, UP_B, INSIDE]).enumerate() {
        let mut lines = String::from("link set lo up\n");
        for family in [0, 1] {
            let (own, length, gateway) = (NEIGHBOUR[link][family], lengths[link][family], ROUTER[link][family]);
            let no_dad = if family == 1 { " nodad" } else { "" };
            lines += &format!("address add {own}/{length} dev {FAR}{no_dad}\n");
            lines += &format!("neigh replace {gateway} lladdr {ROUTER_MAC} dev {FAR} nud permanent\n");
            lines += &format!("route add default via {gateway} dev {FAR}\n");
        }
        router.ip(place, &lines);
        for (place, name) in [(place, FAR), ("r", interface)] {
            let namespace = router.namespace(place);
            run(namespace, &["tc", "qdisc", "replace", "dev", name, "root", "pfifo", "limit", "10000"]).unwrap();
            run(namespace, &["ethtool", "-K", name, "gro", "on"]).unwrap();
        }
    }
}

/// Segments that the neighbour's TCP says it has sent, and those it says it has sent again. Linux 6.18 leaves the second out of the
/// first, as RFC 4022 (tcpOutSegs) asks; it was not always so.
fn segments(router: &Router, place: &str) -> [u64; 2] {
    let read = || Ok(std::fs::read_to_string("/proc/thread-self/net/snmp")?);
    let text = within(router.namespace(place), read).unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("Tcp:")).map(|line| line.split_whitespace());
    let columns: Vec<_> = lines.next().unwrap().zip(lines.next().unwrap()).collect();
    ["OutSegs", "RetransSegs"]
        .map(|name| columns.iter().find(|(column, _)| *column == name).unwrap().1.parse().unwrap())
}

/// Packets that a neighbour's interface has sent. Its veth hands over one packet at a time, because XDP is attached to the other end.
fn sent(router: &Router, place: &str) -> u64 {
    router.packets(place, FAR)[1]
}

/// A connection that carries so much each way.
fn connect(router: &Router, from: &str, to: &str, address: &str) {
    let address = SocketAddr::new(address.parse().unwrap(), PORT);
    let listener = within(router.namespace(to), || Ok(TcpListener::bind(address)?)).unwrap();
    let carry = |mut stream: TcpStream| {
        let mut reader = stream.try_clone().unwrap();
        thread::scope(|scope| {
            let received = scope.spawn(move || io::copy(&mut reader, &mut io::sink()).unwrap());
            let piece = vec![7; PIECE];
            (0..BULK / PIECE).for_each(|_| stream.write_all(&piece).unwrap());
            stream.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(received.join().unwrap(), (BULK / PIECE * PIECE) as u64);
        });
    };
    thread::scope(|scope| {
        scope.spawn(|| carry(listener.accept().unwrap().0));
        carry(within(router.namespace(from), || Ok(TcpStream::connect(address)?)).unwrap());
    });
}

/// Socket buffers that the classifier at an interface was called for.
fn calls(router: &Router, interface: &str) -> u64 {
    let query = || Ok(SchedClassifier::query_tcx(interface, TcAttachType::Egress)?.1[0].run_count());
    within(router.sensor(), query).unwrap()
}

/// Connections of a neighbour that may still send something: all but those in TIME_WAIT, whose other end has closed too.
fn unfinished(router: &Router, place: &str) -> usize {
    let read = |name| {
        let path = format!("/proc/thread-self/net/{name}");
        within(router.namespace(place), || Ok(std::fs::read_to_string(path)?)).unwrap()
    };
    let of = |text: String| text.lines().skip(1).filter(|line| line.split_whitespace().nth(3) != Some("06")).count();
    of(read("tcp")) + of(read("tcp6"))
}

/// Waits until nobody has anything to send, be it again, and the router's counters stand still.
fn settle(router: &Router) {
    assert!(eventually(|| PLACES.iter().all(|place| unfinished(router, place) == 0)), "connections that do not end");
    let look = || [UP_A, UP_B, INSIDE].map(|name| router.packets("r", name));
    assert!(eventually(|| {
        let before = look();
        thread::sleep(SETTLE);
        before == look()
    }));
}

#[test]
fn connections_are_counted_as_packets_on_the_wire() {
    if !is_root("connections_are_counted_as_packets_on_the_wire") {
        return;
    }
    let _stats = enable_stats(Stats::RunTime).unwrap();
    // From inside to a: billed at a alone. From a to b: at the first of the two.
    for (from, to, [near, far]) in [("i", "a", [INSIDE, UP_A]), ("a", "b", [UP_A, UP_B])] {
        let router = Router::new("tcp");
        router.address([UP_A, UP_B, INSIDE]);
        neighbours(&router);
        let agent = router.start(&[(UP_A, "external"), (UP_B, "external"), (INSIDE, "internal")]);
        let addresses = NEIGHBOUR[PLACES.iter().position(|place| *place == to).unwrap()];
        let before = [from, to].map(|place| sent(&router, place));
        for address in addresses {
            connect(&router, from, to, address);
        }
        settle(&router);
        let buffers = calls(&router, near) + calls(&router, far);
        let after = [from, to].map(|place| sent(&router, place));
        let sent = [0, 1].map(|end| after[end] - before[end]);
        let tcp_says = [from, to].map(|place| segments(&router, place));
        let books = Books::of(&router.stop(agent));
        let tcp = |interface, side| {
            let ledger = books.ledger(interface, side);
            ledger.cell("matched_packets") + ledger.cell("seen_before_packets") + ledger.cell("other_packets")
        };
        let bytes = |interface, side| {
            let ledger = books.ledger(interface, side);
            ledger.cell("matched_bytes") + ledger.cell("seen_before_bytes") + ledger.cell("other_bytes")
        };
        let there = [tcp(near, "rx"), tcp(far, "tx")];
        let back = [tcp(far, "rx"), tcp(near, "tx")];
        println!(
            "{from} to {to}: {there:?} packets there, {back:?} back, in {buffers} socket buffers; {sent:?} sent; \
             segments and those sent again: {tcp_says:?}"
        );
        assert_eq!([there[0], back[0]], sent, "received, and what was sent");
        for (sent, [segments, again]) in sent.into_iter().zip(tcp_says) {
            assert!(
                (segments..=segments + again).contains(&sent),
                "{sent} packets, {segments} segments, {again} of them again"
            );
        }
        let groups = |interface| books.ledger(interface, "tx").cell("other_packets");
        assert!(there[1] >= there[0] && there[1] - there[0] <= groups(far), "sent, and received");
        assert!(back[1] >= back[0] && back[1] - back[0] <= groups(near), "sent, and received");
        assert!(bytes(near, "rx") > 2 * (BULK / PIECE * PIECE) as u64);
        assert!(buffers * 3 < there[1] + back[1], "merged on the way");
        let billed: u64 =
            books.prefixes.iter().filter(|((_, side), _)| side == "out").map(|(_, sum)| sum.packets).sum();
        // Both ends are in the table, those of IPv6 upstream links are not.
        assert!(billed > sent[0] / 2 && billed <= sent[0] + sent[1], "{billed}");
    }
}
