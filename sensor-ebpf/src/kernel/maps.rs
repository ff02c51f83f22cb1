//! Every map, private, behind the functions of [`State`].

mod counter;
mod labels;
mod pending;
mod settings;
mod watching;

use core::ptr::read_volatile;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap},
};
use sensor_ebpf::{
    abi::{Control, ControlBlock, Counter, Entry, Line, MAX_EXTERNAL, Node, Pending, Side, Words},
    lookup::TrieMaps,
    packet::Window,
    state::{Size, State},
    watch::{Seen, left},
};

use self::settings::{setting, shared};
pub(super) use self::{labels::Labels, settings::is_replay};
use super::look::Look;

/// Entries of maps that the loader sizes: their real number is known only then.
const SIZED_BY_LOADER: u32 = 1;

/// Key: 0. Value: what user space steers.
#[map]
static CONTROL: Array<ControlBlock> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Key: 16 root entries. Value: the entries.
#[map]
static ROOTS: Array<Words> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: node index. Value: the node.
#[map]
static NODES: Array<Node> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: 16 entries of blocks. Value: the entries.
#[map]
static BLOCKS: Array<Words> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice, prefix, direction. Value: packets and bytes.
#[map]
static PREFIXES: Array<Counter> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice. Value: what its CPU has still to add.
#[map]
static PENDING: Array<Pending> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: interface side, bank, slice, cell. Value: packets and bytes.
#[map]
static LEDGER: Array<Counter> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: index of an interface whose received packets are billed. Value: nothing of interest.
#[map]
static EXTERNAL: HashMap<u32, u32> = HashMap::with_max_entries(MAX_EXTERNAL, 0);

/// The maps of this object, as one side of the interface uses them.
pub(super) struct Maps<M> {
    /// Where the frame is.
    memory: M,
    side: Side,
    /// Index of the interface that received the packet; 0 where this is the first the sensor hears of it.
    received_on: u32,
}

impl<M> Maps<M> {
    /// For a packet that comes in.
    #[inline(always)]
    pub(super) const fn rx(memory: M) -> Self {
        Self { memory, side: Side::Rx, received_on: 0 }
    }

    /// For a packet that goes out and came in by the interface with that index, 0 where it was made here.
    #[inline(always)]
    pub(super) const fn tx(memory: M, received_on: u32) -> Self {
        Self { memory, side: Side::Tx, received_on }
    }
}

impl<M> TrieMaps for Maps<M> {
    #[inline(always)]
    fn root_bits_v4(&self) -> u32 {
        setting!(root_bits_v4)
    }

    #[inline(always)]
    fn root_bits_v6(&self) -> u32 {
        setting!(root_bits_v6)
    }

    #[inline(always)]
    fn root(&self, index: u32) -> Option<Entry> {
        word(&ROOTS, index)
    }

    #[inline(always)]
    fn node(&self, index: u32) -> Option<&Node> {
        NODES.get(index)
    }

    #[inline(always)]
    fn block_entry(&self, index: u32) -> Option<Entry> {
        word(&BLOCKS, index)
    }
}

impl<M: Look> State for Maps<M> {
    #[inline(always)]
    fn control(&self) -> Control {
        // SAFETY: the pointer is into a live map value; the agent stores the word whole, so a volatile read is never torn.
        Control::from_word(CONTROL.get_ptr(0).map_or(0, |block| unsafe { read_volatile(&raw const (*block).word) }))
    }

    #[inline(always)]
    fn slice(&self) -> u32 {
        // SAFETY: the helper takes nothing and cannot fail.
        let cpu = unsafe { bpf_get_smp_processor_id() };
        cpu & setting!(slice_mask)
    }

    #[inline(always)]
    fn slices(&self) -> u32 {
        setting!(slice_mask) + 1
    }

    #[inline(always)]
    fn ledger_slot(&self) -> u32 {
        setting!(ledger_slot) + self.side as u32
    }

    #[inline(always)]
    fn seen_before(&self) -> bool {
        self.received_on != 0 && EXTERNAL.get_ptr(self.received_on).is_some()
    }

    #[inline(always)]
    fn bills(&self) -> bool {
        setting!(internal) == 0
    }

    #[inline(always)]
    fn prefix_capacity(&self) -> u32 {
        setting!(prefix_capacity)
    }

    #[inline(always)]
    fn roots(&self) -> u32 {
        setting!(roots)
    }

    #[inline(always)]
    fn add_prefix(&mut self, row: u32, size: Size) -> Option<()> {
        PREFIXES.get_ptr_mut(row).map(|counter| counter::add(counter, size, shared()))
    }

    #[inline(always)]
    fn add_prefixes(&mut self, rows: [u32; 2], size: Size) -> Option<()> {
        if setting!(deferred) == 0 {
            let [first, second] = rows.map(|row| if row == 0 { Some(()) } else { self.add_prefix(row, size) });
            return first.and(second);
        }
        let pending = PENDING.get_ptr_mut(self.slice())?;
        pending::exchange(pending, rows, size, |row, size| {
            PREFIXES.get_ptr_mut(row).map(|counter| counter::add(counter, size, false))
        })
    }

    #[inline(always)]
    fn add_ledger(&mut self, row: u32, size: Size) -> Option<()> {
        LEDGER.get_ptr_mut(row).map(|counter| counter::add(counter, size, shared()))
    }

    #[inline(always)]
    fn bill<W: Window>(&mut self, _window: &W, seen: Seen) -> u32 {
        let Some(place) = watching::place() else { return left::NOTHING };
        place.begin(seen);
        self.memory.bill(place)
    }

    #[inline(always)]
    fn follow<W: Window>(&mut self, _window: &W, left: u32) {
        if let Some(place) = watching::place() {
            self.memory.follow(place, self.side, left);
        }
    }
}

#[inline(always)]
fn word(map: &Array<Words>, index: u32) -> Option<Entry> {
    let Line { element, word } = Line::of(index);
    map.get(element)?.0.get(word).copied()
}
