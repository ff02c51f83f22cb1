//! The maps that all program instances of one sensor share, mapped into this process.

use anyhow::{Context, Result, bail};
use aya::{Ebpf, maps::Map};
use bytemuck::Pod;
use sensor_ebpf::abi::{
    ABI_VERSION, Cell, Control, ControlBlock, Counter, Direction, Entry, Line, Node, PrefixId, Words, ledger_row,
    map_name, prefix_row,
};
use std::os::fd::AsFd;

use super::{array::MappedArray, external::External, layout::Layout, sys::GracePeriod};
use crate::{
    collect::{LedgerRow, Reading},
    prefix::Trie,
};

/// The user-space end of the shared maps.
#[derive(Debug)]
pub struct SharedMaps {
    layout: Layout,
    control_word: Control,
    control: MappedArray<ControlBlock>,
    roots: MappedArray<Words>,
    nodes: MappedArray<Node>,
    runs: MappedArray<Words>,
    prefixes: MappedArray<Counter>,
    ledger: MappedArray<Counter>,
    external: External,
    /// What each bank held when it was last at rest: per ledger slot, by bank.
    banks: Vec<[LedgerRow; Control::BANKS as usize]>,
    grace: GracePeriod,
    /// Whether programs run by themselves; those of a replay run only while this process waits for them.
    live: bool,
}

impl SharedMaps {
    /// Maps the shared maps of a loaded object and marks them with the version of the layout.
    ///
    /// # Errors
    /// A map of the object is missing or cannot be mapped.
    pub(crate) fn open(ebpf: &Ebpf, layout: Layout, live: bool) -> Result<Self> {
        let maps = Self {
            layout,
            control_word: Control::default(),
            control: open(ebpf, &layout, map_name::CONTROL)?,
            roots: open(ebpf, &layout, map_name::ROOTS)?,
            nodes: open(ebpf, &layout, map_name::NODES)?,
            runs: open(ebpf, &layout, map_name::RUNS)?,
            prefixes: open(ebpf, &layout, map_name::PREFIXES)?,
            ledger: open(ebpf, &layout, map_name::LEDGER)?,
            external: External::open(ebpf)?,
            banks: vec![[LedgerRow::default(); 2]; layout.ledger_slots() as usize],
            grace: GracePeriod::new().context("cannot create the map that grace periods are waited on with")?,
            live,
        };
        let block = ControlBlock { abi_version: ABI_VERSION, ..ControlBlock::default() };
        if !maps.control.store(0, &[block]) {
            bail!("map {} has no entry", map_name::CONTROL);
        }
        Ok(maps)
    }

    /// Writes `trie` into the half of the table that is not in force, puts it in force with one store and waits until no program
    /// looks into the other half any more, so that the next call may overwrite it.
    ///
    /// # Errors
    /// The table does not fit into the maps, whose size was fixed when the programs were loaded.
    pub fn publish(&mut self, trie: &Trie) -> Result<()> {
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
        let run_base = next.slot() * layout.run_lines() * Line::WORDS;
        let moved = |entry: &Entry| entry.child().map_or(*entry, |child| Entry::node(node_base + child));
        let fits = trie.highest_id < layout.prefix_capacity()
            && trie.nodes.len() <= layout.nodes() as usize
            && trie.runs.len() <= (layout.run_lines() * Line::WORDS) as usize
            && self.roots.store((next.slot() * layout.root_lines()) as usize, &lines(&trie.roots, moved))
            && self.runs.store((next.slot() * layout.run_lines()) as usize, &lines(&trie.runs, moved));
        let nodes: Vec<Node> = trie
            .nodes
            .iter()
            .map(|node| Node {
                base: if node.base == Node::INLINE { Node::INLINE } else { node.base + run_base },
                inline: node.inline.map(|entry| moved(&entry)),
                ..*node
            })
            .collect();
        if !(fits && self.nodes.store(node_base as usize, &nodes)) {
            bail!(
                "the table of {} prefixes and {} nodes does not fit into maps sized for {} and {}: restart the sensor",
                trie.highest_id,
                trie.nodes.len(),
                layout.prefix_capacity() - 1,
                layout.nodes()
            );
        }
        self.put_in_force(next)?;
        self.wait()
    }

