//! The conservation ledger: every frame a hook sees lands in exactly one outcome, so `seen` is the sum of the outcomes.

use super::Control;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// At least one address lies in a prefix of the table.
    Matched(Matched),
    /// An IP packet none of whose addresses lies in the table.
    Other,
    /// An IP packet on its way out that an external interface has received and billed: one packet, one count.
    SeenBefore,
    /// No IP header was found, or not the whole of it.
    Unparsed(Unparsed),
}

/// Which address of a matched packet lies in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Matched {
    /// The source alone: counted `out` for its prefix.
    Source = 0,
    /// The destination alone: counted `in` for its prefix.
    Destination = 1,
    /// Both: once `out` for the one, once `in` for the other.
    Both = 2,
}

/// Why a frame has no countable IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Unparsed {
    /// The frame ends inside a link header or inside the fixed part of its IP header.
    Truncated = 0,
    /// The link layer announces another protocol (ARP, LLDP, ...).
    NotIp = 1,
    /// More VLAN tags than [`MAX_VLAN_TAGS`](crate::packet::MAX_VLAN_TAGS).
    VlanDepth = 2,
    /// More MPLS labels than [`MAX_MPLS_LABELS`](crate::packet::MAX_MPLS_LABELS).
    MplsDepth = 3,
    /// The link layer announces IPv4 or IPv6 and the version field says otherwise.
    IpVersion = 4,
    /// An IPv4 header length below its 20 fixed bytes.
    IpHeaderLength = 5,
}

/// What was wrong with a packet that was counted all the same. Not part of the sum: a packet can have none or several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Degraded {
    /// The IP length field says more than the frame holds; billed up to the end of the frame.
    IpLengthOverFrame = 0,
    /// The IP length field is zero (segmentation offload, jumbogram); billed up to the end of the frame.
    IpLengthZero = 1,
    /// The IP length field says less than the IP header itself; billed as it says.
    IpLengthUnderHeader = 2,
    /// A watched packet that is a later fragment: no L4 header, no ports.
    LaterFragment = 3,
    /// A watched packet whose frame ends before its ports.
    L4Truncated = 4,
    /// A watched packet with more IPv6 extension headers than [`MAX_EXTENSION_HEADERS`](crate::packet::MAX_EXTENSION_HEADERS).
    ExtensionDepth = 5,
    /// An index of the prefix table or of the counters pointed outside its map: a defect of the sensor, never of the packet.
    MapFault = 6,
}

/// What was not looked into, not told or not kept of watched packets; they were counted all the same. Not part of the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Shed {
    /// Nobody looked into it: the budget for payloads was spent, or no agent runs. Billed as what its first bytes or ports say.
    LookBudget = 0,
    /// Nobody was told of it: the budget for records without payload was spent.
    SightingBudget = 1,
    /// The agent was told less: the ring was full.
    RingFull = 2,
    /// Of a flow that found no room in the table of flows: each packet is judged by itself.
    FlowRefused = 3,
    /// A flow that was not over was forgotten for another one.
    FlowEvicted = 4,
    /// Of an undecided flow that was not kept apart, or not any more: it stays billed as what its first bytes looked like.
    OpenLost = 5,
    /// Of a neighbour beyond those that there is room for.
    NeighbourRefused = 6,
    /// Billed without class and neighbour: there was no row left.
    RowRefused = 7,
    /// Billed without what its far end is: there was no row of map `COUNTERPARTS` left.
    CounterpartRefused = 8,
}

impl Matched {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Source, Self::Destination, Self::Both];
}

impl Unparsed {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Truncated, Self::NotIp, Self::VlanDepth, Self::MplsDepth, Self::IpVersion, Self::IpHeaderLength];

    /// The reason in records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::NotIp => "not_ip",
            Self::VlanDepth => "vlan_depth",
            Self::MplsDepth => "mpls_depth",
            Self::IpVersion => "ip_version",
            Self::IpHeaderLength => "ip_header_length",
        }
    }
}

impl Degraded {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::IpLengthOverFrame,
        Self::IpLengthZero,
        Self::IpLengthUnderHeader,
        Self::LaterFragment,
        Self::L4Truncated,
        Self::ExtensionDepth,
        Self::MapFault,
    ];

    /// The reason in records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IpLengthOverFrame => "ip_len_over_frame",
            Self::IpLengthZero => "ip_len_zero",
            Self::IpLengthUnderHeader => "ip_len_under_header",
            Self::LaterFragment => "later_fragment",
            Self::L4Truncated => "l4_truncated",
            Self::ExtensionDepth => "extension_depth",
            Self::MapFault => "map_fault",
        }
    }
}

impl Shed {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::LookBudget,
        Self::SightingBudget,
        Self::RingFull,
        Self::FlowRefused,
        Self::FlowEvicted,
        Self::OpenLost,
        Self::NeighbourRefused,
        Self::RowRefused,
        Self::CounterpartRefused,
    ];

    /// The reason in records and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LookBudget => "look_budget",
            Self::SightingBudget => "sighting_budget",
            Self::RingFull => "ring_full",
            Self::FlowRefused => "flow_refused",
            Self::FlowEvicted => "flow_evicted",
            Self::OpenLost => "open_lost",
            Self::NeighbourRefused => "neighbour_refused",
            Self::RowRefused => "row_refused",
            Self::CounterpartRefused => "counterpart_refused",
        }
    }
}

