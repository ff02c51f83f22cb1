//! The maps of watched traffic as vectors.

use std::collections::VecDeque;

use anyhow::Result;
use sensor_ebpf::{
    abi::{
        Budget, Clock, Control, FlowKey, FlowSet, FlowState, HashKeys, MAX_NEIGHBOURS, MAX_SAMPLE, NO_LABEL, Neighbour,
        Open, Progress, Row, Sample, Spending, Tag, WAYS, budget_row, rows_of_slice,
    },
    packet::Window,
    state::{Rows, Size, Watching},
    watch::{Watched as Packet, find_label},
};

use super::{Native, Table};
use crate::{
    bpf::Watched,
    watch::{self, Memory},
};

/// Bytes of records that wait to be read: those of a ring in the kernel, about.
const MAX_WAITING: usize = 1 << 20;

/// What a program remembers of watched traffic.
#[derive(Debug)]
pub(super) struct Watch {
    /// The packet that was billed last.
    pub(super) packet: Packet,
    clock: Clock,
    pub(super) is_tap: bool,
    keys: HashKeys,
    networks: u32,
    rows_by_key: u32,
    neighbours: Vec<Neighbour>,
    rows: Vec<Row>,
    labels: Option<Labels>,
    pub(super) control: Control,
    flows: Vec<FlowSet>,
    open: Vec<Open>,
    changes: Vec<u64>,
    progress: Progress,
    budgets: Vec<Budget>,
    samples: VecDeque<(Sample, Vec<u8>)>,
    waiting: usize,
    /// How far the list of changes was read.
    read: u64,
}

/// What far ends are, and the rows that count it.
#[derive(Debug)]
struct Labels {
    table: Table,
    rows_by_key: u32,
    rows: Vec<Row>,
}

impl Watch {
    /// As large as the maps of a program that counts for the same networks on one CPU.
    pub(super) fn new(sizes: Watched, keys: HashKeys) -> Self {
        let Watched { flow_sets, open_entries, breakdown_rows, networks, .. } = sizes;
        Self {
            packet: Packet::NONE,
            clock: Clock::default(),
            is_tap: false,
            keys,
            networks,
            rows_by_key: breakdown_rows,
            neighbours: vec![Neighbour::default(); MAX_NEIGHBOURS as usize],
            rows: vec![Row::default(); rows_of_slice(breakdown_rows, networks) as usize],
            labels: None,
            control: Control::default(),
            flows: vec![FlowSet::default(); flow_sets as usize],
            open: vec![Open::default(); open_entries as usize],
            changes: vec![0; open_entries as usize],
            progress: Progress::default(),
            budgets: vec![Budget::default(); (networks * Spending::COUNT) as usize],
            samples: VecDeque::new(),
            waiting: 0,
            read: 0,
        }
    }

    /// See [`Native::labelling`]. The table is the first generation, as that of maps that begin.
    pub(super) fn label(&mut self, table: Table, rows_by_key: u32) {
        let rows = vec![Row::default(); rows_of_slice(rows_by_key, self.networks) as usize];
        self.labels = Some(Labels { table, rows_by_key, rows });
        self.control = Control::default().next_labelling();
    }

    fn table_of(&self, rows: Rows) -> &[Row] {
        match rows {
            Rows::Breakdown => &self.rows,
            Rows::Counterparts => self.labels.as_ref().map_or(&[], |labels| &labels.rows),
        }
    }

    fn row_mut(&mut self, rows: Rows, index: u32) -> Option<&mut Row> {
        match rows {
            Rows::Breakdown => self.rows.get_mut(index as usize),
            Rows::Counterparts => self.labels.as_mut()?.rows.get_mut(index as usize),
        }
    }

    /// The oldest record that was not read.
    fn next_sample(&mut self) -> Option<(Sample, Vec<u8>)> {
        let (sample, payload) = self.samples.pop_front()?;
        self.waiting -= size_of::<Sample>() + payload.len();
        Some((sample, payload))
    }
}

