//! What the configuration says of a flow: whose it is, as what, by way of whom and with whom. Pure.

use std::{net::IpAddr, sync::Arc};

use anyhow::Result;
use sensor_ebpf::{
    abi::{Direction, NetworkId, PrefixId},
    class::{Class, Evidence},
    signature,
};

use super::{Counts, Flow};
use crate::{
    config,
    counterpart::{Counterparts, Far, Label},
    lists::Lists,
    native::Table,
    prefix::PrefixSet,
};

/// What flows are judged by.
pub(crate) struct Judge {
    /// What is watched and counted.
    pub(crate) set: PrefixSet,
    prefixes: Table,
    labels: Option<Labels>,
    lists: Arc<Lists>,
    upstreams: Vec<config::Upstream>,
}

/// What is known of far ends.
struct Labels {
    table: Table,
    labels: Vec<Label>,
    other: Option<u32>,
}

/// One direction of a flow at a counted end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Billed {
    /// The longest prefix of the end.
    pub(crate) prefix: PrefixId,
    /// Whose it is, if it is watched.
    pub(crate) network: Option<NetworkId>,
    /// To it or from it.
    pub(crate) direction: Direction,
    /// What its ports, or a list, say that it is.
    pub(crate) class: Option<(Class, Evidence)>,
    /// The configured upstream that it came from or went to, by its place.
    pub(crate) upstream: Option<usize>,
    /// The number of what is known of the far end; `None`: nothing tells far ends apart.
    pub(crate) label: Option<u32>,
    /// How much.
    pub(crate) counts: Counts,
}

impl Judge {
    /// By these prefixes, lists, tables of far ends and upstreams.
    ///
    /// # Errors
    /// The table of prefixes is too large.
    pub(crate) fn new(
        set: PrefixSet,
        lists: Arc<Lists>,
        counterparts: Option<Counterparts>,
        upstreams: Vec<config::Upstream>,
    ) -> Result<Self> {
        let labels = counterparts.map(|Counterparts { labels, trie, other, .. }| Labels {
            table: Table::new(trie),
            labels,
            other,
        });
        Ok(Self { prefixes: Table::new(set.trie()?), set, labels, lists, upstreams })
    }

    /// Hands over each direction of a flow at each end that is counted.
    pub(crate) fn bill(&self, flow: &Flow, each: &mut dyn FnMut(Billed)) {
        let class = self.class(flow);
        let ends = [flow.source, flow.destination];
        for (place, end) in ends.into_iter().enumerate() {
            let Some(entry) = self.prefixes.find(end) else { continue };
            let Some(prefix) = entry.prefix() else { continue };
            let label = self.labels.as_ref().map(|labels| labels.number(ends[1 - place]));
            let mut told = |direction: Direction, upstream, counts: Counts| {
                if counts.packets > 0 {
                    each(Billed { prefix, network: entry.network(), direction, class, upstream, label, counts });
                }
            };
            let (there, back) = [(Direction::Out, Direction::In), (Direction::In, Direction::Out)][place];
            told(there, self.upstream(flow, there), flow.counts);
            // The way back is another: the record names the neighbours of one way alone.
            told(back, None, flow.back);
        }
    }

    /// The configured upstreams.
    pub(crate) fn upstream_at(&self, place: usize) -> Option<&config::Upstream> {
        self.upstreams.get(place)
    }

    /// What a label says.
    pub(crate) fn far(&self, label: u32) -> Far<'_> {
        let Some(Labels { labels, other, .. }) = &self.labels else { return Far::Unknown };
        match label {
            0 => Far::Unknown,
            label if Some(label) == *other => Far::Other,
            label => labels.get(label as usize).map_or(Far::Unknown, Far::Known),
        }
    }

    /// As packets are that nobody looks into: by list, by protocol number, by port.
    fn class(&self, flow: &Flow) -> Option<(Class, Evidence)> {
        let ends = [(flow.source, flow.ports[0]), (flow.destination, flow.ports[1])];
        let listed = ends.into_iter().find_map(|(address, port)| self.lists.find(address, port));
        let by_port = || signature::by_ports(flow.protocol, flow.ports);
        listed.map(|(class, _)| (class, Evidence::List)).or_else(by_port)
    }

    /// The upstream of which the record says most: all that it says must hold, and it must say something. The first of the file among equals.
    fn upstream(&self, flow: &Flow, direction: Direction) -> Option<usize> {
        let says = |upstream: &config::Upstream| {
            let (side, next) = match direction {
                Direction::In => (0, [None; 2]),
                Direction::Out => (1, flow.next_hops),
            };
            let mut held = 0;
            let mut holds = |is_said: bool, fits: bool| {
                held += u32::from(is_said && fits);
                !is_said || fits
            };
            let mac = flow.macs[side].filter(|_| !upstream.macs.is_empty());
            let neighbours: Vec<IpAddr> =
                next.into_iter().flatten().filter(|_| !upstream.neighbors.is_empty()).collect();
            let vlan = flow.vlans[side].filter(|_| upstream.vlan.is_some());
            let system = flow.systems[side].filter(|_| upstream.asn.is_some());
            let all = holds(mac.is_some(), mac.is_some_and(|mac| upstream.macs.contains(&mac)))
                & holds(!neighbours.is_empty(), neighbours.iter().any(|address| upstream.neighbors.contains(address)))
                & holds(vlan.is_some(), vlan == upstream.vlan)
                & holds(system.is_some(), system == upstream.asn);
            if all { held } else { 0 }
        };
        let said = self.upstreams.iter().map(says).enumerate().filter(|(_, held)| *held > 0);
        // The last of equals wins a `max_by_key`: asked from the end, that is the first of the file.
        let said: Vec<(usize, u32)> = said.collect();
        said.into_iter().rev().max_by_key(|(_, held)| *held).map(|(place, _)| place)
    }
}

impl Labels {
    fn number(&self, address: IpAddr) -> u32 {
        self.table.find(address).and_then(|entry| entry.prefix()).map_or(0, |prefix| prefix.get() - 1)
    }
}
