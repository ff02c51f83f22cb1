//! What an interface gives up before the program can see it is told by reason, and is in none of the sums.
//!
//! The interface is a VXLAN's (RFC 7348): it gives up, as a damaged frame, what was marked as congested on its way although it cannot bear a mark
//! (RFC 6040, section 4.2).
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]

#[path = "root_veth/agent.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod agent;
#[path = "support/root.rs"]
mod root;

use std::process::{Command, Output};

use sensor::testing::{
    netns::{LINK, Wire, within},
    socket::Sender,
};
use serde_json::Value;

use self::{
    agent::{Agent, eventually},
    root::is_root,
};

const INTERFACE: &str = "vxlan0";
const WATCHED: &str = "192.0.2.0/24";
/// As in the command that makes the interface.
const TUNNEL: [&str; 8] = ["id", "5", "local", "10.9.0.1", "remote", "10.9.0.2", "dstport", "4789"];
const GOOD: u64 = 300;
const DAMAGED: u64 = 7;
/// Bytes of the inner frame, and of its packet.
const INNER: usize = 94;
const PACKET: u64 = 80;
/// Congestion was met (RFC 3168).
const MARKED: u8 = 3;
const EVERYBODY: [u8; 6] = [0xff; 6];

fn ip(namespace: &str, arguments: &[&str]) -> Output {
    Command::new("ip").args(["-n", namespace]).args(arguments).output().unwrap()
}

/// A frame to a watched address in a tunnel, whose outer packet has that mark.
fn tunnelled(mark: u8) -> Vec<u8> {
    let mut frame = [&EVERYBODY[..], &[2, 0, 0, 0, 0, 9, 8, 0]].concat();
    let length = |more: usize| u16::try_from(more + 8 + INNER).unwrap().to_be_bytes();
    let [high, low] = length(20 + 8);
    let mut header = vec![0x45, mark, high, low, 0, 0, 0, 0, 64, 17, 0, 0, 10, 9, 0, 2, 10, 9, 0, 1];
    let sum = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum::<u32>();
    header[10..12].copy_from_slice(&(!((sum >> 16) + sum) as u16).to_be_bytes());
    frame.extend(header);
    // UDP without a checksum, then VXLAN.
    let [high, low] = length(8);
    frame.extend([0x80, 0, 0x12, 0xb5, high, low, 0, 0, 8, 0, 0, 0, 0, 0, 5, 0]);
    frame.extend([&EVERYBODY[..], &[2, 0, 0, 0, 0, 7, 8, 0]].concat());
    frame.extend([0x45, 0, 0, PACKET as u8, 0, 0, 0, 0, 64, 1, 0, 0, 203, 0, 113, 5, 192, 0, 2, 1]);
    frame.resize(14 + 20 + 8 + 8 + INNER, 0);
    frame
}

/// Of what an interface received: frames seen, bytes that matched, packets by its own counters, and what was lost.
fn told(records: &[Value]) -> (u64, u64, u64, Vec<(String, u64)>) {
    let rx = |record: &&Value| record["record"] == "ledger" && record["direction"] == "rx";
    let sum = |pointer: &str| -> u64 {
        records.iter().filter(rx).filter_map(|record| record.pointer(pointer)?.as_u64()).sum()
    };
    let lost = records.iter().filter(rx).filter_map(|record| record["lost"].as_object()).flatten();
    let lost = lost.map(|(reason, packets)| (reason.clone(), packets.as_u64().unwrap()));
    let [seen, bytes, by_interface] = ["/seen_packets", "/matched_bytes", "/nic/packets"].map(sum);
    (seen, bytes, by_interface, lost.collect())
}

#[test]
fn damaged_frames_are_lost_and_nothing_else_is() {
    const NAME: &str = "damaged_frames_are_lost_and_nothing_else_is";
    if !is_root(NAME) {
        return;
    }
    let wire = Wire::new("lost", &[LINK], 1500).unwrap();
    let made = ip(&wire.sensor, &[&["link", "add", INTERFACE, "type", "vxlan"], &TUNNEL[..]].concat());
    if !made.status.success() {
        println!("SKIP {NAME}: this kernel makes no VXLAN: {}", String::from_utf8_lossy(&made.stderr).trim());
        return;
    }
    for arguments in [
        &["address", "add", "10.9.0.1/24", "dev", LINK.inside][..],
        &["link", "set", INTERFACE, "addrgenmode", "none"],
        &["link", "set", INTERFACE, "arp", "off", "up"],
    ] {
        let output = ip(&wire.sensor, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut sender = within(&wire.peer, || Sender::open(LINK.outside)).unwrap();
    // What was damaged before is none of ours.
    sender.send(&tunnelled(MARKED)).unwrap();
    let agent = Agent::started(&wire, &["--watch", WATCHED, "--generic", "-i", INTERFACE]);
    let each = GOOD / DAMAGED;
    for number in 0..GOOD {
        sender.send(&tunnelled(0)).unwrap();
        if number % each == 0 && number / each < DAMAGED {
            sender.send(&tunnelled(MARKED)).unwrap();
        }
    }
    let is_all = || {
        let (seen, _, _, lost) = told(&agent.records());
        (seen, lost.iter().map(|(_, packets)| packets).sum()) == (GOOD, DAMAGED)
    };
    assert!(eventually(is_all), "{:?}", told(&agent.records()));
    let ended = agent.stop("TERM");
    assert!(ended.status.success(), "{}: {:#?}", ended.status, ended.messages);
    let (seen, bytes, by_interface, lost) = told(&ended.records);
    assert_eq!((seen, bytes, by_interface), (GOOD, GOOD * PACKET, GOOD));
    assert!(lost.iter().all(|(reason, _)| reason == "damaged"), "{lost:?}");
    assert_eq!(lost.iter().map(|(_, packets)| packets).sum::<u64>(), DAMAGED);
}
