//! The tick: reads the counters, subtracts the last reading, names what grew.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;

use super::nic;
use crate::{
    bpf::Kernel,
    collect::{Meter, Reading},
    config::Config,
    epoch::Epoch,
    prefix::PrefixSet,
    summary::{Key, LedgerLabel, NicCount, Summary},
};

/// Reads one running sensor.
pub(super) struct Collector {
    sensor: String,
    epoch: Epoch,
    set: PrefixSet,
    interfaces: Vec<String>,
    kernel: Kernel,
    reported: Reading,
    nics: BTreeMap<String, NicCount>,
    from: Timestamp,
    sequence: u64,
}

impl Collector {
    /// Starts the first interval now.
    pub(super) fn new(config: &Config, set: PrefixSet, kernel: Kernel) -> Result<Self> {
        let interfaces: Vec<String> = config.interfaces.iter().map(|interface| interface.name.to_string()).collect();
        Ok(Self {
            sensor: config.sensor_id.to_string(),
            epoch: Epoch::draw()?,
            reported: Reading::zero(set.len(), interfaces.len()),
            set,
            nics: nic::received()?,
            interfaces,
            kernel,
            from: Timestamp::now(),
            sequence: 0,
        })
    }

    /// Closes the interval that ends at `until`.
    pub(super) fn tick(&mut self, until: Timestamp) -> Result<Summary> {
        let now = tokio::task::block_in_place(|| self.kernel.read())?;
        let nics = nic::received()?;
        let labels: Vec<LedgerLabel> = self
            .interfaces
            .iter()
            .map(|interface| LedgerLabel {
                interface: interface.clone(),
                nic: nic::growth(self.nics.get(interface), nics.get(interface)),
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
        self.nics = nics;
        self.from = summary.key.end;
        self.sequence += 1;
        Ok(summary)
    }
}
