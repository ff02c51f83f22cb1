//! An interface that comes and goes, its senders, and an agent that follows it.

use std::{
    io::Write as _,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread::{self, Scope, ScopedJoinHandle},
    time::{Duration, Instant},
};

use aya::programs::{SchedClassifier, TcAttachType, loaded_programs};
use sensor::{
    cidr::Cidr,
    testing::{
        frames::{Generator, Mix},
        netns::{LINK, Link, Wire, within},
        socket::{Pace, Sender},
        truth::{Table, Tally},
    },
};

use crate::{
    agent::{Agent, Ended, eventually},
    pinned::{Keep, sensor_in},
};

const WATCHED: &str = "192.0.2.0/24";
const COUNTED: [&str; 3] = ["198.51.100.0/24", "192.0.2.64/26", "2001:db8:1::/48"];
const MTU: usize = 1500;

/// How an agent is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    /// From the command line: nothing outlives it.
    AdHoc,
    /// With a configuration file: programs and maps outlive it.
    Pinned,
}

/// What was sent, and when each frame of it was about to be.
pub(crate) struct Sent {
    pub(crate) tally: Tally,
    pub(crate) moments: Vec<Instant>,
}

/// Two namespaces, and where an agent keeps what outlives it.
pub(crate) struct Site {
    pub(crate) wire: Wire,
    pub(crate) keep: Keep,
    table: Table,
    interfaces: Vec<String>,
}

impl Site {
    /// With the usual pair.
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &[LINK], &[LINK.inside])
    }

    /// With these pairs, for an agent that is to count at these interfaces.
    pub(crate) fn with(name: &str, links: &[Link], interfaces: &[&str]) -> Self {
        let parse = |text: &str| text.parse::<Cidr>().unwrap();
        Self {
            wire: Wire::new(&format!("pt-{name}"), links, MTU).unwrap(),
            keep: Keep::new(),
            table: Table::new(&[parse(WATCHED)], &COUNTED.map(parse)),
            interfaces: interfaces.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    /// Starts an agent.
    pub(crate) fn start(&self, life: Life) -> Agent {
        let mut command = sensor_in(&self.wire.sensor);
        command.args(["run", "--format", "jsonl"]);
        let folder = self.keep.configure("");
        let table = folder.with_file_name("prefixes.txt");
        std::fs::write(&table, COUNTED.join("\n")).unwrap();
        match life {
            Life::AdHoc => {
                command.args(["--interval", "1s", "--watch", WATCHED, "--prefixes"]).arg(&table);
                command.args(self.interfaces.iter().flat_map(|name| ["-i", name]));
            }
            Life::Pinned => {
                let mut sections = String::new();
                self.interfaces.iter().for_each(|name| sections += &format!("[[interface]]\nname = {name:?}\n"));
                sections += &format!("[[network]]\nname = \"watched\"\nprefixes = [{WATCHED:?}]\n");
                sections += &format!("[accounting]\ntables = [{table:?}]\n");
                command.arg("--config").arg(self.keep.configure(&sections));
            }
        }
        Agent::spawn(&mut command)
    }

    /// The same, once its first interval is over.
    pub(crate) fn started(&self, life: Life) -> Agent {
        let agent = self.start(life);
        let ready = eventually(|| agent.records().iter().any(|record| record["record"] == "ledger"));
        assert!(ready, "no record: {:#?}", agent.stop("KILL").messages);
        agent
    }

    /// Sends frames to the interface, and waits until it has received them.
    pub(crate) fn receive(&self, seed: u64, frames: u64) -> Tally {
        self.receive_at(LINK, seed, frames)
    }

    /// The same at another interface.
    pub(crate) fn receive_at(&self, link: Link, seed: u64, frames: u64) -> Tally {
        let before = self.received(link.inside);
        let mut sender = within(&self.wire.peer, || Sender::open(link.outside)).unwrap();
        let mut generator = Generator::new(seed, self.table.prefixes(), MTU, Mix::Everything);
        let mut tally = Tally::default();
        for _ in 0..frames {
            let frame = generator.frame();
            sender.send(&frame.bytes).unwrap();
            tally.count(&self.table, &frame);
        }
        let arrived = || self.received(link.inside) - before;
        assert!(eventually(|| arrived() >= frames), "{} of {frames} frames", arrived());
        tally
    }

    /// Sends frames by the interface.
    pub(crate) fn send(&self, seed: u64, frames: u64) -> Tally {
        let mut sender = within(&self.wire.sensor, || Sender::open(LINK.inside)).unwrap();
        let mut generator = Generator::new(seed, self.table.prefixes(), MTU, Mix::Everything);
        let mut tally = Tally::default();
        for _ in 0..frames {
            let frame = generator.frame();
            let before = sender.retries();
            sender.send(&frame.bytes).unwrap();
            // The peer's queue was full: counted on its way out all the same.
            (before..=sender.retries()).for_each(|_| tally.count(&self.table, &frame));
        }
        tally
    }

    /// Sends to the interface at a pace, until it is told to stop or the interface goes.
    pub(crate) fn traffic<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        (stop, seed, per_second): (&'env AtomicBool, u64, u64),
    ) -> ScopedJoinHandle<'scope, Sent> {
        let mut sender = within(&self.wire.peer, || Sender::open(LINK.outside)).unwrap();
        scope.spawn(move || {
            let mut generator = Generator::new(seed, self.table.prefixes(), MTU, Mix::Everything);
            let (mut tally, mut moments, mut pace) = (Tally::default(), Vec::new(), Pace::new(per_second));
            while !stop.load(Ordering::Relaxed) {
                let frame = generator.frame();
                let now = Instant::now();
                if sender.send(&frame.bytes).is_err() {
                    break;
                }
                tally.count(&self.table, &frame);
                moments.push(now);
                pace.wait();
            }
            Sent { tally, moments }
        })
    }

    /// Frames that an interface of the sensor has received, by its own counters.
    pub(crate) fn received(&self, interface: &str) -> u64 {
        let text = within(&self.wire.sensor, || Ok(std::fs::read_to_string("/proc/thread-self/net/dev")?)).unwrap();
        let line = text.lines().find_map(|line| line.trim().strip_prefix(interface)?.strip_prefix(':'));
        line.map_or(0, |line| line.split_whitespace().nth(1).unwrap().parse().unwrap())
    }

    /// Runs `ip` with a command for each line, in the namespace of the sensor.
    pub(crate) fn ip(&self, lines: &str) {
        ip(&self.wire.sensor, lines);
    }

    /// Removes the pair.
    pub(crate) fn delete(&self) {
        self.ip(&format!("link delete {}", LINK.inside));
    }

    /// Makes it anew.
    pub(crate) fn create(&self, index: Option<u32>) {
        self.create_as(LINK.inside, index);
    }

    /// Removes the pair and makes it anew in one go.
    pub(crate) fn replace(&self, index: Option<u32>) {
        self.make(LINK.inside, index, &format!("link delete {}\n", LINK.inside));
    }

    /// Makes it anew under another name inside.
    pub(crate) fn create_as(&self, inside: &str, index: Option<u32>) {
        self.make(inside, index, "");
    }

    fn make(&self, inside: &str, index: Option<u32>, before: &str) {
        let Link { outside, .. } = LINK;
        let index = index.map_or(String::new(), |index| format!("index {index} "));
        let quiet = |name| format!("link set {name} addrgenmode none\nlink set {name} arp off up\n");
        let pair = format!("link add {inside} {index}type veth peer name {outside} netns {}\n", self.wire.peer);
        self.ip(&(before.to_owned() + &pair + &quiet(inside)));
        ip(&self.wire.peer, &quiet(outside));
    }

    /// Index of an interface of the sensor.
    pub(crate) fn index(&self, interface: &str) -> u32 {
        within(&self.wire.sensor, || sensor::bpf::interface_index(interface)).unwrap()
    }

    /// Whether both programs are attached.
    pub(crate) fn is_attached(&self, interface: &str) -> bool {
        is_attached(&self.wire.sensor, interface)
    }

    /// Waits until both programs are attached; says how long that took.
    pub(crate) fn attached(&self, interface: &str) -> Duration {
        let since = Instant::now();
        assert!(eventually(|| self.is_attached(interface)), "{interface} is not attached to");
        since.elapsed()
    }

    /// Number of the XDP program at an interface.
    pub(crate) fn program(&self, interface: &str) -> Option<u32> {
        programs(&self.wire.sensor, interface).first().copied()
    }
}

