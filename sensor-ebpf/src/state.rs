//! What the engine needs of its surroundings: maps in the kernel, vectors on the host.

use crate::{
    abi::{
        Cell, Clock, Control, Counter, Entry, HashKeys, Neighbour, Open, Progress, Sample, Shed, Spending, WAYS,
        ledger_row,
    },
    lookup::{self, TrieMaps, root_len_v4, root_len_v6},
    packet::Window,
    watch::{self, Seen, left},
};

/// The maps of one sensor as one program instance sees them, those of the prefix table among them. Every index is checked by the implementation: a map knows
/// its length.
pub trait State: TrieMaps {
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

    /// Bills a packet of which at least one end is watched where its flow is decided, and says what is [`left`] to be done: here, nothing but
    /// to say where its upper layer is not to be had.
    #[inline(always)]
    fn bill<W: Window>(&mut self, window: &W, seen: Seen) -> u32
    where
        Self: Sized,
    {
        if let Err(reason) = seen.behind.l4(window) {
            self.add_cell(Cell::degraded(reason), seen.size);
        }
        left::NOTHING
    }

    /// Does what is left of the packet that was billed last.
    #[inline(always)]
    fn follow<W: Window>(&mut self, _window: &W, _left: u32) {}

    /// Adds to a cell of the ledger.
    #[inline(always)]
    fn add_cell(&mut self, cell: Cell, size: Size) {
        let row = ledger_row(self.ledger_slot(), self.control().bank(), self.slice(), self.slices(), cell);
        // A row of the ledger always exists: the loader sizes the map for every slot it gives out.
        let _ = self.add_ledger(row, size);
    }

    /// Counts what was shed for a reason.
    #[inline(always)]
    fn add_shed(&mut self, reason: Shed, size: Size) {
        self.add_cell(Cell::shed(reason), size);
    }
}

/// The maps of watched traffic as one program instance sees them. As of [`State`], a map knows its length.
pub trait Watching: State {
    /// Place of the interface in the configuration.
    fn interface(&self) -> u32;
    /// [`Settings::tap`](crate::abi::Settings::tap).
    fn is_tap(&self) -> bool;
    /// Whether packets are sent here, and not received.
    fn sends(&self) -> bool;
    /// [`Settings::networks`](crate::abi::Settings::networks).
    fn networks(&self) -> u32;
    /// The clock.
    fn clock(&self) -> Clock;
    /// [`Settings::idle`](crate::abi::Settings::idle).
    fn idle(&self) -> u32;
    /// What flows are numbered with.
    fn hash_keys(&self) -> Option<&HashKeys>;

    /// Neighbour number `place` of this slice.
    fn neighbour(&self, place: u32) -> Option<Neighbour>;
    /// See [`watch::find_neighbour`].
    #[inline(always)]
    fn find_neighbour(&mut self, neighbour: Neighbour, size: Size) -> u32
    where
        Self: Sized,
    {
        watch::find_neighbour(self, neighbour, size)
    }
    /// Puts a neighbour there, where nobody is; false where somebody is.
    fn claim_neighbour(&mut self, place: u32, neighbour: Neighbour) -> bool;

    /// [`Settings::breakdown_rows`](crate::abi::Settings::breakdown_rows).
    fn breakdown_rows(&self) -> u32;
    /// [`Settings::counterpart_rows`](crate::abi::Settings::counterpart_rows); 0: far ends are not told apart.
    fn counterpart_rows(&self) -> u32;
    /// Key of a row, by its index over all slices.
    fn row_key(&self, rows: Rows, index: u32) -> Option<u64>;
    /// See [`watch::add_elsewhere`].
    #[inline(always)]
    fn add_elsewhere(&mut self, rows: Rows, key: u32, size: Size)
    where
        Self: Sized,
    {
        watch::add_elsewhere(self, rows, key, size);
    }
    /// Gives a free row a key; false where it has another one.
    fn claim_row(&mut self, rows: Rows, index: u32, key: u64) -> bool;
    /// Adds to a row where it has that key; false where it has another one.
    fn add_row(&mut self, rows: Rows, index: u32, key: u64, size: Size) -> bool;
    /// See [`watch::find_label`].
    fn find_label(&self, address: [u64; 2], is_v4: bool, labelling: u32) -> u32;

    /// [`Settings::flow_sets`](crate::abi::Settings::flow_sets).
    fn flow_sets(&self) -> u32;
    /// The tags of a set of the table of flows.
    fn flow_tags(&self, set: u32) -> Option<[u64; WAYS]>;
    /// Tag and state of a way of a set; zeros where there is none.
    fn flow_way(&self, set: u32, way: u32) -> (u64, u64);
    /// The same of the way that is chosen by the tags of its set.
    #[inline(always)]
    fn flow_chosen(&self, set: u32, choose: impl FnOnce([u64; WAYS]) -> u32) -> (u64, u64) {
        self.flow_tags(set).map_or((0, 0), |tags| self.flow_way(set, choose(tags)))
    }
    /// Stores a tag.
    fn set_flow_tag(&mut self, set: u32, way: u32, word: u64);
    /// Stores a state.
    fn set_flow_state(&mut self, set: u32, way: u32, word: u64);
    /// Stores a state where it is still that one: the agent may have stored another meanwhile.
    fn change_flow_state(&mut self, set: u32, way: u32, from: u64, to: u64);

    /// [`Settings::open_entries`](crate::abi::Settings::open_entries).
    fn open_entries(&self) -> u32;
    /// Entry `index` of the open flows, over all slices; those of a slice change on its CPU alone.
    fn open(&mut self, index: u32) -> Option<&mut Open>;
    /// Begins to load that entry, where memory is worth it.
    #[inline(always)]
    fn expect_open(&self, _index: u32) {}
    /// How far a slice is.
    fn progress(&mut self, slice: u32) -> Option<&mut Progress>;
    /// Puts an entry on the list of those that changed.
    fn note_change(&mut self, index: u32);

    /// Whether the budget of a network, or of all where that is 0, has something left.
    fn may_spend(&self, network: u32, spending: Spending) -> bool;
    /// Takes one from it.
    fn spend(&mut self, network: u32, spending: Spending);
    /// Makes a record, its payload from `offset` of the frame on; false where there is no room for it.
    fn sample<W: Window>(&mut self, window: &W, sample: Sample, offset: usize) -> bool;
}

/// Rows that are found by what they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Of map `BREAKDOWN`: keys are [`RowKey`](crate::abi::RowKey)s.
    Breakdown,
    /// Of map `COUNTERPARTS`: keys are [`LabelKey`](crate::abi::LabelKey)s.
    Counterparts,
}

/// What one packet adds to a counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
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
