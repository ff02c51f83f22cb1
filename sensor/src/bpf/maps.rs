//! The maps that all program instances of one sensor share, mapped into this process.

use std::{collections::BTreeSet, os::fd::BorrowedFd, path::Path};

use anyhow::{Context, Result, bail, ensure};
use sensor_ebpf::abi::{
    ABI_VERSION, BLOCK_LEN, Clock, Control, ControlBlock, Entry, FlowKey, FlowState, HashKeys, Line, Neighbour, Node,
    Open, Row, Sample, Spending, Words, map_name,
};

use super::{
    array::MappedArray, counters::Counters, external::External, labels::LabelTable, layout::Layout, pinned::open_array,
    sys::GracePeriod, watching::Watching,
};
use crate::{
    collect::{LedgerRow, Reading, SparseReading},
    epoch::Epoch,
    prefix::Trie,
    watch::{Memory, Rows},
};

/// The user-space end of the shared maps.
#[derive(Debug)]
pub struct SharedMaps {
    layout: Layout,
    control_word: Control,
    control: MappedArray<ControlBlock>,
    roots: MappedArray<Words>,
    nodes: MappedArray<Node>,
    blocks: MappedArray<Words>,
    labels: LabelTable,
    counters: Counters,
    watching: Watching,
    external: External,
    /// What each bank held when it was last at rest: per ledger slot, by bank.
    banks: Vec<[LedgerRow; Control::BANKS as usize]>,
    grace: GracePeriod,
    /// A program may still look into the half of the table that is not in force.
    unsettled: bool,
    /// Whether programs run by themselves; those of a replay run only while this process waits for them.
    live: bool,
}

impl SharedMaps {
    /// Maps the shared maps pinned in `directory`, after comparing each with `layout`.
    ///
    /// # Errors
    /// A map is missing, of another shape, or cannot be mapped.
    pub(crate) fn open(directory: &Path, layout: Layout, live: bool) -> Result<Self> {
        let control = open_array::<ControlBlock>(directory, &layout, map_name::CONTROL)?;
        let mut maps = Self {
            layout,
            control_word: Control::from_word(control.load(0).unwrap_or_default().word),
            control,
            roots: open_array(directory, &layout, map_name::ROOTS)?,
            nodes: open_array(directory, &layout, map_name::NODES)?,
            blocks: open_array(directory, &layout, map_name::BLOCKS)?,
            labels: LabelTable::open(directory, &layout)?,
            counters: Counters::open(directory, layout)?,
            watching: Watching::open(directory, &layout)?,
            external: External::open(directory, &layout)?,
            banks: vec![[LedgerRow::default(); 2]; layout.ledger_slots() as usize],
            grace: GracePeriod::new().context("cannot create the map that grace periods are waited on with")?,
            unsettled: false,
            live,
        };
        // Programs may have been left at work: what the bank at rest holds is only known once nobody counts in it any more.
        if live {
            maps.wait()?;
        }
        maps.rest(maps.control_word.other_bank().bank());
        Ok(maps)
    }

    /// Says which life of the counters this is. Only maps that say so are ever taken over: their table must be in force.
    ///
    /// # Errors
    /// The control map is empty.
    pub fn identify(&mut self, epoch: Epoch) -> Result<()> {
        let block = self.control.load(0).unwrap_or_default();
        self.store(ControlBlock { abi_version: ABI_VERSION, epoch: epoch.to_bytes(), ..block })
    }

    /// Numbers flows by these keys, in maps that nothing was counted in yet.
    ///
    /// # Errors
    /// The control map is empty.
    pub fn number_flows_by(&mut self, hash: HashKeys) -> Result<()> {
        let block = self.control.load(0).unwrap_or_default();
        self.store(ControlBlock { hash, ..block })
    }

    /// How many tables were put in force in these maps; wraps.
    pub fn generation(&self) -> u32 {
        self.control_word.generation()
    }

