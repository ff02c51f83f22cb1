//! A small prefix table and its counters: a few root entries, no nodes, everything else as in the agent.

use sensor_ebpf::{
    abi::{
        Cell, Control, Counter, Degraded, Direction, Entry, NetworkId, Node, Outcome, PrefixId, ledger_row, prefix_row,
    },
    account::account,
    lookup::{TrieMaps, root_len_v4},
    packet::{SliceWindow, Window},
    state::{Size, State},
};

/// Ids of the prefixes in the table.
pub(crate) mod id {
    /// 192.0.0.0/16, watched.
    pub(crate) const V4_WATCHED: u32 = 1;
    /// 198.51.0.0/16, only counted.
    pub(crate) const V4_COUNTED: u32 = 2;
    /// 2001::/16, watched.
    pub(crate) const V6_WATCHED: u32 = 3;
    /// fd00::/16, only counted.
    pub(crate) const V6_COUNTED: u32 = 4;
    /// 203.0.0.0/16: a prefix without a counter, which no table of the agent has.
    pub(crate) const NO_COUNTER: u32 = 5;
}

/// Prefix counters of one slice: ids below this.
const CAPACITY: u32 = 5;
const ROOT_BITS: u32 = 16;

/// What was booked for the frames given so far.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    prefixes: Vec<Counter>,
    ledger: Vec<Counter>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let rows = CAPACITY * Direction::COUNT;
        Self {
            prefixes: vec![Counter::default(); rows as usize],
            ledger: vec![Counter::default(); Cell::COUNT as usize],
        }
    }

    /// Books a frame of which `captured` is at hand.
    pub(crate) fn account(&mut self, captured: &[u8], wire_len: u32, frame_len: u32) -> Outcome {
        self.book(&SliceWindow::captured(captured, wire_len, frame_len))
    }

    /// Books a frame behind any window.
    pub(crate) fn book(&mut self, window: &impl Window) -> Outcome {
        account(window, self).as_outcome().unwrap()
    }

    pub(crate) fn outcome(&self, outcome: Outcome) -> Counter {
        self.cell(Cell::outcome(outcome))
    }

    pub(crate) fn degraded(&self, reason: Degraded) -> Counter {
        self.cell(Cell::degraded(reason))
    }

    fn cell(&self, cell: Cell) -> Counter {
        self.ledger[ledger_row(0, 0, 0, 1, cell) as usize]
    }

    /// The counters of prefixes that counted something.
    pub(crate) fn counted(&self) -> Vec<(u32, Direction, Counter)> {
        let ids = (1..CAPACITY).filter_map(PrefixId::new);
        let all = ids.flat_map(|id| Direction::ALL.map(|direction| (id, direction)));
        all.map(|(id, direction)| (id.get(), direction, self.prefixes[prefix_row(0, CAPACITY, id, direction) as usize]))
            .filter(|(_, _, counter)| !counter.is_zero())
            .collect()
    }
}

impl TrieMaps for Table {
    fn root_bits_v4(&self) -> u32 {
        ROOT_BITS
    }

    fn root_bits_v6(&self) -> u32 {
        ROOT_BITS
    }

    fn root(&self, index: u32) -> Option<Entry> {
        let v6 = root_len_v4(ROOT_BITS);
        let (id, network) = match index {
            0xc000 => (id::V4_WATCHED, 1),
            0xc633 => (id::V4_COUNTED, 0),
            0xcb00 => (id::NO_COUNTER, 0),
            _ if index == v6 + 0x2001 => (id::V6_WATCHED, 2),
            _ if index == v6 + 0xfd00 => (id::V6_COUNTED, 0),
            // 100.64.0.0/16 leads to a node that is not there, 100.65.0.0/16 has no root entry.
            0x6440 => return Some(Entry::node(7)),
            0x6441 => return None,
            _ => return Some(Entry::NONE),
        };
        PrefixId::new(id).map(|id| Entry::leaf(id, NetworkId::new(network)))
    }

    fn node(&self, _index: u32) -> Option<&Node> {
        None
    }

    fn block_entry(&self, _index: u32) -> Option<Entry> {
        None
    }
}

impl State for Table {
    fn control(&self) -> Control {
        Control::default()
    }

    fn slice(&self) -> u32 {
        0
    }

    fn slices(&self) -> u32 {
        1
    }

    fn ledger_slot(&self) -> u32 {
        0
    }

    fn prefix_capacity(&self) -> u32 {
        CAPACITY
    }

    fn add_prefix(&mut self, row: u32, size: Size) -> Option<()> {
        add(&mut self.prefixes, row, size)
    }

    fn add_ledger(&mut self, row: u32, size: Size) -> Option<()> {
        add(&mut self.ledger, row, size)
    }
}

fn add(counters: &mut [Counter], row: u32, size: Size) -> Option<()> {
    let counter = counters.get_mut(row as usize)?;
    *counter = counter.sum(&size.into());
    Some(())
}
