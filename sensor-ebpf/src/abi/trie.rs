//! Layout of the prefix table: an immutable compressed multibit trie.
//!
//! A root array is indexed by the leading bits of the address. Below it, where few ranges of addresses differ, a node holds them
//! sorted in one cache line (the idea of DXR, "Toward Efficient Address Lookup in Software", CCR 2012); where many do, a block holds an
//! entry for each value of the next eight bits.

/// Ranges of a node.
pub const MAX_RANGES: usize = 8;
/// Most prefixes a table can hold: ids 1 to this.
pub const MAX_PREFIXES: u32 = (1 << Entry::PREFIX_BITS) - 1;
/// Most watched networks: ids 1 to this.
pub const MAX_NETWORKS: u32 = (1 << (31 - Entry::PREFIX_BITS)) - 1;
/// Most nodes, and most blocks: indices below this.
pub const MAX_NODES: u32 = 1 << 30;

/// Dense number of a prefix of the table; 0 is no prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PrefixId(u32);

impl PrefixId {
    /// The id of that number; `None` for 0 and beyond [`MAX_PREFIXES`].
    pub const fn new(id: u32) -> Option<Self> {
        if id == 0 || id > MAX_PREFIXES { None } else { Some(Self(id)) }
    }

    /// The number, 1 to [`MAX_PREFIXES`].
    #[inline(always)]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Dense number of a watched network; 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(u32);

impl NetworkId {
    /// The id of that number; `None` for 0 and beyond [`MAX_NETWORKS`].
    pub const fn new(id: u32) -> Option<Self> {
        if id == 0 || id > MAX_NETWORKS { None } else { Some(Self(id)) }
    }

    /// The number, 1 to [`MAX_NETWORKS`].
    #[inline(always)]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// What a slot of the root, a node or a block holds, in 32 bits: nothing (0), a node or block to go on with (bit 31, bit 30 for a
/// block, and its index), or the longest prefix here (bits 0..22) with the network of the longest watched prefix that covers it (bits 22..31, 0 = not watched).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(transparent)]
pub struct Entry(u32);

impl Entry {
    const CHILD: u32 = 1 << 31;
    const BLOCK: u32 = 1 << 30;
    const PREFIX_BITS: u32 = 22;

    /// No prefix covers these addresses.
    pub const NONE: Self = Self(0);
    /// What no table holds: an index in it pointed outside its map.
    pub const FAULT: Self = Self(u32::MAX);

    /// The longest prefix, and the network it bills.
    pub const fn leaf(prefix: PrefixId, network: Option<NetworkId>) -> Self {
        let network = match network {
            Some(network) => network.get(),
            None => 0,
        };
        Self(network << Self::PREFIX_BITS | prefix.get())
    }

    /// Go on in node `index`, which is below [`MAX_NODES`].
    pub const fn node(index: u32) -> Self {
        Self(Self::CHILD | index)
    }

    /// Go on in block `index`, which is below [`MAX_NODES`].
    pub const fn block(index: u32) -> Self {
        Self(Self::CHILD | Self::BLOCK | index)
    }

    /// The same entry of a table whose nodes and blocks stand behind so many others.
    pub const fn moved(self, nodes: u32, blocks: u32) -> Self {
        match self.child() {
            Some(Child::Node(index)) => Self::node(index + nodes),
            Some(Child::Block(index)) => Self::block(index + blocks),
            None => self,
        }
    }

    /// The entry as stored.
    pub const fn word(self) -> u32 {
        self.0
    }

    /// The entry read back.
    #[inline(always)]
    pub const fn from_word(word: u32) -> Self {
        Self(word)
    }

    /// Where to go on.
    #[inline(always)]
    pub const fn child(self) -> Option<Child> {
        if self.0 & Self::CHILD == 0 {
            return None;
        }
        let index = self.0 & !(Self::CHILD | Self::BLOCK);
        Some(if self.0 & Self::BLOCK == 0 { Child::Node(index) } else { Child::Block(index) })
    }

    /// The longest prefix, of an entry without child.
    #[inline(always)]
    pub const fn prefix(self) -> Option<PrefixId> {
        PrefixId::new(self.0 & MAX_PREFIXES)
    }

