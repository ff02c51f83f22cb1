//! Builds the compressed multibit trie that `sensor_ebpf::lookup` walks.
//!
//! Node and run indices are relative to the start of the table; whoever puts it into a half of the maps adds that half's offset.

use std::fmt;

use anyhow::{Result, bail};
use sensor_ebpf::{
    abi::{Entry, INLINE_RUNS, MAX_NODES, Node, PrefixId},
    lookup::{STRIDE, root_index_v4, root_index_v6, root_len_v4, root_len_v6},
};

/// Slots of a node.
const SLOTS: usize = 1 << STRIDE;

/// One prefix of one family and what its addresses get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The network address, its first bit uppermost in the word (an IPv4 address fills the upper 32 bits); host bits are zero.
    pub bits: u128,
    /// Prefix length in bits.
    pub len: u8,
    /// A leaf.
    pub entry: Entry,
}

/// Leading bits that index the roots: values of `lookup::ROOT_BITS_V4` and `lookup::ROOT_BITS_V6`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootBits {
    /// For IPv4.
    pub v4: u32,
    /// For IPv6.
    pub v6: u32,
}

/// Prefixes from which a full IPv4 root pays: 64 MiB per table half, one memory access less.
const LARGE_ROOT_FROM_V4: usize = 200_000;
/// Prefixes from which the large IPv6 root pays: 8 MiB per table half.
const LARGE_ROOT_FROM_V6: usize = 20_000;

impl RootBits {
    /// The roots for that many prefixes.
    pub const fn for_size(v4: usize, v6: usize) -> Self {
        Self { v4: if v4 >= LARGE_ROOT_FROM_V4 { 24 } else { 16 }, v6: if v6 >= LARGE_ROOT_FROM_V6 { 24 } else { 16 } }
    }

    /// Root entries of one table half.
    pub const fn entries(self) -> u32 {
        root_len_v4(self.v4) + root_len_v6(self.v6)
    }
}

impl fmt::Display for RootBits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "roots of {} bits for IPv4 and {} for IPv6", self.v4, self.v6)
    }
}

/// An immutable table of both families.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trie {
    /// How the roots are indexed.
    pub root_bits: RootBits,
    /// Root entries of IPv4, then of IPv6.
    pub roots: Vec<Entry>,
    /// Nodes; the index of a child is its place here.
    pub nodes: Vec<Node>,
    /// Run values of nodes that hold them not inline.
    pub runs: Vec<Entry>,
    /// Highest prefix id of a leaf; 0 of an empty table. The counters must have a row for it.
    pub highest_id: u32,
}

impl Trie {
    /// Builds the table. Both lists are sorted by address, then length, without duplicates.
    ///
    /// # Errors
    /// More nodes or run values than an [`Entry`] can point at.
    pub fn build(root_bits: RootBits, v4: &[Item], v6: &[Item]) -> Result<Self> {
        let mut builder = Builder { nodes: Vec::new(), runs: Vec::new() };
        let mut roots = vec![Entry::NONE; root_bits.entries() as usize];
        let (roots_v4, roots_v6) = roots.split_at_mut(root_len_v4(root_bits.v4) as usize);
        let index_v4 = |bits: u128| (root_index_v4(root_bits.v4, (bits >> 96) as u32), root_bits.v4);
        let index_v6 = |bits: u128| root_index_v6(root_bits.v6, (bits >> 64) as u64);
        builder.root(roots_v4, v4, index_v4);
        builder.root(roots_v6, &split_over_roots(v6), index_v6);
        // The topmost run index is the mark of an inline node.
        if builder.nodes.len() >= MAX_NODES as usize || builder.runs.len() >= Node::INLINE as usize - SLOTS {
            bail!(
                "the prefix table needs {} nodes and {} run values, more than its indices can name",
                builder.nodes.len(),
                builder.runs.len()
            );
        }
        let ids = v4.iter().chain(v6).filter_map(|item| item.entry.prefix());
        let highest_id = ids.map(PrefixId::get).max().unwrap_or(0);
        Ok(Self { root_bits, roots, nodes: builder.nodes, runs: builder.runs, highest_id })
    }
}

