//! Names of watched networks, each under a number that stays.

use std::collections::HashMap;

use sensor_ebpf::abi::{MAX_NETWORKS, NetworkId};

/// Names by number, with holes.
#[derive(Clone, Debug, Default)]
pub(super) struct Networks {
    /// Network n is at n - 1.
    slots: Vec<Option<String>>,
    /// The same the other way round.
    numbers: HashMap<String, NetworkId>,
}

impl Networks {
    pub(super) fn name(&self, network: NetworkId) -> Option<&str> {
        self.slots.get(place(network))?.as_deref()
    }

    pub(super) fn find(&self, name: &str) -> Option<NetworkId> {
        self.numbers.get(name).copied()
    }

    /// The number of a name, the lowest free one if it has none yet; `None` where all are taken.
    pub(super) fn find_or_add(&mut self, name: &str) -> Option<NetworkId> {
        if let Some(known) = self.find(name) {
            return Some(known);
        }
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let network = NetworkId::new(u32::try_from(free).ok()? + 1)?;
        self.put(network, name.to_owned());
        Some(network)
    }

    /// Gives a number that is free a name that has none. Returns false, and does nothing, where one of them is not.
    pub(super) fn put(&mut self, network: NetworkId, name: String) -> bool {
        if self.name(network).is_some() || self.find(&name).is_some() {
            return false;
        }
        let len = self.slots.len().max(place(network) + 1);
        self.slots.resize(len, None);
        self.slots[place(network)] = Some(name.clone());
        self.numbers.insert(name, network);
        true
    }

    /// Frees the numbers that are not in `used`.
    pub(super) fn retain(&mut self, used: impl Fn(NetworkId) -> bool) {
        self.numbers.retain(|_, network| {
            let used = used(*network);
            if !used {
                self.slots[place(*network)] = None;
            }
            used
        });
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NetworkId, &str)> {
        let numbers = (1..=MAX_NETWORKS).filter_map(NetworkId::new);
        numbers.zip(&self.slots).filter_map(|(network, name)| Some((network, name.as_deref()?)))
    }
}

fn place(network: NetworkId) -> usize {
    network.get() as usize - 1
}
