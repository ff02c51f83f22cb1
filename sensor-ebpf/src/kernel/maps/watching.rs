//! The maps of watched traffic.

use core::{
    arch::asm,
    ptr::{read_volatile, write_volatile},
    sync::atomic::{Ordering, compiler_fence},
};

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::bpf_ringbuf_output,
    macros::map,
    maps::{Array, PerCpuArray, RingBuf},
};
use sensor_ebpf::{
    abi::{
        Budget, Clock, FlowSet, HashKeys, MAX_NEIGHBOURS, MAX_SAMPLE, Neighbour, Open, Progress, Row, RowKey, Sample,
        Side, Spending, WAYS, budget_row,
    },
    packet::Window,
    state::{Size, State, Watching},
    watch::Watched,
};

use super::{
    super::look::{self, Look},
    CONTROL, Maps, SIZED_BY_LOADER, counter,
    settings::{setting, shared},
};

/// Key: set. Value: its flows.
#[map]
static FLOWS: Array<FlowSet> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice, place. Value: an undecided flow.
#[map]
static OPEN: Array<Open> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice, place in its list. Value: key in `OPEN`.
#[map]
static CHANGES: Array<u64> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice. Value: how far it is.
#[map]
static PROGRESS: Array<Progress> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice, place. Value: a counter with its key.
#[map]
static BREAKDOWN: Array<Row> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: slice, place. Value: a neighbour.
#[map]
static NEIGHBOURS: Array<Neighbour> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: network, spending. Value: records that may be made, and were.
#[map]
static BUDGETS: Array<Budget> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Records for the agent.
#[map]
static SAMPLES: RingBuf = RingBuf::with_byte_size(SIZED_BY_LOADER, 0);

/// A packet on its way: not on the stack, which has no room for it.
#[map]
static WATCHED: PerCpuArray<Watched> = PerCpuArray::with_max_entries(1, 0);

/// A record while it is made.
#[map]
static SCRATCH: PerCpuArray<Record> = PerCpuArray::with_max_entries(1, 0);

#[repr(C)]
struct Record {
    head: Sample,
    payload: [u8; MAX_SAMPLE],
}

/// Where this CPU keeps the packet that it is at.
#[inline(always)]
pub(super) fn place<'a>() -> Option<&'a mut Watched> {
    // SAFETY: the pointer is to this CPU's own map value, which nothing else uses while the program runs.
    WATCHED.get_ptr_mut(0).map(|watched| unsafe { &mut *watched })
}

/// A value of a map that only this CPU changes while the program runs, and that the agent reads.
#[inline(always)]
fn own<T>(map: &Array<T>, index: u32) -> Option<&mut T> {
    // SAFETY: the verifier proved the pointer to be a whole, aligned map value that lives as long as the program runs; nothing else that runs writes to it.
    map.get_ptr_mut(index).map(|value| unsafe { &mut *value })
}

impl<M: Look> Watching for Maps<M> {
    #[inline(always)]
    fn interface(&self) -> u32 {
        setting!(interface)
    }

    #[inline(always)]
    fn is_tap(&self) -> bool {
        setting!(tap) != 0
    }

    #[inline(always)]
    fn sends(&self) -> bool {
        matches!(self.side, Side::Tx)
    }

    #[inline(always)]
    fn networks(&self) -> u32 {
        setting!(networks)
    }

    #[inline(always)]
    fn clock(&self) -> Clock {
        // SAFETY: the pointer is into a live map value; the agent stores the word whole.
        Clock::from_word(CONTROL.get_ptr(0).map_or(0, |block| unsafe { read_volatile(&raw const (*block).clock) }))
    }

    #[inline(always)]
    fn idle(&self) -> u32 {
        setting!(idle)
    }

    #[inline(always)]
    fn hash_keys(&self) -> Option<&HashKeys> {
        // SAFETY: the pointer is into a live map value; the keys are stored before the first program runs, and never again.
        CONTROL.get_ptr(0).map(|block| unsafe { &(*block).hash })
    }

