//! A packet that an external interface received, and so billed, on its way out.

use std::collections::BTreeSet;

use sensor::{
    bpf::{EgressHook, Hook, interface_index},
    testing::{
        frames::Mix,
        netns::{LINK, Link, run, within},
        socket::Sender,
        truth::Sum,
    },
};
use sensor_ebpf::abi::{Direction, Outcome};

use crate::{
    root::is_root,
    stage::{MTU, Stage, sent, sum},
};

/// Where packets come in that leave by the other.
const UPSTREAM: Link = Link { inside: "upstream", outside: "source" };
const PACKETS: u64 = 500;
const PAYLOAD: usize = 100;
const MAC: &str = "02:00:5e:20:00:01";

/// From 203.0.113.1, which nothing counts, to 198.51.100.7, which is counted.
fn packet() -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0x5e, 0x20, 0, 1, 0x02, 0, 0x5e, 0x20, 0, 9, 0x08, 0x00, 0x45, 0, 0, 20];
    frame[17] += PAYLOAD as u8;
    frame.extend([0, 1, 0, 0, 64, 59, 0, 0, 203, 0, 113, 1, 198, 51, 100, 7]);
    let checksum = frame[14..].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    let checksum = !((checksum >> 16) as u16 + checksum as u16);
    frame[24..26].copy_from_slice(&checksum.to_be_bytes());
    frame.resize(frame.len() + PAYLOAD, 0);
    frame
}

#[test]
fn what_an_external_interface_received_is_billed_once() {
    if !is_root("what_an_external_interface_received_is_billed_once") {
        return;
    }
    let mut stage = Stage::with("transit", MTU, EgressHook::Best, Hook::Mirror, &[LINK, UPSTREAM]);
    let namespace = stage.wire.sensor.clone();
    let ip = |command: &str| run(&namespace, &command.split(' ').collect::<Vec<_>>()).unwrap();
    ip("sysctl -qw net.ipv4.ip_forward=1");
    ip(&format!("ip link set dev {} address {MAC}", UPSTREAM.inside));
    ip(&format!("ip address add 203.0.113.254/24 dev {}", UPSTREAM.inside));
    ip(&format!("ip address add 198.51.100.254/24 dev {}", LINK.inside));
    ip(&format!("ip neigh replace 198.51.100.7 lladdr 02:00:5e:20:00:07 dev {} nud permanent", LINK.inside));
    let [upstream, own] =
        [UPSTREAM.inside, LINK.inside].map(|name| within(&namespace, || interface_index(name)).unwrap());

    let mut sender = within(&stage.wire.peer, || Sender::open(UPSTREAM.outside)).unwrap();
    let mut counted = stage.counted();
    for (external, before) in [(vec![], false), (vec![upstream, own], true), (vec![own], false), (vec![upstream], true)]
    {
        stage.sensor.maps().set_external(&external.iter().copied().collect()).unwrap();
        let arrived = stage.witnessed().packets + PACKETS;
        (0..PACKETS).for_each(|_| sender.send(&packet()).unwrap());
        stage.arrived(arrived);
        let now = stage.counted();
        let delta = now.since(&counted).unwrap().dense().unwrap();
        counted = now;
        let (bytes, length) = (20 + PAYLOAD as u64, packet().len() as u64);
        let all = Sum { packets: PACKETS, bytes: PACKETS * bytes, frame_bytes: PACKETS * length };
        let row = sent(&delta);
        let (seen_before, matched) = (sum(row.outcome(Outcome::SeenBefore)), sum(row.matched()));
        assert_eq!((seen_before, matched), if before { (all, Sum::default()) } else { (Sum::default(), all) });
        assert_eq!(sum(row.seen()), all, "{external:?}");
        let billed = |direction| stage.billed(&delta, "198.51.100.0/24", direction);
        assert_eq!(billed(Direction::In), matched, "{external:?}");
        assert_eq!(billed(Direction::Out), Sum::default());
    }

    // What is made here is no transit, whatever is external.
    let truth = stage.send(53, PACKETS, (MTU, Mix::Everything));
    let delta = stage.counted().since(&counted).unwrap().dense().unwrap();
    assert_eq!(sum(sent(&delta).seen()), truth.left.seen);
    assert_eq!(sum(sent(&delta).matched()), truth.left.matched());
    assert!(sent(&delta).outcome(Outcome::SeenBefore).is_zero());
}

#[test]
fn more_external_interfaces_than_there_is_room_for_are_refused() {
    if !is_root("more_external_interfaces_than_there_is_room_for_are_refused") {
        return;
    }
    let mut stage = Stage::new("many", MTU, EgressHook::Tcx);
    let many: BTreeSet<u32> = (1..=4096).collect();
    stage.sensor.maps().set_external(&many).unwrap();
    let moved: BTreeSet<u32> = many.iter().map(|index| index + 4000).collect();
    stage.sensor.maps().set_external(&moved).unwrap();
    let error = stage.sensor.maps().set_external(&(1..=4097).collect()).unwrap_err();
    assert!(error.to_string().contains("4097") && error.to_string().contains("name fewer"), "{error:#}");
}