    /// What the generation of the next table will be.
    pub fn next_generation(&self) -> u32 {
        self.control_word.next_generation().generation()
    }

    /// What becomes readable when there are records of watched traffic.
    pub fn ring(&self) -> BorrowedFd<'_> {
        self.watching.ring()
    }

    /// How large the maps are.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Which interfaces bill what they receive, by index, those stacked on them included.
    ///
    /// # Errors
    /// More than there is room for, or the kernel refuses an update.
    pub fn set_external(&mut self, indices: &BTreeSet<u32>) -> Result<()> {
        self.external.set(indices)
    }

    /// Writes `trie` into the half of the table that is not in force, and beside it the SHA-256 of the manifest that names its ids;
    /// puts both in force with one store and waits until no program looks into the other half any more, so that the next call may
    /// overwrite it.
    ///
    /// # Errors
    /// The table does not fit into the maps, whose size was fixed when the programs were loaded, or the kernel does not wait. The
    /// old table is in force then.
    pub fn publish(&mut self, trie: &Trie, manifest: [u8; 32]) -> Result<()> {
        self.publish_with(trie, None, manifest)
    }

    /// The same, and with it another table of labels, if there is one.
    ///
    /// # Errors
    /// As [`publish`](Self::publish), or these maps have no number left for another table of labels.
    pub fn publish_with(&mut self, trie: &Trie, labels: Option<&Trie>, manifest: [u8; 32]) -> Result<()> {
        let mut next = self.control_word.next_generation();
        if labels.is_some() {
            next = next.next_labelling();
            ensure!(
                next.labelling() != 0,
                "these maps have had all the tables of counterparts that they may: restart the sensor"
            );
        }
        // Where the last call could not: some program may still look into that half.
        self.settle()?;
        if let Some(labels) = labels {
            self.labels.write(labels, &self.layout, next.labelling())?;
        }
        self.write(trie, manifest)?;
        self.put_in_force(next)?;
        self.unsettled = true;
        if let Err(error) = self.settle() {
            tracing::warn!("{error:#}; before the next table is written, it is tried again");
        }
        Ok(())
    }

    /// Writes the half of the table that is not in force.
    fn write(&mut self, trie: &Trie, manifest: [u8; 32]) -> Result<()> {
        let layout = &self.layout;
        if trie.root_bits != layout.root_bits() {
            bail!(
                "the table has {} and the maps were made for {}: restart the sensor",
                trie.root_bits,
                layout.root_bits()
            );
        }
        let next = self.control_word.next_generation();
        let node_base = next.slot() * layout.nodes();
        let block_base = next.slot() * layout.blocks();
        let moved = |entry: Entry| entry.moved(node_base, block_base);
        let moved_node = |node: &Node| Node { values: node.values.map(moved), ..*node };
        // A block is whole lines.
        let (lines, _) = trie.blocks.as_chunks();
        let blocks = lines.iter().map(|line| Words(line.map(moved)));
        let fits = layout.holds(trie, trie.highest_id)
            && self.roots.fill((next.slot() * layout.root_lines()) as usize, trie.root_lines(moved))
            && self.blocks.fill((block_base * BLOCK_LEN / Line::WORDS) as usize, blocks)
            && self.nodes.fill(node_base as usize, trie.nodes.iter().map(moved_node));
        if !fits {
            bail!(
                "the table of {} prefixes, {} nodes and {} blocks does not fit into maps sized for {}, {} and {}: restart the sensor",
                trie.highest_id,
                trie.nodes.len(),
                trie.blocks.len() / BLOCK_LEN as usize,
                layout.prefix_capacity() - 1,
                layout.nodes(),
                layout.blocks()
            );
        }
        let mut block = self.control.load(0).unwrap_or_default();
        block.manifests[next.slot() as usize] = manifest;
        self.store(block)
    }

    /// Everything counted so far. The ledger is exact as of one instant, at which `witness` is called; the prefix counters go on
    /// running while they are read.
    ///
    /// # Errors
    /// The grace period could not be waited for.
    pub fn read<T>(&mut self, witness: impl FnOnce() -> T) -> Result<(Reading, T)> {
        let (ledger, witnessed) = self.ledger(witness)?;
        Ok((self.counters.read(ledger), witnessed))
    }

    /// The same beyond what was `reported`: memory is only needed for what was counted.
    ///
    /// # Errors
    /// As [`SharedMaps::read`], or that is a reading of different counters.
    pub fn since<T>(&mut self, reported: &Reading, witness: impl FnOnce() -> T) -> Result<(SparseReading, T)> {
        let (ledger, witnessed) = self.ledger(witness)?;
        Ok((self.counters.since(reported, &ledger)?, witnessed))
    }

    /// The ledgers as of the instant at which `witness` is called.
    fn ledger<T>(&mut self, witness: impl FnOnce() -> T) -> Result<(Vec<LedgerRow>, T)> {
        let resting = self.control_word.bank();
        if self.live {
            self.put_in_force(self.control_word.other_bank())?;
        }
        let witnessed = witness();
        if self.live {
            self.wait()?;
        }
        self.rest(resting);
        Ok((self.banks.iter().map(|banks| banks[0].plus(&banks[1])).collect(), witnessed))
    }

    /// Notes what a bank that nobody counts in holds.
    fn rest(&mut self, bank: u32) {
        for slot in 0..self.layout.ledger_slots() {
            self.banks[slot as usize][bank as usize] = self.counters.bank(slot, bank);
        }
    }

    /// Stores the control block, whose word stays the one in force.
    fn store(&mut self, block: ControlBlock) -> Result<()> {
        if !self.control.store(0, &[ControlBlock { word: self.control_word.word(), ..block }]) {
            bail!("map {} has no entry", map_name::CONTROL);
        }
        Ok(())
    }

    /// Waits until no program looks into the half of the table that is not in force; where they do not run by themselves, none does.
    fn settle(&mut self) -> Result<()> {
        if self.unsettled && self.live {
            self.wait()?;
            self.unsettled = false;
        }
        Ok(())
    }

    fn put_in_force(&mut self, next: Control) -> Result<()> {
        if !self.control.publish_word(0, next.word()) {
            bail!("map {} has no entry", map_name::CONTROL);
        }
        self.control_word = next;
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        self.grace.wait().context("cannot wait for an RCU grace period")
    }
}

