//! The real binary on a real wire: generated frames cross a veth pair, and three parties must agree to the last byte - the
//! generator, which knows what it built; the ledger; and the interface's own counters.
//!
//! Each test has namespaces of its own, which vanish with it.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "seeds, and why a test was skipped")]

#[path = "root_veth/agent.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod agent;
#[path = "root_veth/totals.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod totals;

use std::{io::Write, thread};

use sensor::{
    bpf,
    cidr::Cidr,
    testing::{
        frames::{Generator, Mix},
        netns::{LINK, Link, Wire, within},
        socket::{Sender, Tap, pin_to_cpu},
        truth::{Table, Tally},
    },
};
use tempfile::NamedTempFile;

use self::{
    agent::{Agent, Ended, eventually},
    totals::{ETHERNET_HEADER, Totals},
};

/// Enough for every kind of frame, every prefix and several intervals.
const FRAMES: u64 = 40_000;
/// Frames of the tests that are not about counting.
const FEW: u64 = 2_000;
const MTU: usize = 1500;
const JUMBO_MTU: usize = 9000;
const SECOND: Link = Link { inside: "ingress2", outside: "egress2" };

const WATCHED: [&str; 2] = ["192.0.2.0/24", "2001:db8::/32"];
const COUNTED: [&str; 9] = [
    "198.51.100.0/24",
    "198.51.100.128/25",
    "198.51.100.129",
    "192.0.2.64/26",
    "203.0.113.0/24",
    "2001:db8:1::/48",
    "2001:db8:1:2::/64",
    "2001:db8:1:2::1",
    "3fff::/20",
];

/// What the agent counts, as its arguments and as the table of the truth.
struct Prefixes {
    file: NamedTempFile,
    table: Table,
}

impl Prefixes {
    fn new() -> Self {
        let mut file = NamedTempFile::with_suffix(".txt").unwrap();
        writeln!(file, "{}", COUNTED.join("\n")).unwrap();
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Cidr>>();
        Self { file, table: Table::new(&parse(&WATCHED), &parse(&COUNTED)) }
    }

    fn arguments<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        let file = self.file.path().to_str().unwrap();
        [&["--watch", WATCHED[0], "--watch", WATCHED[1], "--prefixes", file], more].concat()
    }

    /// Sends `frames` frames of a mix and returns their truth.
    fn send(&self, wire: &Wire, link: Link, seed: u64, frames: u64, (mtu, mix): (usize, Mix)) -> Tally {
        let mut sender = within(&wire.peer, || Sender::open(link.outside)).unwrap();
        let mut generator = Generator::new(seed, self.table.prefixes(), mtu, mix);
        let mut tally = Tally::default();
        for _ in 0..frames {
            let frame = generator.frame();
            sender.send(&frame.bytes).unwrap();
            tally.count(&self.table, &frame);
        }
        println!("seed {seed}: {frames} frames sent, {} times again", sender.retries());
        tally
    }
}

/// Prints why a test does nothing, where that is so.
fn skipped(name: &str) -> bool {
    let skipped = !bpf::may_load();
    if skipped {
        println!("SKIP {name}: needs root");
    }
    skipped
}

/// Frames an interface of the sensor has received, by its own counters.
fn received(wire: &Wire, interface: &str) -> u64 {
    let text = within(&wire.sensor, || Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?)).unwrap();
    let line = text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':')).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits until the interface has received what was sent; whether it was counted is another matter.
fn arrived(wire: &Wire, interface: &str, frames: u64) {
    assert!(eventually(|| received(wire, interface) >= frames), "{} of {frames} frames", received(wire, interface));
}

fn assert_ended_well(ended: &Ended) {
    assert!(ended.status.success(), "{}: {:#?}", ended.status, ended.messages);
}

fn is_attached(wire: &Wire, interface: &str) -> bool {
    wire.show(interface).unwrap().contains("xdp")
}

/// One interface, one sender: everything is compared.
fn counts_everything(name: &str, mtu: usize, seed: u64) {
    let wire = Wire::new(name, &[LINK], mtu).unwrap();
    let prefixes = Prefixes::new();
    let agent = Agent::started(&wire, &prefixes.arguments(&["-i", LINK.inside]));
    let truth = prefixes.send(&wire, LINK, seed, FRAMES, (mtu, Mix::Everything));
    arrived(&wire, LINK.inside, FRAMES);
    let ended = agent.stop("TERM");
    assert_ended_well(&ended);
    let totals = Totals::of(&ended.records);
    totals.ledger(LINK.inside).check(&truth, ETHERNET_HEADER);
    totals.check_prefixes(&truth);
    assert!(!totals.networks.is_empty());
    assert!(truth.prefixes.len() > COUNTED.len() * 2, "most prefixes in both directions: {:?}", truth.prefixes.keys());
}