    #[inline(always)]
    fn neighbour(&self, place: u32) -> Option<Neighbour> {
        let neighbour = NEIGHBOURS.get_ptr(self.slice() * MAX_NEIGHBOURS + place)?;
        // SAFETY: the pointer is into a live map value; each word is read whole.
        unsafe {
            Some(Neighbour {
                address: read_volatile(&raw const (*neighbour).address),
                interface: read_volatile(&raw const (*neighbour).interface),
            })
        }
    }

    #[inline(always)]
    fn find_neighbour(&mut self, neighbour: Neighbour, size: Size) -> u32 {
        look::find_neighbour(neighbour.address, self.side as u32, size.packets, size.bytes, size.frame_bytes)
    }

    #[inline(always)]
    fn claim_neighbour(&mut self, place: u32, neighbour: Neighbour) -> bool {
        let Some(entry) = NEIGHBOURS.get_ptr_mut(self.slice() * MAX_NEIGHBOURS + place) else { return false };
        // SAFETY: the pointer is into a live map value, aligned for words.
        unsafe {
            // Whoever else looks meanwhile finds another neighbour there, and goes on.
            if !claim(&raw mut (*entry).interface, neighbour.interface) {
                return false;
            }
            write_volatile(&raw mut (*entry).address, neighbour.address);
        }
        true
    }

    #[inline(always)]
    fn breakdown_rows(&self) -> u32 {
        setting!(breakdown_rows)
    }

    #[inline(always)]
    fn row_key(&self, index: u32) -> Option<u64> {
        // SAFETY: the pointer is into a live map value; the word is read whole.
        BREAKDOWN.get_ptr(index).map(|row| unsafe { read_volatile(&raw const (*row).key) })
    }

    #[inline(always)]
    fn find_row(&mut self, key: RowKey, size: Size) -> u32 {
        look::find_row(key.word(), self.side as u32, size.packets, size.bytes, size.frame_bytes)
    }

    #[inline(always)]
    fn claim_row(&mut self, index: u32, key: u64) -> bool {
        // SAFETY: the pointer is into a live map value, aligned for words.
        BREAKDOWN.get_ptr_mut(index).is_some_and(|row| unsafe { claim(&raw mut (*row).key, key) })
    }

    #[inline(always)]
    fn add_row(&mut self, index: u32, size: Size) -> Option<()> {
        BREAKDOWN.get_ptr_mut(index).map(|row| counter::add(row.cast(), size, shared()))
    }

    #[inline(always)]
    fn flow_sets(&self) -> u32 {
        setting!(flow_sets)
    }

    #[inline(always)]
    fn flow_tags(&self, set: u32) -> Option<[u64; WAYS]> {
        // SAFETY: the pointer is into a live map value; each word is read whole.
        FLOWS.get_ptr(set).map(|set| unsafe {
            let tags = &raw const (*set).tags;
            [
                read_volatile((*tags).as_ptr()),
                read_volatile((*tags).as_ptr().add(1)),
                read_volatile((*tags).as_ptr().add(2)),
                read_volatile((*tags).as_ptr().add(3)),
            ]
        })
    }

    #[inline(always)]
    fn flow_way(&self, set: u32, way: u32) -> (u64, u64) {
        let way = way as usize & (WAYS - 1);
        // SAFETY: the pointer is into a live map value, and the way within it; each word is read whole.
        FLOWS.get_ptr(set).map_or((0, 0), |set| unsafe {
            (
                read_volatile((&raw const (*set).tags).cast::<u64>().add(way)),
                read_volatile((&raw const (*set).states).cast::<u64>().add(way)),
            )
        })
    }

    #[inline(always)]
    fn set_flow_tag(&mut self, set: u32, way: u32, word: u64) {
        let way = way as usize & (WAYS - 1);
        if let Some(set) = FLOWS.get_ptr_mut(set) {
            // SAFETY: the pointer is into a live map value, and the way within it; the word is stored whole.
            unsafe { write_volatile((&raw mut (*set).tags).cast::<u64>().add(way), word) };
        }
    }