impl Rows for SharedMaps {
    fn slices(&self) -> u32 {
        self.watching.billed().slices()
    }

    fn rows(&self, slice: u32, each: &mut dyn FnMut(&Row)) {
        self.watching.billed().rows(slice, each);
    }

    fn counterparts(&self, slice: u32, each: &mut dyn FnMut(&Row)) {
        self.watching.billed().counterparts(slice, each);
    }

    fn neighbour(&self, slice: u32, number: u32) -> Option<Neighbour> {
        self.watching.billed().neighbour(slice, number)
    }
}

impl Memory for SharedMaps {
    fn set_clock(&mut self, clock: Clock) {
        // The control map has its entry: it was loaded from.
        let _ = self.control.store_word(0, Clock::PLACE, clock.word());
    }

    fn allow(&mut self, network: u32, spending: Spending, more: u64, most: u64) {
        self.watching.allow(network, spending, more, most);
    }

    fn samples(&mut self, most: usize, each: &mut dyn FnMut(&Sample, &[u8]) -> Result<()>) -> Result<usize> {
        self.watching.samples(most, each)
    }

    fn know(&mut self, key: FlowKey, change: &dyn Fn(FlowState) -> FlowState) -> bool {
        self.watching.know(key, change)
    }

    fn changes(&mut self, slice: u32, each: &mut dyn FnMut(u32)) {
        self.watching.changes(slice, each);
    }

    fn open_entries(&self) -> u32 {
        self.watching.open_entries()
    }

    fn open(&self, slice: u32, number: u32) -> Option<Open> {
        self.watching.open_flow(slice, number)
    }
}