impl watch::Rows for Native {
    fn slices(&self) -> u32 {
        1
    }

    fn rows(&self, _slice: u32, each: &mut dyn FnMut(&Row)) {
        self.watch.rows.iter().filter(|row| row.key != 0).for_each(each);
    }

    fn counterparts(&self, _slice: u32, each: &mut dyn FnMut(&Row)) {
        self.watch.table_of(Rows::Counterparts).iter().filter(|row| row.key != 0).for_each(each);
    }

    fn neighbour(&self, _slice: u32, number: u32) -> Option<Neighbour> {
        let neighbour = self.watch.neighbours.get(number.checked_sub(1)? as usize)?;
        (neighbour.interface != 0).then_some(*neighbour)
    }
}

impl Memory for Native {
    fn set_clock(&mut self, clock: Clock) {
        self.watch.clock = clock;
    }

    fn allow(&mut self, network: u32, spending: Spending, more: u64, most: u64) {
        if let Some(budget) = self.watch.budgets.get_mut(budget_row(network, spending) as usize) {
            budget.allowed = budget.with(more, most);
        }
    }

    fn samples(&mut self, most: usize, each: &mut dyn FnMut(&Sample, &[u8]) -> Result<()>) -> Result<usize> {
        for number in 0..most {
            let Some((sample, payload)) = self.watch.next_sample() else { return Ok(number) };
            each(&sample, &payload)?;
        }
        Ok(most)
    }

    fn know(&mut self, key: FlowKey, change: &dyn Fn(FlowState) -> FlowState) -> bool {
        let set = key.place(self.watch.flows.len() as u32) as usize;
        let Some(FlowSet { tags, states }) = self.watch.flows.get_mut(set) else { return false };
        let Some(way) = tags.iter().position(|tag| Tag::from_word(*tag).mark() == key.mark() && *tag != 0) else {
            return false;
        };
        let known = FlowState::from_word(states[way]);
        let known = if known.mark() == key.mark() { known } else { FlowState::new(key.mark()) };
        states[way] = change(known).word();
        true
    }

    fn changes(&mut self, _slice: u32, each: &mut dyn FnMut(u32)) {
        let Watch { changes, progress, read, .. } = &mut self.watch;
        let entries = changes.len() as u64;
        if progress.changes - *read > entries {
            (0..entries as u32).for_each(each);
        } else {
            (*read..progress.changes).for_each(|at| each(changes[(at % entries) as usize] as u32));
        }
        *read = progress.changes;
    }

    fn open_entries(&self) -> u32 {
        self.watch.open.len() as u32
    }

    fn open(&self, _slice: u32, number: u32) -> Option<Open> {
        self.watch.open.get(number as usize).copied().filter(|open| open.key != 0)
    }
}

impl Watching for Native {
    fn interface(&self) -> u32 {
        0
    }

    fn is_tap(&self) -> bool {
        self.watch.is_tap
    }

    fn sends(&self) -> bool {
        false
    }

    fn networks(&self) -> u32 {
        self.watch.networks
    }

    fn clock(&self) -> Clock {
        self.watch.clock
    }

    fn idle(&self) -> u32 {
        0
    }

    fn hash_keys(&self) -> Option<&HashKeys> {
        Some(&self.watch.keys)
    }

    fn neighbour(&self, place: u32) -> Option<Neighbour> {
        self.watch.neighbours.get(place as usize).copied()
    }

    fn claim_neighbour(&mut self, place: u32, neighbour: Neighbour) -> bool {
        match self.watch.neighbours.get_mut(place as usize) {
            Some(entry) if entry.interface == 0 => {
                *entry = neighbour;
                true
            }
            _ => false,
        }
    }

    fn breakdown_rows(&self) -> u32 {
        self.watch.rows_by_key
    }

    fn counterpart_rows(&self) -> u32 {
        self.watch.labels.as_ref().map_or(0, |labels| labels.rows_by_key)
    }

