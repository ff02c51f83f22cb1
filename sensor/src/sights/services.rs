//! Watched ports that answer.

use std::{cmp::Reverse, collections::BTreeMap, net::IpAddr};

use jiff::Timestamp;
use sensor_ebpf::class::{Class, Evidence};

use super::{Limits, sketch::Sketch, table::Table};
use crate::inspect::Verdict;

/// Pairs of class and evidence that the flows of one service vote for; beyond that only surer ones.
const MAX_VOTES: usize = 16;

/// Slot of the network, watched address, its port, protocol number.
pub(super) type ServiceKey = (u16, IpAddr, u16, u8);

/// What is known of a service.
#[derive(Debug, Default)]
pub(super) struct Service {
    /// Whether it may always have been there.
    pub(super) initial: bool,
    /// Flows that it answered.
    pub(super) answers: u64,
    /// Far addresses in them.
    pub(super) clients: Sketch,
    /// What these flows are.
    pub(super) votes: Votes,
}

/// What the flows of a service were found to be, and how many of them.
#[derive(Debug, Default)]
pub(super) struct Votes(pub(super) Vec<(Class, Evidence, u32)>);

/// Services in bounded memory.
#[derive(Debug)]
pub(super) struct Services {
    pub(super) table: Table<ServiceKey, Service>,
    /// How many services an address has: one that answers on every port leaves room for the others.
    of_address: BTreeMap<(u16, IpAddr), usize>,
    max_of_address: usize,
    crowded: u64,
    lost_votes: u64,
}

impl Services {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            table: Table::new(limits.services),
            of_address: BTreeMap::new(),
            max_of_address: limits.services_of_address,
            crowded: 0,
            lost_votes: 0,
        }
    }

    /// A service answered; `client` is the number of the far address where it did so in a flow that was not counted. `None`: there is no
    /// room. Otherwise whether it never did before.
    pub(super) fn answer(
        &mut self,
        key: ServiceKey,
        at: Timestamp,
        client: Option<u64>,
        initial: bool,
    ) -> Option<bool> {
        let is_known = self.table.get(key).is_some();
        let address = (key.0, key.1);
        if !is_known && self.of_address.get(&address).is_some_and(|services| *services >= self.max_of_address) {
            self.crowded += 1;
            return None;
        }
        let row = self.table.touch(key, at, || Service { initial, ..Service::default() })?;
        if let Some(client) = client {
            row.value.answers += 1;
            row.value.clients.add(client);
        }
        if !is_known {
            *self.of_address.entry(address).or_default() += 1;
        }
        Some(!is_known)
    }

    /// A flow that voted `before` votes `now`, in a table that may have forgotten the service. Whether its vote is counted.
    pub(super) fn vote(&mut self, key: ServiceKey, before: Option<Verdict>, now: Option<Verdict>) -> bool {
        let Some(row) = self.table.get_mut(key) else { return false };
        let votes = &mut row.value.votes;
        let told = votes.best();
        if let Some(verdict) = before {
            votes.remove(verdict);
        }
        let is_counted = now.is_none_or(|verdict| votes.add(verdict));
        // A verdict may come long after the answer.
        if votes.best() != told {
            self.table.tell(key);
        }
        self.lost_votes += u64::from(!is_counted);
        is_counted
    }

    /// Makes room where there is none.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        if self.table.sweep(now) {
            self.count_addresses();
        }
    }

    /// Forgets a network.
    pub(super) fn forget(&mut self, slot: u16) {
        self.table.retain(|(other, ..)| other != slot);
        self.count_addresses();
    }

    /// To be called after anything but an answer changed the table.
    pub(super) fn count_addresses(&mut self) {
        self.of_address.clear();
        for ((slot, address, ..), _) in self.table.iter() {
            *self.of_address.entry((slot, address)).or_default() += 1;
        }
    }

    /// Services of addresses that have too many, each time they answered.
    pub(super) fn crowded(&self) -> u64 {
        self.crowded
    }

    /// Votes of flows that were not counted.
    pub(super) fn lost_votes(&self) -> u64 {
        self.lost_votes
    }
}

impl Votes {
    /// From a snapshot, as many as there may be.
    pub(super) fn from_parts(parts: impl Iterator<Item = (Class, Evidence, u32)>) -> Self {
        Self(parts.filter(|(_, _, flows)| *flows > 0).take(MAX_VOTES).collect())
    }

    /// The surest, of the surest the one of most flows, of these the most particular class.
    pub(super) fn best(&self) -> Option<Verdict> {
        let rank = |(class, evidence, flows): &&(Class, Evidence, u32)| (*evidence, *flows, Reverse(*class));
        self.0.iter().max_by_key(rank).map(|(class, evidence, _)| Verdict { class: *class, evidence: *evidence })
    }

    fn find(&self, verdict: Verdict) -> Option<usize> {
        self.0.iter().position(|(class, evidence, _)| (*class, *evidence) == (verdict.class, verdict.evidence))
    }

    fn add(&mut self, verdict: Verdict) -> bool {
        if let Some(place) = self.find(verdict) {
            self.0[place].2 = self.0[place].2.saturating_add(1);
            return true;
        }
        if self.0.len() >= MAX_VOTES {
            let weakest = self.0.iter().enumerate().min_by_key(|(_, (_, evidence, flows))| (*evidence, *flows));
            match weakest {
                Some((place, (_, evidence, _))) if *evidence < verdict.evidence => self.0.swap_remove(place),
                _ => return false,
            };
        }
        self.0.push((verdict.class, verdict.evidence, 1));
        true
    }

    fn remove(&mut self, verdict: Verdict) {
        let Some(place) = self.find(verdict) else { return };
        self.0[place].2 = self.0[place].2.saturating_sub(1);
        if self.0[place].2 == 0 {
            self.0.swap_remove(place);
        }
    }
}
