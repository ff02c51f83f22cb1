//! The maps of watched traffic.

mod flows;
mod open;
mod packet;
mod rows;
mod samples;

use core::ptr::read_volatile;

use sensor_ebpf::{
    abi::{Clock, HashKeys, MAX_NEIGHBOURS, Neighbour, Open, Progress, Sample, Side, Spending, WAYS},
    packet::Window,
    state::{Rows, Size, State, Watching},
};

pub(super) use self::packet::place;
use super::{
    super::look::{self, Look},
    CONTROL, Maps,
    settings::setting,
};

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
        rows::neighbour(self.slice() * MAX_NEIGHBOURS + place)
    }

    #[inline(always)]
    fn find_neighbour(&mut self, neighbour: Neighbour, size: Size) -> u32 {
        look::find_neighbour(neighbour.address, self.side as u32, size.packets, size.bytes, size.frame_bytes)
    }

    #[inline(always)]
    fn claim_neighbour(&mut self, place: u32, neighbour: Neighbour) -> bool {
        rows::claim_neighbour(self.slice() * MAX_NEIGHBOURS + place, neighbour)
    }

    #[inline(always)]
    fn breakdown_rows(&self) -> u32 {
        setting!(breakdown_rows)
    }

    #[inline(always)]
    fn counterpart_rows(&self) -> u32 {
        setting!(counterpart_rows)
    }

    #[inline(always)]
    fn row_key(&self, rows: Rows, index: u32) -> Option<u64> {
        rows::key(rows, index)
    }

    #[inline(always)]
    fn add_elsewhere(&mut self, rows: Rows, key: u32, size: Size) {
        let Size { packets, bytes, frame_bytes } = size;
        match rows {
            Rows::Breakdown => look::add_row(key, self.side as u32, packets, bytes, frame_bytes),
            Rows::Counterparts => look::add_counterpart(key, self.side as u32, packets, bytes, frame_bytes),
        };
    }

    #[inline(always)]
    fn claim_row(&mut self, rows: Rows, index: u32, key: u64) -> bool {
        rows::claim_row(rows, index, key)
    }

    #[inline(always)]
    fn add_row(&mut self, rows: Rows, index: u32, key: u64, size: Size) -> bool {
        rows::add(rows, index, key, size)
    }

    #[inline(always)]
    fn find_label(&self, [leading, trailing]: [u64; 2], is_v4: bool, labelling: u32) -> u32 {
        look::find_label(leading, trailing, is_v4.into(), labelling)
    }

    #[inline(always)]
    fn flow_sets(&self) -> u32 {
        setting!(flow_sets)
    }

    #[inline(always)]
    fn flow_tags(&self, set: u32) -> Option<[u64; WAYS]> {
        flows::tags(set)
    }

    #[inline(always)]
    fn flow_way(&self, set: u32, way: u32) -> (u64, u64) {
        flows::way(set, way)
    }

    #[inline(always)]
    fn flow_chosen(&self, set: u32, choose: impl FnOnce([u64; WAYS]) -> u32) -> (u64, u64) {
        flows::chosen(set, choose)
    }

    #[inline(always)]
    fn set_flow_tag(&mut self, set: u32, way: u32, word: u64) {
        flows::set_tag(set, way, word);
    }

    #[inline(always)]
    fn set_flow_state(&mut self, set: u32, way: u32, word: u64) {
        flows::set_state(set, way, word);
    }

    #[inline(always)]
    fn change_flow_state(&mut self, set: u32, way: u32, from: u64, to: u64) {
        flows::change_state(set, way, from, to);
    }

    #[inline(always)]
    fn open_entries(&self) -> u32 {
        setting!(open_entries)
    }

    #[inline(always)]
    fn open(&mut self, index: u32) -> Option<&mut Open> {
        if setting!(open_entries) == 0 { None } else { open::open(index) }
    }

    #[inline(always)]
    fn expect_open(&self, index: u32) {
        if setting!(open_entries) != 0 {
            open::expect(index);
        }
    }

    #[inline(always)]
    fn progress(&mut self, slice: u32) -> Option<&mut Progress> {
        open::progress(slice)
    }

    #[inline(always)]
    fn note_change(&mut self, index: u32) {
        open::note_change(self.slice(), self.open_entries(), index);
    }

    #[inline(always)]
    fn may_spend(&self, network: u32, spending: Spending) -> bool {
        samples::may_spend(network, spending)
    }

    #[inline(always)]
    fn spend(&mut self, network: u32, spending: Spending) {
        samples::spend(network, spending);
    }

    #[inline(always)]
    fn sample<W: Window>(&mut self, window: &W, sample: Sample, offset: usize) -> bool {
        samples::sample(window, sample, offset)
    }
}
