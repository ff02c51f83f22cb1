//! What the engine needs of its surroundings: maps in the kernel, vectors on the host.

use crate::{
    abi::{Control, Counter, Entry, Node},
    lookup::{self, root_len_v4, root_len_v6},
};

/// The maps of one sensor as one program instance sees them. Every index is checked by the implementation: a map knows its length.
pub trait State {
    /// The control word, read once per frame.
    fn control(&self) -> Control;
    /// Slice this CPU counts in: below the number of slices.
    fn slice(&self) -> u32;
    /// [`Settings::slices`](crate::abi::Settings::slices).
    fn slices(&self) -> u32;
    /// Slot of the ledger: that of the interface side.
    fn ledger_slot(&self) -> u32;
    /// Whether an external interface has received, and so billed, this packet already.
    fn seen_before(&self) -> bool {
        false
    }
    /// Whether packets are billed here; an internal interface has a ledger alone.
    fn bills(&self) -> bool {
        true
    }
    /// [`Settings::prefix_capacity`](crate::abi::Settings::prefix_capacity).
    fn prefix_capacity(&self) -> u32;
    /// [`Settings::root_bits_v4`](crate::abi::Settings::root_bits_v4).
    fn root_bits_v4(&self) -> u32;
    /// [`Settings::root_bits_v6`](crate::abi::Settings::root_bits_v6).
    fn root_bits_v6(&self) -> u32;

    /// What the prefix table whose roots begin at entry `half` says of an IPv4 address; `None` where it points outside its maps.
    #[inline(always)]
    fn entry_v4(&self, half: u32, address: u32) -> Option<Entry>
    where
        Self: Sized,
    {
        lookup::v4(self, half, address)
    }
    /// The same of an IPv6 address, leading and trailing 64 bits.
    #[inline(always)]
    fn entry_v6(&self, half: u32, address: [u64; 2]) -> Option<Entry>
    where
        Self: Sized,
    {
        lookup::v6(self, half, address)
    }

    /// Root entries of one table half.
    fn roots(&self) -> u32 {
        root_len_v4(self.root_bits_v4()) + root_len_v6(self.root_bits_v6())
    }

    /// Root entry `index` of the array over both table slots.
    fn root(&self, index: u32) -> Option<Entry>;
    /// Trie node `index`.
    fn node(&self, index: u32) -> Option<&Node>;
    /// Entry `index` of the array of all blocks.
    fn block_entry(&self, index: u32) -> Option<Entry>;

    /// Adds to a row of the prefix counters; `None` where there is no such row.
    fn add_prefix(&mut self, row: u32, size: Size) -> Option<()>;
    /// Adds to two rows of the prefix counters, each unless it is 0, now or when the next packet comes; `None` where there is no such
    /// row.
    #[inline(always)]
    fn add_prefixes(&mut self, rows: [u32; 2], size: Size) -> Option<()> {
        let mut found = Some(());
        for row in rows {
            if row != 0 && self.add_prefix(row, size).is_none() {
                found = None;
            }
        }
        found
    }
    /// Adds to a row of the ledger; `None` where there is no such row.
    fn add_ledger(&mut self, row: u32, size: Size) -> Option<()>;
}

/// What one packet adds to a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Packets on the wire; more than one where the hook saw them merged.
    pub packets: u32,
    /// L3 bytes, 0 of a frame without IP.
    pub bytes: u32,
    /// Frame bytes.
    pub frame_bytes: u32,
}

impl From<Size> for Counter {
    fn from(size: Size) -> Self {
        Self {
            packets: size.packets.into(),
            bytes: size.bytes.into(),
            frame_bytes: size.frame_bytes.into(),
            reserved: 0,
        }
    }
}