    #[inline(always)]
    fn set_flow_state(&mut self, set: u32, way: u32, word: u64) {
        let way = way as usize & (WAYS - 1);
        if let Some(set) = FLOWS.get_ptr_mut(set) {
            // SAFETY: as above.
            unsafe { write_volatile((&raw mut (*set).states).cast::<u64>().add(way), word) };
        }
    }

    #[inline(always)]
    fn open_entries(&self) -> u32 {
        setting!(open_entries)
    }

    #[inline(always)]
    fn open(&mut self, index: u32) -> Option<&mut Open> {
        if setting!(open_entries) == 0 { None } else { own(&OPEN, index) }
    }

    #[inline(always)]
    fn progress(&mut self, slice: u32) -> Option<&mut Progress> {
        own(&PROGRESS, slice)
    }

    #[inline(always)]
    fn note_change(&mut self, index: u32) {
        let slice = self.slice();
        let entries = self.open_entries();
        let Some(progress) = own(&PROGRESS, slice) else { return };
        let at = progress.changes;
        if let Some(change) = own(&CHANGES, slice * entries + (at as u32 & entries.wrapping_sub(1))) {
            *change = index.into();
        }
        compiler_fence(Ordering::SeqCst);
        progress.changes = at + 1;
    }

    #[inline(always)]
    fn may_spend(&self, network: u32, spending: Spending) -> bool {
        // SAFETY: the pointer is into a live map value; each word is read whole.
        BUDGETS.get_ptr(budget_row(network, spending)).is_some_and(|budget| unsafe {
            read_volatile(&raw const (*budget).spent) < read_volatile(&raw const (*budget).allowed)
        })
    }

    #[inline(always)]
    fn spend(&mut self, network: u32, spending: Spending) {
        if let Some(budget) = BUDGETS.get_ptr_mut(budget_row(network, spending)) {
            // SAFETY: the pointer is into a live map value, aligned for words; all CPUs share it.
            unsafe { counter::add_word(&raw mut (*budget).spent, 1, true) };
        }
    }

    #[inline(always)]
    fn sample<W: Window>(&mut self, window: &W, sample: Sample, offset: usize) -> bool {
        let Some(record) = SCRATCH.get_ptr_mut(0) else { return false };
        // SAFETY: the pointer is to this CPU's own map value, which nothing else uses while the program runs.
        let record = unsafe { &mut *record };
        record.head = sample;
        if sample.captured > 0 && !window.copy(offset, sample.captured, &mut record.payload) {
            record.head.captured = 0;
        }
        let len = size_of::<Sample>() as u64 + bounded(record.head.captured);
        // SAFETY: the record has so many bytes, as `bounded` says.
        unsafe { bpf_ringbuf_output((&raw const SAMPLES).cast_mut().cast(), (&raw mut *record).cast(), len, 0) == 0 }
    }
}

/// At most [`MAX_SAMPLE`], in a way that the verifier sees.
#[inline(always)]
fn bounded(len: u32) -> u64 {
    let mut len = u64::from(len);
    // SAFETY: no instruction; the compiler forgets what it knows of the number, and keeps the comparison.
    unsafe { asm!("/* {len} */", len = inout(reg) len, options(nostack, preserves_flags)) };
    if len > MAX_SAMPLE as u64 { 0 } else { len }
}

/// Gives a word that is zero this value; false where it is another one.
///
/// # Safety
/// `word` must be valid for reads and writes and aligned.
#[inline(always)]
unsafe fn claim(word: *mut u64, value: u64) -> bool {
    if !shared() {
        // SAFETY: the caller vouches for the pointer; no other CPU claims words of this slice.
        unsafe {
            if read_volatile(word) != 0 {
                return false;
            }
            write_volatile(word, value);
        }
        return true;
    }
    let mut found: u64 = 0;
    // Linux 5.12; where nothing is shared, the verifier does not come here.
    // SAFETY: the caller vouches for the pointer; the instruction touches nothing else.
    unsafe {
        asm!("r0 = cmpxchg_64({word} + 0, r0, {value})", word = in(reg) word, value = in(reg) value, inout("r0") found, options(nostack));
    }
    found == 0 || found == value
}
