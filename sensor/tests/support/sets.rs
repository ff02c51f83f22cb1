//! Sets of prefixes that are hard on a prefix table, and the table nobody gets wrong: a list searched from end to end.

use super::{
    net::{Address, Net, sorted},
    random::Random,
};

/// Prefixes in a list, the longest first: the first that covers an address is its longest.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// Mask, network and the place the prefix was given at.
    v4: Vec<(u128, u128, usize)>,
    v6: Vec<(u128, u128, usize)>,
}

impl List {
    pub(crate) fn new(nets: impl IntoIterator<Item = (usize, Net)>) -> Self {
        let mut nets: Vec<(usize, Net)> = nets.into_iter().collect();
        nets.sort_by_key(|(_, net)| std::cmp::Reverse(net.len));
        let mut list = Self::default();
        for (place, net) in nets {
            let rows = if net.v4 { &mut list.v4 } else { &mut list.v6 };
            rows.push((Net::new(net.v4, u128::MAX, net.len).bits, net.bits, place));
        }
        list
    }

    /// The place of the longest prefix that covers the address.
    pub(crate) fn longest(&self, address: Address) -> Option<usize> {
        let rows = if address.v4 { &self.v4 } else { &self.v6 };
        for (mask, network, place) in rows {
            if address.bits & mask == *network {
                return Some(*place);
            }
        }
        None
    }
}

/// The addresses at which a table is most easily wrong: both ends of every prefix and their outer neighbours; and random ones.
pub(crate) fn addresses(nets: &[Net], random: &mut Random, at_random: usize) -> Vec<Address> {
    let mut addresses = Vec::new();
    for net in nets {
        let (first, last) = (net.first(), last(*net));
        addresses.extend([step(first, -1), first, last, step(last, 1)]);
    }
    for turn in 0..at_random {
        let v4 = turn % 2 == 0;
        let bits = match nets.get(random.below(nets.len() as u64 * 2) as usize) {
            // Inside a prefix: its bits, then random ones.
            Some(net) if net.v4 == v4 => net.bits | random.wide().checked_shr(net.len.into()).unwrap_or(0),
            _ => random.wide(),
        };
        addresses.push(Address { v4, bits: if v4 { bits & u128::MAX << 96 } else { bits } });
    }
    addresses
}

fn last(net: Net) -> Address {
    let family = if net.v4 { u128::MAX << 96 } else { u128::MAX };
    let host = u128::MAX.checked_shr(net.len.into()).unwrap_or(0);
    Address { v4: net.v4, bits: net.bits | host & family }
}

/// The address that many places on, around the ends of the address space.
fn step(address: Address, places: i128) -> Address {
    let places = if address.v4 { places << 96 } else { places };
    Address { bits: address.bits.wrapping_add(places.cast_unsigned()), ..address }
}

/// Named sets of prefixes, each sorted and without duplicates.
pub(crate) fn sets(seed: u64) -> Vec<(&'static str, Vec<Net>)> {
    let mut random = Random::new(seed);
    let random = &mut random;
    let everything = [
        ("default routes", vec![Net::new(true, 0, 0), Net::new(false, 0, 0)]),
        ("all prefixes of up to five bits", up_to_five_bits()),
        ("a half that holds the large IPv6 root", vec![v6(0, 1)]),
        ("a quarter that holds the large IPv6 root", vec![v6(0, 2)]),
        ("around the large IPv6 root", around_global_unicast()),
        ("adjacent halves", adjacent_halves()),
        ("every slot of a node", every_slot()),
        ("host routes", many(random, 600, 32..=32, 128..=128)),
        ("nested to the last bit", nested(random)),
        ("clusters", clusters(random, 1200)),
        ("anything", many(random, 2400, 0..=32, 0..=128)),
        ("like a routing table", many(random, 3000, 8..=24, 20..=48)),
    ];
    everything.into_iter().map(|(name, nets)| (name, sorted(nets))).collect()
}

fn v4(address: [u8; 4], len: u8) -> Net {
    Net::new(true, u128::from(u32::from_be_bytes(address)) << 96, len)
}

fn v6(leading: u64, len: u8) -> Net {
    Net::new(false, u128::from(leading) << 64, len)
}

fn up_to_five_bits() -> Vec<Net> {
    let of_len = |len: u8| (0..1_u128 << len).map(move |number| (number.checked_shl(128 - u32::from(len)), len));
    let bits = (0..=5).flat_map(of_len).map(|(bits, len)| (bits.unwrap_or(0), len));
    bits.flat_map(|(bits, len)| [Net::new(true, bits, len), Net::new(false, bits, len)]).collect()
}

