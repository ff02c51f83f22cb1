//! The same engine over another prefix table than the sensor's: what it is measured against.

use aya_ebpf::{
    macros::map,
    maps::{LpmTrie, PerCpuArray, lpm_trie::Key},
};
use sensor_ebpf::{
    abi::{Control, Counter, Entry, Node},
    lookup::TrieMaps,
    state::{Size, State},
};

use super::super::{look::Look, maps::Maps};

/// Key: an IPv4 prefix in network byte order. Value: an [`Entry`].
#[map]
static LPM_V4: LpmTrie<[u8; 4], u32> = LpmTrie::with_max_entries(1, 0);

/// Key: an IPv6 prefix in network byte order. Value: an [`Entry`].
#[map]
static LPM_V6: LpmTrie<[u8; 16], u32> = LpmTrie::with_max_entries(1, 0);

/// Key: prefix and direction, as in `PREFIXES` with one slice. Value: packets and bytes.
#[map]
static LPM_COUNTERS: PerCpuArray<Counter> = PerCpuArray::with_max_entries(1, 0);

/// A prefix table and its counters.
pub(super) trait Table {
    /// As [`State::entry_v4`].
    fn v4(&self, address: u32) -> Entry;
    /// As [`State::entry_v6`].
    fn v6(&self, address: [u64; 2]) -> Entry;
    /// As [`State::add_prefix`], where there is one slice.
    fn add(&mut self, row: u32, size: Size) -> Option<()>;
}

/// None: what parsing a packet and booking it in the ledger costs. One address of each family is known, so that addresses are read.
pub(super) struct NoTable;

/// The kernel's own longest-prefix-match trie and per-CPU array counters.
pub(super) struct KernelLpm;

/// A key whose address stands where it can be written in whole words: on the stack the verifier takes no unaligned access.
#[repr(C, align(8))]
struct Aligned {
    padding: u32,
    key: Key<[u8; 16]>,
}

impl Table for NoTable {
    #[inline(always)]
    fn v4(&self, address: u32) -> Entry {
        Entry::from_word((address == u32::MAX).into())
    }

    #[inline(always)]
    fn v6(&self, [leading, trailing]: [u64; 2]) -> Entry {
        Entry::from_word((leading & trailing == u64::MAX).into())
    }

    #[inline(always)]
    fn add(&mut self, _row: u32, _size: Size) -> Option<()> {
        None
    }
}

impl Table for KernelLpm {
    #[inline(always)]
    fn v4(&self, address: u32) -> Entry {
        LPM_V4.get(Key::new(32, address.to_be_bytes())).map_or(Entry::NONE, |word| Entry::from_word(*word))
    }

    #[inline(always)]
    fn v6(&self, [leading, trailing]: [u64; 2]) -> Entry {
        let address = (u128::from(leading) << 64 | u128::from(trailing)).to_be_bytes();
        let aligned = Aligned { padding: 0, key: Key::new(128, address) };
        LPM_V6.get(&aligned.key).map_or(Entry::NONE, |word| Entry::from_word(*word))
    }

    #[inline(always)]
    fn add(&mut self, row: u32, size: Size) -> Option<()> {
        let counter = LPM_COUNTERS.get_ptr_mut(row)?;
        // SAFETY: the verifier proved the pointer to be this CPU's own map value, which nothing else writes to.
        unsafe {
            (*counter).packets += u64::from(size.packets);
            (*counter).bytes += u64::from(size.bytes);
            (*counter).frame_bytes += u64::from(size.frame_bytes);
        }
        Some(())
    }
}

/// The sensor's maps, but for the prefix table and its counters.
pub(super) struct Over<T, M>(pub(super) T, pub(super) Maps<M>);

impl<T, M> TrieMaps for Over<T, M> {
    #[inline(always)]
    fn root_bits_v4(&self) -> u32 {
        self.1.root_bits_v4()
    }

    #[inline(always)]
    fn root_bits_v6(&self) -> u32 {
        self.1.root_bits_v6()
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
}

impl<T: Table, M: Look> State for Over<T, M> {
    #[inline(always)]
    fn entry_v4(&self, _half: u32, address: u32) -> Option<Entry> {
        Some(self.0.v4(address))
    }

    #[inline(always)]
    fn entry_v6(&self, _half: u32, address: [u64; 2]) -> Option<Entry> {
        Some(self.0.v6(address))
    }

    #[inline(always)]
    fn add_prefix(&mut self, row: u32, size: Size) -> Option<()> {
        self.0.add(row, size)
    }

    #[inline(always)]
    fn slice(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn control(&self) -> Control {
        self.1.control()
    }

    #[inline(always)]
    fn slices(&self) -> u32 {
        self.1.slices()
    }

    #[inline(always)]
    fn ledger_slot(&self) -> u32 {
        self.1.ledger_slot()
    }

    #[inline(always)]
    fn prefix_capacity(&self) -> u32 {
        self.1.prefix_capacity()
    }

    #[inline(always)]
    fn add_ledger(&mut self, row: u32, size: Size) -> Option<()> {
        self.1.add_ledger(row, size)
    }
}
