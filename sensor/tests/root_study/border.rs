//! A border link that a running sensor listens to at a mirror port, and what it reports in the end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use jiff::{Timestamp, tz::TimeZone};
use sensor::testing::{
    netns::{LINK, Wire, within},
    socket::{Pace, Sender},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    agent::{Agent, eventually},
    command::{self, Run},
    mount::Mount,
};

const MTU: usize = 1500;

/// Two namespaces, a BPF file system, a folder for all that is kept.
pub(crate) struct Border {
    wire: Wire,
    /// Before its folder, which cannot be removed while something is mounted in it.
    _bpffs: Mount,
    folder: TempDir,
}

/// Frames, in order.
pub(crate) struct Traffic {
    pub(crate) frames: Vec<Vec<u8>>,
    /// The agent is killed once so many were sent, and another one started at once.
    pub(crate) killed_after: usize,
    /// It is killed as an interval ends: nothing that it heard was not told.
    pub(crate) at_interval: bool,
}

/// Frames a second.
const RATE: u64 = 4_000;
/// And in an interval that the agent has told, so that none is lost on a machine that has no time for it: the ring of samples has room for some times as many.
const FRAMES: usize = 1_000;
/// Frames a second while no agent is there, and a little before: weeks pass within a minute here, and a kill is to cost minutes of them, not hours.
const SLOW: u64 = 10;
/// Frames sent so slowly before the kill: more than an interval has.
const LEAD: usize = 2 * SLOW as usize;
/// An agent has said this once programs count for it that know it.
const SWAPPED: &str = "swapped the program";

impl Border {
    pub(crate) fn new(name: &str) -> Self {
        let folder = TempDir::with_prefix("sensor-study-").unwrap();
        let bpffs = Mount::new("bpf", "mode=0700", &folder.path().join("bpf"));
        let wire = Wire::new(&format!("study-{name}"), &[LINK], MTU).unwrap();
        Self { wire, _bpffs: bpffs, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the configuration: the sensor, its mirror port, and these sections.
    pub(crate) fn configure(&self, sections: &str) {
        let (state_dir, bpffs) = (self.path("state"), self.path("bpf"));
        let text = format!(
            "[sensor]\nid = \"border\"\ninterval = \"1s\"\nstate_dir = {state_dir:?}\nbpffs = {bpffs:?}\n\
             [[interface]]\nname = {:?}\nmode = \"mirror\"\n{sections}",
            LINK.inside
        );
        fs::write(self.path("sensor.toml"), text).unwrap();
    }

    /// A command of the sensor with its configuration and store, in its namespace. Not by `ip netns exec`, which hides mounts.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.wire.sensor)).arg(env!("CARGO_BIN_EXE_sensor"));
        command.args(arguments).env_remove("RUST_LOG");
        command.arg("--config").arg(self.path("sensor.toml")).arg("--store").arg(self.path("store"));
        command
    }

    fn finish(&self, arguments: &[&str]) -> Run {
        let run = command::finish(&mut self.command(arguments));
        assert_eq!(run.status, Some(0), "{run:?}");
        run
    }

    /// Sends all frames past a running sensor, whose agent is killed on the way; the report of what it heard.
    pub(crate) fn listen(&self, traffic: &Traffic, zone: &TimeZone) -> Value {
        let today = || Timestamp::now().to_zoned(zone.clone()).date();
        let first = today();
        let agent = self.pass(traffic);
        let all = traffic.frames.len() as u64;
        assert!(eventually(|| self.received() >= all));
        assert_eq!(self.received(), all, "the port has received everything");
        let ended = agent.stop("TERM");
        assert!(ended.status.success(), "{:#?}", ended.messages);
        self.finish(&["detach", "--format", "jsonl"]);
        let last = today().tomorrow().unwrap();
        let (first, last) = (first.to_string(), last.to_string());
        let report = self.finish(&["report", "--format", "json", "--from", &first, "--to", &last]);
        let report: Value = serde_json::from_str(&report.stdout).unwrap();
        println!("shed: {}, degraded: {}", report["coverage"]["shed"], report["coverage"]["degraded"]);
        report
    }

    /// Sends all frames past a sensor; the agent that is there in the end.
    fn pass(&self, traffic: &Traffic) -> Agent {
        let spawn = || Agent::spawn(&mut self.command(&["run", "--format", "jsonl"]));
        let mut agent = spawn();
        agent.wait_for_record();
        let mut sender = within(&self.wire.peer, || Sender::open(LINK.outside)).unwrap();
        let slow_from = traffic.killed_after.saturating_sub(LEAD);
        let (mut pace, mut told, mut comes_since) = (Pace::new(RATE), agent.intervals(), None);
        let mut is_back = false;
        for (number, frame) in traffic.frames.iter().enumerate() {
            if number == slow_from {
                // What came fast is told by the end of the second interval from here.
                for _ in 0..2 {
                    agent.wait_for_interval(agent.intervals());
                }
                pace = Pace::new(SLOW);
            }
            if number == traffic.killed_after {
                if traffic.at_interval {
                    agent.wait_for_interval(agent.intervals());
                }
                let ended = agent.stop("KILL");
                assert!(!ended.status.success(), "{}", ended.status);
                agent = spawn();
            }
            if number > traffic.killed_after && !is_back && agent.has_said(SWAPPED) {
                // Not what it told of the time before it came.
                is_back = agent.intervals() > *comes_since.get_or_insert(agent.intervals());
                if is_back {
                    (pace, told) = (Pace::new(RATE), agent.intervals());
                }
            }
            if (number < slow_from || is_back) && number % FRAMES == 0 {
                agent.wait_for_interval(told);
                told = agent.intervals();
            }
            sender.send(frame).unwrap();
            pace.wait();
        }
        assert!(is_back, "no frame is left for the agent that came");
        agent
    }

    /// Frames that the port has received, by its own counters.
    fn received(&self) -> u64 {
        let text = within(&self.wire.sensor, || Ok(fs::read_to_string("/proc/thread-self/net/dev")?)).unwrap();
        let line = text.lines().find_map(|line| line.trim().strip_prefix(LINK.inside)?.strip_prefix(':')).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}
