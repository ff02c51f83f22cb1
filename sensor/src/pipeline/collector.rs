//! The tick: reads the counters, subtracts what was reported, commits the difference and names it.

use std::{sync::Arc, time::Instant};

use anyhow::{Context as _, Result};
use jiff::{SignedDuration, Timestamp};

use super::{
    CLOCK_STEP,
    devices::Device,
    durable::{Durable, Scribe},
    nic::Witness,
    ports::Ports,
    reload::change::Table,
    watching::Watching,
};
use crate::{
    bpf::Kernel,
    collect::{Reading, SparseReading},
    config::Config,
    counterpart::Meanings,
    epoch::Epoch,
    lists::Lists,
    prefix::PrefixSet,
    state::Batch,
    summary::{EventRecord, Key, Summary, Watched},
    upstream::NeighbourTable,
    watch::Breakdown,
};

/// Reads one running sensor.
pub(super) struct Collector {
    pub(super) sensor: String,
    pub(super) set: PrefixSet,
    /// What labels of far ends mean.
    pub(super) meanings: Meanings,
    pub(super) kernel: Kernel,
    pub(super) ports: Ports,
    pub(super) history: History,
    /// What the interfaces' own counters were at the end of the last interval.
    pub(super) witness: Witness,
    pub(super) watching: Watching,
}

/// How far the records of one life of the counters have come.
#[derive(Debug)]
pub(super) struct History {
    pub(super) epoch: Epoch,
    /// SHA-256 of its manifest; zeros where it has none.
    pub(super) manifest: [u8; 32],
    /// What was reported; `None` where the journal holds that, and advances it with each commit: a full table takes 48 MB.
    pub(super) reported: Option<Reported>,
    pub(super) sequence: u64,
    /// Where the next interval begins.
    pub(super) from: Timestamp,
    /// Both clocks at one moment of the last tick; `None` where this process was not there.
    pub(super) clocks: Option<Clocks>,
}

/// What was reported of the counters of an epoch, and of the rows of watched networks.
#[derive(Debug)]
pub(super) struct Reported {
    pub(super) counters: Reading,
    pub(super) billed: Breakdown,
}

/// One moment by two clocks. What passes between a tick and looking at them, such as a slow disk, is the same for both.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clocks {
    wall: Timestamp,
    /// Nobody sets it.
    steady: Instant,
}

impl Clocks {
    fn now() -> Self {
        Self { wall: Timestamp::now(), steady: Instant::now() }
    }
}

impl Collector {
    /// Does what the devices there are now ask for; they changed at `since`.
    pub(super) fn follow(&mut self, devices: &[Device], since: Instant) {
        tokio::task::block_in_place(|| self.ports.follow(devices, since, &mut self.kernel));
    }

    /// Goes by this configuration from here on, as far as that is not in the table.
    pub(super) fn configure(&mut self, config: &Config, lists: Arc<Lists>) {
        self.watching.configure(config, &self.set, lists);
    }

    /// See [`Watching::waiting_for_next_start`].
    pub(super) fn waiting_for_next_start(&self, config: &Config) -> Vec<&'static str> {
        self.watching.waiting_for_next_start(config)
    }

    /// Takes note of which neighbours answer for which addresses.
    pub(super) fn meet(&mut self, addresses: NeighbourTable) {
        self.watching.meet(addresses);
    }

    /// Records of all that was told of these counters, as one: what the series of the next intervals are called. A full table takes its time and
    /// some hundred bytes a prefix, so `prefixes` are only
    /// named where somebody wants them; ledger records may be of nothing.
    ///
    /// # Errors
    /// The journal has lost it.
    pub(super) fn known(&self, durable: Option<&Durable>, prefixes: bool) -> Result<Summary> {
        let (counters, billed) = self.history.reported(durable)?;
        let labels = self.ports.labels(Instant::now(), &self.witness, &self.witness);
        let (key, watched) = (self.history.key(&self.sensor, self.history.from), self.watching.known(billed));
        let told = if prefixes { counters.sparse() } else { SparseReading::default() };
        Ok(Summary::new(key, &told, &self.set, &labels, &watched, &self.meanings))
    }

    /// Something happened that is to be told with the next interval.
    pub(super) fn note(&mut self, event: EventRecord) {
        self.watching.note(event);
    }

    /// Reads what programs told of watched traffic.
    ///
    /// # Errors
    /// It cannot be read.
    pub(super) fn watch(&mut self) -> Result<()> {
        tokio::task::block_in_place(|| self.watching.work(self.kernel.maps()))
    }

    /// The last interval is about to be closed: what is known of watched traffic is kept with it.
    pub(super) fn keep_with_next(&mut self) {
        self.watching.keep_with_next();
    }

    /// Closes the interval that ends at `until`. Where the journal takes no more, there is no summary and the interval grows.
    pub(super) fn tick(&mut self, until: Timestamp, durable: Option<&mut Durable>) -> Result<Option<Summary>> {
        tokio::task::block_in_place(|| {
            let (counters, billed) = self.history.reported(durable.as_deref())?;
            let (delta, witness) = self.kernel.maps().since(counters, || Witness::of(self.ports.devices()))?;
            let watched = self.watching.interval(self.kernel.maps(), billed, until)?;
            self.close(until, delta, witness?, watched, durable)
        })
    }

    /// Counts by another set from here on, in the same maps, whose manifest is on disk and has this hash: its table goes in force, and
    /// when this returns no program looks into the old one any more. What was counted in the interval up to here is named by the new manifest too, in which
    /// every id means what it meant.
    ///
    /// # Errors
    /// Everything is as it was.
    pub(super) fn put_in_force(&mut self, table: Table, manifest: [u8; 32]) -> Result<()> {
        let Table { set, trie, meanings, labels } = table;
        tokio::task::block_in_place(|| {
            self.kernel.maps().publish_with(&trie, labels.as_ref(), manifest)?;
            (self.set, self.meanings, self.history.manifest) = (set, meanings, manifest);
            Ok(())
        })
    }

    /// Before the manifest of the next table in these maps is written: who writes it.
    pub(super) fn scribe(&mut self, durable: &mut Durable) -> Scribe {
        durable.writing(self.history.epoch, self.kernel.maps().next_generation())
    }

    /// Detaches, and closes the last interval.
    pub(super) fn detach(mut self) -> Result<Summary> {
        let mut witness = Witness::default();
        // Interfaces go on receiving: each is looked at just before its program is taken off.
        self.ports.detach_all(|device| witness.read(device))?;
        let until = Timestamp::now();
        let (counters, billed) = self.history.reported(None)?;
        let (delta, ()) = tokio::task::block_in_place(|| self.kernel.maps().since(counters, || ()))?;
        let watched = self.watching.interval(self.kernel.maps(), billed, until)?;
        let labels = self.ports.labels(Instant::now(), &witness, &self.witness);
        let key = self.history.key(&self.sensor, until);
        Ok(Summary::new(key, &delta, &self.set, &labels, &watched, &self.meanings))
    }

    fn close(
        &mut self,
        until: Timestamp,
        delta: SparseReading,
        witness: Witness,
        watched: Watched,
        durable: Option<&mut Durable>,
    ) -> Result<Option<Summary>> {
        let end = Instant::now();
        let labels = self.ports.labels(end, &witness, &self.witness);
        let key = self.history.key(&self.sensor, until);
        let summary = Summary::new(key.clone(), &delta, &self.set, &labels, &watched, &self.meanings);
        match durable {
            None => self.history.add(&delta, &watched)?,
            Some(durable) => {
                let kept = self.watching.snapshot_when_due();
                let untold = watched.clone();
                let batch = Batch { key, manifest: self.history.manifest, delta, labels, watched };
                if let Err(error) = durable.commit(batch, kept.as_deref()) {
                    tracing::error!("{error:#}; nothing is lost: the next interval will hold this one too");
                    self.watching.put_back(untold);
                    return Ok(None);
                }
            }
        }
        // Reading waits until no program looks into a table that was replaced before.
        self.set.exported();
        self.meanings.exported();
        self.ports.begin_interval(end);
        self.history.advance(until);
        self.witness = witness;
        Ok(Some(summary))
    }
}

