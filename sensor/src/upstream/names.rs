//! Names of neighbours, and what of them is news.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    net::IpAddr,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{Neighbour, NeighbourTable, mac_text};
use crate::config::{self, InterfaceName};

/// Most neighbours that are learned; those beyond are named all the same, announced by nobody and counted.
pub const MAX_LEARNED: usize = 1024;

/// What is called so goes to several neighbours, or all: no upstream, but what a router itself says on a link.
const GROUP: &str = "multicast";

/// What an upstream is called in records.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct UpstreamName {
    /// The configured name; of a learned neighbour its MAC address, with `/vlan` where its frames are tagged and `@interface` where
    /// there are several interfaces; `multicast` where frames are for several.
    #[serde(with = "shared_text")]
    pub name: Arc<str>,
    /// The configured AS number.
    pub asn: Option<u32>,
    /// Whether the configuration names it.
    pub configured: bool,
}

/// `#[serde(with)]` of a name.
mod shared_text {
    use std::sync::Arc;

    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<str>, D::Error> {
        String::deserialize(deserializer).map(Into::into)
    }
}

/// What is news about neighbours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UpstreamEvent {
    /// Traffic with a neighbour that no configured upstream fits, for the first time.
    New {
        /// The neighbour.
        neighbour: Neighbour,
        /// What it is called from now on.
        name: UpstreamName,
    },
    /// A neighbour address is answered for by other hardware. What was called by the old MAC address is still called so, and nothing
    /// has moved to another upstream.
    MacChanged {
        /// Its interface, by its place in the configuration.
        interface: u32,
        /// The neighbour address.
        address: IpAddr,
        /// The MAC address before.
        before: [u8; 6],
        /// The MAC address now.
        now: [u8; 6],
    },
}

/// Configured and learned upstreams.
#[derive(Clone, Debug, Default)]
pub struct Upstreams {
    configured: Vec<Configured>,
    /// Names of the interfaces; none for captures.
    interfaces: Vec<Arc<str>>,
    known: KnownNeighbours,
    news: Vec<UpstreamEvent>,
    overflow: u64,
}

/// What is known of neighbours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownNeighbours {
    /// Names of the interfaces whose places are meant here.
    pub(crate) interfaces: Vec<String>,
    /// Those that were announced.
    pub(crate) learned: BTreeSet<Neighbour>,
    /// What a MAC address that took over for another is called by, by interface.
    pub(crate) successor_of: BTreeMap<(u32, [u8; 6]), [u8; 6]>,
    /// By whom each neighbour address was last seen to be answered for.
    pub(crate) holders: BTreeMap<(u32, IpAddr), BTreeSet<[u8; 6]>>,
}

impl KnownNeighbours {
    /// Interfaces have these places from now on; what is known of others that are not there any more is forgotten.
    fn move_to(&mut self, interfaces: &[Arc<str>]) {
        let interfaces: Vec<String> = interfaces.iter().map(|name| (**name).to_owned()).collect();
        if self.interfaces == interfaces {
            return;
        }
        let before = std::mem::replace(&mut self.interfaces, interfaces.clone());
        let moved = |place: u32| -> Option<u32> {
            let name = before.get(usize::try_from(place).ok()?)?;
            interfaces.iter().position(|other| other == name)?.try_into().ok()
        };
        let learned = std::mem::take(&mut self.learned).into_iter();
        self.learned = learned
            .filter_map(|neighbour| Some(Neighbour { interface: moved(neighbour.interface)?, ..neighbour }))
            .collect();
        let successors = std::mem::take(&mut self.successor_of).into_iter();
        self.successor_of =
            successors.filter_map(|((place, mac), first)| Some(((moved(place)?, mac), first))).collect();
        let holders = std::mem::take(&mut self.holders).into_iter();
        self.holders = holders.filter_map(|((place, address), macs)| Some(((moved(place)?, address), macs))).collect();
    }
}

/// Whether frames with this destination are for several (IEEE 802, the first bit on the wire).
const fn is_group(mac: [u8; 6]) -> bool {
    mac[0] & 1 != 0
}

/// A configured upstream, its interface by its place.
#[derive(Clone, Debug)]
struct Configured {
    name: UpstreamName,
    macs: Vec<[u8; 6]>,
    neighbors: Vec<IpAddr>,
    vlan: Option<u16>,
    interface: Option<Wanted>,
    /// Number of criteria.
    says: usize,
}

/// The interface an upstream is at.
#[derive(Clone, Copy, Debug)]
enum Wanted {
    Place(u32),
    /// One that is not there.
    Missing,
}

impl Upstreams {
    /// Upstreams of a configuration whose interfaces have these names, in its order. Without interfaces, for a capture, which does not
    /// say where it was made, the criterion is passed over beside others; one that names nothing else fits no neighbour.
    pub fn new(upstreams: &[config::Upstream], interfaces: &[InterfaceName]) -> Self {
        let configured = upstreams.iter().map(|upstream| Configured::new(upstream, interfaces)).collect();
        let interfaces = interfaces.iter().map(|name| name.as_str().into()).collect();
        Self { configured, interfaces, ..Self::default() }
    }

    /// None are configured, and this is known of neighbours.
    pub(crate) fn with_known(known: KnownNeighbours) -> Self {
        Self { known, ..Self::default() }
    }

    /// How often something became known that is announced once.
    pub(crate) fn firsts(&self) -> u64 {
        (self.known.learned.len() + self.known.successor_of.len()) as u64
    }

    /// What is known of neighbours.
    pub(crate) fn known(&self) -> KnownNeighbours {
        self.known.clone()
    }

    /// Names neighbours as `other` does from now on, and knows of them what it knew.
    pub fn configure(&mut self, other: Self) {
        (self.configured, self.interfaces) = (other.configured, other.interfaces);
        self.known.move_to(&self.interfaces);
    }

