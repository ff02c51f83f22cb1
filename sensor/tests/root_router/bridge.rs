//! A bridge over both upstream interfaces, and what stands on an external interface.

use std::process::Command;

use sensor::testing::{netns::within, socket::Sender, truth::Tally};

use crate::{
    agent::eventually,
    books::Books,
    packets::{NEIGHBOUR_MAC, packet},
    root::is_root,
    stage::{FAR, INSIDE, Router, UP_A, UP_B},
};

const PACKETS: u64 = 150;
/// Of somebody behind b, whom the bridge knows.
const FAR_MAC: [u8; 6] = [0x02, 0, 0x5e, 0x20, 0, 0x0b];

/// Sends packets from a, to the router or to somebody behind b; returns their truth.
fn send(router: &Router, mac: Option<[u8; 6]>, out_by: &str, destination: [&str; 2]) -> Tally {
    let mut sender = within(router.namespace("a"), || Sender::open(FAR)).unwrap();
    let before = router.packets("r", out_by)[1];
    let mut tally = Tally::default();
    for number in 0..PACKETS {
        let family = usize::from(number % 2 == 0);
        let source = ["198.51.100.5", "2001:db8:a::5"][family];
        let mut frame = packet(source.parse().unwrap(), destination[family].parse().unwrap(), 64, number as usize);
        if let Some(mac) = mac {
            frame.bytes[..6].copy_from_slice(&mac);
        }
        sender.send(&frame.bytes).unwrap();
        tally.count(&Router::table(), &frame);
    }
    assert!(eventually(|| router.packets("r", out_by)[1] >= before + PACKETS), "{out_by}");
    tally
}

#[test]
fn ports_of_a_bridge_bill_once() {
    if !is_root("ports_of_a_bridge_bill_once") {
        return;
    }
    let router = Router::new("bridge");
    let mac = FAR_MAC.map(|byte| format!("{byte:02x}")).join(":");
    router.ip(
        "r",
        &format!(
            "link add br0 type bridge mcast_snooping 0\nlink set br0 addrgenmode none\n\
             link set br0 address 02:00:5e:20:00:01\nlink set {UP_A} address 02:00:5e:20:01:0a\n\
             link set {UP_B} address 02:00:5e:20:01:0b\nlink set {UP_A} master br0\nlink set {UP_B} master br0\n\
             link set br0 arp off up\nlink set {UP_A} promisc on\nlink set {UP_B} promisc on\n"
        ),
    );
    let entry = ["bridge", "fdb", "replace", &mac, "dev", UP_B, "master", "static"];
    sensor::testing::netns::run(router.sensor(), &entry).unwrap();
    // Learnt from a, whose packets would have the source of everybody.
    let entry = ["bridge", "fdb", "replace", NEIGHBOUR_MAC, "dev", UP_A, "master", "static"];
    sensor::testing::netns::run(router.sensor(), &entry).unwrap();
    router.address(["br0", "br0", INSIDE]);
    let agent = router.start(&[(UP_A, "external"), (UP_B, "external"), (INSIDE, "external")]);

    // Through the bridge into the router and out by a third external interface: what brought it there is the bridge.
    let routed = send(&router, None, INSIDE, ["192.0.2.9", "2001:db8::9"]);
    // From port to port.
    let bridged = send(&router, Some(FAR_MAC), UP_B, ["198.51.100.200", "2001:db8:b::1"]);
    let books = Books::of(&router.stop(agent));
    let mut all = routed.clone();
    all.add(&bridged);
    books.check_prefixes(&all);
    for (interface, tally) in [(INSIDE, &routed), (UP_B, &bridged)] {
        let ledger = books.ledger(interface, "tx");
        assert_eq!(ledger.cell("seen_before_packets"), tally.seen.packets, "{interface}");
        assert_eq!(ledger.cell("seen_before_bytes"), tally.seen.bytes, "{interface}");
        assert_eq!(ledger.cell("matched_packets"), 0, "{interface}");
    }
    assert_eq!(books.ledger(UP_A, "rx").cell("matched_packets"), 2 * PACKETS);
}

#[test]
fn a_device_on_top_of_an_external_interface() {
    if !is_root("a_device_on_top_of_an_external_interface") {
        return;
    }
    let router = Router::new("stacked");
    let command = format!("link add link {UP_A} name top type macvlan mode bridge");
    let made = Command::new("ip").args(["-n", router.sensor()]).args(command.split(' ')).output().unwrap();
    if !made.status.success() {
        println!("SKIP a_device_on_top_of_an_external_interface: this kernel has no macvlan");
        return;
    }
    let top = "link set top addrgenmode none\nlink set top address 02:00:5e:20:00:01\nlink set top arp off up\n";
    router.ip("r", &format!("link set {UP_A} address 02:00:5e:20:01:0a\n{top}"));
    router.address(["top", UP_B, INSIDE]);
    let agent = router.start(&[(UP_A, "external"), (UP_B, "external")]);
    let sent = send(&router, None, UP_B, ["198.51.100.200", "2001:db8:b::1"]);
    let books = Books::of(&router.stop(agent));
    books.check_prefixes(&sent);
    assert_eq!(books.ledger(UP_B, "tx").cell("seen_before_packets"), PACKETS);
}
