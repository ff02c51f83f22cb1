//! The wiring of `sensor run`, one function; `docs/architecture.md` draws it under the same names.
//!
//! ```text
//! interface -> program -> maps -> Collector (tick) -> Summary -> Format -> standard output
//!                   \-> log ring -> tracing -> standard error
//! ```

mod blind;
mod collector;
mod devices;
mod durable;
mod nic;
mod plan;
mod ports;

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    collector::{Collector, History},
    devices::Devices,
    durable::{Current, Durable},
    nic::Witness,
    ports::Ports,
};
use crate::{
    bpf::{Kernel, Plan},
    collect::Meter,
    config::{Config, Keep, Role, SensorId},
    epoch::Epoch,
    interval::Interval,
    output::{Format, Writer},
    prefix::{PrefixSet, SetBuilder},
    summary::Summary,
};

/// Of counters that end with this process.
const NO_MANIFEST: [u8; 32] = [0; 32];
/// Difference between the wall clock and the time that really passed from which on the clock must have been set.
const CLOCK_STEP: Duration = Duration::from_millis(500);

/// Counts on the interfaces of `config` and writes a summary of every interval, until SIGINT or SIGTERM; then detaches and writes
/// the last one.
///
/// # Errors
/// Something of the configuration cannot be had; nothing stays attached.
pub fn run(config: &Config, format: Format) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(pipeline(config, format))
}

/// Takes the programs of a sensor off its interfaces, writes what was counted and not reported yet, and removes all of its pins.
///
/// # Errors
/// An agent is running, or something cannot be removed; what was counted is not lost then.
pub fn detach(sensor: &SensorId, keep: &Keep, format: Format) -> Result<()> {
    let mut durable = Durable::open(sensor, keep)?;
    let mut out = io::stdout().lock();
    let mut last = durable.undelivered();
    last.extend(durable.close_others(&BTreeSet::new())?);
    for summary in &last {
        format.write(summary, &mut out).context("cannot write the records")?;
    }
    durable.try_delivered(&last.iter().map(|summary| (summary.key.epoch, summary.key.sequence)).collect::<Vec<_>>())?;
    durable.remove_pins()
}

async fn pipeline(config: &Config, format: Format) -> Result<()> {
    let mut stop = Stop::new()?;
    let mut devices = Devices::new()?;
    let mut writer = Writer::start(format)?;
    // Records that are due to be written: those of earlier runs first.
    let mut backlog = VecDeque::new();
    let (mut collector, mut durable) = match &config.keep {
        None => (start(config, &mut devices).await?, None),
        Some(keep) => {
            let mut durable = Durable::open(&config.sensor_id, keep)?;
            let collector = tokio::select! {
                biased;
                () = stop.requested() => {
                    durable.abandon();
                    return Ok(());
                }
                collector = resume(config, &mut durable, &mut devices, &mut backlog) => collector,
            };
            let collector = match collector {
                Ok(collector) => collector,
                Err(error) => {
                    durable.abandon();
                    return Err(error);
                }
            };
            (collector, Some(durable))
        }
    };
    let length = config.interval.duration();
    let mut due = Interval::holding(Timestamp::now(), length).end;
    'intervals: loop {
        // Whoever does not read makes intervals grow, and keeps no interface from being attached to.
        while !backlog.is_empty() {
            tokio::select! {
                biased;
                () = stop.requested() => break 'intervals,
                ready = writer.ready() => {
                    ready?;
                    if let Some(summary) = backlog.pop_front() {
                        writer.send(summary).await?;
                    }
                }
                since = devices.changed() => look(&mut devices, &mut collector, since).await,
            }
        }
        if let Some(durable) = &mut durable {
            durable.delivered(&writer.written());
        }
        let until = tokio::select! {
            biased;
            () = stop.requested() => break 'intervals,
            until = wall_clock(due, length) => until,
            since = devices.changed() => {
                look(&mut devices, &mut collector, since).await;
                continue;
            }
        };
        due = Interval::holding(until, length).end;
        look(&mut devices, &mut collector, Instant::now()).await;
        backlog.extend(collector.tick(until, durable.as_mut())?);
    }
    let last = match &mut durable {
        None => Some(collector.detach()?),
        Some(durable) => {
            let last = collector.tick(Timestamp::now(), Some(durable))?;
            tracing::info!("the programs stay attached and go on counting; `sensor detach` ends that");
            last
        }
    };
    let (written, result) = writer.finish(backlog.into_iter().chain(last)).await;
    if let Some(durable) = &mut durable {
        durable.delivered(&written);
    }
    result
}