    fn row_key(&self, rows: Rows, index: u32) -> Option<u64> {
        self.watch.table_of(rows).get(index as usize).map(|row| row.key)
    }

    fn claim_row(&mut self, rows: Rows, index: u32, key: u64) -> bool {
        match self.watch.row_mut(rows, index) {
            Some(row) if row.key == 0 => {
                row.key = key;
                true
            }
            _ => false,
        }
    }

    fn add_row(&mut self, rows: Rows, index: u32, key: u64, size: Size) -> bool {
        let Some(row) = self.watch.row_mut(rows, index).filter(|row| row.key == key) else { return false };
        row.packets = row.packets.wrapping_add(size.packets.into());
        row.bytes = row.bytes.wrapping_add(size.bytes.into());
        row.frame_bytes = row.frame_bytes.wrapping_add(size.frame_bytes.into());
        true
    }

    fn find_label(&self, address: [u64; 2], is_v4: bool, _labelling: u32) -> u32 {
        // There is one half.
        self.watch.labels.as_ref().map_or(NO_LABEL, |labels| find_label(&labels.table, address, is_v4, 0))
    }

    fn flow_sets(&self) -> u32 {
        self.watch.flows.len() as u32
    }

    fn flow_tags(&self, set: u32) -> Option<[u64; WAYS]> {
        self.watch.flows.get(set as usize).map(|set| set.tags)
    }

    fn flow_way(&self, set: u32, way: u32) -> (u64, u64) {
        let way = way as usize % WAYS;
        self.watch.flows.get(set as usize).map_or((0, 0), |set| (set.tags[way], set.states[way]))
    }

    fn set_flow_tag(&mut self, set: u32, way: u32, word: u64) {
        if let Some(set) = self.watch.flows.get_mut(set as usize) {
            set.tags[way as usize % WAYS] = word;
        }
    }

    fn set_flow_state(&mut self, set: u32, way: u32, word: u64) {
        if let Some(set) = self.watch.flows.get_mut(set as usize) {
            set.states[way as usize % WAYS] = word;
        }
    }

    fn change_flow_state(&mut self, set: u32, way: u32, from: u64, to: u64) {
        if self.flow_way(set, way).1 == from {
            self.set_flow_state(set, way, to);
        }
    }

    fn open_entries(&self) -> u32 {
        self.watch.open.len() as u32
    }

    fn open(&mut self, index: u32) -> Option<&mut Open> {
        self.watch.open.get_mut(index as usize)
    }

    fn progress(&mut self, _slice: u32) -> Option<&mut Progress> {
        Some(&mut self.watch.progress)
    }

    fn note_change(&mut self, index: u32) {
        let Watch { changes, progress, .. } = &mut self.watch;
        let at = progress.changes as usize % changes.len().max(1);
        if let Some(change) = changes.get_mut(at) {
            *change = index.into();
        }
        progress.changes += 1;
    }

    fn may_spend(&self, network: u32, spending: Spending) -> bool {
        let budget = self.watch.budgets.get(budget_row(network, spending) as usize);
        budget.is_some_and(|budget| budget.spent < budget.allowed)
    }

    fn spend(&mut self, network: u32, spending: Spending) {
        if let Some(budget) = self.watch.budgets.get_mut(budget_row(network, spending) as usize) {
            budget.spent += 1;
        }
    }

    fn sample<W: Window>(&mut self, window: &W, mut sample: Sample, offset: usize) -> bool {
        let mut payload = [0; MAX_SAMPLE];
        if sample.captured > 0 && !window.copy(offset, sample.captured, &mut payload) {
            sample.captured = 0;
        }
        let payload = payload[..sample.captured as usize].to_vec();
        let len = size_of::<Sample>() + payload.len();
        if self.watch.waiting + len > MAX_WAITING {
            return false;
        }
        self.watch.waiting += len;
        self.watch.samples.push_back((sample, payload));
        true
    }
}
