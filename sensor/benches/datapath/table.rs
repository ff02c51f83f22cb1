//! Synthetic tables with the prefix lengths of the global routing table, and the traffic to them.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use anyhow::Result;
use sensor::{
    cidr::Cidr,
    prefix::{PrefixSet, SetBuilder},
    testing::rng::Rng,
};

/// Hosts that traffic to a prefix is spread over.
const HOSTS: usize = 8;
/// Share of prefixes that lie in another one of the table, in percent: what the global table has.
const NESTED: usize = 60;
/// IPv6 address space that registries hand out: address and prefix length.
const REGISTRIES: [(u128, u8); 6] = [
    (0x2001 << 112, 16),
    (0x2400 << 112, 12),
    (0x2600 << 112, 12),
    (0x2800 << 112, 12),
    (0x2a00 << 112, 12),
    (0x2c00 << 112, 12),
];

/// A list of prefixes in no order.
pub(crate) struct Prefixes<T>(pub Vec<(T, u8)>);

impl Prefixes<u32> {
    /// `count` IPv4 prefixes below `first_octets`.
    pub(crate) fn v4(count: usize, first_octets: std::ops::Range<u8>, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut seen = HashSet::with_capacity(count);
        let mut list: Vec<(u32, u8)> = Vec::with_capacity(count);
        while list.len() < count {
            let len = match rng.below(1000) {
                0..630 => 24,
                630..740 => 22,
                740..840 => 23,
                840..843 => rng.between(25, 32),
                843..900 => rng.between(20, 21),
                900..985 => rng.between(17, 19),
                _ => rng.between(10, 16),
            } as u8;
            let parent = (!list.is_empty() && rng.below(100) < NESTED).then(|| list[rng.below(list.len())]);
            let random = rng.next_u64() as u32;
            let address = match parent {
                Some((address, parent_len)) if parent_len < len => address | random & host_bits_v4(parent_len),
                Some(_) => continue,
                None => {
                    let octet = rng.between(first_octets.start.into(), usize::from(first_octets.end) - 1) as u32;
                    octet << 24 | random & 0xff_ffff
                }
            };
            let prefix = (address & !host_bits_v4(len), len);
            if seen.insert(prefix) {
                list.push(prefix);
            }
        }
        Self(shuffled(list, &mut rng))
    }
}

impl Prefixes<u128> {
    /// `count` IPv6 prefixes in the space of the registries.
    pub(crate) fn v6(count: usize, seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut seen = HashSet::with_capacity(count);
        let mut list: Vec<(u128, u8)> = Vec::with_capacity(count);
        while list.len() < count {
            let len = match rng.below(100) {
                0..47 => 48,
                47..60 => 32,
                60..70 => 44,
                70..79 => 40,
                79..84 => 36,
                84..88 => 29,
                88..90 => 64,
                _ => rng.between(19, 47),
            } as u8;
            let parent = (!list.is_empty() && rng.below(100) < NESTED).then(|| list[rng.below(list.len())]);
            let random = rng.next_u128();
            let address = match parent {
                Some((address, parent_len)) if parent_len < len => address | random & host_bits_v6(parent_len),
                Some(_) => continue,
                None => {
                    let (address, len) = rng.pick(&REGISTRIES);
                    address | random & host_bits_v6(len)
                }
            };
            let prefix = (address & !host_bits_v6(len), len);
            if seen.insert(prefix) {
                list.push(prefix);
            }
        }
        Self(shuffled(list, &mut rng))
    }
}

/// Aggregates stand before what lies in them; ranks of traffic must not.
fn shuffled<T>(mut list: Vec<T>, rng: &mut Rng) -> Vec<T> {
    for at in (1..list.len()).rev() {
        list.swap(at, rng.below(at + 1));
    }
    list
}

/// The set that counts all of them.
pub(crate) fn set(v4: &[(u32, u8)], v6: &[(u128, u8)]) -> Result<PrefixSet> {
    let mut builder = SetBuilder::default();
    for (address, len) in v4 {
        builder.account(Cidr::new(Ipv4Addr::from_bits(*address).into(), *len)?);
    }
    for (address, len) in v6 {
        builder.account(Cidr::new(Ipv6Addr::from_bits(*address).into(), *len)?);
    }
    builder.build()
}

/// How traffic is spread over prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spread {
    /// Each prefix gets as much: the worst case.
    Uniform,
    /// The prefix of rank r gets 1/r of what the first one gets, ranks in no order.
    Zipf,
}

/// Draws addresses of prefixes.
pub(crate) struct Traffic<'a, T> {
    prefixes: &'a [(T, u8)],
    /// Of Zipf: the sum of shares up to each rank.
    shares: Vec<f64>,
    rng: Rng,
}

impl<'a, T> Traffic<'a, T> {
    /// The prefixes stand in no order, so their place is their rank.
    pub(crate) fn new(prefixes: &'a [(T, u8)], spread: Spread, seed: u64) -> Self {
        let mut sum = 0.0;
        let mut share = |rank: usize| {
            sum += 1.0 / rank as f64;
            sum
        };
        let shares = if spread == Spread::Zipf { (1..=prefixes.len()).map(&mut share).collect() } else { vec![] };
        Self { prefixes, shares, rng: Rng::new(seed) }
    }

    fn prefix(&mut self) -> &'a (T, u8) {
        let Some(sum) = self.shares.last() else { return &self.prefixes[self.rng.below(self.prefixes.len())] };
        let at = self.rng.next_u64() as f64 / u64::MAX as f64 * sum;
        &self.prefixes[self.shares.partition_point(|share| *share < at).min(self.prefixes.len() - 1)]
    }

    /// Which of the hosts, as bits to be laid over the host part: the same few for each prefix.
    fn host(&mut self) -> u128 {
        Rng::new(self.rng.below(HOSTS) as u64).next_u128()
    }
}

impl Traffic<'_, u32> {
    /// An address.
    pub(crate) fn address(&mut self) -> u32 {
        let (address, len) = *self.prefix();
        address | self.host() as u32 & host_bits_v4(len)
    }
}

impl Traffic<'_, u128> {
    /// An element of `STREAM_V6`.
    pub(crate) fn pair(&mut self) -> [u64; 4] {
        let mut words = [0; 4];
        for half in words.chunks_exact_mut(2) {
            let (address, len) = *self.prefix();
            let address = address | self.host() & host_bits_v6(len);
            half[0] = ((address >> 64) as u64).to_be();
            half[1] = (address as u64).to_be();
        }
        words
    }
}

/// An element of `STREAM_V4`: both addresses as they stand in a header.
pub(crate) fn element_v4(source: u32, destination: u32) -> u64 {
    (u64::from(source) << 32 | u64::from(destination)).to_be()
}

fn host_bits_v4(len: u8) -> u32 {
    u32::MAX.checked_shr(len.into()).unwrap_or(0)
}

fn host_bits_v6(len: u8) -> u128 {
    u128::MAX.checked_shr(len.into()).unwrap_or(0)
}
