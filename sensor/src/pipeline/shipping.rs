//! Records on their way to collectors: the spool, and who reads from it.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Result;
use jiff::Timestamp;

use super::durable::Durable;
use crate::{
    config::{Config, Exporter, Keep},
    export::Exporters,
    metrics::Sources,
    output::Outlet,
    own::OwnTraffic,
    spool::{Bounds, Spool},
    summary::{Event, EventRecord, Summary},
};

/// Spool and exporters of a sensor.
pub(super) struct Shipping {
    spool: Arc<Spool>,
    exporters: Exporters,
    /// What they were started with.
    configured: (Bounds, Vec<Exporter>),
    /// Intervals that were committed and are not in the spool.
    missing: u64,
}

impl Shipping {
    /// Opens the spool, and starts the exporters; nothing where there are none.
    ///
    /// # Errors
    /// The spool cannot be had.
    pub(super) fn open(exporters: &[Exporter], bounds: Bounds, keep: &Keep, durable: &Durable) -> Result<Option<Self>> {
        if exporters.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = exporters.iter().map(|exporter| exporter.name.as_str()).collect();
        let spool = Spool::open(&keep.state_dir, bounds, &names)?;
        let missing = durable
            .awaited()
            .into_iter()
            .filter_map(|(epoch, next)| Some(next.saturating_sub(spool.last_sequence(epoch)? + 1)))
            .sum();
        if missing > 0 {
            tracing::error!(
                "{missing} intervals were committed and are not in the spool: its end was damaged, or there were no exporters for a while"
            );
        }
        let configured = (bounds, exporters.to_vec());
        Ok(Some(Self { exporters: Exporters::start(exporters, &spool)?, spool, configured, missing }))
    }

    /// Where summaries go.
    pub(super) fn outlet(&self) -> Outlet {
        Outlet::Spool(Arc::clone(&self.spool))
    }

    /// What was lost since the last call, to be told in an interval that ends at `at`.
    pub(super) fn take_lost(&mut self, at: Timestamp) -> Vec<EventRecord> {
        let mut lost: BTreeMap<String, u64> = self
            .spool
            .take_lost()
            .into_iter()
            .map(|(name, lost)| (format!("records that exporter {name} could not deliver any more"), lost.records))
            .collect();
        if self.missing > 0 {
            lost.insert("intervals that are not in the spool".to_owned(), std::mem::take(&mut self.missing));
        }
        lost.into_iter()
            .map(|(what, count)| EventRecord { network: None, at, event: Event::Loss { what, count } })
            .collect()
    }

    /// How spool and exporters are doing, for whoever asks meanwhile.
    pub(super) fn sources(&self) -> Sources {
        Sources { spool: Some(Arc::clone(&self.spool)), exporters: self.exporters.statuses().to_vec() }
    }

    /// With whom the exporters speak.
    pub(super) fn own(&self) -> Arc<OwnTraffic> {
        Arc::clone(self.exporters.own())
    }

    /// Has certificates and passwords read again.
    pub(super) fn renew(&self) {
        self.exporters.renew();
    }

    /// Sections of the configuration that hold from the next start alone.
    pub(super) fn waiting_for_next_start(&self, config: &Config) -> Vec<&'static str> {
        let (bounds, exporters) = &self.configured;
        let waits = [("[[exporter]]", *exporters != config.exporters), ("[spool]", *bounds != config.spool)];
        waits.into_iter().filter(|(_, waits)| *waits).map(|(section, _)| section).collect()
    }

    /// Lets exporters deliver what they can at once; the rest stays in the spool.
    pub(super) async fn finish(self) {
        self.exporters.finish().await;
    }

    /// The same with these records before it.
    ///
    /// # Errors
    /// They cannot be appended.
    pub(super) fn deliver_last<'a>(self, last: impl IntoIterator<Item = &'a Summary>) -> Result<()> {
        for summary in last {
            self.spool.append(summary)?;
        }
        self.exporters.finish_blocking()
    }
}