struct Builder {
    nodes: Vec<Node>,
    runs: Vec<Entry>,
}

impl Builder {
    /// Fills the root entries of one family. `index` tells the root entry of an address and how many bits that decides.
    fn root(&mut self, roots: &mut [Entry], items: &[Item], index: impl Fn(u128) -> (u32, u32)) {
        // Sorted order puts a covering prefix before all it covers, so painting in order leaves the longest on top.
        for item in items {
            let (first, decided) = index(item.bits);
            if u32::from(item.len) <= decided {
                let (last, _) = index(last_address(item));
                for root in &mut roots[first as usize..=last as usize] {
                    *root = item.entry;
                }
            }
        }
        for group in items.chunk_by(|a, b| index(a.bits).0 == index(b.bits).0) {
            let (root, decided) = index(group[0].bits);
            let deeper = deeper_than(group, decided);
            if !deeper.is_empty() {
                roots[root as usize] = self.node(deeper, decided, roots[root as usize]);
            }
        }
    }

    /// One node for prefixes longer than `decided` bits that agree in those; slots that none of them covers get `inherited`.
    fn node(&mut self, items: &[Item], decided: u32, inherited: Entry) -> Entry {
        let slot_of = |bits: u128| (bits << decided >> (u128::BITS - STRIDE)) as usize;
        let mut slots = [inherited; SLOTS];
        let next = decided + STRIDE;
        for item in items.iter().filter(|item| u32::from(item.len) <= next) {
            slots[slot_of(item.bits)..=slot_of(last_address(item))].fill(item.entry);
        }
        for group in items.chunk_by(|a, b| slot_of(a.bits) == slot_of(b.bits)) {
            let deeper = deeper_than(group, next);
            if !deeper.is_empty() {
                let slot = slot_of(group[0].bits);
                slots[slot] = self.node(deeper, next, slots[slot]);
            }
        }
        self.push(&slots)
    }

    fn push(&mut self, slots: &[Entry; SLOTS]) -> Entry {
        let mut node = Node::default();
        let mut values = Vec::with_capacity(INLINE_RUNS as usize);
        for (slot, entry) in slots.iter().enumerate() {
            if slot % 64 == 0 {
                // At most 192 runs start before the last word.
                node.ranks[slot / 64] = values.len() as u8;
            }
            if values.last() != Some(entry) {
                node.starts[slot / 64] |= 1 << (slot % 64);
                values.push(*entry);
            }
        }
        if values.len() <= INLINE_RUNS as usize {
            node.base = Node::INLINE;
            node.inline[..values.len()].copy_from_slice(&values);
        } else {
            node.base = self.runs.len() as u32;
            self.runs.extend(values);
        }
        self.nodes.push(node);
        Entry::node(self.nodes.len() as u32 - 1)
    }
}

/// 2000::/3 may have a root of its own, so what covers it and more is laid down in pieces of that size.
fn split_over_roots(items: &[Item]) -> Vec<Item> {
    const PIECE: u8 = 3;
    let mut pieces: Vec<Item> = Vec::with_capacity(items.len());
    for item in items {
        let count = 1_u128 << PIECE.saturating_sub(item.len);
        let len = item.len.max(PIECE);
        let start = |piece: u128| item.bits | piece << (u128::BITS - u32::from(PIECE));
        pieces.extend((0..count).map(|piece| Item { bits: start(piece), len, ..*item }));
    }
    // Stable: of pieces with one address, those of the shorter prefix stay below.
    pieces.sort_by_key(|item| item.bits);
    pieces
}

/// Those of `items` (which agree in `decided` bits) that are longer: sorted order puts the shorter ones first.
fn deeper_than(items: &[Item], decided: u32) -> &[Item] {
    &items[items.partition_point(|item| u32::from(item.len) <= decided)..]
}

fn last_address(item: &Item) -> u128 {
    item.bits | u128::MAX.checked_shr(item.len.into()).unwrap_or(0)
}
