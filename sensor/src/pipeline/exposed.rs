//! The page for Prometheus of a running sensor: what it is told, and when.

use std::sync::Arc;

use anyhow::Result;

use super::{Running, collector::Collector, shipping::Shipping};
use crate::{
    bpf,
    config::{self, Config},
    metrics::{Server, Shared, Table},
    summary::Summary,
};

/// Page and server of a sensor; of one without `[metrics]`, nothing.
pub(super) struct Exposed {
    /// What it was started with.
    configured: Option<config::Metrics>,
    /// The server ends with it.
    at_work: Option<(Arc<Shared>, Server)>,
}

impl Exposed {
    /// Listens, before anything is attached: a sensor that cannot be asked does not start.
    ///
    /// # Errors
    /// The address cannot be had.
    pub(super) fn open(config: &Config) -> Result<Self> {
        let start = |metrics: &config::Metrics| -> Result<(Arc<Shared>, Server)> {
            let shared = Arc::new(Shared::new(metrics, &bpf::object_hash(), config.interval.duration()));
            let server = Server::start(metrics.listen, Arc::clone(&shared))?;
            tracing::info!("metrics at http://{}/metrics", server.address());
            Ok((shared, server))
        };
        let at_work = config.metrics.as_ref().map(start).transpose()?;
        Ok(Self { configured: config.metrics, at_work })
    }

    /// What the page shows.
    pub(super) fn shared(&self) -> Option<Arc<Shared>> {
        self.at_work.as_ref().map(|(shared, _)| Arc::clone(shared))
    }

    /// An interval was committed.
    pub(super) fn committed(&self, summary: &Summary, collector: &Collector, config: &Config) {
        if let Some((shared, _)) = &self.at_work {
            shared.committed(summary, table(collector), config.interval.duration());
        }
    }

    /// As [`Shipping::waiting_for_next_start`].
    pub(super) fn waiting_for_next_start(&self, config: &Config) -> Option<&'static str> {
        (self.configured != config.metrics).then_some("[metrics]")
    }
}

impl Running {
    /// Counting has begun. Series of what this epoch is known to have are there from now on: the first interval may have counted for longer than
    /// this process is there, and is to be seen as growth from 0.
    pub(super) fn expose(&self) {
        let Exposed { configured: Some(configured), at_work: Some((shared, _)) } = &self.exposed else { return };
        let known = || self.collector.known(self.durable.as_ref(), configured.prefixes);
        let known = tokio::task::block_in_place(known);
        if let Err(error) = &known {
            tracing::warn!("[metrics]: {error:#}; series begin with the first interval");
        }
        let sources = self.shipping.as_ref().map(Shipping::sources).unwrap_or_default();
        shared.begin(known.ok().as_ref(), table(&self.collector), sources);
    }
}

/// What is in force.
fn table(collector: &Collector) -> Table {
    let Collector { set, kernel, .. } = collector;
    Table { prefixes: set.len(), networks: set.networks().count(), generation: kernel.shared_maps().generation() }
}
