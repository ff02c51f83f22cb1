//! Watched traffic of a running sensor: samples are read as they come, the programs' clock is set, and budgets are filled up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Result;
use jiff::Timestamp;
use sensor_ebpf::abi::{Clock, Spending};
use tokio::time::sleep_until;

use crate::{
    bpf::{SampleRing, SharedMaps, seconds_since_boot},
    config::{Config, InterfaceName},
    lists::Lists,
    prefix::PrefixSet,
    random,
    summary::{EventRecord, Watched},
    upstream::{NeighbourTable, Upstreams},
    watch::{Breakdown, Limits, Memory as _, Watch},
};

/// Budgets are filled up this often.
const REFILL: Duration = Duration::from_millis(100);
/// A budget holds no more than that of so long.
const BURST: Duration = Duration::from_secs(1);
/// Between two readings of samples, so that there is more than one to be read.
const REST: Duration = Duration::from_millis(1);
/// Samples that are read at a time; then whoever waits for something else has a turn.
const SAMPLES_AT_A_TIME: usize = 4096;
/// Records a second that say of a flow that it is there, and carry nothing of it: enough to hear of half a million flows in each interval.
const SIGHTINGS_PER_SECOND: u32 = 50_000;
/// Of several networks each may spend so much of what there is for all, as a divisor: none is left without for another's sake.
const SHARE: u32 = 2;
/// What is known is written this often though nothing was new, and no more often while firsts are no news.
const KEEP: Duration = Duration::from_secs(60);
/// Bytes a second that writing it may take.
const KEEP_RATE: u64 = 2 << 20;

/// Watched traffic, and what is known of it.
pub(super) struct Watching {
    watch: Watch,
    ring: SampleRing,
    /// Samples were left unread.
    has_more: bool,
    /// No sample is read before.
    rested: Instant,
    budgets: Budgets,
    kept: Kept,
}

/// How many records programs may make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budgets {
    /// Numbers of networks go up to this.
    highest_network: u32,
    samples_per_second: u32,
    refilled: Instant,
}

/// What was written of what is known.
#[derive(Debug)]
struct Kept {
    at: Instant,
    firsts: u64,
    len: u64,
    /// Is to be written whatever there is of news.
    is_wanted: bool,
}

impl Watching {
    /// Of these maps.
    ///
    /// # Errors
    /// Nobody can wait for the samples of these maps.
    pub(super) fn new(
        mut watch: Watch,
        config: &Config,
        set: &PrefixSet,
        lists: Arc<Lists>,
        maps: &mut SharedMaps,
    ) -> Result<Self> {
        let ring = SampleRing::of(maps)?;
        let budgets = Budgets::begin(config, set, maps);
        watch.second(maps, seconds_since_boot());
        let now = Instant::now();
        let kept = Kept { at: now, firsts: watch.sights().firsts(), len: 0, is_wanted: false };
        let mut watching = Self { watch, ring, has_more: false, rested: now, budgets, kept };
        watching.configure(config, set, lists);
        Ok(watching)
    }

