//! The words by which user space steers the running programs.

/// The single entry of map `CONTROL`: written by the agent, read by the programs.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct ControlBlock {
    /// A [`Control`], as its word: one aligned store switches table and bank.
    pub word: u64,
    /// [`ABI_VERSION`](super::ABI_VERSION) of the agent that made the maps.
    pub abi_version: u32,
    /// Zero.
    pub reserved: u32,
    /// Which life of the counters this is; drawn when the maps were made.
    pub epoch: [u8; 16],
    /// A [`Clock`], as its word.
    pub clock: u64,
    /// Zeros: the rest of the cache line that programs read for each packet.
    pub unused: [u8; 24],
    /// By half of the prefix table the SHA-256 of its manifest: what the ids in it mean. The one store that switches the half switches
    /// this too, so no table is ever read by the manifest of another.
    pub manifests: [[u8; 32]; Control::SLOTS as usize],
    /// What flows are numbered with; drawn when the maps were made.
    pub hash: HashKeys,
    /// Zeros.
    pub rest: [u64; 2],
}

/// The key of the hash that numbers flows, see [`crate::hash`].
pub type HashKeys = [[u64; HASH_WORDS + 1]; 2];

/// Words of 32 bits that a flow is hashed from: two addresses of IPv6, both ports, the protocol number.
pub const HASH_WORDS: usize = 10;

/// The clock of programs, which ask no other: seconds of any clock that is never set, as the agent stores them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// The second; never 0 while programs count, which is when nothing was ever noted.
    pub now: u32,
    /// The second from which on a flow is told of once more.
    pub since: u32,
}

impl Clock {
    /// Where its word stands in the control block, in words.
    pub const PLACE: usize = core::mem::offset_of!(ControlBlock, clock) / size_of::<u64>();

    /// Read back.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self { now: word as u32, since: (word >> 32) as u32 }
    }

    /// The word to store.
    pub const fn word(self) -> u64 {
        (self.since as u64) << 32 | self.now as u64
    }
}

impl ControlBlock {
    /// Table half and ledger bank in force.
    pub const fn control(&self) -> Control {
        Control::from_word(self.word)
    }

    /// SHA-256 of the manifest in force.
    pub const fn manifest(&self) -> [u8; 32] {
        self.manifests[self.control().slot() as usize]
    }
}

/// Which half of the prefix table, which bank of the ledger and which table of labels is in force.
///
/// Bit 0 is the table slot, bit 1 the ledger bank, bits 2..5 the generation of the table of labels, bits 32..64 that of the prefix table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control(u64);

impl Control {
    const SLOT: u64 = 1;
    const BANK: u64 = 1 << 1;
    const LABELS: u32 = 2;
    const GENERATION_SHIFT: u32 = 32;

    /// Halves of the prefix table: one in force, one being built.
    pub const SLOTS: u32 = 2;
    /// Banks of the ledger: one being counted in, one at rest.
    pub const BANKS: u32 = 2;
    /// Generations of tables of labels in the life of the maps, that of none included: a number never means two of them.
    pub const LABELLINGS: u32 = 8;

    /// The control word as read from the map.
    #[inline(always)]
    pub const fn from_word(word: u64) -> Self {
        Self(word)
    }

    /// The word to store.
    pub const fn word(self) -> u64 {
        self.0
    }

    /// Half of the prefix table in force: 0 or 1.
    #[inline(always)]
    pub const fn slot(self) -> u32 {
        (self.0 & Self::SLOT) as u32
    }

    /// Bank of the ledger in force: 0 or 1.
    #[inline(always)]
    pub const fn bank(self) -> u32 {
        ((self.0 & Self::BANK) >> 1) as u32
    }

    /// Generation of the table of labels in force, below [`LABELLINGS`](Self::LABELLINGS); 0: there is none. It is in half `generation & 1`.
    #[inline(always)]
    pub const fn labelling(self) -> u32 {
        (self.0 >> Self::LABELS) as u32 & (Self::LABELLINGS - 1)
    }

    /// Number of the table in force, the first one's being 1; wraps.
    pub const fn generation(self) -> u32 {
        (self.0 >> Self::GENERATION_SHIFT) as u32
    }

    /// The other table half in force, under the next generation number.
    #[must_use]
    pub const fn next_generation(self) -> Self {
        let generation = self.generation().wrapping_add(1) as u64;
        let flags = (self.0 & (u32::MAX as u64)) ^ Self::SLOT;
        Self(flags | generation << Self::GENERATION_SHIFT)
    }

    /// The next table of labels in force, too.
    #[must_use]
    pub const fn next_labelling(self) -> Self {
        let next = (self.labelling() + 1) & (Self::LABELLINGS - 1);
        Self(self.0 & !((Self::LABELLINGS as u64 - 1) << Self::LABELS) | (next as u64) << Self::LABELS)
    }

    /// The other ledger bank in force.
    #[must_use]
    pub const fn other_bank(self) -> Self {
        Self(self.0 ^ Self::BANK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifests_have_a_cache_line_of_their_own() {
        assert_eq!(core::mem::size_of::<ControlBlock>(), 320);
        assert_eq!(core::mem::offset_of!(ControlBlock, word), 0);
        assert_eq!(Clock::PLACE, 4);
        assert_eq!(core::mem::offset_of!(ControlBlock, manifests), 64);
        assert_eq!(core::mem::offset_of!(ControlBlock, hash), 128);
    }

    #[test]
    fn the_clock_is_one_word() {
        let clock = Clock { now: u32::MAX, since: 7 };
        assert_eq!(Clock::from_word(clock.word()), clock);
    }

    #[test]
    fn the_word_says_which_manifest_is_in_force() {
        let mut block = ControlBlock { manifests: [[1; 32], [2; 32]], ..ControlBlock::default() };
        assert_eq!(block.manifest(), [1; 32]);
        block.word = block.control().next_generation().word();
        assert_eq!(block.manifest(), [2; 32]);
        block.word = block.control().other_bank().word();
        assert_eq!(block.manifest(), [2; 32]);
    }

    #[test]
    fn slot_bank_and_generation_move_apart() {
        let start = Control::default();
        let flipped = start.next_generation();
        assert_eq!((flipped.slot(), flipped.bank(), flipped.generation()), (1, 0, 1));
        let banked = flipped.other_bank();
        assert_eq!((banked.slot(), banked.bank(), banked.generation()), (1, 1, 1));
        assert_eq!(banked.next_generation().next_generation().generation(), 3);
        assert_eq!(Control::from_word(banked.word()), banked);
    }

    #[test]
    fn tables_of_labels_are_numbered_beside_all_else() {
        let start = Control::default().next_generation().other_bank();
        let next = start.next_labelling();
        assert_eq!((next.slot(), next.bank(), next.generation(), next.labelling()), (1, 1, 1, 1));
        let later = next.next_generation().next_labelling().other_bank();
        assert_eq!((later.slot(), later.bank(), later.generation(), later.labelling()), (0, 0, 2, 2));
        let wrapped = (0..Control::LABELLINGS).fold(start, |control, _| control.next_labelling());
        assert_eq!(wrapped, start);
    }

    #[test]
    fn the_generation_wraps_without_touching_the_flags() {
        let last = Control::from_word(u64::from(u32::MAX) << 32 | 0b10);
        let next = last.next_generation();
        assert_eq!((next.slot(), next.bank(), next.generation()), (1, 1, 0));
    }
}
