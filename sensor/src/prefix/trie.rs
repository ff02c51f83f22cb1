//! Builds the compressed multibit trie that `sensor_ebpf::lookup` walks.
//!
//! Node and run indices are relative to the start of the table; whoever puts it into a half of the maps adds that half's offset.

mod sweep;

use std::fmt;

use anyhow::{Result, bail};
use sensor_ebpf::{
    abi::{Entry, INLINE_RUNS, Line, MAX_NODES, Node, Words},
    lookup::{LARGE_ROOT_BITS_V6, SMALL_ROOT_BITS_V6, STRIDE, root_len_v4, root_len_v6},
};

use self::sweep::Sweep;

/// Slots of a node.
const SLOTS: usize = 1 << STRIDE;
/// The large IPv6 root is that of global unicast: addresses that begin with these three bits.
const GLOBAL_UNICAST: u128 = 0b001;
const GLOBAL_UNICAST_BITS: u32 = 3;

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
    /// Where the root entries change: most neighbours are equal, and a full table has 19 million of them.
    roots: Vec<Run>,
    /// Nodes; the index of a child is its place here.
    pub nodes: Vec<Node>,
    /// Run values of nodes that hold them not inline.
    pub runs: Vec<Entry>,
    /// Highest prefix id of a leaf; 0 of an empty table. The counters must have a row for it.
    pub highest_id: u32,
}

/// Root entries from `first` to the next run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    first: u32,
    entry: Entry,
}

impl Trie {
    /// Builds the table. Both lists are sorted by address, then length, without duplicates.
    ///
    /// # Errors
    /// More nodes or run values than an [`Entry`] can point at.
    pub fn build(
        root_bits: RootBits,
        v4: impl Iterator<Item = Item>,
        v6: impl Iterator<Item = Item> + Clone,
    ) -> Result<Self> {
        let mut builder = Builder::default();
        let len_v4 = root_len_v4(root_bits.v4);
        builder.root(Root { start: 0, len: len_v4, decided: root_bits.v4, skipped: 0 }, v4);
        let small = Root { start: len_v4, len: 1 << SMALL_ROOT_BITS_V6, decided: SMALL_ROOT_BITS_V6, skipped: 0 };
        if root_bits.v6 == LARGE_ROOT_BITS_V6 {
            builder.root(small, v6.clone().filter(|item| !is_global_unicast(item)));
            let large = Root {
                start: small.start + small.len,
                len: root_len_v6(root_bits.v6) - small.len,
                decided: LARGE_ROOT_BITS_V6,
                skipped: GLOBAL_UNICAST_BITS,
            };
            builder.root(large, v6.filter(|item| is_global_unicast(item) || covers_global_unicast(item)));
        } else {
            builder.root(small, v6);
        }
        let Builder { roots, nodes, runs, highest_id } = builder;
        // The topmost run index is the mark of an inline node.
        if nodes.len() >= MAX_NODES as usize || runs.len() >= Node::INLINE as usize - SLOTS {
            bail!(
                "the prefix table needs {} nodes and {} run values, more than its indices can name",
                nodes.len(),
                runs.len()
            );
        }
        Ok(Self { root_bits, roots, nodes, runs, highest_id })
    }

    /// Root entries of IPv4, then of IPv6, in lines; both families' roots are whole lines. Each is what `moved` makes of it.
    pub fn root_lines(&self, moved: impl Fn(Entry) -> Entry) -> impl Iterator<Item = Words> {
        let mut runs = self.roots.iter().copied().peekable();
        let mut entry = Entry::NONE;
        (0..self.root_bits.entries()).step_by(Line::WORDS as usize).map(move |line| {
            let mut words = [entry; Line::WORDS as usize];
            while let Some(run) = runs.next_if(|run| run.first - line < Line::WORDS) {
                entry = moved(run.entry);
                words[(run.first - line) as usize..].fill(entry);
            }
            Words(words)
        })
    }

    /// Memory of this value, in bytes.
    pub fn bytes(&self) -> usize {
        self.roots.capacity() * size_of::<Run>()
            + self.nodes.capacity() * size_of::<Node>()
            + self.runs.capacity() * size_of::<Entry>()
    }
}

/// Whether an item is of the large IPv6 root alone.
fn is_global_unicast(item: &Item) -> bool {
    u32::from(item.len) >= GLOBAL_UNICAST_BITS && item.bits >> (u128::BITS - GLOBAL_UNICAST_BITS) == GLOBAL_UNICAST
}

