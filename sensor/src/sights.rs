//! What lives at the watched addresses: which are active, which ports answer, which speak a suspicious class. Pure: no clock, no map, no task.
//!
//! - **Active** is an address that sent something in a flow that was heard both ways, whichever end spoke first. A scan that nobody answers and
//!   a forged sender light nothing; a reset in answer to a probe does.
//! - A **service** is a TCP port that answered a SYN from outside with SYN-ACK, or a UDP port that answered a datagram which opened a flow from
//!   outside. What has no ports makes none.
//! - A **class host** is a watched address that speaks a suspicious class in a flow heard both ways.
//!
//! What is seen first before the learning time has passed may always have been there: it is `initial`, and no event. Everything
//! is bounded ([`Limits`]); where a table is full, newcomers are refused and counted ([`Losses`]), and only long silence makes room.

mod activity;
mod coverage;
mod flows;
mod limits;
mod networks;
mod seed;
mod services;
mod sketch;
mod snapshot;
mod table;
mod taken;
mod ways;

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use sensor_ebpf::{
    abi::{Direction, NetworkId},
    class::{Class, Evidence},
};

use self::{
    activity::{Activity, Lit},
    coverage::Coverage,
    flows::{Flow, Flows},
    networks::Networks,
    seed::Seed,
    services::Services,
    table::Table,
    ways::{ACK, RST, SYN},
};
pub use self::{
    limits::{Limits, Losses},
    snapshot::SnapshotError,
    taken::Taken,
    ways::OneWay,
};
use crate::{
    inspect::Verdict,
    summary::{Event, EventRecord},
};

/// Protocol numbers with services.
const TCP: u8 = 6;
/// See [`TCP`].
const UDP: u8 = 17;

/// A packet of a watched flow, and what is known of the flow by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The watched network.
    pub network: NetworkId,
    /// Address and port of its end; 0 where there are no ports.
    pub watched: (IpAddr, u16),
    /// Address and port of the other end.
    pub far: (IpAddr, u16),
    /// Protocol number.
    pub protocol: u8,
    /// Direction of this packet: `Out` was sent by the watched end.
    pub direction: Direction,
    /// Whether both ends were heard in this flow, this packet included.
    pub two_way: bool,
    /// Whether the watched end sent the first packet of the flow, or its SYN.
    pub opened_by_watched: bool,
    /// Flags of a TCP segment (RFC 9293, 3.1; the byte that ends in FIN).
    pub tcp_flags: Option<u8>,
    /// Payload bytes on the wire.
    pub payload_len: u32,
    /// What the flow is by now.
    pub verdict: Option<Verdict>,
    /// When.
    pub at: Timestamp,
}

/// Slot of the network, class, evidence, watched address.
type ClassHostKey = (u16, Class, Evidence, IpAddr);

/// Everything that was seen.
#[derive(Debug)]
pub struct Sights {
    limits: Limits,
    seed: Seed,
    networks: Networks,
    coverage: Coverage,
    flows: Flows,
    activity: Activity,
    services: Services,
    /// With the number of flows.
    class_hosts: Table<ClassHostKey, u64>,
    /// Of the interval, with the slots of their networks.
    events: Vec<(u16, EventRecord)>,
    lost_events: u64,
    unnamed: u64,
    firsts: u64,
}

impl Sights {
    /// Of a history that begins. `learn`: how long firsts are `initial`; `None`: always. `seed`: any number that is not known outside; in a
    /// replay a fixed one, so that estimates are the same again.
    pub fn new(limits: Limits, learn: Option<SignedDuration>, seed: u64) -> Self {
        Self {
            limits,
            seed: Seed(seed),
            networks: Networks::default(),
            coverage: Coverage::new(learn, SignedDuration::ZERO),
            flows: Flows::new(limits.flows),
            activity: Activity::new(&limits),
            services: Services::new(&limits),
            class_hosts: Table::new(limits.class_hosts),
            events: Vec::new(),
            lost_events: 0,
            unnamed: 0,
            firsts: 0,
        }
    }

