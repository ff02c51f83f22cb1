//! Which prefixes are counted, and the dense ids they are counted under.

use anyhow::{Context as _, Result, bail};
use sensor_ebpf::abi::{Entry, MAX_PREFIXES, NetworkId, PrefixId};

use super::{Item, RootBits, Trie, networks::Networks};
use crate::cidr::Cidr;

/// Why a prefix is in the table, and whom its traffic bills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The network that names this very prefix.
    pub watched: Option<NetworkId>,
    /// Whether an accounting table names it.
    pub accounted: bool,
}

/// What is counted under an id, for its whole life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meaning {
    /// The prefix.
    pub cidr: Cidr,
    /// Why it is here.
    pub membership: Membership,
    /// The network it bills: that of the longest watched prefix which covers it.
    pub network: Option<NetworkId>,
}

/// The prefixes of one generation of the table, under their ids, and those that earlier generations left.
///
/// An id has one meaning. A meaning that is not wanted any more is *retired*: it keeps its id, because counts under it may not have
/// been exported, and is in no table. [`successor`](Self::successor) makes the set of another configuration from this one.
#[derive(Clone, Debug, Default)]
pub struct PrefixSet {
    pub(super) networks: Networks,
    /// Id n is at n - 1; the last one is in use.
    pub(super) slots: Vec<Option<Slot>>,
    /// Ids of the prefixes in the table, in the order of their addresses.
    pub(super) live: Vec<PrefixId>,
    pub(super) retired: Vec<Retired>,
    /// Committed exports so far.
    pub(super) exports: u64,
}

/// A meaning in 24 bytes, because sets hold millions; networks by their number, 0 for none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) cidr: Cidr,
    pub(super) watched: u16,
    pub(super) network: u16,
    pub(super) accounted: bool,
}

/// An id that is not in the table any more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retired {
    pub(super) id: PrefixId,
    /// [`PrefixSet::exports`] when it was.
    pub(super) since: u64,
}

impl PrefixSet {
    /// The set of these meanings, in the order of their addresses, under the ids 1, 2, 3...
    pub(super) fn numbered(networks: Networks, slots: Vec<Option<Slot>>) -> Self {
        let live = (1..=MAX_PREFIXES).filter_map(PrefixId::new).take(slots.len()).collect();
        Self { networks, slots, live, retired: Vec::new(), exports: 0 }
    }

    /// The set of these networks and prefixes under these very numbers, as [`networks`](Self::networks) and [`iter`](Self::iter) gave
    /// them; the mark says which prefixes are retired. How long they have been is not known, and taken to begin now.
    ///
    /// # Errors
    /// A number, a name or a prefix of the table that is given twice, or a prefix that bills a network without a name.
    pub fn restore(
        networks: impl IntoIterator<Item = (NetworkId, String)>,
        prefixes: impl IntoIterator<Item = (PrefixId, Meaning, bool)>,
    ) -> Result<Self> {
        let mut set = Self::default();
        for (network, name) in networks {
            if !set.networks.put(network, name.clone()) {
                bail!("network {} or its name {name:?} is given twice", network.get());
            }
        }
        for (id, meaning, retired) in prefixes {
            for network in [meaning.membership.watched, meaning.network].into_iter().flatten() {
                if set.networks.name(network).is_none() {
                    bail!("{} bills network {}, which has no name", meaning.cidr, network.get());
                }
            }
            let len = set.slots.len().max(id.get() as usize);
            set.slots.resize(len, None);
            if let Some(other) = set.slots[place(id)].replace(meaning.into()) {
                bail!("id {} is {} and {}", id.get(), other.cidr, meaning.cidr);
            }
            if retired {
                set.retired.push(Retired { id, since: 0 });
            } else {
                set.live.push(id);
            }
        }
        let mut live = std::mem::take(&mut set.live);
        // Of a set that was built and never reloaded they come in this order.
        live.sort_by_key(|id| set.slot(*id).map(|slot| slot.cidr));
        if let Some([one, two]) = live.array_windows().find(|[one, two]| set.cidr(*one) == set.cidr(*two)) {
            let cidr = set.cidr(*one).context("an id without prefix")?;
            bail!("{cidr} is in the table under the ids {} and {}", one.get(), two.get());
        }
        Ok(Self { live, ..set })
    }

