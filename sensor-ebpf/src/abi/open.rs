//! What flows had that nobody has decided yet: counted beside the rows it is billed in, so that it can be told under the class it turns out to be.

use core::sync::atomic::{Ordering, compiler_fence};

use super::{End, FlowKey};
use crate::state::Size;

/// Entries that one is looked for in.
pub const OPEN_PROBES: u32 = 8;
/// Seconds after which an entry that did not change makes room: the agent reads each second what changed.
pub const OPEN_REST: u32 = 3;

/// An undecided flow, as the CPUs of one slice counted it: how much, by the end that sent it, and in which rows. A flow whose packets go by several
/// neighbours in turn is billed in several rows, and has several entries. Counts only grow as long as `born` stays; they wrap. Another flow has the
/// entry from the moment that the key says so; while it is replaced, the key is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct Open {
    /// [`FlowKey`]; 0: free.
    pub key: u64,
    /// Which entry of its slice this is, counted since the beginning: another one where it was made anew.
    pub born: u32,
    /// [`Clock::now`](super::Clock) when it was last noted as changed.
    pub noted: u32,
    /// Packets that were looked at.
    pub looks: u32,
    /// Zero.
    pub reserved: u32,
    /// By the [`End`] that sent.
    pub ends: [OpenCount; 2],
}

/// What one end sent in an undecided flow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct OpenCount {
    /// [`RowKey`](super::RowKey)s of the rows it was billed in: those of its source and of its destination; 0 where that is not watched.
    pub rows: [u32; 2],
    /// Packets on the wire.
    pub packets: u32,
    /// L3 bytes.
    pub bytes: u32,
    /// Frame bytes.
    pub frame_bytes: u32,
}

impl Open {
    /// Becomes that of another flow. The processor shows stores in their order where open flows are kept at all.
    #[inline(always)]
    pub fn begin(&mut self, key: FlowKey, born: u32) {
        self.key = 0;
        compiler_fence(Ordering::SeqCst);
        (self.born, self.noted, self.looks) = (born, 0, 0);
        self.ends = [OpenCount::default(); 2];
        compiler_fence(Ordering::SeqCst);
        self.key = key.get();
    }

    /// Whether packets of that end that are billed in these rows are counted here: all that it had was billed in the same ones.
    #[inline(always)]
    pub fn holds(&self, end: End, rows: [u32; 2]) -> bool {
        let [low, high] = &self.ends;
        let count = if end & 1 == 0 { low } else { high };
        count.rows == rows || count.packets == 0
    }

    /// Adds a packet of that end that is billed in these rows.
    #[inline(always)]
    pub fn add(&mut self, end: End, rows: [u32; 2], size: Size) {
        let [low, high] = &mut self.ends;
        let count = if end & 1 == 0 { low } else { high };
        count.rows = rows;
        count.packets = count.packets.wrapping_add(size.packets);
        count.bytes = count.bytes.wrapping_add(size.bytes);
        count.frame_bytes = count.frame_bytes.wrapping_add(size.frame_bytes);
    }
}

/// How far one slice is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct Progress {
    /// Entries of its list of changes, ever; it holds the last ones.
    pub changes: u64,
    /// Entries of open flows that were made, ever.
    pub born: u32,
    /// Zeros.
    pub reserved: [u32; 13],
}

const _: () = assert!(core::mem::size_of::<Open>() == 64);
const _: () = assert!(core::mem::size_of::<Progress>() == 64);
