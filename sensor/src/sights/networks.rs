//! Watched networks by name: the history of one outlives the number that a configuration gives it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use sensor_ebpf::{
    abi::{MAX_NETWORKS, NetworkId},
    class::Class,
};

use super::ways::Ways;

/// Networks whose history is kept, the configured ones among them.
pub(super) const MAX_NAMES: usize = MAX_NETWORKS as usize;

/// What is known of a network as a whole.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) name: Arc<str>,
    /// Suspicious classes that it ever spoke.
    pub(super) classes: BTreeSet<Class>,
    /// Flows of the interval.
    pub(super) ways: Ways,
    /// Whether an address was active in the interval for which there was no room.
    pub(super) incomplete: bool,
}

/// All networks; the place of one in the list is its slot.
#[derive(Debug, Default)]
pub(super) struct Networks {
    list: Vec<Network>,
    slots: BTreeMap<NetworkId, u16>,
}

impl Networks {
    /// Numbers them anew. Slots that another network takes over, for want of room, are returned: what they held is void.
    pub(super) fn configure<N: AsRef<str>>(&mut self, names: impl IntoIterator<Item = (NetworkId, N)>) -> Vec<u16> {
        self.slots.clear();
        let (mut new, mut void) = (Vec::new(), Vec::new());
        for (id, name) in names {
            match self.list.iter().position(|network| *network.name == *name.as_ref()) {
                Some(slot) => drop(self.slots.insert(id, slot as u16)),
                None => new.push((id, name)),
            }
        }
        for (id, name) in new {
            let slot = match self.push(name.as_ref(), BTreeSet::new()) {
                Some(slot) => slot,
                None => {
                    let used: BTreeSet<u16> = self.slots.values().copied().collect();
                    let Some(slot) = (0..self.list.len() as u16).find(|slot| !used.contains(slot)) else { continue };
                    self.list[usize::from(slot)] = Network::new(name.as_ref(), BTreeSet::new());
                    void.push(slot);
                    slot
                }
            };
            self.slots.insert(id, slot);
        }
        void
    }

    /// Adds one; `None`: there is no room.
    pub(super) fn push(&mut self, name: &str, classes: BTreeSet<Class>) -> Option<u16> {
        let slot = self.list.len();
        (slot < MAX_NAMES).then(|| self.list.push(Network::new(name, classes)))?;
        Some(slot as u16)
    }

    pub(super) fn slot(&self, id: NetworkId) -> Option<u16> {
        self.slots.get(&id).copied()
    }

    pub(super) fn get(&self, slot: u16) -> Option<&Network> {
        self.list.get(usize::from(slot))
    }

    pub(super) fn get_mut(&mut self, slot: u16) -> Option<&mut Network> {
        self.list.get_mut(usize::from(slot))
    }

    /// All with their slots.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u16, &Network)> {
        self.list.iter().enumerate().map(|(slot, network)| (slot as u16, network))
    }
}

impl Network {
    fn new(name: &str, classes: BTreeSet<Class>) -> Self {
        Self { name: name.into(), classes, ways: Ways::default(), incomplete: false }
    }
}