/// Looks at the devices, and follows them. Where they cannot be seen, what is attached goes on counting, and the next look may tell.
async fn look(devices: &mut Devices, collector: &mut Collector, since: Instant) {
    match devices.now().await {
        Ok(now) => collector.follow(&now, since),
        Err(error) => tracing::error!("{error:#}; interfaces that come and go are not followed until that works again"),
    }
}

/// Counts in maps of its own, which end with this process.
async fn start(config: &Config, devices: &mut Devices) -> Result<Collector> {
    let set = prefix_set(config)?;
    let trie = set.trie()?;
    let mut kernel = Kernel::load_for(&Plan { set: &set, trie: &trie, internal: &internal(config) })?;
    let zero = kernel.read()?;
    let mut ports = Ports::new(&config.interfaces, None);
    ports.load(&mut kernel)?;
    // Known before the first program bills: a packet may cross two interfaces while the others are being attached to.
    ports.foresee(&devices.now().await?, &mut kernel)?;
    let witness = ports.attach_all(&mut kernel)?;
    ports.follow(&devices.now().await?, Instant::now(), &mut kernel);
    ports.forward_logs(&mut kernel)?;
    ports.begin_interval();
    let history = History::begin(Epoch::draw()?, NO_MANIFEST, Some(zero));
    let sensor = config.sensor_id.to_string();
    Ok(Collector { sensor, set, kernel, ports, history, witness })
}

/// Goes on with what an earlier run left: its records, its maps, its links.
async fn resume(
    config: &Config,
    durable: &mut Durable,
    devices: &mut Devices,
    backlog: &mut VecDeque<Summary>,
) -> Result<Collector> {
    let undelivered = durable.undelivered();
    let set = prefix_set(config)?;
    let trie = set.trie()?;
    let Current { mut kernel, mut history, resumed } =
        durable.load(config, &Plan { set: &set, trie: &trie, internal: &internal(config) })?;
    let mut ports = Ports::new(&config.interfaces, Some(Arc::clone(&durable.pins)));
    ports.load(&mut kernel)?;
    // Known before the first program is swapped: what one set of maps saw coming in, another must not bill going out.
    let now = devices.now().await?;
    ports.foresee(&now, &mut kernel)?;
    let attached = if resumed { Ok(Witness::default()) } else { ports.attach_all(&mut kernel) };
    let witness = match attached {
        Ok(witness) => witness,
        Err(error) => {
            ports.undo();
            return Err(error);
        }
    };
    ports.follow(&devices.now().await?, Instant::now(), &mut kernel);
    ports.forward_logs(&mut kernel)?;
    if resumed {
        ports.begin_after(Duration::try_from(Timestamp::now().duration_since(history.from)).unwrap_or_default());
    } else {
        ports.begin_interval();
        history.begin_now();
    }
    backlog.extend(undelivered);
    backlog.extend(durable.close_others(&ports.link_pins())?);
    let sensor = config.sensor_id.to_string();
    Ok(Collector { sensor, set, kernel, ports, history, witness })
}

fn internal(config: &Config) -> Vec<bool> {
    config.interfaces.iter().map(|interface| interface.role == Role::Internal).collect()
}

/// What the configuration counts.
///
/// # Errors
/// A table that cannot be read, or more prefixes than a table holds.
pub fn prefix_set(config: &Config) -> Result<PrefixSet> {
    let mut builder = SetBuilder::default();
    for network in &config.networks {
        builder.watch(network.name.as_str(), network.prefixes.iter().copied())?;
    }
    builder.account_tables(&config.tables)?;
    builder.build()
}

/// Sleeps until the wall clock shows `due`, or for `length` where it was set back meanwhile; returns the moment to close at.
async fn wall_clock(due: Timestamp, length: Duration) -> Timestamp {
    let left = Duration::try_from(due.duration_since(Timestamp::now())).unwrap_or_default();
    tokio::time::sleep(left.min(length)).await;
    // A timer may ring a trifle early by the wall clock; whatever is further off was a step of the clock.
    let now = Timestamp::now();
    let off = now.duration_since(due).unsigned_abs();
    if off < CLOCK_STEP { due } else { now }
}

/// The operator's wish to stop.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
