//! Two sensors at the ends of a wire: the one under test counts what an interface sends, the other what its peer receives.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use aya::programs::{SchedClassifier, TcAttachType, XdpMode};
use sensor::{
    bpf::{Attachment, EgressHook, EgressLink, Hook, Kernel},
    cidr::Cidr,
    collect::{LedgerRow, Meter as _, Reading},
    prefix::{Meaning, PrefixSet, SetBuilder},
    testing::{
        frames::{Generator, Mix},
        netns::{LINK, Link, Wire, run, within},
        socket::Sender,
        truth::{Sum, Table, Tally},
    },
};
use sensor_ebpf::abi::{Counter, Degraded, Direction, Matched, Outcome, Side, Unparsed};

pub(crate) const MTU: usize = 1500;
pub(crate) const JUMBO_MTU: usize = 9000;
/// For a packet to cross a veth pair or a link to go, on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(60);

const WATCHED: [&str; 2] = ["192.0.2.0/24", "2001:db8::/32"];
const COUNTED: [&str; 8] = [
    "198.51.100.0/24",
    "198.51.100.128/25",
    "198.51.100.129",
    "192.0.2.64/26",
    "2001:db8:1::/48",
    "2001:db8:1:2::/64",
    "2001:db8:1:2::1",
    "3fff::/20",
];

/// Both ends, counting.
pub(crate) struct Stage {
    pub(crate) wire: Wire,
    pub(crate) table: Table,
    set: PrefixSet,
    /// Counts what `LINK.inside` sends.
    pub(crate) sensor: Kernel,
    pub(crate) link: Option<EgressLink>,
    /// Counts what `LINK.outside` receives.
    witness: Kernel,
    _attachment: Attachment,
}

impl Stage {
    /// A wire of that MTU whose witness drops what it has counted.
    pub(crate) fn new(name: &str, mtu: usize, how: EgressHook) -> Self {
        Self::with(name, mtu, how, Hook::Mirror, &[LINK])
    }

    /// The same, with what the witness does with packets, and with more wires.
    pub(crate) fn with(name: &str, mtu: usize, how: EgressHook, hook: Hook, links: &[Link]) -> Self {
        let wire = Wire::new(&format!("tx-{name}"), links, mtu).unwrap();
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Cidr>>();
        let (watched, counted) = (parse(&WATCHED), parse(&COUNTED));
        let mut builder = SetBuilder::default();
        builder.watch("watched", watched.clone()).unwrap();
        counted.iter().for_each(|cidr| builder.account(*cidr));
        let set = builder.build().unwrap();
        let mut sensor = load(&set);
        let mut witness = load(&set);
        let attach = || witness.instance(0)?.attach(LINK.outside, hook, XdpMode::Driver);
        let attachment = within(&wire.peer, attach).unwrap();
        let link = within(&wire.sensor, || sensor.instance(0)?.attach_egress(LINK.inside, how)).unwrap();
        let table = Table::new(&watched, &counted);
        Self { wire, table, set, sensor, link: Some(link), witness, _attachment: attachment }
    }

    /// Another sensor for the same prefixes.
    pub(crate) fn another(&self) -> Kernel {
        load(&self.set)
    }

    /// Sends frames of a mix from this thread.
    pub(crate) fn send(&self, seed: u64, frames: u64, (mtu, mix): (usize, Mix)) -> Sent {
        let mut sender = within(&self.wire.sensor, || Sender::open(LINK.inside)).unwrap();
        let mut generator = Generator::new(seed, self.table.prefixes(), mtu, mix);
        let mut sent = Sent::default();
        for _ in 0..frames {
            let frame = generator.frame();
            let before = sender.retries();
            sender.send(&frame.bytes).unwrap();
            sent.arrived.count(&self.table, &frame);
            // The peer's queue was full: counted on its way out all the same.
            (before..=sender.retries()).for_each(|_| sent.left.count(&self.table, &frame));
        }
        println!("seed {seed}: {frames} frames sent, {} times again", sender.retries());
        sent
    }

    /// What the sensor has counted.
    pub(crate) fn counted(&mut self) -> Reading {
        self.sensor.read().unwrap()
    }

    /// The ledger of what was sent, once the witness has seen so much: of all its columns.
    pub(crate) fn settled(&mut self) -> (Sum, Sum) {
        let mut both = (Sum::default(), Sum::default());
        eventually(|| {
            both = (sum(sent(&self.counted()).seen()), self.witnessed());
            both.0 == both.1
        });
        both
    }

    /// What the witness has seen.
    pub(crate) fn witnessed(&mut self) -> Sum {
        sum(self.witness.read().unwrap().ledger[Side::Rx as usize].seen())
    }

    /// Waits until the witness has seen so many packets.
    pub(crate) fn arrived(&mut self, packets: u64) {
        assert!(eventually(|| self.witnessed().packets >= packets), "{:?} of {packets} packets", self.witnessed());
    }

    /// Both sensors against the truth.
    pub(crate) fn check(&mut self, truth: &Sent) {
        self.arrived(truth.arrived.seen.packets);
        check(&self.counted(), Side::Tx, &self.set, &truth.left);
        check(&self.witness.read().unwrap(), Side::Rx, &self.set, &truth.arrived);
    }

