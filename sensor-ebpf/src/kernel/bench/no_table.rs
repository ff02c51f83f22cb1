//! The engine without a prefix table: what parsing a packet and booking it in the ledger costs.

use sensor_ebpf::{
    abi::{Control, Entry, Node},
    state::{Size, State},
};

use super::super::maps::Maps;

/// The sensor's maps, but for the prefix table; one address of each family is all that it knows, so that addresses are read at all.
pub(super) struct NoTable(pub(super) Maps);

impl State for NoTable {
    #[inline(always)]
    fn entry_v4(&self, _half: u32, address: u32) -> Option<Entry> {
        Some(Entry::from_word((address == u32::MAX).into()))
    }

    #[inline(always)]
    fn entry_v6(&self, _half: u32, [leading, trailing]: [u64; 2]) -> Option<Entry> {
        Some(Entry::from_word((leading & trailing == u64::MAX).into()))
    }

    #[inline(always)]
    fn add_prefix(&mut self, _row: u32, _size: Size) -> Option<()> {
        None
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
