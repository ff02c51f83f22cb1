//! Constants of one program instance, set before it is loaded and frozen by the kernel.

/// What the loader writes into the read-only data of an instance; the verifier then removes the code that is never reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Settings {
    /// First of the interface's slots in the ledger, one for each [`Side`](super::Side).
    pub ledger_slot: u32,
    /// CPU slices of the counters, less one; the number of slices is a power of two.
    pub slice_mask: u32,
    /// Ids of one slice of the prefix counters: each [`PrefixId`](super::PrefixId) is below this.
    pub prefix_capacity: u32,
    /// Leading bits that index the IPv4 root: 16 or 24.
    pub root_bits_v4: u32,
    /// Leading bits that index the IPv6 root: 16, or 24 for global unicast (2000::/3) and 16 for the rest.
    pub root_bits_v6: u32,
    /// Root entries of one table half: what these two make of them.
    pub roots: u32,
    /// Non-zero in a replay: lengths come from the metadata before the frame, because a capture may hold less than the wire did.
    pub replay: u32,
    /// Non-zero for an internal interface: it has a ledger, and bills no prefix.
    pub internal: u32,
    /// Non-zero where counters must be added to atomically: CPUs share a slice, or a program may be interrupted by itself (PREEMPT_RT).
    pub shared: u32,
    /// Non-zero where additions to prefix counters wait for the next packet, see [`Pending`](super::Pending); not where they are shared.
    pub deferred: u32,
    /// Place of the interface in the configuration.
    pub interface: u32,
    /// Non-zero where packets of both directions are received: the neighbour is the source of what goes in and the destination of what goes out.
    pub tap: u32,
    /// Sets of map `FLOWS`, a power of two; 0: flows are not followed.
    pub flow_sets: u32,
    /// Entries of map `OPEN` for each slice, a power of two.
    pub open_entries: u32,
    /// Rows of map `BREAKDOWN` for each slice that are found by key, a power of two.
    pub breakdown_rows: u32,
    /// Rows of map `COUNTERPARTS` likewise.
    pub counterpart_rows: u32,
    /// Numbers of networks are below this.
    pub networks: u32,
    /// Seconds without a packet after which a flow is over; 0: never.
    pub idle: u32,
}

impl Settings {
    /// CPU slices of the counters.
    pub const fn slices(&self) -> u32 {
        self.slice_mask + 1
    }
}

const _: () = assert!(core::mem::size_of::<Settings>() == 72);
