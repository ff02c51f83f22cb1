//! What programs tell the agent of watched flows: one record of map `SAMPLES` for each packet that is worth it, and the budget for them.

/// Most bytes of a payload that go with a record: what a conversation keeps of a direction.
pub const MAX_SAMPLE: usize = 8192;

/// Why a record was made, as bits.
pub mod why {
    /// The first packet of a flow.
    pub const FRESH: u8 = 1;
    /// The first packet of the other end.
    pub const ANSWERED: u8 = 1 << 1;
    /// The first packet since [`Clock::since`](super::super::Clock).
    pub const AGAIN: u8 = 1 << 2;
    /// A payload or a SYN of a flow that is listened to: its bytes follow.
    pub const LOOK: u8 = 1 << 3;
    /// Both ends were heard.
    pub const TWO_WAY: u8 = 1 << 4;
    /// Of TCP: sequence number and flags are to be had.
    pub const TCP: u8 = 1 << 5;
    /// The end that sent this packet has opened the flow, as far as was seen: it sent the first packet, and that was no answer.
    pub const BY_OPENER: u8 = 1 << 6;
}

/// The head of a record; `captured` bytes of the payload follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C, align(8))]
pub struct Sample {
    /// [`FlowKey`](super::FlowKey).
    pub key: u64,
    /// Source and destination address as two words each in network byte order; of IPv4 as an IPv4-mapped address (RFC 4291 section 2.5.5.2).
    pub addresses: [[u64; 2]; 2],
    /// L3 bytes.
    pub length: u32,
    /// Bytes on the wire behind the L4 header.
    pub payload_len: u32,
    /// Those that follow.
    pub captured: u32,
    /// TCP sequence number.
    pub sequence: u32,
    /// Source and destination port in host byte order; 0 where there are none.
    pub ports: [u16; 2],
    /// Numbers of the watched networks of source and destination; 0: not watched.
    pub networks: [u16; 2],
    /// Protocol number of the upper layer (IANA registry).
    pub protocol: u8,
    /// TCP flags (RFC 9293 section 3.1).
    pub flags: u8,
    /// [`why`].
    pub why: u8,
    /// Number of the [`End`](super::End) that sent the packet.
    pub end: u8,
    /// What the packet was billed as, by [`Kind`](super::Kind) number.
    pub kind: u32,
}

/// What a budget is spent on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Spending {
    /// Payloads.
    Looks = 0,
    /// Records without one.
    Sightings = 1,
}

impl Spending {
    /// How many kinds there are.
    pub const COUNT: u32 = 2;
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Looks, Self::Sightings];
}

/// Records that may be made. Both words only grow: the agent raises what is allowed, programs what was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
#[repr(C)]
pub struct Budget {
    /// Records that may be made, ever.
    pub allowed: u64,
    /// Records that were.
    pub spent: u64,
}

impl Budget {
    /// What is to be allowed so that there are so many more than were left, and no more than `most`.
    pub const fn with(&self, more: u64, most: u64) -> u64 {
        let left = self.allowed.saturating_sub(self.spent).saturating_add(more);
        self.spent.saturating_add(if left < most { left } else { most })
    }
}

/// Index in map `BUDGETS` of the budget of a network, by its number; 0 is that of all together.
#[inline(always)]
pub const fn budget_row(network: u32, spending: Spending) -> u32 {
    network * Spending::COUNT + spending as u32
}

const _: () = assert!(core::mem::size_of::<Sample>() == 72);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_holds_no_more_than_it_may() {
        let budget = |allowed, spent| Budget { allowed, spent };
        assert_eq!(budget(10, 4).with(5, 100), 15);
        assert_eq!(budget(10, 4).with(5, 8), 12);
        // Programs on several CPUs may spend one more each.
        assert_eq!(budget(10, 12).with(5, 100), 17);
        assert_eq!(budget(u64::MAX, 3).with(u64::MAX, u64::MAX), u64::MAX);
    }
}