    /// See [`Sights::new`]: another learning time from now on. What was told as news, or was not, stays so.
    pub fn learn_for(&mut self, learn: Option<SignedDuration>) {
        self.coverage.learn_for(learn);
    }

    /// Names the watched networks of the configuration in force. The history of a network goes by its name; that of one which is not configured any
    /// more is kept as long as there is room.
    pub fn configure<N: AsRef<str>>(&mut self, networks: impl IntoIterator<Item = (NetworkId, N)>) {
        for slot in self.networks.configure(networks) {
            self.activity.forget(slot);
            self.services.forget(slot);
            self.class_hosts.retain(|(other, ..)| other != slot);
            self.events.retain(|(other, _)| *other != slot);
            self.flows = Flows::new(self.limits.flows);
        }
    }

    /// Takes the next packet.
    pub fn see(&mut self, sighting: &Sighting) {
        let Sighting { watched, far, protocol, at, .. } = *sighting;
        let Some(slot) = self.networks.slot(sighting.network) else {
            self.unnamed += 1;
            return;
        };
        self.coverage.see(at);
        let number = self.seed.flow(slot, watched, far, protocol);
        if let Some(network) = self.networks.get_mut(slot) {
            network.ways.hear(number, sighting);
        }
        if !sighting.two_way {
            return;
        }
        self.light(slot, watched.0, at);
        let known = self.flows.get(number);
        let mut flow = known.unwrap_or(Flow { at, answered: false, verdict: None, voted: None, hosted: None });
        flow.at = at;
        flow.answered |= self.answer(slot, sighting, flow.answered);
        flow.verdict = sighting.verdict.filter(|verdict| verdict.class != Class::Unknown).or(flow.verdict);
        self.count(slot, watched, protocol, &mut flow);
        self.flows.put(number, flow);
    }

    /// The class of a flow became known, or another one. Of a flow that was not heard both ways yet, or was forgotten, nothing follows: its next
    /// sighting says so again.
    pub fn decide(
        &mut self,
        network: NetworkId,
        watched: (IpAddr, u16),
        far: (IpAddr, u16),
        protocol: u8,
        verdict: Verdict,
    ) {
        let Some(slot) = self.networks.slot(network) else {
            self.unnamed += 1;
            return;
        };
        let number = self.seed.flow(slot, watched, far, protocol);
        let Some(mut flow) = self.flows.get(number).filter(|_| verdict.class != Class::Unknown) else { return };
        flow.verdict = Some(verdict);
        self.count(slot, watched, protocol, &mut flow);
        self.flows.put(number, flow);
    }

    /// Flows of the interval so far by the ways they were heard, for each network that has any.
    pub fn one_way(&self) -> impl Iterator<Item = (&str, OneWay)> {
        let counts = self.networks.iter().map(|(_, network)| (&*network.name, network.ways.count()));
        counts.filter(|(_, ways)| ways.flows > 0)
    }

    /// How many addresses, services and classes of networks were seen first, initial ones included: as long as this stays, a snapshot says nothing new
    /// that an event could be repeated for.
    pub fn firsts(&self) -> u64 {
        self.firsts
    }

    /// Whether what is seen first is no news yet.
    pub fn is_learning(&self) -> bool {
        self.coverage.is_learning()
    }

    /// What was not remembered.
    pub fn losses(&self) -> Losses {
        Losses {
            unnamed: self.unnamed,
            addresses: self.activity.refused(),
            services: self.services.table.refused(),
            crowded_services: self.services.crowded(),
            class_hosts: self.class_hosts.refused(),
            votes: self.services.lost_votes(),
            events: self.lost_events,
            forgotten: self.activity.forgotten() + self.services.table.forgotten() + self.class_hosts.forgotten(),
            forgotten_flows: self.flows.forgotten(),
        }
    }

