//! Names that are asked for, by the domain they are under: a tunnel is known by many names, not by one.
//!
//! For each registered domain the different names are counted that carry something: those asked for with types that nobody else uses (NULL, KEY, the
//! private type of iodine), those asked for with types whose answers carry much (TXT, CNAME, MX, SRV), and long ones. A domain that has enough of them is
//! a tunnel, and so is one with many different names of a weaker sort that are each asked for once; and so is every flow that asked for such a name, before and after. dnscat2 without a domain and dns2tcp say so in one name.
//!
//! Sources: `doc/proto_00000502.txt` of iodine, `doc/protocol.md` of dnscat2, RFC 3755 (nobody uses KEY but for SIG(0)), the field notes on false alarms.
//!
//! False alarms: services that look names up in the same way are left out by [`services`]; another one that looks up hashes of files under a domain of
//! its own would be one. Not seen: a tunnel that asks for few names, or short ones for addresses, or through DNS in TLS or HTTPS.

mod domain;
pub(in crate::inspect) mod message;
mod services;

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use sensor_ebpf::class::Class;

use self::{
    domain::{Domain, Kept, Name},
    message::Dns,
};
use super::{End, Packet, Verdict};

/// Domains of one of the two generations; when one is full, the elder is forgotten.
const MAX_DOMAINS: usize = 1 << 15;
/// Domains that are known to be tunnels and not forgotten.
const MAX_TUNNELS: usize = 1 << 12;
/// Flows that are remembered for all domains together until these are judged.
const MAX_PARTS: usize = 1 << 20;

/// What is known of the domains that names were asked under.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By hash of the domain; the seed is not known outside, so that nobody can choose names that are counted as one.
    state: RandomState,
    domains: HashMap<u64, Domain>,
    elder: HashMap<u64, Domain>,
    tunnels: HashSet<u64>,
    /// Flows that took part, and which ends did: a bit for each.
    flows: HashMap<usize, u8>,
    /// Flows that are remembered for domains that are not judged.
    parts: usize,
    /// Domains that were forgotten, and flows that were not kept for one.
    overflow: u64,
}

impl Names {
    /// Takes a message of the DNS flow at `place`.
    pub(super) fn observe(&mut self, place: usize, packet: &Packet<'_>, from: End) {
        let Some(dns) = Dns::read(without_length(packet)) else { return };
        let Some(question) = &dns.question else { return };
        let Some(name) = Name::of(question, dns.is_answer) else { return };
        let end = 1 << from as u8;
        if name.is_signature() {
            self.take_part(place, end);
            return;
        }
        let key = self.state.hash_one(name.domain());
        let part = (place, end);
        if self.tunnels.contains(&key) {
            if !name.is_plain() {
                self.take_part(place, end);
            }
            return;
        }
        let print = self.state.hash_one(name.whole());
        self.make_room(key);
        let domain = self.domains.entry(key).or_default();
        match domain.add(&name, print, part, self.parts < MAX_PARTS) {
            Kept::New => self.parts += 1,
            Kept::Known => {}
            Kept::Not => self.overflow += 1,
        }
        if domain.is_tunnel() && self.tunnels.len() < MAX_TUNNELS {
            let parts = self.domains.remove(&key).map(Domain::into_parts).unwrap_or_default();
            self.parts -= parts.len();
            self.tunnels.insert(key);
            for (place, end) in parts {
                self.take_part(place, end);
            }
        }
    }

    /// What the DNS flow at `place` is, where it is more than that.
    pub(super) fn verdict(&self, place: usize) -> Option<Verdict> {
        self.flows.get(&place).map(|ends| match ends {
            3 => Verdict::confirmed(Class::DnsTunnel),
            _ => Verdict::payload(Class::DnsTunnel),
        })
    }

    /// Domains that were forgotten before they were judged, and flows that were not kept for one.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    fn take_part(&mut self, place: usize, end: u8) {
        *self.flows.entry(place).or_default() |= end;
    }

    /// Makes room for that domain among the younger ones, where what the elder ones know of it is kept.
    fn make_room(&mut self, key: u64) {
        if self.domains.contains_key(&key) {
            return;
        }
        if self.domains.len() >= MAX_DOMAINS {
            let elder = std::mem::replace(&mut self.elder, std::mem::take(&mut self.domains));
            self.overflow += elder.len() as u64;
            self.parts -= elder.values().map(Domain::parts).sum::<usize>();
        }
        if let Some(domain) = self.elder.remove(&key) {
            self.domains.insert(key, domain);
        }
    }
}

/// The message in a packet; over TCP its length is before it.
fn without_length<'a>(packet: &Packet<'a>) -> &'a [u8] {
    match (packet.tcp, packet.payload) {
        (Some(_), [_, _, message @ ..]) => message,
        _ => packet.payload,
    }
}

#[cfg(test)]
mod tests;
