//! The tick: reads the counters, subtracts the last reading, names what grew.

use std::time::Instant;

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};
use sensor_ebpf::abi::Side;

use super::{CLOCK_STEP, nic::Witness};
use crate::{
    bpf::{self, Kernel},
    collect::Reading,
    config::Config,
    epoch::Epoch,
    prefix::PrefixSet,
    summary::{Key, LedgerLabel, Summary},
};

/// Reads one running sensor.
pub(super) struct Collector {
    sensor: String,
    epoch: Epoch,
    set: PrefixSet,
    interfaces: Vec<Interface>,
    kernel: Kernel,
    reported: Reading,
    witness: Witness,
    from: Timestamp,
    /// The same moment on a clock that nobody sets.
    from_instant: Instant,
    sequence: u64,
}

/// An interface as it was attached to.
struct Interface {
    name: String,
    index: u32,
    attached: bool,
}

impl Collector {
    /// Starts the first interval now. `witness` is what the interfaces had received when they were attached to.
    pub(super) fn new(config: &Config, set: PrefixSet, kernel: Kernel, witness: Witness) -> Result<Self> {
        let interfaces: Vec<Interface> = config
            .interfaces
            .iter()
            .map(|interface| {
                let name = interface.name.to_string();
                Ok(Interface { index: bpf::interface_index(&name)?, name, attached: true })
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            sensor: config.sensor_id.to_string(),
            epoch: Epoch::draw()?,
            reported: Reading::zero(set.len(), interfaces.len() * Side::COUNT as usize),
            set,
            witness,
            interfaces,
            kernel,
            from: Timestamp::now(),
            from_instant: Instant::now(),
            sequence: 0,
        })
    }

    /// Closes the interval that ends at `until`.
    pub(super) fn tick(&mut self, until: Timestamp) -> Result<Summary> {
        let (now, witness) = tokio::task::block_in_place(|| self.kernel.maps().read(Witness::of_all))?;
        self.close(until, now, witness?)
    }

    /// Closes the last interval, after detaching. `witness` is what the interfaces had received when they were detached from.
    pub(super) fn finish(mut self, until: Timestamp, witness: Witness) -> Result<Summary> {
        let (now, ()) = tokio::task::block_in_place(|| self.kernel.maps().read(|| ()))?;
        self.close(until, now, witness)
    }

    fn close(&mut self, until: Timestamp, now: Reading, witness: Witness) -> Result<Summary> {
        self.interfaces.iter_mut().for_each(Interface::look);
        let labels: Vec<LedgerLabel> = self
            .interfaces
            .iter()
            .zip((0..).step_by(Side::COUNT as usize))
            .map(|(interface, slot)| LedgerLabel {
                slot,
                interface: interface.name.clone(),
                attached: Some(interface.attached),
                nic: witness.since(&self.witness, &interface.name),
                ..LedgerLabel::default()
            })
            .collect();
        let start = self.start(until);
        let key = Key { sensor: self.sensor.clone(), epoch: self.epoch, start, end: until, sequence: self.sequence };
        let summary = Summary::new(key, &now.since(&self.reported)?, &self.set, &labels);
        self.reported = now;
        self.witness = witness;
        self.from = until;
        self.from_instant = Instant::now();
        self.sequence += 1;
        Ok(summary)
    }

    /// Where the interval that ends at `until` began: where the last one ended, unless the clock was set since. Then it is told by
    /// how long it really was, so that rates stay right and no interval is of negative length.
    fn start(&self, until: Timestamp) -> Timestamp {
        let real = self.from_instant.elapsed();
        let shown = until.duration_since(self.from);
        let step = shown - SignedDuration::try_from(real).unwrap_or(SignedDuration::MAX);
        if step.unsigned_abs() < CLOCK_STEP {
            return self.from;
        }
        tracing::warn!(step = format!("{step:#}"), "the clock was set; the interval is told by its real length");
        until.checked_sub(real).unwrap_or(self.from).min(until)
    }
}

impl Interface {
    /// Notices that the interface went away: the kernel then detaches the program, and one of the same name that comes later has none.
    fn look(&mut self) {
        let there = bpf::interface_index(&self.name).is_ok_and(|index| index == self.index);
        if self.attached && !there {
            tracing::error!(
                interface = self.name,
                "the interface went away; nothing is counted there until the sensor is restarted"
            );
        }
        self.attached &= there;
    }
}
