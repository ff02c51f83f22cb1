//! Exporters for a history that ends: what a replay tells collectors.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use super::Exporters;
use crate::{
    config::{Config, Exporter},
    spool::Spool,
    summary::Summary,
};

/// How long nothing may be delivered before that is an error.
const STALLED: Duration = Duration::from_secs(60);
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(5);
/// Records that go into pieces together: a history has many intervals, and with each piece collectors have work of their own. The same history is always cut
/// at the same places, so that what they know by its token stays known.
const TOGETHER: usize = 8192;
/// The part of the spool beyond which it waits for exporters: half of it is where intervals would become coarser.
const FULL: u64 = 4;

/// A history on its way to collectors, over a spool that is gone afterwards.
#[derive(Debug)]
pub struct History {
    spool: Arc<Spool>,
    exporters: Exporters,
    /// Most bytes that wait.
    most: u64,
    /// Intervals that wait for others, and their records.
    together: (Vec<Summary>, usize),
    _folder: TempDir,
}

impl History {
    /// Starts the exporters of a configuration.
    ///
    /// # Errors
    /// It has none, or there is no room for what waits.
    pub fn start(config: &Config) -> Result<Self> {
        if config.exporters.is_empty() {
            bail!("--export needs somewhere to export to; add [[exporter]] to the configuration file");
        }
        let folder =
            tempfile::tempdir().context("cannot make a folder for what waits; free disk space, or set TMPDIR")?;
        let names: Vec<&str> = config.exporters.iter().map(|Exporter { name, .. }| name.as_str()).collect();
        let spool = Spool::open(folder.path(), config.spool, &names)?;
        let exporters = Exporters::start(&config.exporters, &spool)?;
        Ok(Self { spool, exporters, most: config.spool.max_bytes / FULL, together: (vec![], 0), _folder: folder })
    }

    /// Hands over an interval, once there is room.
    ///
    /// # Errors
    /// There is none, and nobody takes anything.
    pub fn append(&mut self, summary: &Summary) -> Result<()> {
        let (together, records) = &mut self.together;
        *records += summary.records();
        together.push(summary.clone());
        if *records < TOGETHER { Ok(()) } else { self.hand_over() }
    }

    fn hand_over(&mut self) -> Result<()> {
        self.wait(|| self.spool.size() < self.most)?;
        let (together, _) = std::mem::take(&mut self.together);
        self.spool.append_together(&together)
    }

    /// Waits until all has been delivered.
    ///
    /// # Errors
    /// Somebody takes nothing any more.
    pub fn finish(mut self) -> Result<()> {
        self.hand_over()?;
        let end = self.spool.end();
        let has_all = || {
            let names = self.exporters.statuses().iter();
            let mut cursors = names.map(|status| self.spool.cursor(&status.name));
            cursors.all(|cursor| cursor.is_some_and(|cursor| cursor.acknowledged >= end))
        };
        self.wait(has_all)?;
        self.exporters.finish_blocking()
    }

    /// Waits as long as something is delivered meanwhile.
    fn wait(&self, is_there: impl Fn() -> bool) -> Result<()> {
        let delivered = || self.exporters.statuses().iter().map(|status| status.progress().pieces).sum::<u64>();
        let (mut last, mut since) = (delivered(), Instant::now());
        while !is_there() {
            thread::sleep(LOOK);
            let now = delivered();
            if now != last {
                (last, since) = (now, Instant::now());
            } else if since.elapsed() > STALLED {
                let mut waiting = self.exporters.statuses().iter().filter(|status| status.progress().waiting > 0);
                let name = waiting.next().map_or("", |status| status.name.as_str());
                bail!(
                    "exporter {name:?} has delivered nothing for {STALLED:?}; see to its collector, and replay again"
                );
            }
        }
        Ok(())
    }
}
