//! A sensor whose configuration file is written anew while it runs.

use std::{
    cell::RefCell,
    fs,
    path::PathBuf,
    process::{Child, ChildStdout, Command, Stdio},
};

use jiff::Timestamp;
use sensor::{
    control::{self, Answer, Reloaded, Request},
    testing::netns::{LINK, Link},
};
use serde_json::Value;

use crate::{
    agent::{Agent, Ended, eventually},
    stage::{Settings, Stage, names},
    table::Model,
    totals::Totals,
};

/// Where the sensor runs, and its file.
pub(crate) struct Site {
    pub(crate) stage: Stage,
    /// Of all agents that were there.
    records: RefCell<Vec<Value>>,
}

/// A moment that a record tells.
pub(crate) fn time(record: &Value, key: &str) -> Timestamp {
    record[key].as_str().unwrap().parse().unwrap()
}

/// What the file says besides the table.
#[derive(Clone, Copy)]
pub(crate) struct Rest {
    /// Lines of each `[[interface]]` below its name.
    pub(crate) interfaces: &'static [(&'static str, &'static str)],
    /// Lines of `[sensor]`.
    pub(crate) sensor: &'static str,
}

/// One interface, of which what it sends is counted too.
pub(crate) const PLAIN: Rest = Rest { interfaces: &[(LINK.inside, "")], sensor: "interval = \"1s\"" };

/// An agent whose records nobody reads yet; killed when dropped.
pub(crate) struct Unread {
    child: Child,
    pub(crate) stdout: Option<ChildStdout>,
}

impl Unread {
    /// Ends it by a signal.
    pub(crate) fn stop(&mut self, signal: &str) {
        let mut kill = Command::new("kill");
        kill.arg(format!("-{signal}")).arg(self.child.id().to_string());
        assert!(kill.status().unwrap().success());
        assert_eq!(self.child.wait().unwrap().success(), signal != "KILL");
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // Of one that has ended already neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Site {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &[LINK])
    }

    pub(crate) fn with(name: &str, links: &[Link]) -> Self {
        Self { stage: Stage::with(name, links), records: RefCell::default() }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.stage.folder().join("sensor.toml")
    }

    pub(crate) fn table(&self) -> PathBuf {
        self.stage.folder().join("table.txt")
    }

    /// As an editor does it: the agent never sees a half.
    fn replace(&self, path: PathBuf, text: String) {
        let new = self.stage.folder().join("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    /// Writes the file and its table.
    pub(crate) fn write(&self, model: &Model, rest: Rest) {
        let (networks, table) = model.written();
        self.replace(self.table(), table);
        let (state_dir, bpffs) = (self.stage.state_dir(), self.stage.bpffs());
        let mut text = format!(
            "[sensor]\nid = \"edge.1\"\nstate_dir = {state_dir:?}\nbpffs = {bpffs:?}\n{}\n[accounting]\ntables = [\"table.txt\"]\n{networks}",
            rest.sensor
        );
        for (name, lines) in rest.interfaces {
            text += &format!("[[interface]]\nname = {name:?}\n{lines}\n");
        }
        self.replace(self.config(), text);
    }

    /// Starts `sensor run` with the file.
    pub(crate) fn start(&self) -> Agent {
        let config = self.config();
        Agent::spawn(&mut self.stage.command(&["run", "--config", config.to_str().unwrap(), "--format", "jsonl"]))
    }

    /// The same, once it has written its first record.
    pub(crate) fn started(&self) -> Agent {
        let mut agent = self.start();
        agent.wait_for_record();
        agent
    }

    /// Starts one whose records nobody reads yet, and waits until it can be asked.
    pub(crate) fn unread(&self) -> Unread {
        self.unread_to(Stdio::piped())
    }

    /// The same, with this standard output.
    pub(crate) fn unread_to(&self, stdout: Stdio) -> Unread {
        let config = self.config();
        let mut command = self.stage.command(&["run", "--config", config.to_str().unwrap(), "--format", "jsonl"]);
        let mut child = command.stdout(stdout).stderr(Stdio::null()).spawn().unwrap();
        let unread = Unread { stdout: child.stdout.take(), child };
        assert!(eventually(|| self.try_reload().is_ok()));
        unread
    }

    /// Keeps the records that an agent has written, the last of which may be cut.
    pub(crate) fn keep_written(&self, written: &[u8]) {
        let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(&[][..], |end| &written[..end]);
        let lines = whole.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        self.keep(&lines.map(|line| serde_json::from_slice(line).unwrap()).collect::<Vec<_>>());
    }

    /// Has the agent read its file anew.
    pub(crate) fn reload(&self) -> Answer {
        self.try_reload().unwrap()
    }

    /// The same, where perhaps no agent listens.
    pub(crate) fn try_reload(&self) -> anyhow::Result<Answer> {
        control::ask(&self.stage.state_dir(), &self.request())
    }

    /// What it is asked.
    pub(crate) fn request(&self) -> Request {
        Request::Reload { config: self.config() }
    }

    /// The same, which must succeed.
    pub(crate) fn reloaded(&self) -> Reloaded {
        match self.reload() {
            Answer::Reloaded(reloaded) => reloaded,
            Answer::Refused { reason } => panic!("{reason}"),
        }
    }

    /// The same, which must not; why.
    pub(crate) fn refused(&self) -> String {
        match self.reload() {
            Answer::Reloaded(reloaded) => panic!("{reloaded:?}"),
            Answer::Refused { reason } => reason,
        }
    }

    /// Ends an agent by a signal, and keeps its records.
    pub(crate) fn stop(&self, agent: Agent, signal: &str) -> Ended {
        let ended = self.stage.stop(agent, signal);
        self.keep(&ended.records);
        ended
    }

    /// Keeps records for the sum.
    pub(crate) fn keep(&self, records: &[Value]) {
        self.records.borrow_mut().extend_from_slice(records);
    }

    /// Ends the agent, and everything: `sensor detach` must leave nothing. All records that there ever were, which must be one history.
    pub(crate) fn end(&self, agent: Agent) -> (Ended, Vec<Value>) {
        let ended = self.stop(agent, "TERM");
        let config = self.config();
        let run = self.stage.finish(&["detach", "--config", config.to_str().unwrap(), "--format", "jsonl"]);
        assert_eq!(run.status, Some(0), "{run:?}");
        self.keep(&run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>());
        self.stage.assert_gone(&Settings::default());
        let mut left = names(&self.stage.state_dir());
        // What lives at watched addresses stays known, of an agent that had the time to write it.
        left.retain(|name| name != "known");
        assert_eq!(left, ["journal", "lock"]);
        let records = self.records.take();
        for record in &records {
            assert!(time(record, "start") <= time(record, "end"), "{record}");
        }
        assert!(Totals::of(&records).unattributed.is_empty());
        (ended, records)
    }

    /// Lives of the counters that there are records of.
    pub(crate) fn epochs(records: &[Value]) -> usize {
        let mut epochs: Vec<String> = records.iter().map(|record| record["epoch"].to_string()).collect();
        epochs.sort();
        epochs.dedup();
        epochs.len()
    }

    /// The manifests that are there.
    pub(crate) fn manifests(&self) -> Vec<String> {
        let mut names = names(&self.stage.state_dir());
        names.retain(|name| name.starts_with("manifest-"));
        names
    }
}
