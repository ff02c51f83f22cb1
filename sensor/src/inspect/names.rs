//! Names that are asked for, by the domain they are under: a tunnel is known by many names, not by one.
//!
//! For each registered domain the different names are counted that carry something: those asked for with types that nobody else uses (NULL, KEY, the
//! private type of iodine), those asked for with types whose answers carry much (TXT, CNAME, MX, SRV), and long ones. A domain that has enough of them is
//! a tunnel, and so is one with many different names of a weaker sort that are each asked for once; and so is every flow that asked for such a name, before and
//! after. dnscat2 without a domain and dns2tcp say so in one name, iodine's server in its first answer. Names with large answers and weaker ones count only where
//! they are half of all different names under the domain: where a busy domain's hosts are asked for all day, some texts are, too.
//!
//! Only names of the same hour or two count together, and a tunnel is one for a day. Who looks up hosts and texts asks, in weeks, for as many different names under
//! a domain as a tunnel does in a minute: in made traffic of eight weeks ordinary domains came to a dozen such names each (median 13). A tunnel polls every few seconds.
//!
//! Sources: `doc/proto_00000502.txt` of iodine, `doc/protocol.md` of dnscat2, RFC 3755 (nobody uses KEY but for SIG(0)), the field notes on false alarms.
//!
//! False alarms: services that look names up in the same way are left out by [`services`]; another one that looks up hashes of files under a domain of
//! its own would be one. Not seen: a tunnel that asks for few names an hour, or short ones for addresses, or through DNS in TLS or HTTPS.

mod domain;
pub(in crate::inspect) mod message;
mod services;

use std::{
    collections::HashMap,
    hash::{BuildHasher, DefaultHasher, Hasher as _},
};

use self::{
    domain::{Domain, Kept, Name},
    message::Dns,
};
use super::{End, FlowId, Packet};

/// Domains of one of the two generations; when one is full, the elder is forgotten.
const MAX_DOMAINS: usize = 1 << 15;
/// Tunnels of one of the two generations likewise; those that are asked for stay.
const MAX_TUNNELS: usize = 1 << 12;
/// Flows that are remembered for all domains together until these are judged.
const MAX_PARTS: usize = 1 << 20;
/// Minutes for which a domain is a tunnel after names last said so.
const STAYS: u32 = 24 * 60;

/// A flow that took part in a tunnel, and which of its ends did: a bit for each.
pub(super) type Part = (FlowId, u8);

/// What is known of the domains that names were asked under.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By hash of the domain; the seed is not known outside, so that nobody can choose names that are counted as one.
    state: Seed,
    domains: HashMap<u64, Domain>,
    elder: HashMap<u64, Domain>,
    /// With the minute in which names last said so.
    tunnels: HashMap<u64, u32>,
    elder_tunnels: HashMap<u64, u32>,
    /// Flows that are remembered for domains that are not judged.
    parts: usize,
    /// Domains that were forgotten, and flows that were not kept for one.
    overflow: u64,
}

/// What hashes begin with: a secret of a sensor that runs, a constant in replays, which find the same every time.
#[derive(Clone, Copy, Debug, Default)]
struct Seed(u64);

impl BuildHasher for Seed {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        let mut hasher = DefaultHasher::new();
        hasher.write_u64(self.0);
        hasher
    }
}

impl Names {
    /// Without a name; hashes begin with that.
    pub(super) fn new(seed: u64) -> Self {
        Self { state: Seed(seed), ..Self::default() }
    }

    /// Takes a message of a DNS flow in that minute; the flows that it shows to take part in a tunnel, this one or those that asked before.
    pub(super) fn observe(&mut self, id: FlowId, packet: &Packet<'_>, from: End, now: u32) -> Vec<Part> {
        self.parts_of(id, packet, from, now).unwrap_or_default()
    }

    fn parts_of(&mut self, id: FlowId, packet: &Packet<'_>, from: End, now: u32) -> Option<Vec<Part>> {
        let message = without_length(packet);
        let dns = Dns::read(message)?;
        let name = Name::of(dns.question.as_ref()?, dns.is_answer)?;
        let part = (id, 1 << from as u8);
        if name.is_signature() {
            return Some(vec![part]);
        }
        let key = self.state.hash_one(name.domain());
        let is_known = self.is_known_tunnel(key, now);
        let print = self.state.hash_one(name.whole());
        self.make_room(key);
        let domain = self.domains.entry(key).or_default();
        self.parts -= domain.forget_before(now);
        domain.count(&name, print);
        if is_known {
            if domain.is_still_tunnel() {
                self.remember_tunnel(key, now);
            }
            return (!name.is_plain()).then(|| vec![part]);
        }
        match domain.keep(&name, part, self.parts < MAX_PARTS) {
            Kept::New => self.parts += 1,
            Kept::Known => {}
            Kept::Not => self.overflow += 1,
        }
        let is_welcome = name.is_rare() && dns.first_data(message).is_some_and(is_welcome);
        if !is_welcome && !domain.is_tunnel() {
            return None;
        }
        let parts = domain.take_parts();
        self.parts -= parts.len();
        self.remember_tunnel(key, now);
        Some(parts)
    }

    /// What holds of each flow that is remembered.
    #[cfg(test)]
    pub(super) fn parts(&self, is: impl Fn(FlowId) -> bool) -> Vec<bool> {
        self.domains.values().chain(self.elder.values()).flat_map(Domain::flows).map(is).collect()
    }

    /// Forgets the flows that have ended.
    pub(super) fn retain(&mut self, is_alive: impl Fn(FlowId) -> bool) {
        self.parts = 0;
        for domain in self.domains.values_mut().chain(self.elder.values_mut()) {
            domain.retain(&is_alive);
            self.parts += domain.parts();
        }
    }

    /// Domains that were forgotten before they were judged, and flows that were not kept for one.
    pub(super) fn overflow(&self) -> u64 {
        self.overflow
    }

    /// Whether a domain is a tunnel; one that is asked for makes no room for others.
    fn is_known_tunnel(&mut self, key: u64, now: u32) -> bool {
        if let Some(at) = self.elder_tunnels.remove(&key) {
            self.remember_tunnel(key, at);
        }
        // Both ways, as a clock may be set back.
        let is_over = self.tunnels.get(&key).is_none_or(|at| now.abs_diff(*at) > STAYS);
        if is_over {
            self.tunnels.remove(&key);
        }
        !is_over
    }

    fn remember_tunnel(&mut self, key: u64, at: u32) {
        if self.tunnels.len() >= MAX_TUNNELS && !self.tunnels.contains_key(&key) {
            self.elder_tunnels = std::mem::take(&mut self.tunnels);
        }
        self.tunnels.insert(key, at);
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

/// Whether data is what iodine's server answers to a client's version: taken, of another version, or full, then four bytes and the client's number.
fn is_welcome(data: &[u8]) -> bool {
    const WORDS: [&[u8]; 3] = [b"VACK", b"VNAK", b"VFUL"];
    data.len() == 9 && WORDS.iter().any(|word| data.starts_with(word))
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