    /// Of maps that another agent left, whose last interval ended at `from`.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(super) fn go_on(mut self, from: Timestamp, maps: &mut SharedMaps) -> Result<Self> {
        self.watch.adopt(maps);
        // Programs told of some packets more until their budget was spent: soon after the clock stood still.
        self.watch.take(maps, usize::MAX, from)?;
        Ok(self)
    }

    /// Goes by this configuration from here on.
    pub(super) fn configure(&mut self, config: &Config, set: &PrefixSet, lists: Arc<Lists>) {
        let interfaces: Vec<InterfaceName> = config.interfaces.iter().map(|interface| interface.name.clone()).collect();
        self.watch.configure(set.networks(), lists, Upstreams::new(&config.upstreams, &interfaces));
        self.watch.learn_for(&config.report);
        self.budgets = Budgets { refilled: self.budgets.refilled, ..Budgets::new(config, set) };
    }

    /// See [`Watch::waiting_for_next_start`].
    pub(super) fn waiting_for_next_start(&self, config: &Config) -> Vec<&'static str> {
        self.watch.waiting_for_next_start(&config.limits)
    }

    /// Watches these maps from here on, whose flows have other numbers.
    pub(super) fn go_to(&mut self, ring: SampleRing, budgets: Budgets, maps: &mut SharedMaps) {
        self.watch.renumber();
        (self.ring, self.budgets, self.has_more) = (ring, budgets, false);
        self.watch.second(maps, seconds_since_boot());
    }

    /// Something happened that is to be told with the next interval.
    pub(super) fn note(&mut self, event: EventRecord) {
        self.watch.note(event);
    }

    /// Takes note of which neighbours answer for which addresses.
    pub(super) fn meet(&mut self, addresses: NeighbourTable) {
        self.watch.meet(addresses);
    }

    /// See [`Watch::known`].
    pub(super) fn known(&self, reported: &Breakdown) -> Watched {
        self.watch.known(reported)
    }

    /// Waits until there is something to do. May be given up and called again.
    pub(super) async fn due(&mut self) {
        let refill = sleep_until((self.budgets.refilled + REFILL).into());
        let samples = async {
            if !self.has_more {
                sleep_until(self.rested.into()).await;
                self.ring.ready().await;
            }
        };
        tokio::select! {
            () = samples => self.has_more = true,
            () = refill => {}
        }
    }

    /// Reads samples, and does what the clock asks for.
    ///
    /// # Errors
    /// Samples cannot be read.
    pub(super) fn work(&mut self, maps: &mut SharedMaps) -> Result<()> {
        self.budgets.refill(maps);
        self.watch.second(maps, seconds_since_boot());
        let at = Timestamp::now();
        self.has_more = self.watch.take(maps, SAMPLES_AT_A_TIME, at)? == SAMPLES_AT_A_TIME;
        self.rested = Instant::now() + REST;
        Ok(())
    }

    /// Ends the interval that ends at `until`.
    ///
    /// # Errors
    /// Samples cannot be read.
    pub(super) fn interval(
        &mut self,
        maps: &mut SharedMaps,
        reported: &Breakdown,
        until: Timestamp,
    ) -> Result<Watched> {
        self.watch.take(maps, SAMPLES_AT_A_TIME, until)?;
        self.watch.expire(maps, until);
        Ok(self.watch.interval(maps, reported, until))
    }

    /// What was not told is told with the next interval.
    pub(super) fn put_back(&mut self, watched: Watched) {
        self.watch.put_back(watched);
        // What was written of it counts for nothing without its interval.
        self.keep_with_next();
    }

    /// What is known, where it is time to write that: always where an event could be repeated otherwise, as far as the disk can be asked to take that.
    pub(super) fn snapshot_when_due(&mut self) -> Option<Vec<u8>> {
        let passed = self.kept.at.elapsed();
        let is_new = self.watch.firsts() != self.kept.firsts;
        let may = passed.as_secs_f64() * KEEP_RATE as f64 >= self.kept.len as f64;
        if !(may && is_new || passed >= KEEP || self.kept.is_wanted) {
            return None;
        }
        let bytes = self.watch.keep();
        let (firsts, len) = (self.watch.firsts(), bytes.len() as u64);
        self.kept = Kept { at: Instant::now(), firsts, len, is_wanted: false };
        Some(bytes)
    }

    /// What is known is written with the next interval.
    pub(super) fn keep_with_next(&mut self) {
        self.kept.is_wanted = true;
    }
}

impl Budgets {
    fn new(config: &Config, set: &PrefixSet) -> Self {
        let highest_network = set.highest_network();
        Self { highest_network, samples_per_second: config.limits.samples_per_second, refilled: Instant::now() }
    }

    /// Of programs that are about to count in these maps: their first budget, and their clock.
    pub(super) fn begin(config: &Config, set: &PrefixSet, maps: &mut SharedMaps) -> Self {
        let budgets = Self::new(config, set);
        budgets.allow(maps, BURST);
        let now = seconds_since_boot();
        maps.set_clock(Clock { now, since: now });
        budgets
    }

    /// Fills them up, where it is time to.
    fn refill(&mut self, maps: &mut SharedMaps) {
        let passed = self.refilled.elapsed();
        if passed >= REFILL {
            self.refilled = Instant::now();
            self.allow(maps, passed.min(BURST));
        }
    }

    /// Allows what so long a time has.
    fn allow(&self, maps: &mut SharedMaps, time: Duration) {
        let share = if self.highest_network > 1 { SHARE } else { 1 };
        for spending in Spending::ALL {
            let rate = match spending {
                Spending::Looks => self.samples_per_second,
                Spending::Sightings => SIGHTINGS_PER_SECOND,
            };
            for network in 0..=self.highest_network {
                let rate = if network == 0 { rate } else { rate.div_ceil(share) };
                let of = |time: Duration| (f64::from(rate) * time.as_secs_f64()).ceil() as u64;
                maps.allow(network, spending, of(time), of(BURST));
            }
        }
    }
}

/// The lists of a configuration.
///
/// # Errors
/// One of them cannot be read.
pub(super) fn lists(config: &Config) -> Result<Arc<Lists>> {
    Ok(Arc::new(Lists::read(&config.lists)?))
}

/// What is known of watched traffic from the start: what an earlier run kept, where that can be used.
///
/// # Errors
/// The kernel's random numbers cannot be read.
pub(super) fn watch(config: &Config, kept: Option<&[u8]>) -> Result<Watch> {
    let mut seed = [0; 8];
    random::fill(&mut seed)?;
    let limits = Limits::new(&config.limits, &config.report, u64::from_ne_bytes(seed));
    let restored = kept.map(|bytes| Watch::restore(&limits, bytes)).transpose();
    Ok(match restored {
        Ok(restored) => restored.unwrap_or_else(|| Watch::new(&limits)),
        Err(error) => {
            tracing::error!("{error}");
            Watch::new(&limits)
        }
    })
}
