//! Builds the compressed multibit trie that `sensor_ebpf::lookup` walks.
//!
//! Node and block indices are relative to the start of the table; whoever puts it into a half of the maps adds that half's offset.

mod sweep;

use std::fmt;

use anyhow::{Result, bail};
use sensor_ebpf::{
    abi::{BLOCK_LEN, Entry, Line, MAX_NODES, MAX_RANGES, Node, Words},
    lookup::{LARGE_ROOT_BITS_V6, SMALL_ROOT_BITS_V4, SMALL_ROOT_BITS_V6, STRIDE, root_len_v4, root_len_v6},
};

use self::sweep::Sweep;

/// Slots of a block.
const SLOTS: usize = BLOCK_LEN as usize;
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
    /// Nodes; the index of one is its place here.
    pub nodes: Vec<Node>,
    /// Entries of all blocks, [`BLOCK_LEN`] of each.
    pub blocks: Vec<Entry>,
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
    /// More nodes or blocks than an [`Entry`] can point at.
    pub fn build(
        root_bits: RootBits,
        v4: impl Iterator<Item = Item>,
        v6: impl Iterator<Item = Item> + Clone,
    ) -> Result<Self> {
        let mut builder = Builder::default();
        let len_v4 = root_len_v4(root_bits.v4);
        // A quarter of the instructions of a node, and all of them together never more than the large root.
        builder.always_blocks = SMALL_ROOT_BITS_V4;
        builder.root(Root { start: 0, len: len_v4, decided: root_bits.v4, skipped: 0 }, v4);
        builder.always_blocks = u32::MAX;
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
        let Builder { roots, nodes, blocks, highest_id, .. } = builder;
        // The kernel numbers the entries of both halves with 32 bits.
        if nodes.len() >= MAX_NODES as usize / 2 || blocks.len() >= u32::MAX as usize / 2 {
            bail!(
                "the prefix table needs {} nodes and {} blocks, more than its indices can name",
                nodes.len(),
                blocks.len() / SLOTS
            );
        }
        Ok(Self { root_bits, roots, nodes, blocks, highest_id })
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
            + self.blocks.capacity() * size_of::<Entry>()
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
    fn slot_of(self, bits: u128) -> u64 {
        (bits << self.skipped >> (u128::BITS - self.decided + self.skipped)) as u64
    }
}

#[derive(Default)]
struct Builder {
    roots: Vec<Run>,
    nodes: Vec<Node>,
    blocks: Vec<Entry>,
    highest_id: u32,
    /// Bits decided at which a block is made even where a node would do.
    always_blocks: u32,
}

impl Builder {
    /// Appends the runs of one root array.
    fn root(&mut self, root: Root, items: impl Iterator<Item = Item>) {
        let mut sweep = Sweep::new(Entry::NONE, root.len.into());
        let mut runs = std::mem::take(&mut self.roots);
        runs.reserve(items.size_hint().1.unwrap_or(0));
        let mut emit = |first, entry| runs.push(Run { first: root.start + first as u32, entry });
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

    /// A node or block for prefixes longer than `decided` bits that agree in those; addresses that none of them covers get `inherited`.
    fn node(&mut self, items: &[Item], decided: u32, inherited: Entry) -> Entry {
        let ranges = if decided == self.always_blocks { None } else { self.ranges(items, decided, inherited) };
        ranges.unwrap_or_else(|| self.slots(items, decided, inherited))
    }

    /// One node for all of them, where there are few ranges and the next 32 bits tell them apart.
    fn ranges(&mut self, items: &[Item], decided: u32, inherited: Entry) -> Option<Entry> {
        let told_apart = |item: &Item| u32::from(item.len) <= decided + u32::BITS;
        // Each prefix but those side by side adds two ranges; what has many more will not do.
        if items.len() > MAX_RANGES || !items.iter().all(told_apart) {
            return None;
        }
        let bits_of = |bits: u128| u64::from((bits << decided >> (u128::BITS - u32::BITS)) as u32);
        let mut sweep = Sweep::new(inherited, 1 << u32::BITS);
        let mut ranges = Ranges::default();
        let mut emit = |start, entry| ranges.push(start, entry);
        for item in items {
            sweep.cover(bits_of(item.bits), bits_of(last_address(item)) + 1, item.entry, &mut emit);
        }
        sweep.finish(&mut emit);
        let node = ranges.node()?;
        items.iter().for_each(|item| self.note(item));
        Some(self.push(node))
    }

    /// By the next eight bits: a node where the slots are few ranges, and else a block.
    fn slots(&mut self, items: &[Item], decided: u32, inherited: Entry) -> Entry {
        let slot_of = |bits: u128| (bits << decided >> (u128::BITS - STRIDE)) as u64;
        let next = decided + STRIDE;
        let mut sweep = Sweep::new(inherited, SLOTS as u64);
        let mut starts = [0; SLOTS];
        let mut values = [Entry::NONE; SLOTS];
        let mut count = 0;
        let mut emit = |slot, entry| {
            (starts[count], values[count]) = (slot, entry);
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
        let mut ranges = Ranges::default();
        for (slot, entry) in starts.iter().zip(values).take(count) {
            ranges.push(slot << (u32::BITS - STRIDE), entry);
        }
        if decided != self.always_blocks
            && let Some(node) = ranges.node()
        {
            return self.push(node);
        }
        let block = (self.blocks.len() / SLOTS) as u32;
        for (number, entry) in values.iter().enumerate().take(count) {
            let end = if number + 1 < count { starts[number + 1] } else { SLOTS as u64 };
            let end = block as usize * SLOTS + end as usize;
            self.blocks.resize(end, *entry);
        }
        Entry::block(block)
    }

    fn push(&mut self, node: Node) -> Entry {
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

/// The ranges of a node to be.
#[derive(Default)]
struct Ranges {
    node: Node,
    /// How many there are, also where that is too many.
    count: usize,
}

impl Ranges {
    /// Ranges come in the order of their starts, the first of them with 0.
    fn push(&mut self, start: u64, entry: Entry) {
        if let Some(value) = self.node.values.get_mut(self.count) {
            *value = entry;
        }
        if let Some(place) = self.count.checked_sub(1).and_then(|place| self.node.starts.get_mut(place)) {
            *place = start as u32;
        }
        self.count += 1;
    }

    /// The node; `None` where they are too many.
    fn node(mut self) -> Option<Node> {
        let last = self.count.checked_sub(1).filter(|last| *last < MAX_RANGES)?;
        let value = self.node.values[last];
        self.node.values[last..].fill(value);
        self.node.starts[last..].fill(u32::MAX);
        Some(self.node)
    }
}
