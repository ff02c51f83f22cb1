//! The end of an interval: what was seen in it, as records.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use sensor_ebpf::class::{Class, Family};
use serde::{Deserialize, Serialize};

use super::{Sights, networks::Networks};
use crate::summary::{ClassHostRecord, Event, EventRecord, HostRecord, ServiceRecord};

/// What was active in an interval, and what happened. Networks in the order in which they became known, addresses ascending, events as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

impl Taken {
    /// This and what came after it, as one interval.
    #[must_use]
    pub fn and_then(self, later: Self) -> Self {
        let Self { hosts, services, class_hosts, events } = self;
        let mut all = later;
        for earlier in hosts {
            match all.hosts.iter_mut().find(|host| host.network == earlier.network) {
                Some(host) => host.add(&earlier),
                None => all.hosts.push(earlier),
            }
        }
        // Of services and class hosts the later record knows all that the earlier one does.
        let service = |record: &ServiceRecord| (record.network.clone(), record.address, record.port, record.protocol);
        let known: BTreeSet<_> = all.services.iter().map(service).collect();
        all.services.extend(services.into_iter().filter(|record| !known.contains(&service(record))));
        let host = |record: &ClassHostRecord| (record.network.clone(), record.class, record.evidence, record.address);
        let known: BTreeSet<_> = all.class_hosts.iter().map(host).collect();
        all.class_hosts.extend(class_hosts.into_iter().filter(|record| !known.contains(&host(record))));
        all.events.splice(0..0, events);
        all
    }
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
