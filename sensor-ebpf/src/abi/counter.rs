//! What is counted, and where a prefix has its row.

use super::{Direction, PrefixId};

/// One row: 32 bytes, so that both directions of a prefix share a cache line. Only ever grows; user space subtracts snapshots.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(32))]
pub struct Counter {
    /// Packets on the wire.
    pub packets: u64,
    /// L3 bytes: the IP header and what it carries (IPFIX `octetDeltaCount`).
    pub bytes: u64,
    /// Bytes of the whole frame without FCS (IPFIX `layer2OctetDeltaCount`).
    pub frame_bytes: u64,
    /// Zero.
    pub reserved: u64,
}

impl Counter {
    /// Cell by cell `self + other`, wrapping like the kernel's counters.
    #[must_use]
    pub const fn sum(&self, other: &Self) -> Self {
        Self {
            packets: self.packets.wrapping_add(other.packets),
            bytes: self.bytes.wrapping_add(other.bytes),
            frame_bytes: self.frame_bytes.wrapping_add(other.frame_bytes),
            reserved: 0,
        }
    }

    /// What was counted since `earlier`, a reading of the same counter.
    #[must_use]
    pub const fn since(&self, earlier: &Self) -> Self {
        Self {
            packets: self.packets.wrapping_sub(earlier.packets),
            bytes: self.bytes.wrapping_sub(earlier.bytes),
            frame_bytes: self.frame_bytes.wrapping_sub(earlier.frame_bytes),
            reserved: 0,
        }
    }

    /// Whether nothing was counted.
    pub const fn is_zero(&self) -> bool {
        self.packets == 0 && self.bytes == 0 && self.frame_bytes == 0
    }
}

/// Row of `id` and `direction` in slice `slice` of map `PREFIXES`, where a slice holds `capacity` prefixes.
#[inline(always)]
pub const fn prefix_row(slice: u32, capacity: u32, id: PrefixId, direction: Direction) -> u32 {
    (slice * capacity + id.get()) * Direction::COUNT + direction as u32
}

const _: () = assert!(core::mem::size_of::<Counter>() == 32);
