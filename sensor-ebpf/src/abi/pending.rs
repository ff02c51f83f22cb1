//! Additions to prefix counters that wait for the next packet.

use super::Counter;

/// What one CPU has still to add to `PREFIXES`: its last packet's part. The next packet adds it, so that the wait for these
/// counters, which are rarely in a cache, and the wait for its own table entries are one. A line of its own for each slice.
///
/// Whoever reads the counters adds what waits. That it still waited behind such a reading is known by `turn`: the same before
/// and after, and even.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(64))]
pub struct Pending {
    /// Odd while what waits is added and replaced; even, and another one, afterwards.
    pub turn: u64,
    /// Rows of `PREFIXES`; 0, which no prefix has, where there is none.
    pub rows: [u32; 2],
    /// Packets to add to each of the rows.
    pub packets: u32,
    /// L3 bytes, likewise.
    pub bytes: u32,
    /// Frame bytes, likewise.
    pub frame_bytes: u32,
    /// Zero.
    pub reserved: [u32; 9],
}

impl Pending {
    /// What waits, by row.
    pub fn left(&self) -> impl Iterator<Item = (usize, Counter)> + use<> {
        let Self { packets, bytes, frame_bytes, .. } = *self;
        let [packets, bytes, frame_bytes] = [packets, bytes, frame_bytes].map(u64::from);
        let counter = Counter { packets, bytes, frame_bytes, reserved: 0 };
        self.rows.into_iter().filter(|row| *row != 0).map(move |row| (row as usize, counter))
    }
}

const _: () = assert!(core::mem::size_of::<Pending>() == 64);