    /// Everything counted so far. The ledger is exact as of one instant, at which `witness` is called; the prefix counters go on
    /// running while they are read.
    ///
    /// # Errors
    /// The grace period could not be waited for.
    pub fn read<T>(&mut self, witness: impl FnOnce() -> T) -> Result<(Reading, T)> {
        let resting = self.control_word.bank();
        if self.live {
            self.put_in_force(self.control_word.other_bank())?;
        }
        let witnessed = witness();
        if self.live {
            self.wait()?;
        }
        for slot in 0..self.layout.ledger_slots() {
            self.banks[slot as usize][resting as usize] = self.bank(slot, resting);
        }
        let ledger = self.banks.iter().map(|banks| banks[0].plus(&banks[1])).collect();
        Ok((Reading { prefixes: self.prefix_rows(), ledger }, witnessed))
    }

    /// Says which interfaces bill what they receive, by index, those stacked on them included: what came in there and leaves by
    /// another interface is `seen_before`.
    ///
    /// # Errors
    /// More than [`MAX_EXTERNAL`](sensor_ebpf::abi::MAX_EXTERNAL), or the kernel refuses a change.
    pub fn set_external(&mut self, indices: &[u32]) -> Result<()> {
        self.external.set(indices)
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

    fn bank(&self, slot: u32, bank: u32) -> LedgerRow {
        let mut row = LedgerRow::default();
        let slices = self.layout.slices();
        for slice in 0..slices {
            for cell in Cell::all() {
                let index = ledger_row(slot, bank, slice, slices, cell);
                row.add(cell, self.ledger.load(index as usize).unwrap_or_default());
            }
        }
        row
    }

    /// Totals over all slices, at `id * 2 + direction`.
    fn prefix_rows(&self) -> Vec<Counter> {
        let capacity = self.layout.prefix_capacity();
        let mut rows = vec![Counter::default(); (capacity * Direction::COUNT) as usize];
        for slice in 0..self.layout.slices() {
            for id in (1..capacity).filter_map(PrefixId::new) {
                for direction in Direction::ALL {
                    let counted =
                        self.prefixes.load(prefix_row(slice, capacity, id, direction) as usize).unwrap_or_default();
                    let total = &mut rows[prefix_row(0, capacity, id, direction) as usize];
                    *total = total.sum(&counted);
                }
            }
        }
        rows
    }
}

fn open<T: Pod>(ebpf: &Ebpf, layout: &Layout, name: &str) -> Result<MappedArray<T>> {
    let Some(Map::Array(map)) = ebpf.map(name) else {
        bail!("the eBPF object has no array {name}: rebuild it with `cargo xtask build-ebpf`")
    };
    let info = map.info().with_context(|| format!("cannot ask the kernel about map {name}"))?;
    let entries = layout.entries().into_iter().find(|(known, _)| *known == name).map_or(0, |(_, entries)| entries);
    if info.max_entries() != entries || info.value_size() as usize != size_of::<T>() {
        bail!(
            "map {name} has {} entries of {} bytes where {entries} of {} are needed",
            info.max_entries(),
            info.value_size(),
            size_of::<T>()
        );
    }
    MappedArray::new(map.fd().as_fd(), entries as usize).with_context(|| format!("cannot map {name} into memory"))
}

fn lines(entries: &[Entry], moved: impl Fn(&Entry) -> Entry) -> Vec<Words> {
    entries
        .chunks(Line::WORDS as usize)
        .map(|chunk| {
            let mut words = Words::default();
            for (word, entry) in words.0.iter_mut().zip(chunk) {
                *word = moved(entry);
            }
            words
        })
        .collect()
}
