//! The page for Prometheus.

use super::Check;
use crate::config::{Metrics, metrics::Listen, raw::RawMetrics};

impl Check<'_, '_> {
    /// Where it is, and what is on it.
    pub(super) fn metrics(&mut self, raw: &RawMetrics) -> Option<Metrics> {
        let Listen(listen) = self.parse(raw.listen.as_ref()?)?;
        let prefixes = raw.prefixes.as_ref().is_some_and(|prefixes| *prefixes.get_ref());
        Some(Metrics { listen, prefixes })
    }
}