#[test]
fn native_xdp_counts_everything() {
    if !skipped("native_xdp_counts_everything") {
        counts_everything("native", MTU, 1);
    }
}

#[test]
fn jumbo_frames_are_counted_whole() {
    if !skipped("jumbo_frames_are_counted_whole") {
        counts_everything("jumbo", JUMBO_MTU, 2);
    }
}

#[test]
fn generic_xdp_counts_everything() {
    if skipped("generic_xdp_counts_everything") {
        return;
    }
    let wire = Wire::new("generic", &[LINK], MTU).unwrap();
    let prefixes = Prefixes::new();
    let agent = Agent::started(&wire, &prefixes.arguments(&["-i", LINK.inside, "--generic"]));
    let truth = prefixes.send(&wire, LINK, 3, FRAMES, (MTU, Mix::Everything));
    // Without native XDP the interface counts before the program does: the records are what can be waited for.
    eventually(|| Totals::of(&agent.records()).ledger(LINK.inside).seen() >= FRAMES);
    let ended = agent.stop("TERM");
    assert_ended_well(&ended);
    let totals = Totals::of(&ended.records);
    // And it counts whole frames.
    totals.ledger(LINK.inside).check(&truth, 0);
    totals.check_prefixes(&truth);
}

#[test]
fn senders_on_all_cpus_lose_no_count() {
    if skipped("senders_on_all_cpus_lose_no_count") {
        return;
    }
    let wire = Wire::new("senders", &[LINK], MTU).unwrap();
    let prefixes = Prefixes::new();
    let agent = Agent::started(&wire, &prefixes.arguments(&["-i", LINK.inside]));
    let senders = thread::available_parallelism().unwrap().get().max(2);
    let mut truth = Tally::default();
    thread::scope(|scope| {
        let send = |number: usize| {
            pin_to_cpu(number % thread::available_parallelism().unwrap()).unwrap();
            prefixes.send(&wire, LINK, 40 + number as u64, FRAMES, (MTU, Mix::Everything))
        };
        let threads: Vec<_> = (0..senders).map(|number| scope.spawn(move || send(number))).collect();
        threads.into_iter().for_each(|thread| truth.add(&thread.join().unwrap()));
    });
    arrived(&wire, LINK.inside, truth.seen.packets);
    let ended = agent.stop("TERM");
    assert_ended_well(&ended);
    let totals = Totals::of(&ended.records);
    totals.ledger(LINK.inside).check(&truth, ETHERNET_HEADER);
    totals.check_prefixes(&truth);
}

#[test]
fn two_interfaces_have_a_ledger_each() {
    if skipped("two_interfaces_have_a_ledger_each") {
        return;
    }
    let wire = Wire::new("two", &[LINK, SECOND], MTU).unwrap();
    let prefixes = Prefixes::new();
    let agent = Agent::started(&wire, &prefixes.arguments(&["-i", LINK.inside, "-i", SECOND.inside]));
    let truths = thread::scope(|scope| {
        let send = |link, seed, frames| prefixes.send(&wire, link, seed, frames, (MTU, Mix::Everything));
        let threads = [(LINK, 5, FRAMES), (SECOND, 6, FRAMES / 2)];
        let threads = threads.map(|(link, seed, frames)| scope.spawn(move || send(link, seed, frames)));
        threads.map(|thread| thread.join().unwrap())
    });
    arrived(&wire, LINK.inside, FRAMES);
    arrived(&wire, SECOND.inside, FRAMES / 2);
    let ended = agent.stop("TERM");
    assert_ended_well(&ended);
    let totals = Totals::of(&ended.records);
    let mut both = Tally::default();
    for (link, truth) in [LINK, SECOND].iter().zip(&truths) {
        totals.ledger(link.inside).check(truth, ETHERNET_HEADER);
        both.add(truth);
    }
    totals.check_prefixes(&both);
}

/// What the network stack is given of so many frames, behind a sensor with these arguments.
fn passed_on(name: &str, arguments: &[&str]) -> u64 {
    let wire = Wire::new(name, &[LINK], MTU).unwrap();
    let prefixes = Prefixes::new();
    let agent = Agent::started(&wire, &prefixes.arguments(&[&["-i", LINK.inside], arguments].concat()));
    let tap = within(&wire.sensor, || Tap::open(LINK.inside)).unwrap();
    let truth = prefixes.send(&wire, LINK, 7, FEW, (MTU, Mix::Plain));
    arrived(&wire, LINK.inside, FEW);
    let ended = agent.stop("TERM");
    assert_ended_well(&ended);
    let totals = Totals::of(&ended.records);
    totals.ledger(LINK.inside).check(&truth, ETHERNET_HEADER);
    totals.check_prefixes(&truth);
    tap.frames().unwrap()
}