    /// A sensor of this stage that counts what is sent, against the truth.
    pub(crate) fn check_other(&self, sensor: &mut Kernel, truth: &Tally) {
        check(&sensor.read().unwrap(), Side::Tx, &self.set, truth);
    }

    /// What a prefix was billed.
    pub(crate) fn billed(&self, reading: &Reading, prefix: &str, direction: Direction) -> Sum {
        let (id, _) = self.set.iter().find(|(_, meaning)| meaning.cidr.to_string() == prefix).unwrap();
        sum(reading.prefix(id, direction))
    }

    /// Runs a command in the namespace of the sensor.
    pub(crate) fn run(&self, command: &[&str]) -> String {
        run(&self.wire.sensor, command).unwrap()
    }

    /// Socket buffers that the classifier was called for, as the kernel counts them while `enable_stats` is held.
    pub(crate) fn calls(&self) -> u64 {
        within(&self.wire.sensor, || {
            let (_, programs) = SchedClassifier::query_tcx(LINK.inside, TcAttachType::Egress)?;
            Ok(programs[0].run_count())
        })
        .unwrap()
    }
}

/// Whether a condition becomes true before the deadline.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(1));
    }
    true
}

/// What a sender sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Each attempt, those that found the peer's queue full included.
    pub(crate) left: Tally,
    /// What the peer received.
    pub(crate) arrived: Tally,
}

impl Sent {
    pub(crate) fn add(&mut self, other: &Self) {
        self.left.add(&other.left);
        self.arrived.add(&other.arrived);
    }
}

fn load(set: &PrefixSet) -> Kernel {
    Kernel::load(set, &set.trie().unwrap(), 1).unwrap()
}

/// The ledger of what was sent.
pub(crate) fn sent(reading: &Reading) -> LedgerRow {
    reading.ledger[Side::Tx as usize]
}

pub(crate) fn sum(counter: Counter) -> Sum {
    Sum { packets: counter.packets, bytes: counter.bytes, frame_bytes: counter.frame_bytes }
}

/// Every cell of one side and every prefix; nothing on the other side.
fn check(reading: &Reading, side: Side, set: &PrefixSet, truth: &Tally) {
    let row = reading.ledger[side as usize];
    let outcome = |outcome| sum(row.outcome(outcome));
    assert_eq!(sum(row.seen()), truth.seen, "seen, and what was sent");
    let found = Matched::ALL.map(|matched| outcome(Outcome::Matched(matched)));
    assert_eq!(found, [truth.source_only, truth.destination_only, truth.both], "matched, and what was sent");
    assert_eq!(outcome(Outcome::Other), truth.other, "other, and what was sent");
    assert_eq!(outcome(Outcome::SeenBefore), Sum::default());
    for reason in Unparsed::ALL {
        let sent = truth.unparsed.get(reason.name()).copied().unwrap_or_default();
        assert_eq!(outcome(Outcome::Unparsed(reason)).packets, sent, "{}", reason.name());
    }
    for reason in Degraded::ALL {
        let sent = truth.degraded.get(reason.name()).copied().unwrap_or_default();
        assert_eq!(row.degraded(reason).packets, sent, "{}", reason.name());
    }
    let mut billed = 0;
    for (id, Meaning { cidr, .. }) in set.iter() {
        for direction in Direction::ALL {
            let sent = truth.prefixes.get(&(cidr.to_string(), direction.name().to_owned()));
            billed += u64::from(sent.is_some());
            let sent = sent.copied().unwrap_or_default();
            assert_eq!(sum(reading.prefix(id, direction)), sent, "{cidr} {}", direction.name());
        }
    }
    assert_eq!(billed, truth.prefixes.len() as u64);
    for other in Side::ALL.into_iter().filter(|other| *other != side) {
        assert_eq!(reading.ledger[other as usize], LedgerRow::default(), "the other side of the interface");
    }
}

/// Complaints that are not about packets: of interfaces that are gone, whose last pages somebody still holds a minute later, and of a
/// machine that is late.
const ELSEWHERE: [&str; 4] =
    ["page_pool_release_retry() stalled", "hogged CPU", "hrtimer: interrupt took", "clocksource: timekeeping watchdog"];

/// What the kernel has complained about so far.
pub(crate) fn complaints() -> Vec<String> {
    let output = Command::new("dmesg").arg("--level=emerg,alert,crit,err,warn").output().unwrap();
    assert!(output.status.success());
    String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
}

/// Runs `work`, and fails where the kernel complained meanwhile.
pub(crate) fn without_complaint<T>(work: impl FnOnce() -> T) -> T {
    let before = complaints();
    let result = work();
    let after = complaints();
    let elsewhere = |line: &String| ELSEWHERE.iter().any(|part| line.contains(part));
    let new: Vec<_> = after.iter().filter(|line| !before.contains(line) && !elsewhere(line)).collect();
    assert!(new.is_empty(), "{new:#?}");
    result
}
