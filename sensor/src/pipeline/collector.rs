//! The tick: reads the counters, subtracts the last reading, names what grew.

use anyhow::Result;
use jiff::Timestamp;

use super::nic::Witness;
use crate::{
    bpf::Kernel,
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
    interfaces: Vec<String>,
    kernel: Kernel,
    reported: Reading,
    witness: Witness,
    from: Timestamp,
    sequence: u64,
}

impl Collector {
    /// Starts the first interval now. `witness` is what the interfaces had received when they were attached to.
    pub(super) fn new(config: &Config, set: PrefixSet, kernel: Kernel, witness: Witness) -> Result<Self> {
        let interfaces: Vec<String> = config.interfaces.iter().map(|interface| interface.name.to_string()).collect();
        Ok(Self {
            sensor: config.sensor_id.to_string(),
            epoch: Epoch::draw()?,
            reported: Reading::zero(set.len(), interfaces.len()),
            set,
            witness,
            interfaces,
            kernel,
            from: Timestamp::now(),
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
        let labels: Vec<LedgerLabel> = self
            .interfaces
            .iter()
            .map(|interface| LedgerLabel {
                interface: interface.clone(),
                nic: witness.since(&self.witness, interface),
                ..LedgerLabel::default()
            })
            .collect();
        let key = Key {
            sensor: self.sensor.clone(),
            epoch: self.epoch,
            start: self.from,
            // A clock that was set back must not make an interval of negative length.
            end: until.max(self.from),
            sequence: self.sequence,
        };
        let summary = Summary::new(key, &now.since(&self.reported)?, &self.set, &labels);
        self.reported = now;
        self.witness = witness;
        self.from = summary.key.end;
        self.sequence += 1;
        Ok(summary)
    }
}