/// One row of the ledger: an outcome, a degradation or what was shed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell(u32);

impl Cell {
    const OTHER: u32 = Matched::ALL.len() as u32;
    const SEEN_BEFORE: u32 = Self::OTHER + 1;
    const UNPARSED: u32 = Self::SEEN_BEFORE + 1;
    const DEGRADED: u32 = Self::UNPARSED + Unparsed::ALL.len() as u32;
    const SHED: u32 = Self::DEGRADED + Degraded::ALL.len() as u32;
    const USED: u32 = Self::SHED + Shed::ALL.len() as u32;

    /// Rows of one interface side, bank and slice; a power of two with room for reasons to come.
    pub const COUNT: u32 = 32;

    /// The row of an outcome.
    #[inline(always)]
    pub const fn outcome(outcome: Outcome) -> Self {
        Self(match outcome {
            Outcome::Matched(matched) => matched as u32,
            Outcome::Other => Self::OTHER,
            Outcome::SeenBefore => Self::SEEN_BEFORE,
            Outcome::Unparsed(reason) => Self::UNPARSED + reason as u32,
        })
    }

    /// The outcome of this row; `None` for any other.
    pub fn as_outcome(self) -> Option<Outcome> {
        let matched = Matched::ALL.map(Outcome::Matched).into_iter();
        let mut all = matched.chain([Outcome::Other, Outcome::SeenBefore]).chain(Unparsed::ALL.map(Outcome::Unparsed));
        all.find(|outcome| Self::outcome(*outcome) == self)
    }

    /// Whether the row is that of frames without a countable IP header.
    #[inline(always)]
    pub const fn is_unparsed(self) -> bool {
        self.0 >= Self::UNPARSED && self.0 < Self::DEGRADED
    }

    /// The row of a degradation.
    #[inline(always)]
    pub const fn degraded(reason: Degraded) -> Self {
        Self(Self::DEGRADED + reason as u32)
    }

    /// The row of what was shed for that reason.
    #[inline(always)]
    pub const fn shed(reason: Shed) -> Self {
        Self(Self::SHED + reason as u32)
    }

    /// Every row in use.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..Self::USED).map(Self)
    }

    /// Number of the row within its interface side, bank and slice: below [`Cell::COUNT`].
    #[inline(always)]
    pub const fn index(self) -> u32 {
        self.0
    }
}

/// Row of `cell` in map `LEDGER`: interface side `slot`, bank `bank`, slice `slice` of `slices`.
#[inline(always)]
pub const fn ledger_row(slot: u32, bank: u32, slice: u32, slices: u32, cell: Cell) -> u32 {
    ((slot * Control::BANKS + bank) * slices + slice) * Cell::COUNT + cell.index()
}

const _: () = assert!(Cell::USED <= Cell::COUNT);

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, vec::Vec};

    use super::*;

    #[test]
    fn every_cell_has_a_row_of_its_own() {
        let matched = Matched::ALL.map(|kind| Cell::outcome(Outcome::Matched(kind)));
        let unparsed = Unparsed::ALL.map(|reason| Cell::outcome(Outcome::Unparsed(reason)));
        let degraded = Degraded::ALL.map(Cell::degraded);
        let shed = Shed::ALL.map(Cell::shed);
        let other = [Outcome::Other, Outcome::SeenBefore].map(Cell::outcome);
        assert!(unparsed.iter().all(|cell| cell.is_unparsed()));
        assert_eq!(Cell::all().filter(|cell| cell.is_unparsed()).count(), unparsed.len());
        for cell in Cell::all() {
            let is_outcome = !degraded.contains(&cell) && !shed.contains(&cell);
            assert_eq!(cell.as_outcome().map(Cell::outcome), is_outcome.then_some(cell));
        }
        let named = [matched.as_slice(), &other, &unparsed, &degraded, &shed].concat();
        assert_eq!(named, Cell::all().collect::<Vec<_>>());
    }

    #[test]
    fn rows_of_slots_banks_and_slices_do_not_meet() {
        let mut seen = BTreeSet::new();
        for slot in 0..3 {
            for bank in 0..Control::BANKS {
                for slice in 0..4 {
                    for cell in Cell::all() {
                        assert!(seen.insert(ledger_row(slot, bank, slice, 4, cell)));
                    }
                }
            }
        }
    }

    #[test]
    fn names_are_unique() {
        let names: BTreeSet<&str> = Unparsed::ALL
            .iter()
            .map(|reason| reason.name())
            .chain(Degraded::ALL.iter().map(|reason| reason.name()))
            .chain(Shed::ALL.iter().map(|reason| reason.name()))
            .collect();
        assert_eq!(names.len(), Unparsed::ALL.len() + Degraded::ALL.len() + Shed::ALL.len());
    }
}