    /// What a neighbour is called: by the upstream that fits it with the most criteria, the first of the file among equals; else by
    /// what the neighbour was called that it took over from, or its own address.
    pub fn name(&self, neighbour: &Neighbour, addresses: &NeighbourTable) -> UpstreamName {
        let before = Neighbour { mac: self.first_mac(neighbour), ..*neighbour };
        let named = self.configured_as(neighbour, addresses).or_else(|| self.configured_as(&before, addresses));
        named.cloned().unwrap_or_else(|| self.learned_name(neighbour))
    }

    /// Takes note of a neighbour that traffic was seen of; one that is not configured is news, once.
    pub fn see(&mut self, neighbour: &Neighbour, addresses: &NeighbourTable) {
        let name = self.name(neighbour, addresses);
        let neighbour = Neighbour { mac: self.first_mac(neighbour), ..*neighbour };
        if name.configured || is_group(neighbour.mac) || self.known.learned.contains(&neighbour) {
            return;
        }
        if self.known.learned.len() >= MAX_LEARNED {
            self.overflow += 1;
            return;
        }
        self.known.learned.insert(neighbour);
        self.news.push(UpstreamEvent::New { neighbour, name });
    }

    /// What is news since the last call: of neighbours that were seen, and of the table compared with the one before.
    pub fn changes(&mut self, table: &NeighbourTable) -> Vec<UpstreamEvent> {
        let holders = table.holders();
        for ((interface, address), macs) in &holders {
            let Some(before) = self.known.holders.get(&(*interface, *address)) else { continue };
            // Of a VRRP group several may answer by turns: a change is who was not there, for whom nobody is left.
            if let (Some(old), Some(now)) = (before.iter().next(), macs.iter().next())
                && before.is_disjoint(macs)
            {
                self.take_over(*interface, *address, *old, *now);
            }
        }
        // An entry that is gone for a while, because nobody asked for it, keeps its holder.
        self.known.holders.extend(holders);
        while self.known.holders.len() > MAX_LEARNED * 4 {
            self.known.holders.pop_first();
            self.overflow += 1;
        }
        std::mem::take(&mut self.news)
    }

    /// Neighbours that were beyond [`MAX_LEARNED`], each time they were seen.
    pub const fn overflow(&self) -> u64 {
        self.overflow
    }

    fn take_over(&mut self, interface: u32, address: IpAddr, before: [u8; 6], now: [u8; 6]) {
        let first = self.known.successor_of.get(&(interface, before)).copied().unwrap_or(before);
        self.known.successor_of.remove(&(interface, now));
        // Back to where it began, it is itself.
        if first != now && self.known.successor_of.len() < MAX_LEARNED {
            self.known.successor_of.insert((interface, now), first);
        }
        self.news.push(UpstreamEvent::MacChanged { interface, address, before, now });
    }

    fn configured_as(&self, neighbour: &Neighbour, addresses: &NeighbourTable) -> Option<&UpstreamName> {
        let fits = self.configured.iter().filter(|upstream| upstream.fits(neighbour, addresses));
        // The last of equals wins a `max_by_key`: asked from the end, that is the first of the file.
        fits.rev().max_by_key(|upstream| upstream.says).map(|upstream| &upstream.name)
    }

    /// The MAC address of the neighbour it took over from, or its own.
    fn first_mac(&self, neighbour: &Neighbour) -> [u8; 6] {
        self.known.successor_of.get(&(neighbour.interface, neighbour.mac)).copied().unwrap_or(neighbour.mac)
    }

    fn learned_name(&self, neighbour: &Neighbour) -> UpstreamName {
        if is_group(neighbour.mac) {
            return UpstreamName { name: GROUP.into(), asn: None, configured: false };
        }
        let mut name = mac_text(self.first_mac(neighbour));
        if let Some(vlan) = neighbour.vlan {
            // Writing to a string does not fail.
            let _ = write!(name, "/{vlan}");
        }
        if let [_, _, ..] = &*self.interfaces
            && let Some(interface) = self.interfaces.get(neighbour.interface as usize)
        {
            let _ = write!(name, "@{interface}");
        }
        UpstreamName { name: name.into(), asn: None, configured: false }
    }
}

impl Configured {
    fn new(upstream: &config::Upstream, interfaces: &[InterfaceName]) -> Self {
        let config::Upstream { name, asn, macs, neighbors, vlan, interface } = upstream;
        let others = usize::from(!macs.is_empty()) + usize::from(!neighbors.is_empty()) + usize::from(vlan.is_some());
        let interface = interface.as_ref().filter(|_| !interfaces.is_empty() || others == 0).map(|name| {
            let place = interfaces.iter().position(|interface| interface == name);
            place.and_then(|place| u32::try_from(place).ok()).map_or(Wanted::Missing, Wanted::Place)
        });
        Self {
            name: UpstreamName { name: name.as_str().into(), asn: *asn, configured: true },
            macs: macs.clone(),
            neighbors: neighbors.clone(),
            vlan: *vlan,
            says: others + usize::from(interface.is_some()),
            interface,
        }
    }

    fn fits(&self, neighbour: &Neighbour, addresses: &NeighbourTable) -> bool {
        let at = match self.interface {
            None => true,
            Some(Wanted::Place(place)) => place == neighbour.interface,
            Some(Wanted::Missing) => false,
        };
        at && (self.macs.is_empty() || self.macs.contains(&neighbour.mac))
            && (self.vlan.is_none() || self.vlan == neighbour.vlan)
            && (self.neighbors.is_empty()
                || self.neighbors.iter().any(|address| addresses.has(neighbour.interface, neighbour.mac, *address)))
    }
}
