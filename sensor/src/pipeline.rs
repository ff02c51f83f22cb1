//! The wiring of `sensor run`, one function; `docs/architecture.md` draws it under the same names.
//!
//! ```text
//! interface -> program -> maps -> Collector (tick) -> Summary -> Writer -> Format -> standard output
//!                   \                                                  \-> Spool -> Exporters -> collectors
//!                   |                                  \-> totals -> Server (Prometheus)
//!                   \-> samples -> Watching -> verdicts -> maps
//!                   \-> log ring -> tracing -> standard error
//! ```

mod anomalies;
mod blind;
mod collector;
mod devices;
mod durable;
mod exposed;
mod kept;
mod nic;
mod plan;
mod ports;
mod reload;
mod shipping;
mod start;
mod watching;

use std::{
    collections::{BTreeSet, VecDeque},
    io,
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result};
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{
    collector::Collector, devices::Devices, durable::Durable, exposed::Exposed, kept::Kept, reload::Reloads,
    shipping::Shipping,
};
use crate::{
    config::{Config, Keep, SensorId},
    control,
    interval::Interval,
    lists::Lists,
    output::{Format, Outlet, Writer},
    prefix::{PrefixSet, SetBuilder},
    store::Store,
    summary::Summary,
};

/// Difference between the wall clock and the time that really passed from which on the clock must have been set.
const CLOCK_STEP: Duration = Duration::from_millis(500);

/// Counts on the interfaces of `config` and writes a summary of every interval, until SIGINT or SIGTERM; then detaches and writes
/// the last one. What is written goes into the store in the folder `store` as well, or in that of the configuration. `file` is where the configuration was read, and is read again on SIGHUP and at a command's request.
///
/// # Errors
/// Something of the configuration cannot be had; nothing stays attached.
pub fn run(config: Config, file: Option<&Path>, format: Format, store: Option<&Path>) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")?;
    let result = runtime.block_on(pipeline(config, file, format, store));
    // A reload that is still being read is nobody's concern any more.
    runtime.shutdown_background();
    result
}

/// Takes the programs of a sensor off its interfaces, writes what was counted and not reported yet to where its records go, and removes all of its
/// pins. `config` is what it was configured as, where that is still known: who its neighbours are, its exporters and its store. What is written goes into
/// the store in the folder `store` as well.
///
/// # Errors
/// An agent is running, or something cannot be removed; what was counted is not lost then.
pub fn detach(
    sensor: &SensorId,
    keep: &Keep,
    config: Option<&Config>,
    format: Format,
    store: Option<&Path>,
) -> Result<()> {
    let store = match config {
        Some(config) => Kept::open(config, store)?.1,
        None => store.map(|folder| Store::open(folder, &[], false)).transpose()?,
    };
    let mut durable = Durable::open(sensor, keep)?;
    durable.name_by(config.map_or(&[], |config| &config.upstreams));
    control::remove_left(&keep.state_dir);
    let shipping = match config {
        Some(config) => Shipping::open(&config.exporters, config.spool, keep, &durable)?,
        None => None,
    };
    let mut last = VecDeque::from(durable.undelivered());
    durable.close_others(&BTreeSet::new(), &mut last)?;
    if let Some(mut store) = store {
        for summary in &last {
            store.append(summary)?;
        }
        store.commit()?;
    }
    match shipping {
        Some(shipping) => shipping.deliver_last(&last)?,
        None => {
            let mut out = io::stdout().lock();
            for summary in &last {
                format.write(summary, &mut out).context("cannot write the records")?;
            }
        }
    }
    durable.try_delivered(&last.iter().map(|summary| (summary.key.epoch, summary.key.sequence)).collect::<Vec<_>>())?;
    durable.remove_pins()
}

