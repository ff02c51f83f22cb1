//! The two programs on the stage, and everything that can happen to it, in one queue.

use std::{
    io::{self, BufRead as _, BufReader, Read},
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::Sender,
    thread,
};

use anyhow::{Context as _, Result, ensure};

use crate::exec;

/// What the stage waits for.
#[derive(Debug)]
pub(super) enum Event {
    /// A line of the sensor.
    Sensor(String),
    /// The sensor writes no more.
    SensorEnded,
    /// A line of the generator.
    Traffic(String),
    /// The generator writes no more.
    TrafficEnded,
    /// A signal, or the end of the process that started the stage.
    Stop,
}

/// A program in a namespace, killed when dropped.
pub(super) struct Program {
    name: &'static str,
    child: Child,
}

impl Program {
    /// Starts `program` in `namespace`; its lines and its end become events.
    pub(super) fn start(
        name: &'static str,
        namespace: &str,
        program: &Path,
        arguments: &[&str],
        (events, line, end): (&Sender<Event>, fn(String) -> Event, Event),
    ) -> Result<Self> {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(program).args(arguments);
        // A group of its own: Ctrl-C is the stage's, which stops its programs in order.
        command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start the {name}, {}", program.display()))?;
        let output = child.stdout.take().with_context(|| format!("the {name} has no standard output"))?;
        let events = events.clone();
        thread::spawn(move || {
            // Where nobody listens any more, nobody misses a line.
            for text in BufReader::new(output).lines().map_while(io::Result::ok) {
                let _ = events.send(line(text));
            }
            let _ = events.send(end);
        });
        Ok(Self { name, child })
    }

    /// Asks the program to end in good order.
    pub(super) fn terminate(&self) -> Result<()> {
        // `ip netns exec` becomes the program it starts, so this is its process id.
        let kill = format!("kill -TERM {}", self.child.id());
        exec::run(Command::new("sh").args(["-c", &kill]), "it has ended by itself, perhaps: see above")
    }

    /// Waits for the end of a program that has none of its output left, which must be a good one.
    pub(super) fn wait(mut self) -> Result<()> {
        let status: ExitStatus = self.child.wait().with_context(|| format!("cannot wait for the {}", self.name))?;
        ensure!(status.success(), "the {} failed ({status}); its message is above", self.name);
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Of a program that has ended already neither does anything.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Turns signals, and the end of the process at the other end of standard input, into events.
pub(super) fn listen(events: &Sender<Event>) -> Result<()> {
    let signals = events.clone();
    let stop = move || drop(signals.send(Event::Stop));
    ctrlc::set_handler(stop).context("cannot listen for signals")?;
    let ended = events.clone();
    thread::spawn(move || {
        let mut nothing = [0];
        while io::stdin().read(&mut nothing).is_ok_and(|len| len > 0) {}
        let _ = ended.send(Event::Stop);
    });
    Ok(())
}
