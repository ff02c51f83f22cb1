//! How large the maps of watched traffic are.

use sensor_ebpf::abi::{
    Budget, Direction, FlowSet, MAX_NEIGHBOURS, Neighbour, Open, Progress, Row, Spending, WAYS, map_name, rows_of_slice,
};

/// Numbers of networks that reloads may add.
const MORE_NETWORKS: u32 = 8;
/// Rows of the breakdown for each network: two directions, some neighbours, some classes. Fewest, and most of a slice.
const ROWS_OF_NETWORK: u32 = 128;
const MIN_ROWS: u32 = 1 << 12;
const MAX_ROWS: u32 = 1 << 16;
/// Flows for each entry of a slice that is kept for an undecided one: of three seconds' new ones, within the usual budget, nearly all find room even where
/// one CPU has them all. Fewest, and most of a slice.
const FLOWS_OF_OPEN: u32 = 4;
const MIN_OPEN: u32 = 1 << 10;
const MAX_OPEN: u32 = 1 << 18;
/// Bytes of the ring of samples: a third of a second of the usual budget. Fewest.
const RING: u32 = 8 << 20;
const MIN_RING: u32 = 1 << 16;
/// Parts of the memory of all maps that flows, the ring and the open flows of all slices may take.
const FLOWS_SHARE: u64 = 4;
const RING_SHARE: u64 = 16;
const OPEN_SHARE: u64 = 16;

/// Sizes of these maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Watched {
    /// Sets of flows, a power of two.
    pub(crate) flow_sets: u32,
    /// Undecided flows of a slice, a power of two.
    pub(crate) open_entries: u32,
    /// Rows of a slice that are found by key, a power of two.
    pub(crate) breakdown_rows: u32,
    /// Numbers of networks are below this.
    pub(crate) networks: u32,
    /// Bytes of the ring, a power of two.
    pub(crate) ring: u32,
}

impl Watched {
    /// Where nothing is watched, and never will be.
    pub(crate) const NOTHING: Self =
        Self { flow_sets: 1, open_entries: 1, breakdown_rows: 4, networks: 1, ring: 1 << 12 };

    /// For networks whose numbers go up to `highest`, and as many flows, in so many slices and so much memory for all maps.
    pub(crate) fn new(highest: u32, flows: u32, slices: u32, memory: u64, has_room: bool) -> Self {
        if highest == 0 && !has_room {
            return Self::NOTHING;
        }
        let networks = highest + 1 + if has_room { MORE_NETWORKS } else { 0 };
        let within = |wanted: u32, least: u32, share: u64, each: usize| {
            let most = u32::try_from(memory / share / each as u64).unwrap_or(u32::MAX).max(least);
            let wanted = wanted.max(least).next_power_of_two();
            if wanted > most { 1 << most.ilog2() } else { wanted }
        };
        let open = (flows / FLOWS_OF_OPEN).clamp(MIN_OPEN, MAX_OPEN);
        Self {
            flow_sets: within(flows / WAYS as u32, 1, FLOWS_SHARE, size_of::<FlowSet>()),
            open_entries: within(open, MIN_OPEN, OPEN_SHARE, size_of::<Open>() * slices as usize),
            breakdown_rows: (networks * ROWS_OF_NETWORK).next_power_of_two().clamp(MIN_ROWS, MAX_ROWS),
            networks,
            ring: within(RING, MIN_RING, RING_SHARE, 1),
        }
    }

    /// Those of maps that have so many entries by name, in so many slices; whether it is so is for the caller to see.
    pub(super) fn of_maps(entries: impl Fn(&'static str) -> u32, slices: u32) -> Self {
        let networks = entries(map_name::BUDGETS) / Spending::COUNT;
        let rows = (entries(map_name::BREAKDOWN) / slices.max(1)).saturating_sub(networks * Direction::COUNT);
        Self {
            flow_sets: entries(map_name::FLOWS),
            open_entries: entries(map_name::OPEN) / slices.max(1),
            breakdown_rows: rows,
            networks,
            ring: entries(map_name::SAMPLES),
        }
    }

    /// Whether each size that must be a power of two is one.
    pub(super) fn is_possible(&self) -> bool {
        [self.flow_sets, self.open_entries, self.breakdown_rows, self.ring].iter().all(|size| size.is_power_of_two())
            && self.networks > 0
    }

    /// Entries of a map; `None`: it is another's.
    pub(super) fn entries(&self, name: &'static str, slices: u32) -> Option<u64> {
        let [slices, networks] = [slices, self.networks].map(u64::from);
        Some(match name {
            map_name::FLOWS => self.flow_sets.into(),
            map_name::OPEN | map_name::CHANGES => slices * u64::from(self.open_entries),
            map_name::PROGRESS => slices,
            map_name::BREAKDOWN => slices * u64::from(rows_of_slice(self.breakdown_rows, self.networks)),
            map_name::NEIGHBOURS => slices * u64::from(MAX_NEIGHBOURS),
            map_name::BUDGETS => networks * u64::from(Spending::COUNT),
            map_name::SAMPLES => self.ring.into(),
            _ => return None,
        })
    }
}

/// Names of these maps.
pub(super) const NAMES: [&str; 8] = [
    map_name::FLOWS,
    map_name::OPEN,
    map_name::CHANGES,
    map_name::PROGRESS,
    map_name::BREAKDOWN,
    map_name::NEIGHBOURS,
    map_name::BUDGETS,
    map_name::SAMPLES,
];

/// Bytes of a value of one of them; `None`: it is another's.
pub(super) fn value_size(name: &str) -> Option<usize> {
    Some(match name {
        map_name::FLOWS => size_of::<FlowSet>(),
        map_name::OPEN => size_of::<Open>(),
        map_name::CHANGES => size_of::<u64>(),
        map_name::PROGRESS => size_of::<Progress>(),
        map_name::BREAKDOWN | map_name::COUNTERPARTS => size_of::<Row>(),
        map_name::NEIGHBOURS => size_of::<Neighbour>(),
        map_name::BUDGETS => size_of::<Budget>(),
        map_name::SAMPLES => 0,
        _ => return None,
    })
}