/// A sensor at work.
struct Running {
    config: Config,
    devices: Devices,
    collector: Collector,
    /// Of a sensor whose counting outlives the agent.
    durable: Option<Durable>,
    /// Of a sensor with exporters.
    shipping: Option<Shipping>,
    exposed: Exposed,
    kept: Kept,
    /// Records that are due to be written: those of earlier runs first.
    backlog: VecDeque<Summary>,
    /// When the interval ends.
    due: Timestamp,
    /// Old counters are still to be closed.
    unclosed: bool,
}

async fn pipeline(config: Config, file: Option<&Path>, format: Format, store: Option<&Path>) -> Result<()> {
    let mut stop = Stop::new()?;
    let mut reloads = Reloads::new(file)?;
    let exposed = Exposed::open(&config)?;
    // Before anything is attached: a sensor whose records cannot be kept does not start.
    let (kept, store) = Kept::open(&config, store)?;
    let mut devices = Devices::new()?;
    let mut backlog = VecDeque::new();
    let (collector, durable, shipping) = match &config.keep {
        None => (start::start(&config, &mut devices).await?, None, None),
        Some(keep) => {
            let mut durable = Durable::open(&config.sensor_id, keep)?;
            durable.configure(&config);
            let shipping = match Shipping::open(&config.exporters, config.spool, keep, &durable) {
                Ok(shipping) => shipping,
                Err(error) => {
                    durable.abandon();
                    return Err(error);
                }
            };
            let own = shipping.as_ref().map(Shipping::own).unwrap_or_default();
            let collector = tokio::select! {
                biased;
                () = stop.requested() => {
                    durable.abandon();
                    return Ok(());
                }
                collector = start::resume(&config, own, &mut durable, &mut devices, &mut backlog) => collector,
            };
            let collector = match collector {
                Ok(collector) => collector,
                Err(error) => {
                    durable.abandon();
                    return Err(error);
                }
            };
            reloads.listen(&keep.state_dir);
            (collector, Some(durable), shipping)
        }
    };
    let outlet = shipping.as_ref().map_or(Outlet::Stdout(format), Shipping::outlet);
    let mut writer = Writer::start(outlet, store, exposed.shared())?;
    let due = Interval::holding(Timestamp::now(), config.interval.duration()).end;
    let mut running =
        Running { config, devices, collector, durable, shipping, exposed, kept, backlog, due, unclosed: false };
    running.meet().await;
    running.expose();
    running.count(&mut stop, &mut reloads, &mut writer).await?;
    running.end(writer).await
}

