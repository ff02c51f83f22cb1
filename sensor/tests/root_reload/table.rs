//! What a configuration counts: a model that is changed at random, searched entry by entry, and written as a file.

use std::{collections::BTreeMap, fmt::Write as _};

use sensor::testing::rng::Rng;

use crate::net::{Address, Net};

/// Networks that come and go.
pub(crate) const NETWORKS: [&str; 4] = ["north", "east", "south", "west"];
/// The network that no reload touches.
pub(crate) const STEADY: &str = "steady";
/// Blocks of addresses of each family that prefixes come and go in.
const BLOCKS: usize = 24;
/// Lengths of prefixes below the first of their block.
const LENGTHS: [[u8; 6]; 2] = [[8, 14, 16, 20, 24, 32], [16, 32, 40, 48, 64, 128]];

/// Prefixes, and why each is counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Model {
    entries: BTreeMap<Key, Entry>,
}

/// Family (4 or 6), bits and length.
type Key = (u8, u128, u8);

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    /// The network that watches it.
    network: Option<&'static str>,
    accounted: bool,
}

/// What a record says of a packet: prefix and network.
pub(crate) type Booking = (String, Option<&'static str>);

/// An address that packets are sent to: one of those that prefixes come and go around, or of the steady ones.
pub(crate) fn targets() -> Vec<Address> {
    let varied = (0..BLOCKS).flat_map(|block| {
        let v4 = 0x0a00_0000_u32 | ((block as u32 % 4) << 18) | ((block as u32 / 4) << 9) | 5;
        let v6 = 0x2001_0db8_u128 << 96 | ((block as u128 % 4) << 84) | ((block as u128 / 4) << 68) | 7;
        [Address { v4: true, bits: u128::from(v4) << 96 }, Address { v4: false, bits: v6 }]
    });
    varied.chain(steady().map(|net| net.first())).collect()
}

/// What every table holds: its own addresses, which nothing else covers.
fn steady() -> impl Iterator<Item = Net> {
    let nets =
        [(true, 0xac10_0000_u128 << 96, 16), (true, 0xac11_0203_u128 << 96, 32), (false, 0x3fff_u128 << 112, 20)];
    nets.into_iter().map(|(v4, bits, len)| Net::new(v4, bits, len))
}

/// The steady prefixes as records name them.
pub(crate) fn steady_names() -> Vec<String> {
    steady().map(|net| name(key(net))).collect()
}

fn key(net: Net) -> Key {
    (if net.v4 { 4 } else { 6 }, net.bits, net.len)
}

fn name((family, bits, len): Key) -> String {
    format!("{}/{len}", Address { v4: family == 4, bits }.ip())
}

impl Model {
    /// The steady prefixes, watched, and nothing else.
    pub(crate) fn steady() -> Self {
        let entry = Entry { network: Some(STEADY), accounted: false };
        Self { entries: steady().map(|net| (key(net), entry)).collect() }
    }

    /// The steady prefixes and some others.
    pub(crate) fn drawn(rng: &mut Rng) -> Self {
        let mut model = Self::steady();
        (0..40).for_each(|_| model.change(rng));
        model
    }

    /// Prefixes, with the one that is in every table.
    pub(crate) fn len(&self) -> u32 {
        self.entries.len() as u32 + 1
    }

    /// Adds, removes or moves a prefix, or makes it longer or shorter.
    pub(crate) fn change(&mut self, rng: &mut Rng) {
        let targets = targets();
        let target = targets[rng.below(2 * BLOCKS)];
        let length = |rng: &mut Rng| LENGTHS[usize::from(!target.v4)][rng.below(LENGTHS[0].len())];
        let net = Net::new(target.v4, target.bits, length(rng));
        let network = || NETWORKS.iter().copied();
        match rng.below(4) {
            0 => drop(self.entries.remove(&key(net))),
            1 => {
                // A prefix of the same block, of another length.
                let other = Net::new(target.v4, target.bits, length(rng));
                if let Some(entry) = self.entries.remove(&key(net)) {
                    self.entries.insert(key(other), entry);
                }
            }
            _ => {
                let network = network().nth(rng.below(NETWORKS.len() + 1));
                let accounted = network.is_none() || rng.below(3) == 0;
                self.entries.insert(key(net), Entry { network, accounted });
            }
        }
    }

    /// Adds so many prefixes that no packet is sent to.
    pub(crate) fn with_more(&self, prefixes: u32) -> Self {
        self.with_more_from(0, prefixes)
    }

    /// The same, of which the first so many are left out, and others follow.
    pub(crate) fn with_more_from(&self, first: u32, prefixes: u32) -> Self {
        let mut more = self.clone();
        for number in first..first + prefixes {
            let net = Net::new(true, u128::from(0x1400_0000 + (number << 12)) << 96, 24);
            more.entries.insert(key(net), Entry { network: None, accounted: true });
        }
        more
    }

    /// Whom a packet to that address is booked to.
    pub(crate) fn booking(&self, address: Address) -> Option<Booking> {
        let holding = self.entries.iter().filter(|((family, bits, len), _)| {
            let here = if address.v4 { 4 } else { 6 };
            *family == here && Net::new(address.v4, address.bits, *len).bits == *bits
        });
        let holding: Vec<(&Key, &Entry)> = holding.collect();
        let (longest, _) = holding.iter().max_by_key(|((_, _, len), _)| *len)?;
        let watched = holding.iter().filter(|(_, entry)| entry.network.is_some());
        let watcher = watched.max_by_key(|((_, _, len), _)| *len);
        Some((name(**longest), watcher.and_then(|(_, entry)| entry.network)))
    }

    /// Its lines in a configuration file, and its table.
    pub(crate) fn written(&self) -> (String, String) {
        let (mut networks, mut table) = (String::new(), String::new());
        for network in NETWORKS.into_iter().chain([STEADY]) {
            let prefixes = self.entries.iter().filter(|(_, entry)| entry.network == Some(network));
            let prefixes: Vec<String> = prefixes.map(|(key, _)| name(*key)).collect();
            if !prefixes.is_empty() {
                writeln!(networks, "[[network]]\nname = {network:?}\nprefixes = {prefixes:?}").unwrap();
            }
        }
        // A table without a prefix is one that was lost.
        writeln!(table, "198.18.0.0/15").unwrap();
        for (key, _) in self.entries.iter().filter(|(_, entry)| entry.accounted) {
            writeln!(table, "{}", name(*key)).unwrap();
        }
        (networks, table)
    }
}
