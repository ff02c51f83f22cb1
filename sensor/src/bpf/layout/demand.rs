//! What maps must hold, what they may take, and the room that is left in them for reloads.

use std::fmt;

use sensor_ebpf::abi::{BLOCK_LEN, MAX_NODES, MAX_PREFIXES, Side};
use thiserror::Error;

use super::{LabelPlan, Labels, Layout, Watched};
use crate::prefix::{RootBits, Trie};

/// Room for reloads beside what is used, as a divisor of that: the first that fits is taken.
const HEADROOM: [Option<u32>; 4] = [Some(4), Some(8), Some(16), Some(32)];
/// Room for reloads of small tables: ids, nodes, blocks. Under half a megabyte, and 64 KiB for each slice.
const MORE_IDS: u32 = 1024;
const MORE_NODES: u32 = 2048;
const MORE_BLOCKS: u32 = 64;
/// Blocks of one half: the entries of two have numbers.
const MAX_BLOCKS: u32 = u32::MAX / BLOCK_LEN / 2;
/// Bytes of a mebibyte.
const MIB: u64 = 1 << 20;

/// Whether other tables are to fit as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Those that reloads bring.
    ForReloads,
    /// None: the table stays as long as the maps.
    None,
}

impl Room {
    /// The divisors to try, in their order.
    pub(super) const fn steps(self) -> &'static [Option<u32>] {
        match self {
            Self::ForReloads => &HEADROOM,
            Self::None => &[None],
        }
    }
}

/// What maps are wanted for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The table.
    pub trie: &'a Trie,
    /// Ids that are counted under go up to this, or to that of the table.
    pub highest_id: u32,
    /// Numbers of watched networks go up to this; 0: none.
    pub highest_network: u32,
    /// Flows of theirs that are remembered.
    pub flows: u32,
    /// What labels far ends; `None`: they are not told apart.
    pub labels: Option<LabelPlan<'a>>,
    /// CPUs that count.
    pub cpus: u32,
    /// Interfaces they count on.
    pub interfaces: u32,
    /// Bytes that all maps may take.
    pub memory: u64,
    /// Whether other tables are to fit.
    pub room: Room,
}

/// What a table takes, without room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Demand<'a> {
    pub(super) root_bits: RootBits,
    pub(super) nodes: usize,
    pub(super) blocks: usize,
    /// Highest id.
    pub(super) ids: u32,
    pub(super) ledger_slots: u32,
    highest_network: u32,
    flows: u32,
    labels: Option<LabelPlan<'a>>,
    memory: u64,
}

impl<'a> Demand<'a> {
    pub(super) fn new(wanted: &Wanted<'a>) -> Self {
        let Wanted { trie, highest_id, highest_network, flows, labels, interfaces, memory, .. } = *wanted;
        Self {
            root_bits: trie.root_bits,
            nodes: trie.nodes.len(),
            blocks: trie.blocks.len() / BLOCK_LEN as usize,
            ids: highest_id.max(trie.highest_id),
            ledger_slots: interfaces * Side::COUNT,
            highest_network,
            flows,
            labels,
            memory,
        }
    }

    /// Maps with that part more than is used, if any, and so many slices.
    pub(super) fn layout(&self, room: Option<u32>, slices: u32) -> Layout {
        let watched = Watched::new(self.highest_network, self.flows, slices, self.memory, room.is_some());
        // Built tables have less than `MAX_NODES` nodes; two halves of that many still have numbers.
        let labels = Labels::new(self.labels, slices, self.memory, room.is_some());
        let room = |used: usize, more: u32, most: u32| {
            let used = u32::try_from(used).unwrap_or(most);
            let room = room.map_or(0, |part| (used / part).saturating_add(more));
            // A map has at least one entry.
            used.saturating_add(room).min(most.max(used)).max(1)
        };
        Layout {
            root_bits: self.root_bits,
            nodes: room(self.nodes, MORE_NODES, MAX_NODES / 2),
            blocks: room(self.blocks, MORE_BLOCKS, MAX_BLOCKS),
            // Id 0 has rows, too.
            prefix_capacity: room(self.ids as usize + 1, MORE_IDS, MAX_PREFIXES + 1),
            slices,
            ledger_slots: self.ledger_slots,
            watched,
            labels,
        }
    }
}

/// Memory of the maps of one sensor, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Both halves of the prefix table.
    pub tables: u64,
    /// Counters of prefixes, all slices.
    pub counters: u64,
    /// Ledgers of interfaces, all slices.
    pub ledgers: u64,
    /// Flows, classes and samples of watched traffic.
    pub watched: u64,
    /// Everything else.
    pub rest: u64,
}

impl Footprint {
    /// All of it.
    #[must_use]
    pub const fn total(self) -> u64 {
        self.tables + self.counters + self.ledgers + self.watched + self.rest
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [all, tables, counters, ledgers, watched] =
            [self.total(), self.tables, self.counters, self.ledgers, self.watched].map(|bytes| bytes.div_ceil(MIB));
        write!(
            f,
            "{all} MiB of kernel memory (tables {tables}, counters {counters}, ledgers {ledgers}, watched flows {watched})"
        )
    }
}

/// A table that takes more memory than allowed, with the least room for reloads and one slice for all CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error(
    "{ids} prefixes need {needed}, and {} MiB are allowed; raise memory in [sensor], or leave out accounting tables or aggregate them",
    memory / MIB
)]
pub struct TooLarge {
    /// Prefixes, or ids that are still counted under.
    pub ids: u32,
    /// What it takes at least.
    pub needed: Footprint,
    /// What is allowed, in bytes.
    pub memory: u64,
}
