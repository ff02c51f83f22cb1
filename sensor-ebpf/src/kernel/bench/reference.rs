//! The same engine over the kernel's own longest-prefix-match trie and per-CPU array counters: what the sensor is measured against.

use aya_ebpf::{
    macros::map,
    maps::{LpmTrie, PerCpuArray, lpm_trie::Key},
};
use sensor_ebpf::{
    abi::{Control, Counter, Entry, Node},
    state::{Size, State},
};

use super::super::maps::Maps;

/// Key: an IPv4 prefix in network byte order. Value: an [`Entry`].
#[map]
static LPM_V4: LpmTrie<[u8; 4], u32> = LpmTrie::with_max_entries(1, 0);

/// Key: an IPv6 prefix in network byte order. Value: an [`Entry`].
#[map]
static LPM_V6: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(1, 0);

/// Key: prefix and direction, as in `PREFIXES` with one slice. Value: packets and bytes.
#[map]
static LPM_COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(1, 0);

/// A key whose address stands where it can be written in whole words: on the stack the verifier takes no unaligned access.
#[repr(C, align(8))]
struct Aligned {
    padding: u32,
    key: Key<[u8; 16]>,
}

/// The sensor's maps, but for the prefix table and its counters.
pub(super) struct Reference(pub(super) Maps);

impl State for Reference {
    #[inline(always)]
    fn entry_v4(&self, _half: u32, address: u32) -> Option<Entry> {
        Some(LPM_V4.get(Key::new(32, address.to_be_bytes())).map_or(Entry::NONE, |word| Entry::from_word(*word)))
    }

    #[inline(always)]
    fn entry_v6(&self, _half: u32, [leading, trailing]: [u64; 2]) -> Option<Entry> {
        let address = (u128::from(leading) << 64 | u128::from(trailing)).to_be_bytes();
        let aligned = Aligned { padding: 0, key: Key::new(128, address) };
        Some(LPM_V6.get(&aligned.key).map_or(Entry::NONE, |word| Entry::from_word(*word)))
    }

    #[inline(always)]
    fn add_prefix(&mut self, row: u32, size: Size) -> Option<()> {
        let counter = LPM_COUNTERS.get_ptr_mut(row)?;
        // SAFETY: the verifier proved the pointer to be this CPU's own map value, which nothing else writes to.
        unsafe {
            (*counter).packets += u64::from(size.packets);
            (*counter).bytes += u64::from(size.bytes);
            (*counter).frame_bytes += u64::from(size.frame_bytes);
        }
        Some(())
    }

    #[inline(always)]
    fn slice(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn control(&self) -> Control {
        self.0.control()
    }

    #[inline(always)]
    fn slices(&self) -> u32 {
        self.0.slices()
    }

    #[inline(always)]
    fn ledger_slot(&self) -> u32 {
        self.0.ledger_slot()
    }

    #[inline(always)]
    fn prefix_capacity(&self) -> u32 {
        self.0.prefix_capacity()
    }

    #[inline(always)]
    fn root_bits_v4(&self) -> u32 {
        self.0.root_bits_v4()
    }

    #[inline(always)]
    fn root_bits_v6(&self) -> u32 {
        self.0.root_bits_v6()
    }

    #[inline(always)]
    fn root(&self, _index: u32) -> Option<Entry> {
        None
    }

    #[inline(always)]
    fn node(&self, _index: u32) -> Option<&Node> {
        None
    }

    #[inline(always)]
    fn block_entry(&self, _index: u32) -> Option<Entry> {
        None
    }

    #[inline(always)]
    fn add_ledger(&mut self, row: u32, size: Size) -> Option<()> {
        self.0.add_ledger(row, size)
    }
}