/// 2000::/3 may have a root of its own: prefixes that hold it, are it, touch it and lie at its ends.
fn around_global_unicast() -> Vec<Net> {
    let mut nets = vec![v4([32, 0, 0, 0], 3), v4([63, 255, 255, 255], 32)];
    for (leading, len) in [
        (0, 0),
        (0, 1),
        (0, 2),
        (0x2000 << 48, 3),
        (0x4000 << 48, 2),
        (0x4000 << 48, 3),
        (0x2000 << 48, 4),
        (0x3000 << 48, 4),
        (0x2000 << 48, 16),
        (0x2000 << 48, 17),
        (0x2000 << 48, 24),
        (0x2000 << 48, 25),
        (0x3fff_ff00 << 32, 24),
        (0x3fff_ffff << 32, 32),
        (0x1fff << 48, 16),
        (0x1fff_ff00 << 32, 24),
        (0x4000 << 48, 16),
        (0x4000 << 48, 33),
    ] {
        nets.push(v6(leading, len));
    }
    for bits in [(0x2000_u128 << 112) - 1, 0x2000 << 112, (0x4000 << 112) - 1, 0x4000 << 112] {
        nets.push(Net::new(false, bits, 128));
    }
    nets
}

/// Both halves of a prefix, at the borders of root and levels, with and without the whole.
fn adjacent_halves() -> Vec<Net> {
    let mut nets = vec![v4([192, 0, 2, 0], 24), v6(0x2001_0db8_0001 << 16, 48)];
    for len in [15, 16, 17, 23, 24, 25, 31, 32] {
        nets.extend([v4([192, 0, 2, 0], len), upper_half(v4([192, 0, 2, 0], len - 1), len)]);
        nets.extend([v4([198, 51, 100, 128], len), upper_half(v4([198, 51, 100, 128], len - 1), len)]);
    }
    for len in [16, 17, 24, 25, 32, 33, 48, 49, 64, 65, 72, 127, 128] {
        nets.extend([v6(0x2001_0db8_0001_00ff, len), upper_half(v6(0x2001_0db8_0001_00ff, len - 1), len)]);
    }
    nets
}

/// The upper one of the two prefixes of `len` bits that a prefix, a bit shorter, is made of.
fn upper_half(whole: Net, len: u8) -> Net {
    Net::new(whole.v4, whole.bits | 1 << (128 - u32::from(len)), len)
}

/// Nodes of 256 runs.
fn every_slot() -> Vec<Net> {
    (0..=255)
        .flat_map(|slot: u8| {
            let wide = u64::from(slot);
            [
                v4([203, 0, slot, 0], 24),
                v4([203, 0, 113, slot], 32),
                v4([203, slot, 0, 0], 16),
                v6(0x2001_0db8 << 32 | wide << 24, 40),
                v6(0xfd00 << 48 | wide << 40, 24),
                v6(0x2001_0db8_ffff_0000 | wide, 64),
                Net::new(false, 0xfd00_u128 << 112 | u128::from(slot), 128),
            ]
        })
        .collect()
}

/// All prefixes of a few addresses.
fn nested(random: &mut Random) -> Vec<Net> {
    let mut nets = Vec::new();
    for first in [0x2000_u128, 0x3fff, 0xfe80, random.wide() >> 112] {
        let bits = first << 112 | random.wide() >> 16;
        nets.extend((0..=32).map(|len| Net::new(true, bits, len)));
        nets.extend((0..=128).map(|len| Net::new(false, bits, len)));
    }
    nets
}

/// Many prefixes under one /16 and one /48.
fn clusters(random: &mut Random, count: usize) -> Vec<Net> {
    let mut nets = Vec::new();
    for _ in 0..count / 2 {
        let len = 16 + random.below(17) as u8;
        nets.push(Net::new(true, 0xc612_u128 << 112 | random.wide() >> 16, len));
        let len = 48 + random.below(81) as u8;
        nets.push(Net::new(false, 0x2001_0db8_0007_u128 << 80 | random.wide() >> 48, len));
    }
    nets
}

fn many(
    random: &mut Random,
    count: usize,
    lengths_v4: std::ops::RangeInclusive<u64>,
    lengths_v6: std::ops::RangeInclusive<u64>,
) -> Vec<Net> {
    let mut nets: Vec<Net> = Vec::new();
    for turn in 0..count {
        let v4 = turn % 2 == 0;
        let lengths = if v4 { &lengths_v4 } else { &lengths_v6 };
        let len = (lengths.start() + random.below(lengths.end() - lengths.start() + 1)) as u8;
        let fresh = if v4 { random.wide() } else { 0x2000_u128 << 112 | random.wide() >> 3 };
        // Every other one near another of the same family, so that prefixes nest and touch.
        let near = nets.get(random.below(nets.len() as u64 * 2) as usize).filter(|net| net.v4 == v4);
        let bits = near.map_or(fresh, |net| net.bits ^ random.wide() >> random.below(128));
        nets.push(Net::new(v4, bits, len));
    }
    nets
}
