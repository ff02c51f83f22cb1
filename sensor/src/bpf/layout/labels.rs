//! How large the maps of counterparts are: what labels far ends, and the rows that count them.

use sensor_ebpf::{
    abi::{BLOCK_LEN, Control, Direction, Line, MAX_NODES, Row, map_name, rows_of_slice},
    watch::LABEL_ROOTS,
};

use super::BLOCK_LINES;
use crate::prefix::Trie;

/// Part of the memory of all maps that rows of counterparts of all slices may take.
const ROWS_SHARE: u64 = 16;
/// Fewest rows of a slice.
const MIN_ROWS: u32 = 1 << 10;
/// Room for reloads beside what is used, as a divisor of that, and at least: files of counterparts grow slowly.
const HEADROOM: u32 = 4;
const MORE_NODES: u32 = 1024;
const MORE_BLOCKS: u32 = 64;

/// What labels far ends, and how many rows there are to count that.
#[derive(Clone, Copy, Debug)]
pub struct LabelPlan<'a> {
    /// From an address to its label.
    pub trie: &'a Trie,
    /// Rows of each slice that are found by key, a power of two; fewer where memory is short.
    pub rows: u32,
}

/// Sizes of these maps; all zero where far ends are not told apart: each has one entry then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Labels {
    /// Rows of a slice that are found by key, a power of two.
    pub(crate) rows: u32,
    /// Nodes of one half.
    pub(crate) nodes: u32,
    /// Blocks of one half.
    pub(crate) blocks: u32,
}

/// Names of these maps.
pub(super) const NAMES: [&str; 4] =
    [map_name::COUNTERPARTS, map_name::LABEL_ROOTS, map_name::LABEL_NODES, map_name::LABEL_BLOCKS];

impl Labels {
    /// For such a table, in so many slices and so much memory for all maps.
    pub(super) fn new(plan: Option<LabelPlan<'_>>, slices: u32, memory: u64, has_room: bool) -> Self {
        let Some(LabelPlan { trie, rows }) = plan else { return Self::default() };
        let room = |used: usize, more: u32| {
            let used = u32::try_from(used).unwrap_or(MAX_NODES / 2);
            let room = if has_room { (used / HEADROOM).saturating_add(more) } else { 0 };
            used.saturating_add(room).clamp(1, MAX_NODES / 2)
        };
        Self {
            rows: rows_within(rows, slices, memory),
            nodes: room(trie.nodes.len(), MORE_NODES),
            blocks: room(trie.blocks.len() / BLOCK_LEN as usize, MORE_BLOCKS),
        }
    }

    /// Those of maps that have so many entries by name.
    pub(super) fn of_maps(entries: impl Fn(&'static str) -> u32, slices: u32, networks: u32) -> Self {
        if entries(map_name::COUNTERPARTS) <= 1 {
            return Self::default();
        }
        let rows = (entries(map_name::COUNTERPARTS) / slices.max(1)).saturating_sub(networks * Direction::COUNT);
        let half = |name| entries(name) / Control::SLOTS;
        Self { rows, nodes: half(map_name::LABEL_NODES), blocks: half(map_name::LABEL_BLOCKS) / BLOCK_LINES }
    }

    /// Whether each size is one that a layout may have.
    pub(super) fn is_possible(&self) -> bool {
        *self == Self::default() || self.rows.is_power_of_two() && self.nodes > 0 && self.blocks > 0
    }

    /// Whether maps for so many rows would be of the same size.
    pub(super) fn is_for(&self, rows: Option<u32>, slices: u32, memory: u64) -> bool {
        self.rows == rows.map_or(0, |rows| rows_within(rows, slices, memory))
    }

    /// Entries of a map; `None`: it is another's.
    pub(super) fn entries(&self, name: &'static str, slices: u32, networks: u32) -> Option<u64> {
        let used = match name {
            map_name::COUNTERPARTS => u64::from(slices) * u64::from(rows_of_slice(self.rows, networks)),
            map_name::LABEL_ROOTS => u64::from(LABEL_ROOTS / Line::WORDS * Control::SLOTS),
            map_name::LABEL_NODES => u64::from(self.nodes) * u64::from(Control::SLOTS),
            map_name::LABEL_BLOCKS => u64::from(self.blocks) * u64::from(BLOCK_LINES * Control::SLOTS),
            _ => return None,
        };
        Some(if self.rows == 0 { 1 } else { used })
    }

    /// What there is too little of for a table; `None`: it fits.
    pub(super) fn lacks(&self, trie: &Trie) -> Option<String> {
        let outgrown = |what, wanted: usize, room: u32| {
            let message =
                || format!("{wanted} {what} of counterparts outgrow maps made for {room}; new maps are needed");
            (wanted > room as usize).then(message)
        };
        outgrown("nodes", trie.nodes.len(), self.nodes)
            .or_else(|| outgrown("blocks", trie.blocks.len() / BLOCK_LEN as usize, self.blocks))
    }
}

fn rows_within(wanted: u32, slices: u32, memory: u64) -> u32 {
    let each = size_of::<Row>() as u64 * u64::from(slices);
    let most = u32::try_from(memory / ROWS_SHARE / each).unwrap_or(u32::MAX).max(MIN_ROWS);
    let wanted = wanted.max(MIN_ROWS);
    let wanted = wanted.checked_next_power_of_two().unwrap_or(1 << 31);
    if wanted > most { 1 << most.ilog2() } else { wanted }
}
