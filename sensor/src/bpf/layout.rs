//! How large each map is made: fixed when the programs are loaded.

use aya::maps::MapType;
use sensor_ebpf::{
    abi::{Cell, Control, ControlBlock, Counter, Direction, Line, MAX_EXTERNAL, Node, Settings, Side, Words, map_name},
    lookup::{ROOT_BITS_V4, ROOT_BITS_V6, root_len_v4, root_len_v6},
};

use crate::prefix::{RootBits, Trie};

/// Counter memory beyond which CPUs share slices: a slice is a copy of all prefix counters.
const MAX_COUNTER_BYTES: u64 = 1 << 30;

/// `BPF_F_MMAPABLE` of `linux/bpf.h`.
const BPF_F_MMAPABLE: u32 = 1 << 10;

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
    /// Lines of run values of one table half.
    run_lines: u32,
    /// Counter rows of one slice, by direction: highest prefix id plus one.
    prefix_capacity: u32,
    slices: u32,
    ledger_slots: u32,
}

impl Layout {
    /// Room for `trie` and `prefixes` prefixes, counted by `cpus` CPUs on `interfaces` interfaces.
    pub fn new(trie: &Trie, prefixes: u32, cpus: u32, interfaces: u32) -> Self {
        let room = |used: u32| used + used / 4 + 64;
        let prefix_capacity = room(prefixes) + 1;
        Self {
            root_bits: trie.root_bits,
            nodes: room(trie.nodes.len() as u32),
            run_lines: room((trie.runs.len() as u32).div_ceil(Line::WORDS)),
            prefix_capacity,
            slices: slices(cpus, prefix_capacity),
            ledger_slots: interfaces * Side::COUNT,
        }
    }

    /// The layout of the counters of a set made for `interfaces` interfaces whose maps have so many rows; `None` where they do not fit
    /// together. Of the table it knows nothing.
    pub(crate) fn of_counters(prefix_rows: u32, ledger_rows: u32, interfaces: u32) -> Option<Self> {
        let ledger_slots = interfaces.checked_mul(Side::COUNT)?;
        let slices = ledger_rows.checked_div(ledger_slots.checked_mul(Control::BANKS * Cell::COUNT)?)?;
        let prefix_capacity = prefix_rows.checked_div(slices.checked_mul(Direction::COUNT)?)?;
        let root_bits = RootBits { v4: SMALL_ROOT_BITS, v6: SMALL_ROOT_BITS };
        let layout = Self { root_bits, nodes: 1, run_lines: 1, prefix_capacity, slices, ledger_slots };
        let fits = prefix_capacity > 0
            && slices.is_power_of_two()
            && layout.shape(map_name::PREFIXES).entries == prefix_rows
            && layout.shape(map_name::LEDGER).entries == ledger_rows;
        fits.then_some(layout)
    }