/// How often the kernel has run a program, as long as somebody has it count.
pub(crate) fn runs(program: u32) -> u64 {
    let mut programs = loaded_programs().filter_map(Result::ok);
    programs.find(|loaded| loaded.id() == program).unwrap().run_count()
}

/// Numbers of the XDP programs at an interface.
fn programs(namespace: &str, interface: &str) -> Vec<u32> {
    let output = Command::new("ip").args(["-n", namespace, "-d", "link", "show", "dev", interface]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let ids = text.split("prog/xdp id ").skip(1);
    ids.map(|rest| rest.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

/// Whether both programs are attached to an interface of a namespace.
pub(crate) fn is_attached(namespace: &str, interface: &str) -> bool {
    let sends = || Ok(SchedClassifier::query_tcx(interface, TcAttachType::Egress)?.1.len());
    !programs(namespace, interface).is_empty() && within(namespace, sends).is_ok_and(|programs| programs == 1)
}

/// Runs `ip` with a command for each line in a namespace, each as soon as the one before is done.
pub(crate) fn ip(namespace: &str, lines: &str) {
    let mut command = Command::new("ip");
    command.args(["-n", namespace, "-batch", "-"]).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{lines}");
}

/// Sends a signal to an agent by its name.
pub(crate) fn signal(agent: &Agent, name: &str) {
    let kill = format!("kill -{name} {}", agent.id());
    assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
}

/// Ends an agent in good order.
pub(crate) fn stop(agent: Agent) -> Ended {
    let ended = agent.stop("TERM");
    assert!(ended.status.success(), "{}: {:#?}", ended.status, ended.messages);
    ended
}

/// How often the messages say that.
pub(crate) fn said(ended: &Ended, what: &str) -> usize {
    ended.messages.iter().filter(|line| line.contains(what)).count()
}

/// Waits a while that is part of the test.
pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}
