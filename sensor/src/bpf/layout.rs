//! How large each map is made: fixed when the programs are loaded.

mod demand;
mod labels;
mod watched;

use aya::maps::MapType;
use sensor_ebpf::{
    abi::{
        BLOCK_LEN, Cell, Control, ControlBlock, Counter, Direction, Line, MAX_EXTERNAL, Node, Pending, Settings, Side,
        Words, map_name,
    },
    lookup::{ROOT_BITS_V4, ROOT_BITS_V6, root_len_v4, root_len_v6},
};

use self::demand::Demand;
pub use self::{
    demand::{Footprint, Room, TooLarge, Wanted},
    labels::LabelPlan,
};
pub(crate) use self::{labels::Labels, watched::Watched};
use super::InterfaceKind;
use crate::{
    inspect,
    prefix::{RootBits, Trie},
};

/// `BPF_F_MMAPABLE` of `linux/bpf.h`.
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Lines of a block.
const BLOCK_LINES: u32 = BLOCK_LEN / Line::WORDS;

/// Whether each processor sees the stores of another in the order in which they were made: what reading [`Pending`] needs.
const STORES_IN_ORDER: bool = cfg!(target_arch = "x86_64");

/// Seconds without a packet after which a flow is over: as long as the inspector follows one.
const IDLE: u32 = inspect::IDLE * 60;

/// Any: the counters do not depend on it.
const SMALL_ROOT_BITS: u32 = 16;

/// What the kernel says of a map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct MapShape {
    pub(crate) name: &'static str,
    pub(crate) map_type: MapType,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) entries: u32,
    pub(crate) flags: u32,
}

/// Sizes of the maps of one sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    root_bits: RootBits,
    /// Nodes of one table half.
    nodes: u32,
    /// Blocks of one table half.
    blocks: u32,
    /// Counter rows of one slice, by direction: ids below this, of which reloads may use more.
    prefix_capacity: u32,
    slices: u32,
    ledger_slots: u32,
    watched: Watched,
    labels: Labels,
}

impl Layout {
    /// The largest that takes as much memory as it may.
    ///
    /// Room for reloads is given up first, down to a 32nd of what is used; then CPUs share slices.
    ///
    /// # Errors
    /// The table does not fit even so.
    pub fn new(wanted: &Wanted<'_>) -> Result<Self, TooLarge> {
        let Wanted { memory, room, .. } = *wanted;
        let demand = Demand::new(wanted);
        let mut slices = wanted.cpus.max(1).next_power_of_two();
        loop {
            let fits = |layout: &Self| {
                let numbered = map_name::SHARED.iter().all(|name| u32::try_from(layout.entries(name)).is_ok());
                numbered && layout.footprint().total() <= memory
            };
            if let Some(layout) = room.steps().iter().map(|room| demand.layout(*room, slices)).find(fits) {
                return Ok(layout);
            }
            if slices == 1 {
                let least = room.steps().last().copied().unwrap_or_default();
                let needed = demand.layout(least, slices).footprint();
                return Err(TooLarge { ids: demand.ids, needed, memory });
            }
            slices /= 2;
        }
    }

    /// The layout of the counters of a set made for `interfaces` interfaces whose maps have so many rows; `None` where they do not fit
    /// together. Of the table it knows nothing.
    pub(crate) fn of_counters(prefix_rows: u32, ledger_rows: u32, interfaces: u32) -> Option<Self> {
        let ledger_slots = interfaces.checked_mul(Side::COUNT)?;
        let slices = ledger_rows.checked_div(ledger_slots.checked_mul(Control::BANKS * Cell::COUNT)?)?;
        let prefix_capacity = prefix_rows.checked_div(slices.checked_mul(Direction::COUNT)?)?;
        let root_bits = RootBits { v4: SMALL_ROOT_BITS, v6: SMALL_ROOT_BITS };
        let (watched, labels) = (Watched::NOTHING, Labels::default());
        let layout = Self { root_bits, nodes: 1, blocks: 1, prefix_capacity, slices, ledger_slots, watched, labels };
        let fits = prefix_capacity > 0
            && slices.is_power_of_two()
            && layout.shape(map_name::PREFIXES).entries == prefix_rows
            && layout.shape(map_name::LEDGER).entries == ledger_rows;
        fits.then_some(layout)
    }

