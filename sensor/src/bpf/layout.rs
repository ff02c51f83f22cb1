//! How large each map is made: fixed when the programs are loaded.

use sensor_ebpf::{
    abi::{Cell, Control, ControlBlock, Counter, Direction, Line, MAX_EXTERNAL, Node, Settings, Side, Words, map_name},
    lookup::{root_len_v4, root_len_v6},
};

use crate::prefix::{RootBits, Trie};

/// Counter memory beyond which CPUs share slices: a slice is a copy of all prefix counters.
const MAX_COUNTER_BYTES: u64 = 1 << 30;

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
        let prefix_capacity = prefixes + 1;
        Self {
            root_bits: trie.root_bits,
            nodes: (trie.nodes.len() as u32).max(1),
            run_lines: (trie.runs.len() as u32).div_ceil(Line::WORDS).max(1),
            prefix_capacity,
            slices: slices(cpus, prefix_capacity),
            ledger_slots: interfaces * Side::COUNT,
        }
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

    /// Entries of each shared map.
    pub(crate) fn entries(&self) -> [(&'static str, u32); map_name::SHARED.len()] {
        [
            (map_name::CONTROL, 1),
            (map_name::ROOTS, self.root_lines() * Control::SLOTS),
            (map_name::NODES, self.nodes * Control::SLOTS),
            (map_name::RUNS, self.run_lines * Control::SLOTS),
            (map_name::PREFIXES, self.prefix_rows()),
            (map_name::LEDGER, self.ledger_slots * Control::BANKS * self.slices * Cell::COUNT),
            (map_name::EXTERNAL, MAX_EXTERNAL),
        ]
    }

    /// Memory of all maps, in bytes.
    pub fn bytes(&self) -> u64 {
        self.entries().into_iter().map(|(name, entries)| u64::from(entries) * value_size(name)).sum()
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

fn value_size(map: &str) -> u64 {
    let size = match map {
        map_name::CONTROL => size_of::<ControlBlock>(),
        map_name::NODES => size_of::<Node>(),
        map_name::ROOTS | map_name::RUNS => size_of::<Words>(),
        map_name::EXTERNAL => size_of::<u32>(),
        _ => size_of::<Counter>(),
    };
    size as u64
}
