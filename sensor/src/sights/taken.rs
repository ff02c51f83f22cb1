//! The end of an interval: what was seen in it, as records.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use sensor_ebpf::class::{Class, Family};

use super::{Sights, networks::Networks};
use crate::summary::{ClassHostRecord, Event, EventRecord, HostRecord, ServiceRecord};

/// What was active in an interval, and what happened. Networks in the order in which they became known, addresses ascending, events as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// One for each network that was heard.
    pub hosts: Vec<HostRecord>,
    /// Services that answered.
    pub services: Vec<ServiceRecord>,
    /// Addresses that spoke suspicious classes.
    pub class_hosts: Vec<ClassHostRecord>,
    /// What happened first.
    pub events: Vec<EventRecord>,
}

impl Sights {
    /// Ends the interval.
    pub fn take(&mut self, now: Timestamp) -> Taken {
        let mut taken = Taken { hosts: self.hosts(), events: self.born(), ..Taken::default() };
        let networks = &self.networks;
        self.services.table.take(|_, (slot, address, port, protocol), row| {
            let (service, verdict) = (&row.value, row.value.votes.best());
            let class = verdict.map_or(Class::Unknown, |verdict| verdict.class);
            taken.services.push(ServiceRecord {
                network: name(networks, slot),
                address,
                port,
                protocol,
                class,
                family: class.family(),
                evidence: verdict.map(|verdict| verdict.evidence),
                first: row.first,
                last: row.last,
                answers: service.answers,
                clients: service.clients.estimate(),
                new: !service.initial,
            });
        });
        self.class_hosts.take(|_, (slot, class, evidence, address), row| {
            let family: Family = class.family();
            let (network, flows) = (name(networks, slot), row.value);
            let (first, last) = (row.first, row.last);
            taken.class_hosts.push(ClassHostRecord { network, class, family, evidence, address, flows, first, last });
        });
        self.activity.sweep(now);
        self.services.sweep(now);
        self.class_hosts.sweep(now);
        self.coverage.end(now);
        taken
    }

    fn hosts(&mut self) -> Vec<HostRecord> {
        let mut active = BTreeMap::new();
        self.activity.take(&mut active);
        let initial = self.coverage.is_learning();
        let slots: Vec<u16> = self.networks.iter().map(|(slot, _)| slot).collect();
        let mut hosts = Vec::new();
        for slot in slots {
            let Some(network) = self.networks.get_mut(slot) else { continue };
            let ways = std::mem::take(&mut network.ways).count();
            let incomplete = std::mem::take(&mut network.incomplete);
            if ways.flows == 0 {
                continue;
            }
            let mut active = active.remove(&slot).unwrap_or_default();
            // Those of bitmaps came first, then those of single addresses, one for each of these.
            active.newly_lit_prefixes.sort_unstable();
            active.newly_lit_prefixes.dedup();
            hosts.push(HostRecord {
                network: Arc::clone(&network.name),
                active_addresses: active.addresses.len(),
                active: active.addresses,
                active_prefixes: active.prefixes,
                newly_lit: active.newly_lit,
                newly_lit_prefixes: active.newly_lit_prefixes,
                initial,
                incomplete,
                flows: ways.flows,
                one_way_flows: ways.one_way,
                asymmetric_flows: ways.asymmetric,
            });
        }
        hosts
    }

    /// The events of the interval; what a new service is may have become known by now.
    fn born(&mut self) -> Vec<EventRecord> {
        let events = std::mem::take(&mut self.events);
        let told = events.into_iter().map(|(slot, mut record)| {
            if let Event::ServiceBorn { address, port, protocol, class, evidence } = &mut record.event {
                let row = self.services.table.get((slot, *address, *port, *protocol));
                if let Some(verdict) = row.and_then(|row| row.value.votes.best()) {
                    (*class, *evidence) = (verdict.class, Some(verdict.evidence));
                }
            }
            record
        });
        told.collect()
    }
}

fn name(networks: &Networks, slot: u16) -> Arc<str> {
    networks.get(slot).map_or_else(|| "".into(), |network| Arc::clone(&network.name))
}
