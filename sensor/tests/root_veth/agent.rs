//! The real binary, started in the namespace of the sensor.

use std::{
    io::{BufRead, BufReader, Read},
    mem,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use sensor::testing::netns::Wire;
use serde_json::Value;

/// Loading, a tick, and a machine that has other things to do.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks at something that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running `sensor run`; killed when dropped.
pub(crate) struct Agent {
    child: Child,
    records: Lines,
    messages: Lines,
}

/// What an agent that has ended leaves.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) records: Vec<Value>,
    pub(crate) messages: Vec<String>,
}

impl Agent {
    /// Starts `sensor run` with a short interval, JSON lines and these arguments.
    pub(crate) fn start(wire: &Wire, arguments: &[&str]) -> Self {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &wire.sensor, env!("CARGO_BIN_EXE_sensor")]);
        command.args(["run", "--interval", "1s", "--format", "jsonl"]).args(arguments);
        Self::spawn(&mut command)
    }

    /// Starts a command that is the agent, or becomes it.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let records = Lines::of(child.stdout.take().unwrap());
        let messages = Lines::of(child.stderr.take().unwrap());
        Self { child, records, messages }
    }

    /// The same, once its first interval is over: only then both witnesses are known to have begun.
    pub(crate) fn started(wire: &Wire, arguments: &[&str]) -> Self {
        let mut agent = Self::start(wire, arguments);
        agent.wait_for_record();
        agent
    }

    /// Waits until its first interval is over.
    pub(crate) fn wait_for_record(&mut self) {
        let ready = self.records.wait(|lines| lines.iter().any(|line| line.contains(r#""record":"ledger""#)));
        if !ready {
            self.child.kill().unwrap();
            panic!("no record: {:#?}", self.messages.taken());
        }
    }

    /// How many intervals it has told of what an interface received.
    pub(crate) fn intervals(&self) -> usize {
        self.records.count(Self::is_interval)
    }

    /// Waits until it has told more of them than `before`.
    pub(crate) fn wait_for_interval(&self, before: usize) {
        let is_over = |lines: &[String]| lines.iter().filter(|line| Self::is_interval(line)).count() > before;
        assert!(self.records.wait(is_over), "no interval ends: {:#?}", self.messages.taken());
    }

    fn is_interval(line: &str) -> bool {
        line.contains(r#""record":"ledger""#) && line.contains(r#""direction":"rx""#)
    }

    /// Whether it has said something that contains `part`.
    pub(crate) fn has_said(&self, part: &str) -> bool {
        self.messages.count(|line| line.contains(part)) > 0
    }

    /// Waits until it has said something that contains `part`.
    pub(crate) fn wait_for_message(&mut self, part: &str) {
        if !self.messages.wait(|lines| lines.iter().any(|line| line.contains(part))) {
            self.child.kill().unwrap();
            panic!("no {part:?}: {:#?}", self.messages.taken());
        }
    }

    /// What it has said so far.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.messages.taken()
    }

    /// The records so far.
    pub(crate) fn records(&self) -> Vec<Value> {
        parse(&self.records.taken())
    }

    /// Its process id: whatever started it became it.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name, and waits for the end.
    pub(crate) fn stop(self, signal: &str) -> Ended {
        self.signal(signal);
        self.ended()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, signal: &str) {
        // `ip netns exec` becomes the program it starts, so this is the agent's process id.
        let kill = format!("kill -{signal} {}", self.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success(), "{kill}");
    }

    /// Waits for the end.
    pub(crate) fn ended(mut self) -> Ended {
        let mut status = None;
        let ended = eventually(|| {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        assert!(ended, "the agent does not end: {:#?}", self.messages.taken());
        self.records.join();
        self.messages.join();
        let status = status.unwrap();
        // Whoever is killed may be in the middle of a line, be it behind a brace.
        let cut = self.records.cut();
        assert!(cut.is_none() || status.code().is_none(), "{status} within a line: {cut:?}");
        Ended { status, records: self.records(), messages: self.messages.taken() }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // Of an agent that has ended already neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn parse(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

/// Whether a condition becomes true before the deadline.
pub(crate) fn eventually(condition: impl FnMut() -> bool) -> bool {
    within(DEADLINE, condition)
}

/// Whether a condition becomes true within so long a time.
pub(crate) fn within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

/// The lines of a pipe, read as they come.
struct Lines {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    lines: Mutex<(Vec<String>, Pipe)>,
    changed: Condvar,
}

#[derive(Default, PartialEq)]
enum Pipe {
    #[default]
    Open,
    /// What followed the last line end.
    Closed(String),
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let shared = Arc::<Shared>::default();
        let writer = Arc::clone(&shared);
        let reader = thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = String::new();
            while pipe.read_line(&mut line).unwrap() > 0 && line.ends_with('\n') {
                line.pop();
                writer.lines.lock().unwrap().0.push(mem::take(&mut line));
                writer.changed.notify_all();
            }
            writer.lines.lock().unwrap().1 = Pipe::Closed(line);
            writer.changed.notify_all();
        });
        Self { shared, reader: Some(reader) }
    }

    fn taken(&self) -> Vec<String> {
        self.shared.lines.lock().unwrap().0.clone()
    }

    fn count(&self, is_one: impl Fn(&str) -> bool) -> usize {
        self.shared.lines.lock().unwrap().0.iter().filter(|line| is_one(line)).count()
    }

    /// A line without an end, where the pipe was closed behind one.
    fn cut(&self) -> Option<String> {
        match &self.shared.lines.lock().unwrap().1 {
            Pipe::Closed(rest) if !rest.is_empty() => Some(rest.clone()),
            Pipe::Open | Pipe::Closed(_) => None,
        }
    }

    /// Whether the lines come to fulfil a condition before the deadline, or before there are no more.
    fn wait(&self, condition: impl Fn(&[String]) -> bool) -> bool {
        let lines = self.shared.lines.lock().unwrap();
        let not_yet = |(lines, pipe): &mut (Vec<String>, Pipe)| !condition(lines) && *pipe == Pipe::Open;
        let (lines, _timeout) = self.shared.changed.wait_timeout_while(lines, DEADLINE, not_yet).unwrap();
        condition(&lines.0)
    }

    fn join(&mut self) {
        self.reader.take().unwrap().join().unwrap();
    }
}