    fn light(&mut self, slot: u16, address: IpAddr, at: Timestamp) {
        match self.activity.light(slot, address, at) {
            Lit::Known => {}
            Lit::First(prefix) => {
                self.first(slot, at, address.is_ipv4().then_some(Event::NewlyLit { address }));
                if let Some(prefix) = prefix {
                    self.first(slot, at, Some(Event::NewlyLitPrefix { prefix }));
                }
            }
            Lit::Refused => {
                if let Some(network) = self.networks.get_mut(slot) {
                    network.incomplete = true;
                }
            }
        }
    }

    /// Whether the flow is counted as one of the answers of a service; `answered`: it is already.
    fn answer(&mut self, slot: u16, sighting: &Sighting, answered: bool) -> bool {
        let Sighting { watched: (address, port), far, protocol, direction, at, .. } = *sighting;
        if sighting.opened_by_watched || port == 0 || far.1 == 0 {
            return false;
        }
        let flags = sighting.tcp_flags.unwrap_or_default();
        let key = (slot, address, port, protocol);
        let is_answer = match protocol {
            TCP => direction == Direction::Out && flags & (SYN | ACK | RST) == SYN | ACK,
            // A flow from outside that was heard both ways was answered, though the answer itself was not among the samples.
            UDP => direction == Direction::Out || self.services.table.get(key).is_none(),
            _ => false,
        };
        if is_answer {
            let initial = self.coverage.is_learning();
            let client = (!answered).then(|| self.seed.address(far.0));
            let Some(is_born) = self.services.answer(key, at, client, initial) else { return false };
            if is_born {
                // What it is, is said at the end of the interval.
                let (class, evidence) = (Class::Unknown, None);
                self.first(slot, at, Some(Event::ServiceBorn { address, port, protocol, class, evidence }));
            }
            return true;
        }
        // What goes on, also of a flow that was forgotten.
        if direction == Direction::Out && flags & RST == 0 {
            self.services.table.touch_known(key, at);
        }
        false
    }

    /// Counts what a flow is, and no longer what it was.
    fn count(&mut self, slot: u16, (address, port): (IpAddr, u16), protocol: u8, flow: &mut Flow) {
        let voted = flow.verdict.filter(|_| flow.answered);
        if voted != flow.voted {
            let is_counted = self.services.vote((slot, address, port, protocol), flow.voted, voted);
            flow.voted = voted.filter(|_| is_counted);
        }
        let key = |verdict: Verdict| (slot, verdict.class, verdict.evidence, address);
        let hosted = flow.verdict.filter(|verdict| verdict.class.is_suspicious());
        if flow.hosted == hosted
            && hosted.is_none_or(|verdict| self.class_hosts.touch_known(key(verdict), flow.at).is_some())
        {
            return;
        }
        if let Some(row) = flow.hosted.and_then(|before| self.class_hosts.get_mut(key(before))) {
            row.value = row.value.saturating_sub(1);
            if row.value == 0 {
                flow.hosted.into_iter().for_each(|before| self.class_hosts.remove(key(before)));
            }
        }
        flow.hosted = hosted.filter(|verdict| {
            let row = self.class_hosts.touch(key(*verdict), flow.at, || 0);
            row.map(|row| row.value += 1).is_some()
        });
        // A guess by port is no finding.
        let Some(Verdict { class, evidence }) = hosted.filter(|verdict| verdict.evidence > Evidence::Port) else {
            return;
        };
        if self.networks.get_mut(slot).is_some_and(|network| network.classes.insert(class)) {
            self.first(slot, flow.at, Some(Event::ClassSeen { class, evidence, address }));
        }
    }

    /// Something was seen first.
    fn first(&mut self, slot: u16, at: Timestamp, event: Option<Event>) {
        self.firsts += 1;
        let Some(event) = event.filter(|_| !self.coverage.is_learning()) else { return };
        if self.events.len() >= self.limits.events {
            self.lost_events += 1;
        } else if let Some(network) = self.networks.get(slot) {
            self.events.push((slot, EventRecord { network: Some(network.name.clone()), at, event }));
        }
    }
}

#[cfg(test)]
mod tests;
