//! The operator's MTU is none of the sensor's business: it is raised and lowered under traffic while the agent is attached, and
//! not a frame is lost or counted wrong. A program for one buffer alone would have the kernel refuse this.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "seeds, and why a test was skipped")]

#[path = "root_veth/agent.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod agent;
#[path = "support/over.rs"]
mod over;
#[path = "support/root.rs"]
mod root;
#[path = "root_veth/totals.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod totals;

use std::{
    process::Command,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use sensor::{
    cidr::Cidr,
    testing::{
        frames::{Generator, Mix},
        netns::{LINK, Wire, within},
        socket::{Pace, Sender, Tap},
        truth::{Table, Tally},
    },
};
use serde_json::Value;

use self::{
    agent::{Agent, eventually},
    over::Over,
    root::is_root,
    totals::{ETHERNET_HEADER, Totals},
};

const MTU: usize = 1500;
const JUMBO_MTU: usize = 9000;
const WATCHED: [&str; 2] = ["192.0.2.0/24", "2001:db8::/32"];
/// Frames that fill the larger MTU.
const JUMBO_FRAMES: u64 = 20_000;
/// Frames a second while the MTU changes: traffic without a pause, and room for the commands.
const PER_SECOND: u64 = 20_000;
/// Times the MTU goes up and down.
const ROUNDS: u64 = 3;
/// Frames on the way before a change, so that it happens under traffic.
const BEFORE: usize = 2_000;

/// Sends frames that fit `mtu` and tells what they were; `sent` goes up with each, and `goes_on` is asked before each.
fn send(wire: &Wire, table: &Table, seed: u64, mtu: usize, sent: &AtomicUsize, goes_on: impl Fn(u64) -> bool) -> Tally {
    let mut sender = within(&wire.peer, || Sender::open(LINK.outside)).unwrap();
    let mut generator = Generator::new(seed, table.prefixes(), mtu, Mix::Plain);
    let (mut tally, mut pace, mut longest) = (Tally::default(), Pace::new(PER_SECOND), 0);
    while goes_on(sender.sent()) {
        let frame = generator.frame();
        sender.send(&frame.bytes).unwrap();
        tally.count(table, &frame);
        longest = longest.max(frame.bytes.len());
        sent.fetch_add(1, Ordering::Relaxed);
        pace.wait();
    }
    println!("seed {seed}: {} frames for an MTU of {mtu}, the longest of {longest} bytes", sender.sent());
    assert_eq!(longest, mtu + ETHERNET_HEADER as usize, "frames fill the MTU");
    tally
}

/// Sends small frames all the while `work` does something.
fn under_traffic(wire: &Wire, table: &Table, seed: u64, work: impl FnOnce()) -> Tally {
    let (sent, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let traffic = scope.spawn(|| send(wire, table, seed, MTU, &sent, |_| !done.load(Ordering::Relaxed)));
        let over = Over(&done);
        let flows = || {
            let now = sent.load(Ordering::Relaxed);
            assert!(eventually(|| sent.load(Ordering::Relaxed) > now + BEFORE || traffic.is_finished()));
        };
        flows();
        work();
        flows();
        drop(over);
        traffic.join().unwrap()
    })
}

fn ends(wire: &Wire) -> [(&str, &'static str); 2] {
    [(&wire.sensor, LINK.inside), (&wire.peer, LINK.outside)]
}

/// Both ends, one after the other, as an operator does it.
fn set_mtu(wire: &Wire, mtu: usize) {
    for (namespace, interface) in ends(wire) {
        let output = Command::new("ip")
            .args(["-n", namespace, "link", "set", "dev", interface, "mtu", &mtu.to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "MTU {mtu} on {interface}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// What `ip` says of an interface: how often its carrier came or went, and how many received frames it did not hand on.
fn state(namespace: &str, interface: &str) -> (u64, u64) {
    let output = Command::new("ip")
        .args(["-n", namespace, "-json", "-statistics", "-statistics", "link", "show", "dev", interface])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let link: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let statistics = &link[0]["stats64"];
    let number = |side: &str, name: &str| {
        statistics[side][name].as_u64().unwrap_or_else(|| panic!("no {name} in {side} of {text}"))
    };
    assert_eq!(link[0]["operstate"], "UP", "{text}");
    (number("tx", "carrier_changes"), number("rx", "dropped") + number("rx", "errors"))
}

#[test]
fn the_mtu_may_change_while_the_agent_is_attached() {
    if !is_root("the_mtu_may_change_while_the_agent_is_attached") {
        return;
    }
    let wire = Wire::new("mtu", &[LINK], MTU).unwrap();
    let prefixes: Vec<Cidr> = WATCHED.iter().map(|text| text.parse().unwrap()).collect();
    let table = Table::new(&prefixes, &[]);
    let agent = Agent::started(&wire, &["--watch", WATCHED[0], "--watch", WATCHED[1], "-i", LINK.inside]);
    // Plain packets only: the kernel itself drops broken tags before anybody receives them.
    let tap = within(&wire.sensor, || Tap::open(LINK.inside)).unwrap();
    let before = ends(&wire).map(|(namespace, interface)| state(namespace, interface));
    let mut truth = Tally::default();
    for round in 0..ROUNDS {
        let seed = 100 + 3 * round;
        truth.add(&under_traffic(&wire, &table, seed, || set_mtu(&wire, JUMBO_MTU)));
        truth.add(&send(&wire, &table, seed + 1, JUMBO_MTU, &AtomicUsize::new(0), |sent| sent < JUMBO_FRAMES));
        truth.add(&under_traffic(&wire, &table, seed + 2, || set_mtu(&wire, MTU)));
    }
    let counted = eventually(|| Totals::of(&agent.records()).ledger(LINK.inside).seen() >= truth.seen.packets);
    let after = ends(&wire).map(|(namespace, interface)| state(namespace, interface));
    let ended = agent.stop("TERM");
    assert!(ended.status.success(), "{}: {:#?}", ended.status, ended.messages);
    let totals = Totals::of(&ended.records);
    totals.ledger(LINK.inside).check(&truth, ETHERNET_HEADER);
    totals.check_prefixes(&truth);
    assert!(counted && !totals.networks.is_empty());
    assert_eq!(tap.frames().unwrap(), truth.seen.packets, "frames handed on to the network stack");
    assert_eq!(after, before, "carrier changes and dropped frames of either end: the link never went down");
}
