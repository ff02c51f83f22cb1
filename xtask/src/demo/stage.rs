//! The part that runs as root: namespaces, sensor, traffic, comparison.
#![expect(clippy::print_stdout, reason = "what the demo shows")]

use std::{
    io::{self, IsTerminal as _},
    path::Path,
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};

use super::{
    COUNTED, PREFIXES, SENSOR, TRAFFIC, WATCHED,
    processes::{Event, Program, listen},
    records::Totals,
    verdict::{Truth, Verdict},
    wire::{Counters, INSIDE, OUTSIDE, Wire, leftovers},
};
use crate::steps::Steps;

/// About ten seconds at a rate that leaves a laptop its fan.
const FRAMES: &str = "200000";
const FRAMES_PER_SECOND: &str = "20000";
/// Any number; the same one sends the same frames.
const SEED: &str = "2026";
/// Between two tables.
const INTERVAL: &str = "2s";
/// Longest silence of the sensor, and longest way of a frame over the wire.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at the interface counters.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Why there is no comparison, where someone wanted none.
const STOPPED: &str = "stopped by a signal";

/// Everything on the stage.
struct Stage {
    events: Receiver<Event>,
    sender: Sender<Event>,
    totals: Totals,
    /// When the newest interval ended.
    newest: Instant,
    /// Lines of the table on the terminal, which the next one overwrites.
    shown: usize,
}

/// Runs the demo with the programs of a folder; everything is removed, whatever happens.
///
/// # Errors
/// A step fails, someone stops it, or the three figures differ.
pub fn stage(programs: &Path) -> Result<()> {
    let (sender, events) = mpsc::channel();
    listen(&sender)?;
    let mut stage = Stage { events, sender, totals: Totals::default(), newest: Instant::now(), shown: 0 };
    for name in leftovers()? {
        println!("left by a demo that was killed: {name}; remove it with: ip netns delete {name}");
    }
    let mut steps = Steps::new("demo", 5);
    let wire = steps.run("two namespaces and a veth pair", || {
        let wire = Wire::new()?;
        let remark = format!("{OUTSIDE} in {} -> {INSIDE} in {}", wire.peer, wire.sensor);
        Ok((wire, remark))
    })?;
    let sensor = steps.run("sensor attached, native XDP", || stage.attach(programs, &wire))?;
    let before = wire.received()?;
    let truth = steps.run("traffic: IPv4, IPv6, VLAN, MPLS, PPPoE, fragments, ARP, damaged frames", || {
        stage.traffic(programs, &wire)
    })?;
    let interface = steps.run("sensor stopped, its last table", || {
        let after = stage.quiet(&wire, before.packets + truth.sent())?;
        stage.detach(sensor)?;
        Ok((after, "detached".to_owned()))
    })?;
    steps
        .run("everything removed", || Ok((wire.remove()?, "no namespace, no interface, no process left".to_owned())))?;
    let growth = Counters { packets: interface.packets - before.packets, bytes: interface.bytes - before.bytes };
    let verdict = Verdict::new(&truth, &stage.totals, growth);
    println!("\n{}", verdict.text);
    steps.finish();
    ensure!(verdict.is_equal, "the figures differ, see above; that is a defect: please report it with this output");
    Ok(())
}

impl Stage {
    /// Starts the sensor and waits for its first interval: only then both witnesses have begun.
    fn attach(&mut self, programs: &Path, wire: &Wire) -> Result<(Program, String)> {
        let prefixes = programs.join(PREFIXES);
        let prefixes = prefixes.to_str().context("the folder of the programs is not UTF-8")?;
        let mut arguments =
            vec!["run", "-i", INSIDE, "--interval", INTERVAL, "--format", "jsonl", "--prefixes", prefixes];
        arguments.extend(WATCHED.iter().flat_map(|prefix| ["--watch", prefix]));
        let events = (&self.sender, Event::Sensor as fn(String) -> Event, Event::SensorEnded);
        let sensor = Program::start("sensor", &wire.sensor, &programs.join(SENSOR), &arguments, events)?;
        loop {
            match self.next()? {
                Event::Sensor(line) if self.totals.take(&line)? => break,
                Event::Sensor(_) => {}
                Event::SensorEnded => bail!("the sensor did not start; its message is above"),
                event @ (Event::Traffic(_) | Event::TrafficEnded | Event::Stop) => bail!("out of order: {event:?}"),
            }
        }
        self.newest = Instant::now();
        let remark = format!("{} networks watched, {} prefixes counted besides", WATCHED.len(), COUNTED.len());
        Ok((sensor, remark))
    }