impl Running {
    /// Counts until the operator wants it to stop.
    async fn count(&mut self, stop: &mut Stop, reloads: &mut Reloads, writer: &mut Writer) -> Result<()> {
        loop {
            if let Some(durable) = &mut self.durable {
                durable.delivered(&writer.written());
            }
            // Whoever does not read makes intervals grow, and keeps no interface from being attached to.
            let is_read = self.backlog.is_empty();
            tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                event = reloads.next() => self.reload(event, reloads).await?,
                ready = writer.ready(), if !is_read => {
                    explain(ready, self.durable.as_ref())?;
                    if let Some(summary) = self.backlog.pop_front() {
                        let sent = writer.send(summary).await;
                        explain(sent, self.durable.as_ref())?;
                    }
                }
                () = self.devices.changed() => self.look().await,
                until = wall_clock(self.due, self.config.interval.duration()), if is_read => {
                    self.due = self.interval_holding(until).end;
                    self.look().await;
                    self.meet().await;
                    self.compare(until).await;
                    self.tick(until)?;
                    if self.unclosed {
                        self.close_others();
                    }
                }
                () = self.collector.watching.due() => self.collector.watch()?,
            }
        }
    }

    /// Looks at the devices, and follows them; looks after the pins. Where devices cannot be seen, what is attached goes on counting, and
    /// the next look may tell.
    async fn look(&mut self) {
        let since = self.devices.since();
        match self.devices.now().await {
            Ok(now) => self.collector.follow(&now, since),
            Err(error) => {
                tracing::error!("{error:#}; interfaces that come and go are not followed until that works again");
            }
        }
        if let Some(durable) = &mut self.durable {
            durable.look_after_pins(&self.collector.ports.pins());
        }
    }

    /// Looks who the neighbours are.
    async fn meet(&mut self) {
        let places = self.devices.now().await.map(|devices| self.collector.ports.places(&devices));
        let neighbours = match places {
            Ok(places) => self.devices.neighbours(&places).await,
            Err(error) => Err(error),
        };
        match neighbours {
            Ok(neighbours) => {
                if let Some(durable) = &mut self.durable {
                    durable.meet(&neighbours);
                }
                self.collector.meet(neighbours);
            }
            Err(error) => tracing::warn!("{error:#}; neighbours are called as they last were"),
        }
    }

    /// Notes what was otherwise than usual, as far as that is known.
    async fn compare(&mut self, until: Timestamp) {
        self.kept.news(until).await.into_iter().for_each(|event| self.collector.note(event));
    }

    /// Closes the interval that ends at `until`; its records are due to be written then.
    fn tick(&mut self, until: Timestamp) -> Result<()> {
        let lost = self.shipping.iter_mut().flat_map(|shipping| shipping.take_lost(until));
        lost.for_each(|event| self.collector.note(event));
        let summary = self.collector.tick(until, self.durable.as_mut())?;
        if let Some(summary) = &summary {
            self.exposed.committed(summary, &self.collector, &self.config);
        }
        self.backlog.extend(summary);
        Ok(())
    }

    /// The same before it is due. What was due up to now is over with it: the next interval ends where it would have anyway, or later.
    fn tick_now(&mut self) -> Result<()> {
        let now = Timestamp::now();
        self.tick(now)?;
        self.due = self.interval_holding(now).end;
        Ok(())
    }

    fn interval_holding(&self, moment: Timestamp) -> Interval {
        Interval::holding(moment, self.config.interval.duration())
    }

    /// Goes by another configuration from here on.
    fn configure(&mut self, config: Config, lists: Arc<Lists>) {
        self.collector.configure(&config, lists);
        if let Some(durable) = &mut self.durable {
            durable.configure(&config);
        }
        self.kept.configure(&config);
        let other = config.interval != self.config.interval;
        self.config = config;
        if other {
            self.due = self.interval_holding(Timestamp::now()).end;
        }
    }

    /// Closes the counters that nothing counts in any more. Where that fails, it is tried again with the next tick.
    fn close_others(&mut self) {
        let Some(durable) = &mut self.durable else { return };
        let closed = durable.close_others(&self.collector.ports.link_pins(), &mut self.backlog);
        if let Err(error) = &closed
            && !self.unclosed
        {
            tracing::error!("the last of the old counters waits: {error:#}; nothing is lost, trying again");
        }
        self.unclosed = closed.is_err();
    }

    /// The last interval, and everything that was not written yet.
    async fn end(mut self, writer: Writer) -> Result<()> {
        let last = match &mut self.durable {
            None => Some(self.collector.detach()?),
            Some(durable) => {
                self.collector.keep_with_next();
                let last = self.collector.tick(Timestamp::now(), Some(durable))?;
                tracing::info!("the programs stay attached and go on counting; `sensor detach` ends that");
                last
            }
        };
        let (written, result) = writer.finish(self.backlog.into_iter().chain(last)).await;
        if let Some(durable) = &mut self.durable {
            durable.delivered(&written);
        }
        if let Some(shipping) = self.shipping {
            shipping.finish().await;
        }
        explain(result, self.durable.as_ref())
    }
}

/// Says what becomes of records that cannot be written, and what to do.
fn explain(written: Result<()>, durable: Option<&Durable>) -> Result<()> {
    match durable {
        Some(_) => written.context(
            "the agent ends, its programs go on counting, and no record is lost: see to whoever reads standard output, or to the disk of the \
             spool, and start it again",
        ),
        None => written,
    }
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
