//! Tables with the prefix lengths of the global routing table, and the traffic to them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use sensor::{
    cidr::Cidr,
    prefix::{Item, PrefixSet, RootBits, SetBuilder, Trie},
    testing::{bgp, rng::Rng},
};
use sensor_ebpf::{
    abi::{Entry, PrefixId},
    lookup::{SMALL_ROOT_BITS_V4, SMALL_ROOT_BITS_V6},
};

/// Hosts that traffic to a prefix is spread over.
const HOSTS: usize = 8;
/// Labels of the rest of the Internet.
const LABELS: u32 = 20_000;

/// `count` IPv4 prefixes of which each has its first bit as asked, in no order.
pub(crate) fn v4(count: usize, first_bit: bool, seed: u64) -> Vec<(u32, u8)> {
    let mut rng = Rng::new(seed);
    // Half of them have it.
    let drawn = bgp::v4(&mut rng, count * 5 / 2);
    let prefixes = drawn.iter().filter_map(|cidr| match cidr.address() {
        IpAddr::V4(address) => Some((address.to_bits(), cidr.prefix_len())),
        IpAddr::V6(_) => None,
    });
    let mut prefixes = shuffled(prefixes.filter(|(address, _)| (*address >> 31 == 1) == first_bit).collect(), &mut rng);
    prefixes.truncate(count);
    prefixes
}

/// `count` IPv6 prefixes, in no order.
pub(crate) fn v6(count: usize, seed: u64) -> Vec<(u128, u8)> {
    let mut rng = Rng::new(seed);
    let drawn = bgp::v6(&mut rng, count);
    let prefixes = drawn.iter().filter_map(|cidr| match cidr.address() {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some((address.to_bits(), cidr.prefix_len())),
    });
    shuffled(prefixes.collect(), &mut rng)
}

/// Sorted as they come, ranks of traffic would follow addresses.
fn shuffled<T>(mut list: Vec<T>, rng: &mut Rng) -> Vec<T> {
    for at in (1..list.len()).rev() {
        list.swap(at, rng.below(at + 1));
    }
    list
}

/// Labels of these prefixes, as many as there are different ones in a table of countries and AS numbers, about.
pub(crate) fn labels(v4: &[(u32, u8)]) -> Result<Trie> {
    let mut prefixes: Vec<Cidr> = v4
        .iter()
        .map(|(address, len)| Cidr::new(Ipv4Addr::from_bits(*address).into(), *len))
        .collect::<Result<_, _>>()?;
    prefixes.sort();
    let mut items = Vec::new();
    for (number, cidr) in (0..LABELS).cycle().zip(&prefixes) {
        let label = PrefixId::new(1 + number).context("no such label")?;
        items.push(Item { bits: cidr.bits(), len: cidr.prefix_len(), entry: Entry::leaf(label, None) });
    }
    let root_bits = RootBits { v4: SMALL_ROOT_BITS_V4, v6: SMALL_ROOT_BITS_V6 };
    Trie::build(root_bits, items.into_iter(), std::iter::empty())
}

/// The set that counts all of them, as one watched network where it is one.
pub(crate) fn set(v4: &[(u32, u8)], v6: &[(u128, u8)], is_watched: bool) -> Result<PrefixSet> {
    let mut builder = SetBuilder::default();
    let v4 = v4.iter().map(|(address, len)| Cidr::new(Ipv4Addr::from_bits(*address).into(), *len));
    let v6 = v6.iter().map(|(address, len)| Cidr::new(Ipv6Addr::from_bits(*address).into(), *len));
    let prefixes = v4.chain(v6).collect::<Result<Vec<_>, _>>()?;
    if is_watched {
        builder.watch("watched", prefixes)?;
    } else {
        builder.account_all(prefixes);
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

/// Draws one of `count` with this spread: of Zipf, the numbers are ranks.
pub(crate) fn draws(count: usize, spread: Spread, seed: u64) -> impl FnMut() -> usize {
    let mut sum = 0.0;
    let mut share = |rank: usize| {
        sum += 1.0 / rank as f64;
        sum
    };
    let shares: Vec<f64> = if spread == Spread::Zipf { (1..=count).map(&mut share).collect() } else { vec![] };
    let mut rng = Rng::new(seed);
    move || match shares.last() {
        Some(sum) => {
            let at = rng.next_u64() as f64 / u64::MAX as f64 * sum;
            shares.partition_point(|share| *share < at).min(count - 1)
        }
        None => rng.below(count),
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
