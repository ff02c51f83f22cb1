//! The maps of watched traffic, mapped into this process.

use std::{os::fd::AsFd as _, path::Path};

use anyhow::{Context as _, Result};
use aya::maps::{Map, MapData, RingBuf};
use sensor_ebpf::abi::{
    Budget, FlowKey, FlowSet, FlowState, Open, Progress, Sample, Spending, Tag, WAYS, budget_row, map_name,
};

use super::{
    array::MappedArray,
    billed::Billed,
    layout::{Layout, Watched},
    pinned::{open, open_array},
};

/// Where in a value of 64-bit words these stand.
mod word {
    /// [`super::Budget::allowed`].
    pub(super) const ALLOWED: usize = 0;
    /// The first of [`super::FlowSet::states`].
    pub(super) const STATES: usize = super::WAYS;
}

/// The user-space end of these maps.
pub(super) struct Watching {
    sizes: Watched,
    flows: MappedArray<FlowSet>,
    open: MappedArray<Open>,
    changes: MappedArray<u64>,
    progress: MappedArray<Progress>,
    billed: Billed,
    budgets: MappedArray<Budget>,
    samples: RingBuf<MapData>,
    /// How far the list of changes of each slice was read.
    read: Vec<u64>,
}

impl std::fmt::Debug for Watching {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watching").field("sizes", &self.sizes).finish_non_exhaustive()
    }
}

impl Watching {
    /// Maps the maps pinned in `directory`, which must be of this layout.
    pub(super) fn open(directory: &Path, layout: &Layout) -> Result<Self> {
        let ring = open(directory, &layout.shape(map_name::SAMPLES))?;
        let samples = RingBuf::try_from(Map::RingBuf(ring)).context("cannot map the ring of samples into memory")?;
        let progress: MappedArray<Progress> = open_array(directory, layout, map_name::PROGRESS)?;
        Ok(Self {
            sizes: *layout.watched(),
            flows: open_array(directory, layout, map_name::FLOWS)?,
            open: open_array(directory, layout, map_name::OPEN)?,
            changes: open_array(directory, layout, map_name::CHANGES)?,
            // What was noted before is for `open` to tell.
            read: (0..progress.len())
                .map(|slice| progress.load(slice).map_or(0, |progress| progress.changes))
                .collect(),
            progress,
            billed: Billed::open(directory, layout)?,
            budgets: open_array(directory, layout, map_name::BUDGETS)?,
            samples,
        })
    }

    /// The ring of samples, to wait for records.
    pub(super) fn ring(&self) -> std::os::fd::BorrowedFd<'_> {
        self.samples.as_fd()
    }

    /// The breakdown.
    pub(super) fn billed(&self) -> &Billed {
        &self.billed
    }

    pub(super) fn allow(&mut self, network: u32, spending: Spending, more: u64, most: u64) {
        let row = budget_row(network, spending) as usize;
        if let Some(budget) = self.budgets.load(row) {
            // Programs change the other word meanwhile.
            let _ = self.budgets.store_word(row, word::ALLOWED, budget.with(more, most));
        }
    }

    pub(super) fn samples(&mut self, most: usize, each: &mut dyn FnMut(&Sample, &[u8]) -> Result<()>) -> Result<usize> {
        for number in 0..most {
            let Some(record) = self.samples.next() else { return Ok(number) };
            let Some((head, payload)) = record.split_at_checked(size_of::<Sample>()) else { continue };
            let sample: Sample = bytemuck::pod_read_unaligned(head);
            each(&sample, payload.get(..sample.captured as usize).unwrap_or_default())?;
        }
        Ok(most)
    }

    pub(super) fn know(&mut self, key: FlowKey, change: &dyn Fn(FlowState) -> FlowState) -> bool {
        let set = key.place(self.sizes.flow_sets) as usize;
        let Some(FlowSet { tags, states }) = self.flows.load(set) else { return false };
        let Some(way) = tags.iter().position(|tag| Tag::from_word(*tag).mark() == key.mark() && *tag != 0) else {
            return false;
        };
        let known = FlowState::from_word(states[way]);
        let known = if known.mark() == key.mark() { known } else { FlowState::new(key.mark()) };
        // Where the way has become another flow's meanwhile, that does not know it by its mark.
        self.flows.store_word(set, word::STATES + way, change(known).word())
    }

    pub(super) fn changes(&mut self, slice: u32, each: &mut dyn FnMut(u32)) {
        let (Some(read), Some(progress)) = (self.read.get_mut(slice as usize), self.progress.load(slice as usize))
        else {
            return;
        };
        let entries = self.sizes.open_entries;
        let first = slice * entries;
        if progress.changes.wrapping_sub(*read) > u64::from(entries) {
            (0..entries).for_each(each);
        } else {
            for at in *read..progress.changes {
                let place = first + (at as u32 & (entries - 1));
                if let Some(index) = self.changes.load(place as usize) {
                    each((index as u32).wrapping_sub(first));
                }
            }
        }
        *read = progress.changes;
    }

    pub(super) fn open_entries(&self) -> u32 {
        self.sizes.open_entries
    }

    pub(super) fn open_flow(&self, slice: u32, number: u32) -> Option<Open> {
        let index = (slice * self.sizes.open_entries + number) as usize;
        let open = self.open.load(index)?;
        let still = self.open.load(index)?;
        // Where it was replaced in between, its key or the number it was born under is another.
        (open.key != 0 && (open.key, open.born) == (still.key, still.born)).then_some(open)
    }
}
