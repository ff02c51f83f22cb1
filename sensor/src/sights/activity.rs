//! Which watched addresses are active, and which ever were.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use jiff::Timestamp;

use super::{Limits, table::Table};
use crate::{
    cidr::Cidr,
    summary::{AddressSet, Bits, block_prefix, place},
};

/// Addresses of a /24.
const BLOCK: usize = 256;
/// Bits of the IPv6 prefix that stands for the addresses in it: a host chooses the others as it likes (RFC 8981).
const V6_LEN: u8 = 64;

/// A network's slot and the upper 24 bits of its addresses.
type BlockKey = (u16, u32);

/// What an address is, after it was seen active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lit {
    /// It was before.
    Known,
    /// It never was; and of its /24 or /64 nothing was, where that is given.
    First(Option<Cidr>),
    /// There is no room for it.
    Refused,
}

/// The addresses of a /24.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Block {
    /// Active at any time.
    pub(super) lit: Bits,
    /// Active in the interval.
    now: Bits,
    /// Of these: never before.
    fresh: Bits,
}

/// What was active in an interval, of one network.
#[derive(Debug, Default)]
pub(super) struct Active {
    pub(super) addresses: AddressSet,
    pub(super) prefixes: Vec<Cidr>,
    pub(super) newly_lit: AddressSet,
    pub(super) newly_lit_prefixes: Vec<Cidr>,
}

/// Active addresses in bounded memory: a bitmap for each /24, addresses one by one where there is no room for more of these, and /64s.
#[derive(Debug)]
pub(super) struct Activity {
    pub(super) blocks: Table<BlockKey, Block>,
    /// Addresses of /24s without a bitmap. No /24 has both.
    pub(super) singles: Table<(u16, u32), ()>,
    /// By the upper 64 bits.
    pub(super) wide: Table<(u16, u64), ()>,
}

impl Activity {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            blocks: Table::new(limits.activity_addresses / BLOCK),
            singles: Table::new(limits.more_activity_addresses),
            wide: Table::new(limits.activity_prefixes_v6),
        }
    }

    /// An address was seen active.
    pub(super) fn light(&mut self, slot: u16, address: IpAddr, at: Timestamp) -> Lit {
        match address {
            IpAddr::V4(address) => self.light_v4(slot, address, at),
            IpAddr::V6(address) => self.light_v6(slot, address, at),
        }
    }

    fn light_v4(&mut self, slot: u16, address: Ipv4Addr, at: Timestamp) -> Lit {
        let (block, (word, bit)) = place(address);
        let is_first = !self.has_singles(slot, block);
        let is_block = self.blocks.get((slot, block)).is_some() || is_first && !self.blocks.is_full();
        let prefix = |is_first: bool| is_first.then(|| block_prefix(block)).flatten();
        if is_block && let Some(row) = self.blocks.touch((slot, block), at, Block::default) {
            let block = &mut row.value;
            block.now[word] |= bit;
            if block.lit[word] & bit != 0 {
                return Lit::Known;
            }
            let is_first = block.lit == Bits::default();
            block.lit[word] |= bit;
            block.fresh[word] |= bit;
            return Lit::First(prefix(is_first));
        }
        let key = (slot, address.to_bits());
        let is_known = self.singles.get(key).is_some();
        match self.singles.touch(key, at, || ()) {
            Some(_) if is_known => Lit::Known,
            Some(_) => Lit::First(prefix(is_first)),
            None => Lit::Refused,
        }
    }

    fn light_v6(&mut self, slot: u16, address: Ipv6Addr, at: Timestamp) -> Lit {
        let key = (slot, (address.to_bits() >> 64) as u64);
        let is_known = self.wide.get(key).is_some();
        match self.wide.touch(key, at, || ()) {
            Some(_) if is_known => Lit::Known,
            Some(_) => Lit::First(wide_prefix(key.1)),
            None => Lit::Refused,
        }
    }

    fn has_singles(&self, slot: u16, block: u32) -> bool {
        self.singles.len() > 0 && singles_of(&self.singles, slot, block).next().is_some()
    }

    /// Ends an interval: what was active in it, by the slot of the network.
    pub(super) fn take(&mut self, networks: &mut BTreeMap<u16, Active>) {
        let mut ended = Vec::new();
        self.blocks.take(|_, (slot, block), row| {
            let Block { lit, now, fresh } = row.value;
            let active = networks.entry(slot).or_default();
            active.addresses.insert_block(block, &now);
            active.newly_lit.insert_block(block, &fresh);
            active.newly_lit_prefixes.extend((lit == fresh).then(|| block_prefix(block)).flatten());
            ended.push((slot, block));
        });
        for key in ended {
            if let Some(row) = self.blocks.get_mut(key) {
                (row.value.now, row.value.fresh) = Default::default();
            }
        }
        self.singles.take(|singles, (slot, address), row| {
            let active = networks.entry(slot).or_default();
            active.addresses.insert(address.into());
            if row.is_fresh {
                active.newly_lit.insert(address.into());
                let block = address >> 8;
                let is_first = singles_of(singles, slot, block).all(|(_, row)| row.is_fresh);
                active.newly_lit_prefixes.extend(is_first.then(|| block_prefix(block)).flatten());
            }
        });
        self.wide.take(|_, (slot, upper), row| {
            let active = networks.entry(slot).or_default();
            let prefix = wide_prefix(upper);
            active.prefixes.extend(prefix);
            active.newly_lit_prefixes.extend(prefix.filter(|_| row.is_fresh));
        });
    }

    /// Puts back the addresses of a /24, one by one where there is no room for a bitmap any more.
    pub(super) fn put_back(&mut self, slot: u16, block: u32, first: Timestamp, last: Timestamp, lit: Bits) {
        if !self.blocks.is_full() {
            return self.blocks.put_back((slot, block), first, last, Block { lit, ..Block::default() });
        }
        let mut addresses = AddressSet::default();
        addresses.insert_block(block, &lit);
        for address in addresses.iter() {
            self.singles.put_back((slot, address.to_bits()), first, last, ());
        }
    }

    /// Makes room where there is none. A /24 with a bitmap stays.
    pub(super) fn sweep(&mut self, now: Timestamp) {
        self.singles.sweep(now);
        self.wide.sweep(now);
    }

    /// Forgets a network.
    pub(super) fn forget(&mut self, slot: u16) {
        self.blocks.retain(|(other, _)| other != slot);
        self.singles.retain(|(other, _)| other != slot);
        self.wide.retain(|(other, _)| other != slot);
    }

    /// Active addresses for which there was no room, each time they were seen.
    pub(super) fn refused(&self) -> u64 {
        self.singles.refused() + self.wide.refused()
    }

    /// Addresses and /64s that were silent for long and made room.
    pub(super) fn forgotten(&self) -> u64 {
        self.singles.forgotten() + self.wide.forgotten()
    }
}

fn singles_of(
    singles: &Table<(u16, u32), ()>,
    slot: u16,
    block: u32,
) -> impl Iterator<Item = ((u16, u32), &super::table::Row<()>)> {
    singles.range((slot, block << 8), (slot, block << 8 | 0xff))
}

fn wide_prefix(upper: u64) -> Option<Cidr> {
    Cidr::masked(Ipv6Addr::from(u128::from(upper) << 64).into(), V6_LEN).ok()
}