#[test]
fn inline_passes_everything_on() {
    if !skipped("inline_passes_everything_on") {
        assert_eq!(passed_on("inline", &[]), FEW);
    }
}

#[test]
fn a_mirror_is_where_packets_end() {
    if !skipped("a_mirror_is_where_packets_end") {
        assert_eq!(passed_on("mirror", &["--mirror"]), 0);
    }
}

#[test]
fn both_signals_flush_and_detach() {
    if skipped("both_signals_flush_and_detach") {
        return;
    }
    let wire = Wire::new("signals", &[LINK], MTU).unwrap();
    let prefixes = Prefixes::new();
    for (seed, signal) in [(8, "TERM"), (9, "INT")] {
        let agent = Agent::started(&wire, &prefixes.arguments(&["-i", LINK.inside]));
        let before = received(&wire, LINK.inside);
        assert!(is_attached(&wire, LINK.inside), "{signal}");
        let truth = prefixes.send(&wire, LINK, seed, FEW, (MTU, Mix::Everything));
        arrived(&wire, LINK.inside, before + FEW);
        let ended = agent.stop(signal);
        assert_ended_well(&ended);
        assert!(!is_attached(&wire, LINK.inside), "{signal}");
        Totals::of(&ended.records).ledger(LINK.inside).check(&truth, ETHERNET_HEADER);
    }
}

#[test]
fn a_killed_agent_leaves_nothing_attached() {
    if skipped("a_killed_agent_leaves_nothing_attached") {
        return;
    }
    let wire = Wire::new("killed", &[LINK], MTU).unwrap();
    let prefixes = Prefixes::new();
    let agent = Agent::started(&wire, &prefixes.arguments(&["-i", LINK.inside]));
    assert!(is_attached(&wire, LINK.inside));
    assert!(!agent.stop("KILL").status.success());
    assert!(eventually(|| !is_attached(&wire, LINK.inside)), "{}", wire.show(LINK.inside).unwrap());
}

/// The only line of an agent that would not start.
fn refusal(wire: &Wire, arguments: &[&str]) -> String {
    let ended = Agent::start(wire, arguments).ended();
    assert!(!ended.status.success(), "{:#?}", ended.messages);
    assert!(ended.records.is_empty());
    assert_eq!(ended.messages.len(), 1, "one line: {:#?}", ended.messages);
    ended.messages[0].clone()
}

#[test]
fn a_second_sensor_is_refused_and_the_first_goes_on() {
    if skipped("a_second_sensor_is_refused_and_the_first_goes_on") {
        return;
    }
    let wire = Wire::new("taken", &[LINK], MTU).unwrap();
    let prefixes = Prefixes::new();
    let arguments = prefixes.arguments(&["-i", LINK.inside]);
    let agent = Agent::started(&wire, &arguments);
    let said = refusal(&wire, &arguments);
    assert!(said.contains("another XDP program is attached to ingress"), "{said}");
    assert!(said.contains("`ip link show dev ingress`"), "{said}");
    let truth = prefixes.send(&wire, LINK, 10, FEW, (MTU, Mix::Everything));
    arrived(&wire, LINK.inside, FEW);
    let ended = agent.stop("TERM");
    assert_ended_well(&ended);
    Totals::of(&ended.records).ledger(LINK.inside).check(&truth, ETHERNET_HEADER);
}

#[test]
fn interfaces_that_cannot_be_had() {
    if skipped("interfaces_that_cannot_be_had") {
        return;
    }
    let wire = Wire::new("absent", &[LINK], MTU).unwrap();
    let missing = refusal(&wire, &["--watch", WATCHED[0], "-i", "absent0"]);
    assert!(missing.contains("no interface absent0") && missing.contains("`ip link`"), "{missing}");
    let no_driver = refusal(&wire, &["--watch", WATCHED[0], "-i", "lo"]);
    assert!(no_driver.contains(r#"xdp = "generic""#), "{no_driver}");
    // The first interface must not stay attached when the second cannot be had.
    refusal_after_attaching(&wire);
    let wrong = Agent::start(&wire, &["--watch", WATCHED[0], "-i", "much-too-long-a-name"]).ended();
    assert!(!wrong.status.success());
    assert!(
        wrong.messages[0].contains("much-too-long-a-name") && wrong.messages[0].contains("15"),
        "{:#?}",
        wrong.messages
    );
}

fn refusal_after_attaching(wire: &Wire) {
    let ended = Agent::start(wire, &["--watch", WATCHED[0], "-i", LINK.inside, "-i", "absent0"]).ended();
    assert!(!ended.status.success());
    assert!(ended.messages.last().unwrap().contains("no interface absent0"), "{:#?}", ended.messages);
    assert!(eventually(|| !is_attached(wire, LINK.inside)));
}
