//! What stays known of watched traffic over a restart, and what names the neighbours of maps that are closed.

use super::{Durable, Naming};
use crate::{
    config::{self, Config, InterfaceName},
    state::Manifest,
    summary::Key,
    upstream::{Neighbour, NeighbourTable, UpstreamName, Upstreams},
    watch::RowChange,
};

impl Durable {
    /// What was known at the end of the last interval of which that was kept.
    pub(in super::super) fn known(&mut self) -> Option<Vec<u8>> {
        let committed =
            |epoch, sequence| self.journal.baseline(epoch).is_some_and(|baseline| baseline.next_sequence > sequence);
        match self.state.known(committed) {
            Ok(known) => known,
            Err(error) => {
                tracing::error!("{error:#}; addresses and services are learned anew, and may be announced again");
                None
            }
        }
    }

    /// Writes what is known at the end of an interval that is about to be committed; whether that is done.
    pub(super) fn keep(&mut self, key: &Key, bytes: &[u8]) -> bool {
        let result = self.state.write_known(key.epoch, key.sequence, bytes);
        if let Err(error) = &result
            && !self.told_unkept
        {
            tracing::error!("{error:#}; after a crash some events may be told again");
        }
        self.told_unkept = result.is_err();
        result.is_ok()
    }

    /// That interval is committed.
    pub(super) fn kept(&mut self) {
        if let Err(error) = self.state.settle_known() {
            // The next start sees that it was committed.
            tracing::warn!("{error:#}");
        }
    }

    /// Neighbours are called by this configuration from here on.
    pub(in super::super) fn configure(&mut self, config: &Config) {
        self.naming.upstreams.clone_from(&config.upstreams);
        self.naming.interfaces = config.interfaces.iter().map(|interface| interface.name.to_string()).collect();
    }

    /// The same of a sensor that is taken off.
    pub(in super::super) fn name_by(&mut self, upstreams: &[config::Upstream]) {
        self.naming.upstreams = upstreams.to_vec();
    }

    /// Takes note of which neighbours answer for which addresses.
    pub(in super::super) fn meet(&mut self, addresses: &NeighbourTable) {
        self.naming.addresses.clone_from(addresses);
    }

    /// What the neighbours in rows are called that were counted on the interfaces of a manifest.
    pub(super) fn upstreams(&self, rows: &[RowChange], manifest: &Manifest) -> Vec<(Neighbour, UpstreamName)> {
        let Naming { upstreams, interfaces, addresses } = &self.naming;
        let names: Vec<&str> = manifest.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        let parsed: Vec<InterfaceName> = names.iter().filter_map(|name| name.parse().ok()).collect();
        let upstreams = Upstreams::new(upstreams, &parsed);
        // Of other interfaces, places mean something else.
        let nobody = NeighbourTable::default();
        let addresses = if *interfaces == names { addresses } else { &nobody };
        let mut neighbours: Vec<Neighbour> = rows.iter().filter_map(|row| row.id.billed.neighbour).collect();
        neighbours.sort_unstable();
        neighbours.dedup();
        neighbours.into_iter().map(|neighbour| (neighbour, upstreams.name(&neighbour, addresses))).collect()
    }
}
