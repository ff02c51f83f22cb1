//! Layout of the prefix table: an immutable compressed multibit trie.
//!
//! A root array is indexed by the leading bits of the address, every further level by the next eight. A node's 256 slots hold few
//! distinct values in long runs: a bitmap marks where a run starts, and the rank of a slot's run finds its value. (The idea is that
//! of Degermark et al., "Small Forwarding Tables for Fast Routing Lookups", SIGCOMM 1997, and of Poptrie, SIGCOMM 2015.)

/// Runs that fit into the node's own cache line.
pub const INLINE_RUNS: u32 = 6;
/// Most prefixes a table can hold: ids 1 to this.
pub const MAX_PREFIXES: u32 = (1 << Entry::PREFIX_BITS) - 1;
/// Most watched networks: ids 1 to this.
pub const MAX_NETWORKS: u32 = (1 << (31 - Entry::PREFIX_BITS)) - 1;
/// Most nodes: indices below this.
pub const MAX_NODES: u32 = 1 << 31;

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

/// What a slot of the root or of a node holds, in 32 bits: nothing (0), a node to go on with (bit 31 and its index), or the
/// longest prefix here (bits 0..22) with the network of the longest watched prefix that covers it (bits 22..31, 0 = not watched).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(transparent)]
pub struct Entry(u32);

impl Entry {
    const NODE: u32 = 1 << 31;
    const PREFIX_BITS: u32 = 22;

    /// No prefix covers these addresses.
    pub const NONE: Self = Self(0);

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
        Self(Self::NODE | index)
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

    /// Index of the node to go on with.
    #[inline(always)]
    pub const fn child(self) -> Option<u32> {
        if self.0 & Self::NODE != 0 { Some(self.0 & !Self::NODE) } else { None }
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

/// A node: 256 slots in one cache line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct Node {
    /// Bit s of word s / 64 is set where slot s starts a run; bit 0 of word 0 always is.
    pub starts: [u64; 4],
    /// Runs that start before each word of `starts`: at most 192.
    pub ranks: [u8; 4],
    /// Index of the first run value in the `RUNS` array, or [`Node::INLINE`].
    pub base: u32,
    /// The run values, of a node with at most [`INLINE_RUNS`] runs.
    pub inline: [Entry; INLINE_RUNS as usize],
}

impl Node {
    /// [`Node::base`] of a node that holds its run values itself.
    pub const INLINE: u32 = u32::MAX;

    /// Number of the run that slot `slot` belongs to: 0 to 255.
    #[inline(always)]
    pub const fn run_of(&self, slot: u8) -> u32 {
        let word = (slot >> 6) as usize;
        let up_to_slot = self.starts[word] & (u64::MAX >> (63 - (slot & 63)));
        (self.ranks[word] as u32 + up_to_slot.count_ones()).wrapping_sub(1)
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
        assert_eq!(Entry::node(MAX_NODES - 1).child(), Some(MAX_NODES - 1));
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
    fn runs_are_counted_over_word_borders() {
        let node = Node { starts: [1 | 1 << 63, 1, 0, 1 << 63], ranks: [0, 2, 3, 3], ..Node::default() };
        for (slot, run) in [(0, 0), (62, 0), (63, 1), (64, 2), (65, 2), (128, 2), (254, 2), (255, 3)] {
            assert_eq!(node.run_of(slot), run, "slot {slot}");
        }
    }
}