fn covers_global_unicast(item: &Item) -> bool {
    let first = GLOBAL_UNICAST << (u128::BITS - GLOBAL_UNICAST_BITS);
    u32::from(item.len) < GLOBAL_UNICAST_BITS && (item.bits..=last_address(item)).contains(&first)
}

/// A root array.
#[derive(Clone, Copy)]
struct Root {
    /// Its first entry among all root entries.
    start: u32,
    len: u32,
    /// Leading bits of an address that its entry decides.
    decided: u32,
    /// Of those, the ones that are the same in all addresses.
    skipped: u32,
}

impl Root {
    fn slot_of(self, bits: u128) -> u32 {
        (bits << self.skipped >> (u128::BITS - self.decided + self.skipped)) as u32
    }
}

#[derive(Default)]
struct Builder {
    roots: Vec<Run>,
    nodes: Vec<Node>,
    runs: Vec<Entry>,
    highest_id: u32,
}

impl Builder {
    /// Appends the runs of one root array.
    fn root(&mut self, root: Root, items: impl Iterator<Item = Item>) {
        let mut sweep = Sweep::new(Entry::NONE, root.len);
        let mut runs = std::mem::take(&mut self.roots);
        runs.reserve(items.size_hint().1.unwrap_or(0));
        let mut emit = |first, entry| runs.push(Run { first: root.start + first, entry });
        let mut items = items.peekable();
        let mut deeper = Vec::new();
        while let Some(item) = items.next() {
            let slot = root.slot_of(item.bits);
            if u32::from(item.len) <= root.decided {
                self.note(&item);
                sweep.cover(slot, root.slot_of(last_address(&item)) + 1, item.entry, &mut emit);
                continue;
            }
            // Sorted order: whatever follows in this slot is longer, too.
            deeper.clear();
            deeper.push(item);
            deeper.extend(std::iter::from_fn(|| items.next_if(|item| root.slot_of(item.bits) == slot)));
            let inherited = sweep.at(slot, &mut emit);
            sweep.point(slot, self.node(&deeper, root.decided, inherited), &mut emit);
        }
        sweep.finish(&mut emit);
        self.roots = runs;
    }

    /// One node for prefixes longer than `decided` bits that agree in those; slots that none of them covers get `inherited`.
    fn node(&mut self, items: &[Item], decided: u32, inherited: Entry) -> Entry {
        let slot_of = |bits: u128| (bits << decided >> (u128::BITS - STRIDE)) as u32;
        let next = decided + STRIDE;
        let mut sweep = Sweep::new(inherited, SLOTS as u32);
        let mut starts = [0_u64; 4];
        let mut values = [Entry::NONE; SLOTS];
        let mut count = 0;
        let mut emit = |slot: u32, entry| {
            starts[slot as usize / 64] |= 1 << (slot % 64);
            values[count] = entry;
            count += 1;
        };
        let mut rest = items;
        while let [item, behind @ ..] = rest {
            let slot = slot_of(item.bits);
            if u32::from(item.len) <= next {
                self.note(item);
                sweep.cover(slot, slot_of(last_address(item)) + 1, item.entry, &mut emit);
                rest = behind;
                continue;
            }
            let same = rest.iter().take_while(|item| slot_of(item.bits) == slot).count();
            let (deeper, behind) = rest.split_at(same);
            let inherited = sweep.at(slot, &mut emit);
            sweep.point(slot, self.node(deeper, next, inherited), &mut emit);
            rest = behind;
        }
        sweep.finish(&mut emit);
        self.push(starts, &values[..count])
    }

    fn push(&mut self, starts: [u64; 4], values: &[Entry]) -> Entry {
        let mut node = Node { starts, base: Node::INLINE, ..Node::default() };
        let mut before = 0;
        for (rank, word) in node.ranks.iter_mut().zip(starts) {
            // At most 192 runs start before the last word.
            *rank = before as u8;
            before += word.count_ones();
        }
        if values.len() <= INLINE_RUNS as usize {
            node.inline[..values.len()].copy_from_slice(values);
        } else {
            node.base = self.runs.len() as u32;
            self.runs.extend_from_slice(values);
        }
        self.nodes.push(node);
        Entry::node(self.nodes.len() as u32 - 1)
    }

    fn note(&mut self, item: &Item) {
        self.highest_id = self.highest_id.max(item.entry.prefix().map_or(0, |id| id.get()));
    }
}

fn last_address(item: &Item) -> u128 {
    item.bits | u128::MAX.checked_shr(item.len.into()).unwrap_or(0)
}
