//! The library twin: the body of the kernel program over plain vectors. Needs no privileges.

mod watching;

use std::net::IpAddr;

use anyhow::Result;
use sensor_ebpf::{
    abi::{Cell, Control, Counter, Direction, Entry, Line, Node, Side, Words, ledger_row},
    account::account,
    lookup::{self, TrieMaps},
    packet::Window,
    state::{Size, State},
    watch::{self, Seen},
};

use self::watching::Watch;

use crate::{
    bpf::Watched,
    collect::{LedgerRow, Meter, Reading},
    config::DEFAULT_MEMORY,
    prefix::{PrefixSet, Trie},
    random,
};

/// Counts frames in this process.
#[derive(Debug)]
pub struct Native {
    table: Table,
    prefix_capacity: u32,
    prefixes: Vec<Counter>,
    ledger: Vec<Counter>,
    watch: Watch,
}

/// A trie as the lookup reads it.
#[derive(Debug)]
pub(crate) struct Table {
    trie: Trie,
    roots: Vec<Words>,
}

impl Table {
    pub(crate) fn new(trie: Trie) -> Self {
        Self { roots: trie.root_lines(|entry| entry).collect(), trie }
    }

    /// What an address gets; `None` where the table points outside of itself.
    pub(crate) fn find(&self, address: IpAddr) -> Option<Entry> {
        match address {
            IpAddr::V4(address) => lookup::v4(self, 0, address.to_bits()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                lookup::v6(self, 0, [(bits >> 64) as u64, bits as u64])
            }
        }
    }
}

impl Native {
    /// A twin for `prefixes` prefixes, which watches nothing.
    pub fn new(trie: Trie, prefixes: u32) -> Self {
        Self::with(trie, prefixes, Watched::NOTHING)
    }

    /// A twin that counts for `set`, whose table this is, and remembers so many flows of its networks.
    pub fn watching(trie: Trie, set: &PrefixSet, flows: u32) -> Self {
        Self::with(trie, set.highest_id(), Watched::new(set.highest_network(), flows, 1, DEFAULT_MEMORY.bytes(), false))
    }

    fn with(trie: Trie, prefixes: u32, sizes: Watched) -> Self {
        let prefix_capacity = prefixes + 1;
        Self {
            table: Table::new(trie),
            prefix_capacity,
            prefixes: vec![Counter::default(); (prefix_capacity * Direction::COUNT) as usize],
            ledger: vec![Counter::default(); Cell::COUNT as usize],
            watch: Watch::new(sizes, random::replay_keys()),
        }
    }

    /// Receives packets of both directions, as a tap does and most captures hold.
    #[must_use]
    pub fn at_a_tap(mut self) -> Self {
        self.watch.is_tap = true;
        self
    }

    /// Counts far ends by the labels of this table as well, in so many rows that are found by key, a power of two.
    #[must_use]
    pub fn labelling(mut self, trie: Trie, rows: u32) -> Self {
        self.watch.label(Table::new(trie), rows);
        self
    }

    /// Counts one frame and returns the cell of its outcome.
    pub fn count(&mut self, window: &impl Window) -> Cell {
        account(window, self)
    }

    /// Whether an address lies in a watched network.
    pub fn is_watched(&self, address: IpAddr) -> bool {
        self.table.find(address).and_then(Entry::network).is_some()
    }
}

impl Meter for Native {
    fn read(&mut self) -> Result<Reading> {
        let mut row = LedgerRow::default();
        for cell in Cell::all() {
            let index = ledger_row(self.ledger_slot(), self.control().bank(), self.slice(), self.slices(), cell);
            row.add(cell, self.ledger.get(index as usize).copied().unwrap_or_default());
        }
        // One interface, which sends nothing.
        let mut ledger = vec![LedgerRow::default(); Side::COUNT as usize];
        ledger[Side::Rx as usize] = row;
        Ok(Reading::of_counters(&self.prefixes, ledger))
    }
}

impl TrieMaps for Table {
    fn root_bits_v4(&self) -> u32 {
        self.trie.root_bits.v4
    }

    fn root_bits_v6(&self) -> u32 {
        self.trie.root_bits.v6
    }

    fn root(&self, index: u32) -> Option<Entry> {
        let Line { element, word } = Line::of(index);
        self.roots.get(element as usize)?.0.get(word).copied()
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.trie.nodes.get(index as usize)
    }

    fn block_entry(&self, index: u32) -> Option<Entry> {
        self.trie.blocks.get(index as usize).copied()
    }
}

impl TrieMaps for Native {
    fn root_bits_v4(&self) -> u32 {
        self.table.root_bits_v4()
    }

    fn root_bits_v6(&self) -> u32 {
        self.table.root_bits_v6()
    }

    fn root(&self, index: u32) -> Option<Entry> {
        self.table.root(index)
    }

    fn node(&self, index: u32) -> Option<&Node> {
        self.table.node(index)
    }

    fn block_entry(&self, index: u32) -> Option<Entry> {
        self.table.block_entry(index)
    }
}

impl State for Native {
    fn control(&self) -> Control {
        self.watch.control
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
        self.prefix_capacity
    }

    fn add_prefix(&mut self, row: u32, size: Size) -> Option<()> {
        add(self.prefixes.get_mut(row as usize)?, size);
        Some(())
    }

    fn add_ledger(&mut self, row: u32, size: Size) -> Option<()> {
        add(self.ledger.get_mut(row as usize)?, size);
        Some(())
    }

    fn bill<W: Window>(&mut self, window: &W, seen: Seen) -> u32 {
        let mut packet = self.watch.packet;
        packet.begin(seen);
        let left = watch::bill(window, self, &mut packet);
        self.watch.packet = packet;
        left
    }

    fn follow<W: Window>(&mut self, window: &W, left: u32) {
        let mut packet = self.watch.packet;
        watch::follow(window, self, &mut packet, left);
    }
}

fn add(counter: &mut Counter, size: Size) {
    *counter = counter.sum(&size.into());
}