    /// The layout of maps that were made for `interfaces` interfaces and have so many entries by name; `None` where they do not fit
    /// together.
    pub fn of_maps(entries: impl Fn(&'static str) -> u32, interfaces: u32) -> Option<Self> {
        let counters = Self::of_counters(entries(map_name::PREFIXES), entries(map_name::LEDGER), interfaces)?;
        let both = ROOT_BITS_V4.iter().flat_map(|v4| ROOT_BITS_V6.map(|v6| RootBits { v4: *v4, v6 }));
        let half = |name| entries(name) / Control::SLOTS;
        let watched = Watched::of_maps(&entries, counters.slices);
        let labels = Labels::of_maps(&entries, counters.slices, watched.networks);
        let made = both.map(|root_bits| Self {
            root_bits,
            nodes: half(map_name::NODES),
            blocks: half(map_name::BLOCKS) / BLOCK_LINES,
            watched,
            labels,
            ..counters
        });
        let is_it = |layout: &Self| layout.shapes().iter().all(|shape| shape.entries == entries(shape.name));
        let is_possible = watched.is_possible() && labels.is_possible();
        made.filter(|layout| is_possible && layout.nodes > 0 && layout.blocks > 0).find(is_it)
    }

    /// The same as far as rows of watched networks and their neighbours go, whatever became of other maps.
    pub(crate) fn of_rows(entries: impl Fn(&'static str) -> u32, interfaces: u32) -> Option<Self> {
        let counters = Self::of_counters(entries(map_name::PREFIXES), entries(map_name::LEDGER), interfaces)?;
        let watched = Watched::of_maps(&entries, counters.slices);
        let labels = Labels::of_maps(&entries, counters.slices, watched.networks);
        let layout = Self { watched, labels, ..counters };
        let fits = |name: &&'static str| layout.shape(name).entries == entries(name);
        [map_name::BREAKDOWN, map_name::COUNTERPARTS, map_name::NEIGHBOURS].iter().all(fits).then_some(layout)
    }

    /// Whether networks with numbers up to `highest` can be billed.
    pub fn bills(&self, highest: u32) -> bool {
        highest < self.watched.networks
    }

    /// Whether so many flows would be remembered by new maps as well that may take so much memory.
    pub fn is_for_flows(&self, flows: u32, memory: u64) -> bool {
        let has_room = self.watched.networks > 1;
        !has_room || self.watched.flow_sets == Watched::new(1, flows, self.slices, memory, true).flow_sets
    }

    /// Whether new maps would count far ends in so many rows as well, that may take so much memory; `None`: they are not told apart.
    pub fn is_for_counterparts(&self, rows: Option<u32>, memory: u64) -> bool {
        self.labels.is_for(rows, self.slices, memory)
    }

    /// What there is too little of for a table of labels; `None`: it fits.
    pub(crate) fn lacks_for_labels(&self, trie: &Trie) -> Option<String> {
        self.labels.lacks(trie)
    }

    /// Sizes of the maps of counterparts.
    pub(crate) fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Sizes of the maps of watched traffic.
    pub(crate) fn watched(&self) -> &Watched {
        &self.watched
    }

    /// Whether a table fits whose roots are indexed as here, and which may have been counted under ids up to `highest_id`.
    pub fn holds(&self, trie: &Trie, highest_id: u32) -> bool {
        highest_id < self.prefix_capacity && self.lacks(trie).is_none()
    }

    /// What there is too little of for a table; `None`: it fits.
    pub(crate) fn lacks(&self, trie: &Trie) -> Option<String> {
        if trie.root_bits != self.root_bits {
            return Some(format!("the table has {}, the maps {}; new maps are needed", trie.root_bits, self.root_bits));
        }
        let outgrown = |what, wanted: usize, room: u32| {
            let message = || format!("{wanted} {what} outgrow maps made for {room}; new maps are needed");
            (wanted > room as usize).then(message)
        };
        outgrown("prefix ids", trie.highest_id as usize, self.prefix_capacity - 1)
            .or_else(|| outgrown("nodes", trie.nodes.len(), self.nodes))
            .or_else(|| outgrown("blocks", trie.blocks.len() / BLOCK_LEN as usize, self.blocks))
    }

    /// The constants of the program instance that books under interface number `interface`. `shared`: see [`Settings::shared`].
    pub(crate) fn settings(&self, interface: u32, kind: InterfaceKind, replay: bool, shared: bool) -> Settings {
        let deferred = !shared && STORES_IN_ORDER;
        let Watched { flow_sets, open_entries, breakdown_rows, networks, .. } = self.watched;
        Settings {
            ledger_slot: interface * Side::COUNT,
            slice_mask: self.slices - 1,
            prefix_capacity: self.prefix_capacity,
            root_bits_v4: self.root_bits.v4,
            root_bits_v6: self.root_bits.v6,
            roots: self.root_bits.entries(),
            replay: replay.into(),
            internal: kind.internal.into(),
            shared: shared.into(),
            deferred: deferred.into(),
            interface,
            tap: kind.tap.into(),
            flow_sets,
            // Entries are of one CPU each, and read by their order of stores.
            open_entries: if deferred { open_entries } else { 0 },
            breakdown_rows,
            counterpart_rows: self.labels.rows,
            networks,
            idle: if replay { 0 } else { IDLE },
        }
    }

    /// What each shared map must be.
    pub(crate) fn shapes(&self) -> [MapShape; map_name::SHARED.len()] {
        map_name::SHARED.map(|name| self.shape(name))
    }

    /// What the shared map of that name must be.
    pub(crate) fn shape(&self, name: &'static str) -> MapShape {
        // `new` makes nothing of which this is not true.
        MapShape::of(name, u32::try_from(self.entries(name)).unwrap_or(u32::MAX))
    }

    fn entries(&self, name: &'static str) -> u64 {
        let product = |factors: &[u32]| factors.iter().map(|factor| u64::from(*factor)).product();
        if let Some(entries) = self.watched.entries(name, self.slices) {
            return entries;
        }
        if let Some(entries) = self.labels.entries(name, self.slices, self.watched.networks) {
            return entries;
        }
        match name {
            map_name::ROOTS => product(&[self.root_lines(), Control::SLOTS]),
            map_name::NODES => product(&[self.nodes, Control::SLOTS]),
            map_name::BLOCKS => product(&[self.blocks, BLOCK_LINES, Control::SLOTS]),
            map_name::PREFIXES => product(&[self.slices, self.prefix_capacity, Direction::COUNT]),
            map_name::LEDGER => product(&[self.ledger_slots, Control::BANKS, self.slices, Cell::COUNT]),
            map_name::PENDING => self.slices.into(),
            map_name::EXTERNAL => MAX_EXTERNAL.into(),
            _ => 1,
        }
    }

    /// Memory of the maps.
    pub fn footprint(&self) -> Footprint {
        let bytes = |names: &[&'static str]| {
            let bytes = |name: &&'static str| self.entries(name) * u64::from(self.shape(name).value_size);
            names.iter().map(bytes).sum()
        };
        Footprint {
            tables: bytes(&[map_name::ROOTS, map_name::NODES, map_name::BLOCKS]),
            counters: bytes(&[map_name::PREFIXES, map_name::PENDING]),
            ledgers: bytes(&[map_name::LEDGER]),
            watched: bytes(&watched::NAMES) + bytes(&labels::NAMES) + u64::from(self.watched.ring),
            rest: bytes(&[map_name::CONTROL, map_name::EXTERNAL]),
        }
    }

    /// How the roots are indexed.
    pub fn root_bits(&self) -> RootBits {
        self.root_bits
    }

    /// Lines of root entries of one table half; both families' roots are whole lines.
    pub(crate) fn root_lines(&self) -> u32 {
        (root_len_v4(self.root_bits.v4) + root_len_v6(self.root_bits.v6)) / Line::WORDS
    }

    /// Nodes of one table half.
    pub(crate) fn nodes(&self) -> u32 {
        self.nodes
    }

    /// Blocks of one table half.
    pub(crate) fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Prefix ids of one slice, 0 included.
    pub fn prefix_capacity(&self) -> u32 {
        self.prefix_capacity
    }

    /// Copies of the counters that CPUs count in.
    pub fn slices(&self) -> u32 {
        self.slices
    }

    /// Interface sides with a ledger.
    pub(crate) fn ledger_slots(&self) -> u32 {
        self.ledger_slots
    }
}

impl MapShape {
    /// The shape of the shared map of that name, with so many entries.
    pub(crate) fn of(name: &'static str, entries: u32) -> Self {
        let (map_type, key_size, flags) = match name {
            map_name::EXTERNAL => (MapType::Hash, size_of::<u32>(), 0),
            map_name::SAMPLES => (MapType::RingBuf, 0, 0),
            _ => (MapType::Array, size_of::<u32>(), BPF_F_MMAPABLE),
        };
        let value_size = watched::value_size(name).unwrap_or(match name {
            map_name::CONTROL => size_of::<ControlBlock>(),
            map_name::NODES | map_name::LABEL_NODES => size_of::<Node>(),
            map_name::PENDING => size_of::<Pending>(),
            map_name::ROOTS | map_name::BLOCKS | map_name::LABEL_ROOTS | map_name::LABEL_BLOCKS => size_of::<Words>(),
            map_name::EXTERNAL => size_of::<u32>(),
            _ => size_of::<Counter>(),
        });
        Self { name, map_type, key_size: key_size as u32, value_size: value_size as u32, entries, flags }
    }
}

#[cfg(test)]
mod tests;