    /// The layout of maps made for `interfaces` interfaces, by the entries that the map of each name has; `None` where they do not fit
    /// together.
    pub(crate) fn of_maps(entries: impl Fn(&'static str) -> u32, interfaces: u32) -> Option<Self> {
        let counters = Self::of_counters(entries(map_name::PREFIXES), entries(map_name::LEDGER), interfaces)?;
        let half = |name| entries(name) / Control::SLOTS;
        let sized =
            |root_bits| Self { root_bits, nodes: half(map_name::NODES), run_lines: half(map_name::RUNS), ..counters };
        let roots = ROOT_BITS_V4.into_iter().flat_map(|v4| ROOT_BITS_V6.map(|v6| RootBits { v4, v6 }));
        let fits = |layout: &Self| layout.shapes().iter().all(|shape| shape.entries == entries(shape.name));
        roots.map(sized).find(fits)
    }

    /// What maps of this layout have too little of for a table; `None`: it fits.
    pub(crate) fn lacks(&self, trie: &Trie) -> Option<String> {
        let outgrown = |what, wanted: usize, room: u32| {
            (wanted > room as usize)
                .then(|| format!("{wanted} {what} outgrow maps made for {room}; new maps are needed"))
        };
        if trie.root_bits != self.root_bits {
            return Some(format!("the table has {}, the maps {}; new maps are needed", trie.root_bits, self.root_bits));
        }
        outgrown("prefix ids", trie.highest_id as usize, self.prefix_capacity - 1)
            .or_else(|| outgrown("nodes", trie.nodes.len(), self.nodes))
            .or_else(|| outgrown("run values", trie.runs.len(), self.run_lines * Line::WORDS))
    }

    /// The constants of the program instance that books under interface number `interface`, and bills unless that is `internal`.
    pub(crate) fn settings(&self, interface: u32, internal: bool, replay: bool) -> Settings {
        Settings {
            ledger_slot: interface * Side::COUNT,
            slice_mask: self.slices - 1,
            prefix_capacity: self.prefix_capacity,
            root_bits_v4: self.root_bits.v4,
            root_bits_v6: self.root_bits.v6,
            replay: replay.into(),
            internal: internal.into(),
        }
    }

    /// What each shared map must be.
    pub(crate) fn shapes(&self) -> [MapShape; map_name::SHARED.len()] {
        map_name::SHARED.map(|name| self.shape(name))
    }

    /// What the shared map of that name must be.
    pub(crate) fn shape(&self, name: &'static str) -> MapShape {
        let entries = match name {
            map_name::ROOTS => self.root_lines() * Control::SLOTS,
            map_name::NODES => self.nodes * Control::SLOTS,
            map_name::RUNS => self.run_lines * Control::SLOTS,
            map_name::PREFIXES => self.prefix_rows(),
            map_name::LEDGER => self.ledger_slots * Control::BANKS * self.slices * Cell::COUNT,
            map_name::EXTERNAL => MAX_EXTERNAL,
            _ => 1,
        };
        MapShape::of(name, entries)
    }

    /// Memory of all maps, in bytes.
    pub fn bytes(&self) -> u64 {
        self.shapes().into_iter().map(|shape| u64::from(shape.entries) * u64::from(shape.value_size)).sum()
    }

    /// How the roots are indexed.
    pub(crate) fn root_bits(&self) -> RootBits {
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

    /// Lines of run values of one table half.
    pub(crate) fn run_lines(&self) -> u32 {
        self.run_lines
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

    fn prefix_rows(&self) -> u32 {
        self.slices * self.prefix_capacity * Direction::COUNT
    }
}

/// One slice for each CPU, rounded up to a power of two, fewer where the memory would be too much.
fn slices(cpus: u32, prefix_capacity: u32) -> u32 {
    let slice_bytes = u64::from(prefix_capacity) * u64::from(Direction::COUNT) * size_of::<Counter>() as u64;
    let mut slices = cpus.max(1).next_power_of_two();
    while slices > 1 && u64::from(slices) * slice_bytes > MAX_COUNTER_BYTES {
        slices /= 2;
    }
    slices
}

impl MapShape {
    /// The shape of the shared map of that name, with so many entries.
    pub(crate) fn of(name: &'static str, entries: u32) -> Self {
        let (map_type, flags) = match name {
            map_name::EXTERNAL => (MapType::Hash, 0),
            _ => (MapType::Array, BPF_F_MMAPABLE),
        };
        let value_size = match name {
            map_name::CONTROL => size_of::<ControlBlock>(),
            map_name::NODES => size_of::<Node>(),
            map_name::ROOTS | map_name::RUNS => size_of::<Words>(),
            map_name::EXTERNAL => size_of::<u32>(),
            _ => size_of::<Counter>(),
        };
        Self { name, map_type, key_size: size_of::<u32>() as u32, value_size: value_size as u32, entries, flags }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prefix::SetBuilder;

    #[test]
    fn maps_tell_their_layout() {
        let mut told = Vec::new();
        for v4 in ROOT_BITS_V4 {
            for v6 in ROOT_BITS_V6 {
                let trie = Trie::build(RootBits { v4, v6 }, std::iter::empty(), std::iter::empty()).unwrap();
                let layout = Layout { nodes: 1234, run_lines: 56, ..Layout::new(&trie, 1000, 5, 3) };
                assert_eq!(Layout::of_maps(|name| layout.shape(name).entries, 3), Some(layout));
                assert_eq!(Layout::of_maps(|name| layout.shape(name).entries, 4), None);
                for changed in map_name::SHARED {
                    let entries = |name| layout.shape(name).entries + u32::from(name == changed);
                    assert_eq!(Layout::of_maps(entries, 3), None, "{changed}");
                }
                told.push(layout.root_lines());
            }
        }
        told.sort_unstable();
        assert!(told.windows(2).all(|pair| pair[0] != pair[1]), "root lines tell the root bits: {told:?}");
    }

    #[test]
    fn counters_tell_their_layout() {
        let set = SetBuilder::default().build().unwrap();
        let trie = set.trie().unwrap();
        for (prefixes, cpus, interfaces) in [(0, 1, 1), (7, 2, 3), (1000, 5, 1), (40_000_000, 64, 2)] {
            let layout = Layout::new(&trie, prefixes, cpus, interfaces);
            let rows = |name| layout.shape(name).entries;
            let (prefix_rows, ledger_rows) = (rows(map_name::PREFIXES), rows(map_name::LEDGER));
            let told = Layout::of_counters(prefix_rows, ledger_rows, interfaces).unwrap();
            let expected = (layout.prefix_capacity(), layout.slices(), layout.ledger_slots());
            assert_eq!((told.prefix_capacity(), told.slices(), told.ledger_slots()), expected);
            assert_eq!(Layout::of_counters(prefix_rows + 1, ledger_rows, interfaces), None);
            assert_eq!(Layout::of_counters(prefix_rows, ledger_rows + 1, interfaces), None);
        }
        for (prefix_rows, ledger_rows, interfaces) in
            [(0, 0, 0), (2, 0, 1), (0, 128, 1), (u32::MAX, u32::MAX, u32::MAX)]
        {
            assert_eq!(Layout::of_counters(prefix_rows, ledger_rows, interfaces), None);
        }
    }
}
