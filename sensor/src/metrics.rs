//! What Prometheus may ask: totals since the start of this process, and how the sensor is doing.
//!
//! ```text
//! Writer (thread) -> Summary -> Totals -\
//! tick -> Health ------------------------> page -> HTTP (thread of its own)
//! Spool, exporters ----------------------/
//! ```
//!
//! Nobody waits for a scraper: the tick notes a few numbers, the thread that writes adds up what it has written, and the page is made in the thread
//! that answers, of a copy. `docs/metrics.md` lists every series.

mod health;
mod http;
mod series;
#[cfg(test)]
mod tests;
mod text;
mod totals;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;

use self::{health::Health, series::Facts, totals::Totals};
pub use self::{health::Table, http::Server, text::Format};
use crate::{config::Metrics, export::Status, spool::Spool, summary::Summary};

/// Who else is asked when a page is made.
#[derive(Debug, Default)]
pub struct Sources {
    /// What waits for exporters.
    pub spool: Option<Arc<Spool>>,
    /// How they are doing.
    pub exporters: Vec<Arc<Status>>,
}

/// What a page shows; shared by whoever counts and the thread that answers.
#[derive(Debug)]
pub struct Shared {
    totals: Mutex<Totals>,
    health: Mutex<Health>,
    sources: OnceLock<Sources>,
    /// SHA-256 of the programs, in hexadecimal digits.
    object: String,
    /// When this process began.
    since: Timestamp,
}

impl Shared {
    /// Of a process that begins: nothing is counted yet. `object` is the hash of the programs.
    pub fn new(metrics: &Metrics, object: &[u8; 32], interval: Duration) -> Self {
        Self {
            totals: Mutex::new(Totals::new(metrics.prefixes)),
            health: Mutex::new(Health::new(interval)),
            sources: OnceLock::new(),
            object: object.iter().map(|byte| format!("{byte:02x}")).collect(),
            since: Timestamp::now(),
        }
    }

    /// Counting has begun, for intervals of that length. What `known` names has series from here on, of whatever it has: they begin at 0.
    pub fn begin(&self, known: Option<&Summary>, table: Table, sources: Sources) {
        if let Some(known) = known {
            lock(&self.totals).know(known);
        }
        lock(&self.health).begin(Instant::now(), table);
        // There is one beginning.
        let _ = self.sources.set(sources);
    }

    /// An interval was committed; the next one is to be so long.
    pub fn committed(&self, summary: &Summary, table: Table, interval: Duration) {
        lock(&self.health).committed(summary, (Instant::now(), Timestamp::now()), table, interval);
    }

    /// The records of an interval were written out, or are in the spool: they count from here on. Once for each.
    pub fn written(&self, summary: &Summary) {
        lock(&self.totals).add(summary);
    }

    /// The page as it is now.
    pub fn page(&self, format: Format) -> String {
        // Copies: nobody is kept from counting while the page is made.
        let (totals, health) = (lock(&self.totals).clone(), lock(&self.health).clone());
        let nobody = Sources::default();
        let Sources { spool, exporters } = self.sources.get().unwrap_or(&nobody);
        let exporters = exporters.iter().map(|status| (status.as_ref(), status.progress())).collect();
        let spool_bytes = spool.as_ref().map(|spool| spool.size());
        let facts = Facts { object: &self.object, since: self.since, health: &health, spool_bytes, exporters };
        series::page(format, &totals, &facts)
    }

    /// Whether the process does what it is there for.
    ///
    /// # Errors
    /// What is wrong.
    pub fn is_alive(&self) -> Result<(), String> {
        lock(&self.health).is_alive(Instant::now())
    }

    /// Whether it counts, and has told of an interval.
    ///
    /// # Errors
    /// What it waits for.
    pub fn is_ready(&self) -> Result<(), String> {
        lock(&self.health).is_ready()
    }
}

/// Numbers are whole whoever dies.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
