//! Whether the sensor does what it is there for, and in time.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::summary::Summary;

/// By so many intervals the next one may be late until the sensor counts as stuck.
const LATE_INTERVALS: u32 = 3;

/// What is in the table in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Prefixes, whether watched or only counted.
    pub prefixes: u32,
    /// Watched networks.
    pub networks: usize,
    /// How many tables these maps have had.
    pub generation: u32,
}

/// The last interval that was committed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Last {
    at: Instant,
    pub(super) end: Timestamp,
    /// How late after its end.
    pub(super) lag: Duration,
    /// Whether a program was attached anywhere.
    is_attached: bool,
}

/// How it is doing.
#[derive(Clone, Debug)]
pub(super) struct Health {
    interval: Duration,
    /// When counting began.
    begun: Option<Instant>,
    pub(super) table: Option<Table>,
    pub(super) last: Option<Last>,
}

impl Health {
    pub(super) fn new(interval: Duration) -> Self {
        Self { interval, begun: None, table: None, last: None }
    }

    pub(super) fn begin(&mut self, now: Instant, table: Table) {
        (self.begun, self.table) = (Some(now), Some(table));
    }

    /// An interval was committed `now`, by both clocks.
    pub(super) fn committed(
        &mut self,
        summary: &Summary,
        (now, wall): (Instant, Timestamp),
        table: Table,
        interval: Duration,
    ) {
        let end = summary.key.end;
        let lag = Duration::try_from(wall.duration_since(end)).unwrap_or_default();
        let is_attached = summary.ledger.iter().any(|record| record.attached == Some(true));
        (self.last, self.table, self.interval) = (Some(Last { at: now, end, lag, is_attached }), Some(table), interval);
    }

    /// Before counting has begun, tables are read and programs verified, which takes the time that it takes.
    pub(super) fn is_alive(&self, now: Instant) -> Result<(), String> {
        let Some(since) = self.last.map(|last| last.at).or(self.begun) else { return Ok(()) };
        let late = now.saturating_duration_since(since).saturating_sub(self.interval);
        if late <= self.interval * LATE_INTERVALS {
            return Ok(());
        }
        Err(format!(
            "the next interval is {} s late: see the log, the disk of state_dir, and whoever reads the records",
            late.as_secs()
        ))
    }

    pub(super) fn is_ready(&self) -> Result<(), String> {
        let reason = match (self.begun, &self.last) {
            (None, _) => "starting: not attached yet",
            (Some(_), None) => "attached; the first interval is not over",
            (Some(_), Some(last)) if !last.is_attached => "attached to no interface: see the log",
            (Some(_), Some(_)) => return Ok(()),
        };
        Err(reason.to_owned())
    }
}