    /// Runs the generator to its end, and shows every interval meanwhile.
    fn traffic(&mut self, programs: &Path, wire: &Wire) -> Result<(Truth, String)> {
        let prefixes = programs.join(PREFIXES);
        let prefixes = prefixes.to_str().context("the folder of the programs is not UTF-8")?;
        let mut arguments = vec!["--interface", OUTSIDE, "--frames", FRAMES, "--rate", FRAMES_PER_SECOND];
        arguments.extend(["--seed", SEED, "--prefixes", prefixes]);
        arguments.extend(WATCHED.iter().flat_map(|prefix| ["--watch", prefix]));
        let events = (&self.sender, Event::Traffic as fn(String) -> Event, Event::TrafficEnded);
        let traffic = Program::start("generator", &wire.peer, &programs.join(TRAFFIC), &arguments, events)?;
        let mut truth = None;
        loop {
            match self.next()? {
                Event::Sensor(line) => self.show(&line)?,
                Event::SensorEnded => bail!("the sensor ended before the traffic; its message is above"),
                Event::Traffic(line) => truth = Some(Truth::read(&line)?),
                Event::TrafficEnded => break,
                Event::Stop => bail!(STOPPED),
            }
        }
        traffic.wait()?;
        // What is printed from here on must not be overwritten.
        self.shown = 0;
        let truth = truth.context("the generator ended without its sums")?;
        let remark = format!("{} frames sent, seed {SEED}", truth.sent());
        Ok((truth, remark))
    }

    /// Waits until everything sent has arrived, by the interface's own counters, and returns these.
    fn quiet(&mut self, wire: &Wire, packets: u64) -> Result<Counters> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let received = wire.received()?;
            // What never arrives is a difference, and the verdict will say so.
            if received.packets >= packets || Instant::now() > deadline {
                return Ok(received);
            }
            match self.events.recv_timeout(LOOK_AGAIN) {
                Ok(Event::Sensor(line)) => self.show(&line)?,
                Ok(Event::Stop) => bail!(STOPPED),
                Ok(event @ (Event::SensorEnded | Event::Traffic(_) | Event::TrafficEnded)) => {
                    bail!("out of order: {event:?}")
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("nobody is left to hear from"),
            }
        }
    }

    /// Ends the sensor in good order, and takes what it still has to say.
    fn detach(&mut self, sensor: Program) -> Result<()> {
        sensor.terminate()?;
        loop {
            match self.next()? {
                Event::Sensor(line) => self.show(&line)?,
                Event::SensorEnded => return sensor.wait(),
                event @ (Event::Traffic(_) | Event::TrafficEnded | Event::Stop) => bail!("out of order: {event:?}"),
            }
        }
    }

    fn next(&mut self) -> Result<Event> {
        match self.events.recv_timeout(PATIENCE) {
            Ok(Event::Stop) => bail!(STOPPED),
            Ok(event) => Ok(event),
            Err(_) => bail!("nothing was heard for {PATIENCE:?}"),
        }
    }

    /// Takes a record; the last of an interval shows the table, in place of the one before where that is possible.
    fn show(&mut self, line: &str) -> Result<()> {
        if self.totals.take(line)? {
            let table = self.totals.table(self.newest.elapsed());
            self.newest = Instant::now();
            if io::stdout().is_terminal() && self.shown > 0 {
                // Up that many lines, and everything below erased (ECMA-48 CUU, ED).
                print!("\x1b[{}A\x1b[J", self.shown);
            }
            print!("{table}");
            self.shown = table.lines().count();
        }
        Ok(())
    }
}