impl History {
    /// The first interval of an epoch, which begins now; `reported` where no journal holds it.
    pub(super) fn begin(epoch: Epoch, manifest: [u8; 32], reported: Option<Reported>) -> Self {
        Self { epoch, manifest, reported, sequence: 0, from: Timestamp::now(), clocks: Some(Clocks::now()) }
    }

    /// The first interval begins now.
    pub(super) fn begin_now(&mut self) {
        (self.from, self.clocks) = (Timestamp::now(), Some(Clocks::now()));
    }

    /// Where the next interval counts from.
    fn reported<'a>(&'a self, durable: Option<&'a Durable>) -> Result<(&'a Reading, &'a Breakdown)> {
        let here = self.reported.as_ref().map(|reported| (&reported.counters, &reported.billed));
        let journal = || durable.and_then(|durable| durable.reported(self.epoch));
        here.or_else(journal).context("the journal has lost what was reported: restart the sensor")
    }

    /// What no journal takes was reported here.
    fn add(&mut self, delta: &SparseReading, watched: &Watched) -> Result<()> {
        let Some(reported) = &mut self.reported else { return Ok(()) };
        reported.billed.advance(watched);
        delta.add_to(&mut reported.counters)
    }

    fn key(&self, sensor: &str, until: Timestamp) -> Key {
        let start = self.start(until);
        Key { sensor: sensor.to_owned(), epoch: self.epoch, start, end: until, sequence: self.sequence }
    }

    fn advance(&mut self, until: Timestamp) {
        self.from = until;
        self.clocks = Some(Clocks::now());
        self.sequence += 1;
    }

    /// Where the interval that ends at `until` began: where the last one ended, unless the clock was set since. Then it is told by
    /// how long it really was, so that rates stay right and no interval is of negative length.
    fn start(&self, until: Timestamp) -> Timestamp {
        let Some(then) = self.clocks else { return self.from.min(until) };
        let now = Clocks::now();
        let real = now.steady - then.steady;
        let step = now.wall.duration_since(then.wall) - SignedDuration::try_from(real).unwrap_or(SignedDuration::MAX);
        if step.unsigned_abs() < CLOCK_STEP {
            return self.from.min(until);
        }
        tracing::warn!(step = format!("{step:#}"), "the clock was set; the interval is told by its real length");
        until.checked_sub(real).unwrap_or(self.from).min(until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bpf::NO_MANIFEST;

    /// A tick that was due just before the interval began, as behind a hand-over, ends nothing of negative length.
    #[test]
    fn no_interval_ends_before_it_began() {
        let mut history = History::begin(Epoch::from_bytes([1; 16]).unwrap(), NO_MANIFEST, None);
        let [before, after] = [-3, 3].map(|millis| history.from + SignedDuration::from_millis(millis));
        assert_eq!(history.start(before), before);
        assert_eq!(history.start(after), history.from);
        history.clocks = None;
        assert_eq!((history.start(before), history.start(after)), (before, history.from));
    }
}