    /// The network billed, of an entry without child.
    #[inline(always)]
    pub const fn network(self) -> Option<NetworkId> {
        NetworkId::new(self.0 >> Self::PREFIX_BITS)
    }
}

/// Where a lookup goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Child {
    /// In this node.
    Node(u32),
    /// In this block.
    Block(u32),
}

/// A line of a flat array of [`Entry`]: BPF arrays round each value up to 8 bytes, so a lone word would waste half the memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct Words(pub [Entry; Line::WORDS as usize]);

/// Where a word of a flat array stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Element of the array.
    pub element: u32,
    /// Word within the element, below 16.
    pub word: usize,
}

impl Line {
    /// Words of one element.
    pub const WORDS: u32 = 16;

    /// Place of word `index`.
    #[inline(always)]
    pub const fn of(index: u32) -> Self {
        Self { element: index / Self::WORDS, word: (index % Self::WORDS) as usize }
    }
}

/// Entries of a block.
pub const BLOCK_LEN: u32 = 1 << 8;

/// A node: the next 32 bits of an address in few ranges, all in one cache line.
///
/// What a value leads to goes on eight bits further: such a range is exactly one of 256 slots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct Node {
    /// Where the second range and those behind it begin, in ascending order; behind the last, [`u32::MAX`].
    pub starts: [u32; MAX_RANGES - 1],
    /// What each range gets; behind the last, the same again.
    pub values: [Entry; MAX_RANGES],
    /// Zero.
    pub reserved: u32,
}

impl Node {
    /// Number of the range that these bits lie in: below [`MAX_RANGES`].
    ///
    /// Without branches: which range an address lies in is what no processor foresees.
    #[inline(always)]
    pub const fn range_of(&self, bits: u32) -> usize {
        // Bit 32 stays set where the start is not beyond.
        let bits = bits as u64 | 1 << 32;
        let [a, b, c, d, e, f, g] = self.starts;
        let reached = ((bits - a as u64) >> 32)
            + ((bits - b as u64) >> 32)
            + ((bits - c as u64) >> 32)
            + ((bits - d as u64) >> 32)
            + ((bits - e as u64) >> 32)
            + ((bits - f as u64) >> 32)
            + ((bits - g as u64) >> 32);
        reached as usize & (MAX_RANGES - 1)
    }
}

const _: () = assert!(core::mem::size_of::<Node>() == 64);
const _: () = assert!(core::mem::size_of::<Words>() == 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_what_they_are_given() {
        let prefix = PrefixId::new(MAX_PREFIXES).unwrap();
        let network = NetworkId::new(MAX_NETWORKS).unwrap();
        let leaf = Entry::leaf(prefix, Some(network));
        assert_eq!((leaf.prefix(), leaf.network(), leaf.child()), (Some(prefix), Some(network), None));
        let unwatched = Entry::leaf(prefix, None);
        assert_eq!((unwatched.prefix(), unwatched.network(), unwatched.child()), (Some(prefix), None, None));
        assert_eq!(Entry::node(MAX_NODES - 1).child(), Some(Child::Node(MAX_NODES - 1)));
        assert_eq!(Entry::block(MAX_NODES - 1).child(), Some(Child::Block(MAX_NODES - 1)));
        assert_eq!(Entry::node(1).moved(2, 3), Entry::node(3));
        assert_eq!(Entry::block(1).moved(2, 3), Entry::block(4));
        assert_eq!(leaf.moved(2, 3), leaf);
        assert_eq!((Entry::NONE.prefix(), Entry::NONE.network(), Entry::NONE.child()), (None, None, None));
    }

    #[test]
    fn ids_have_no_zero_and_an_end() {
        assert_eq!(PrefixId::new(0), None);
        assert_eq!(PrefixId::new(MAX_PREFIXES + 1), None);
        assert_eq!(NetworkId::new(0), None);
        assert_eq!(NetworkId::new(MAX_NETWORKS + 1), None);
    }

    #[test]
    fn a_range_begins_at_its_start() {
        let node = Node { starts: [1, 2, 1 << 31, u32::MAX - 1, u32::MAX, u32::MAX, u32::MAX], ..Node::default() };
        for (bits, range) in [(0, 0), (1, 1), (2, 2), (3, 2), (1 << 31, 3), (u32::MAX - 1, 4), (u32::MAX, 7)] {
            assert_eq!(node.range_of(bits), range, "{bits:#x}");
        }
    }
}