    /// Number of prefixes in the table.
    pub fn len(&self) -> u32 {
        self.live.len() as u32
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    /// The highest id that has a meaning, in the table or retired; 0 of an empty set. Counters must have a row for it.
    pub fn highest_id(&self) -> u32 {
        self.slots.len() as u32
    }

    /// Prefixes in the table that a watched network names itself.
    pub fn watched(&self) -> usize {
        self.live().filter(|(_, meaning)| meaning.membership.watched.is_some()).count()
    }

    /// The name of a network that a prefix, in the table or retired, may bill.
    pub fn network(&self, network: NetworkId) -> Option<&str> {
        self.networks.name(network)
    }

    /// All networks by number; numbers may be missing.
    pub fn networks(&self) -> impl Iterator<Item = (NetworkId, &str)> {
        self.networks.iter()
    }

    /// The highest number of a network; 0: none is watched.
    pub fn highest_network(&self) -> u32 {
        self.networks().last().map_or(0, |(network, _)| network.get())
    }

    /// What is counted under an id, whether it is in the table or retired.
    pub fn get(&self, id: PrefixId) -> Option<Meaning> {
        self.slot(id).map(Meaning::from)
    }

    /// Everything that may have been counted, by id: what is in the table and what is retired.
    pub fn iter(&self) -> impl Iterator<Item = (PrefixId, Meaning)> {
        let ids = (1..=MAX_PREFIXES).filter_map(PrefixId::new);
        ids.zip(&self.slots).filter_map(|(id, slot)| Some((id, Meaning::from(slot.as_ref()?))))
    }

    /// What is in the table, in the order of addresses.
    pub fn live(&self) -> impl Iterator<Item = (PrefixId, Meaning)> {
        self.live.iter().filter_map(|id| Some((*id, self.get(*id)?)))
    }

    /// Ids that are not in the table any more and still have their meaning.
    pub fn retired(&self) -> impl Iterator<Item = PrefixId> {
        self.retired.iter().map(|retired| retired.id)
    }

    /// Notes that an export was committed which was begun when no program looked into an older table any more.
    pub fn exported(&mut self) {
        self.exports += 1;
    }

    /// Whether the tables of both count the same for networks of the same names, under whatever ids.
    pub fn same_content(&self, other: &Self) -> bool {
        let names = self.numbers_of(other);
        let same = |(one, two): (&PrefixId, &PrefixId)| {
            let (Some(one), Some(two)) = (self.slot(*one), other.slot(*two)) else { return false };
            two.translated(&names).is_some_and(|two| one.same(&two))
        };
        self.live.len() == other.live.len() && self.live.iter().zip(&other.live).all(same)
    }

    /// For each network of `other`, by its number, the number here of the same name; 0 for none stays 0.
    pub(super) fn numbers_of(&self, other: &Self) -> Vec<Option<u16>> {
        let highest = other.networks().map(|(network, _)| network.get()).max().unwrap_or(0);
        let mut numbers = vec![None; highest as usize + 1];
        numbers[0] = Some(0);
        for (network, name) in other.networks() {
            numbers[network.get() as usize] = self.networks.find(name).map(|network| number(Some(network)));
        }
        numbers
    }

    /// The table that finds these prefixes, with the roots that its size asks for.
    ///
    /// # Errors
    /// The table is too large for its indices.
    pub fn trie(&self) -> Result<Trie> {
        let v4 = self.live_v4();
        self.trie_with(RootBits::for_size(v4, self.live.len() - v4))
    }

    /// The same with the roots that maps were made for.
    ///
    /// # Errors
    /// The table is too large for its indices.
    pub fn trie_with(&self, root_bits: RootBits) -> Result<Trie> {
        let item = |id: &PrefixId| {
            let Slot { cidr, network, .. } = self.slot(*id)?;
            let entry = Entry::leaf(*id, NetworkId::new((*network).into()));
            Some(Item { bits: cidr.bits(), len: cidr.prefix_len(), entry })
        };
        let (v4, v6) = self.live.split_at(self.live_v4());
        Trie::build(root_bits, v4.iter().filter_map(item), v6.iter().filter_map(item))
    }

    pub(super) fn slot(&self, id: PrefixId) -> Option<&Slot> {
        self.slots.get(place(id))?.as_ref()
    }

    /// IPv4 prefixes in the table.
    pub fn live_v4(&self) -> usize {
        self.live.partition_point(|id| self.cidr(*id).is_some_and(Cidr::is_v4))
    }

    fn cidr(&self, id: PrefixId) -> Option<Cidr> {
        self.slot(id).map(|slot| slot.cidr)
    }
}

impl Slot {
    /// The same in another set, which has these numbers for the networks; `None` where it does not know one of them.
    pub(super) fn translated(&self, numbers: &[Option<u16>]) -> Option<Self> {
        let number = |network: u16| *numbers.get(usize::from(network))?;
        Some(Self { watched: number(self.watched)?, network: number(self.network)?, ..*self })
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        let rest = |slot: &Self| (slot.watched, slot.network, slot.accounted);
        self.cidr == other.cidr && rest(self) == rest(other)
    }
}

impl From<Meaning> for Slot {
    fn from(meaning: Meaning) -> Self {
        let Meaning { cidr, membership, network } = meaning;
        Self { cidr, watched: number(membership.watched), network: number(network), accounted: membership.accounted }
    }
}

impl From<&Slot> for Meaning {
    fn from(slot: &Slot) -> Self {
        let network = |number: u16| NetworkId::new(number.into());
        let membership = Membership { watched: network(slot.watched), accounted: slot.accounted };
        Self { cidr: slot.cidr, membership, network: network(slot.network) }
    }
}

/// Where the slot of an id is.
pub(super) fn place(id: PrefixId) -> usize {
    id.get() as usize - 1
}

/// At most 511.
fn number(network: Option<NetworkId>) -> u16 {
    network.map_or(0, |network| network.get() as u16)
}

const _: () = assert!(size_of::<Option<Slot>>() == 24);
