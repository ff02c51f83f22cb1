//! The wiring of `sensor run`, one function; `docs/architecture.md` draws it under the same names.
//!
//! ```text
//! interface -> program -> maps -> Collector (tick) -> Summary -> Format -> standard output
//!                   \-> log ring -> tracing -> standard error
//! ```

mod collector;
mod nic;

use std::time::Duration;

use anyhow::{Context, Result};
use aya::programs::XdpMode;
use jiff::Timestamp;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::{collector::Collector, nic::Witness};
use crate::{
    bpf::{Attachment, Hook, Kernel},
    config::{self, Config},
    interval::Interval,
    output::{Format, Writer},
    prefix::{PrefixSet, SetBuilder},
};

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

async fn pipeline(config: &Config, format: Format) -> Result<()> {
    let mut stop = Stop::new()?;
    let set = prefix_set(config)?;
    let mut kernel = Kernel::load(&set, &set.trie()?, config.interfaces.len() as u32)?;
    for (number, interface) in config.interfaces.iter().enumerate() {
        kernel.instance(number)?.load_all([hook(interface)])?;
    }
    let mut attachments = Vec::new();
    let mut witness = Witness::default();
    for (number, interface) in config.interfaces.iter().enumerate() {
        let instance = kernel.instance(number)?;
        witness.read(interface.name.as_str())?;
        attachments.push(attach(instance, interface)?);
        instance.forward_log()?;
    }
    let mut collector = Collector::new(config, set, kernel, witness)?;
    let length = config.interval.duration();
    let mut writer = Writer::start(format)?;
    let mut unsent = None;
    loop {
        let due = Interval::holding(Timestamp::now(), length).end;
        let until = tokio::select! {
            biased;
            () = stop.requested() => break,
            until = wall_clock(due, length) => until,
        };
        let summary = collector.tick(until)?;
        tokio::select! {
            biased;
            () = stop.requested() => {
                unsent = Some(summary);
                break;
            }
            ready = writer.ready() => ready?,
        }
        writer.send(summary).await?;
    }
    let mut witness = Witness::default();
    for (attachment, interface) in attachments.into_iter().zip(&config.interfaces) {
        witness.read(interface.name.as_str())?;
        drop(attachment);
    }
    let last = collector.finish(Timestamp::now(), witness)?;
    writer.finish(unsent.into_iter().chain([last])).await
}

const fn hook(interface: &config::Interface) -> Hook {
    match interface.mode {
        config::Mode::Inline => Hook::Inline,
        config::Mode::Mirror => Hook::Mirror,
    }
}

fn attach(instance: &mut crate::bpf::Instance, interface: &config::Interface) -> Result<Attachment> {
    let hook = hook(interface);
    let mode = match interface.xdp {
        config::XdpMode::Native => XdpMode::Driver,
        config::XdpMode::Generic => XdpMode::Skb,
    };
    let attachment = instance.attach(interface.name.as_str(), hook, mode)?;
    tracing::info!(interface = %interface.name, ?hook, xdp = ?interface.xdp, "attached, for {}", attachment.buffers);
    Ok(attachment)
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
