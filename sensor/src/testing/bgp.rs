//! Tables that look like those of the Internet: lengths and nesting as route collectors see them, addresses made up.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, Ipv6Addr},
};

use super::rng::Rng;
use crate::cidr::Cidr;

/// Share of prefixes inside a shorter one of the table, in percent.
const NESTED: usize = 60;
/// Tries to nest before a prefix of its own is taken: most prefixes drawn are too long to hold another.
const ATTEMPTS: usize = 8;
/// Where IPv6 prefixes are: blocks of that length, which registries hand out (IANA, IPv6 global unicast address assignments).
const REGISTRIES: [(u16, u32); 6] =
    [(0x2001, 16), (0x2400, 12), (0x2600, 12), (0x2800, 12), (0x2a00, 12), (0x2c00, 12)];
/// Bits drawn that choose one of them.
const REGISTRY_BITS: u32 = 3;

/// So many different IPv4 prefixes, sorted: 63 % /24, 11 % /22, 10 % /23, 0.3 % longer, the rest /8 to /21.
pub fn v4(rng: &mut Rng, count: usize) -> Vec<Cidr> {
    table(rng, count, v4_len, |bits, len| Cidr::masked(Ipv4Addr::from_bits((bits >> 96) as u32).into(), len).ok())
}

/// So many different IPv6 prefixes, sorted: /19 to /64, half of them /48.
pub fn v6(rng: &mut Rng, count: usize) -> Vec<Cidr> {
    let cidr = |bits: u128, len| {
        let (block, block_len) = REGISTRIES[(bits >> (u128::BITS - REGISTRY_BITS)) as usize % REGISTRIES.len()];
        let block = u128::from(block) << (u128::BITS - u16::BITS);
        Cidr::masked(Ipv6Addr::from_bits(block | bits << REGISTRY_BITS >> block_len).into(), len).ok()
    };
    table(rng, count, v6_len, cidr)
}

fn table(rng: &mut Rng, count: usize, len: fn(&mut Rng) -> u8, cidr: fn(u128, u8) -> Option<Cidr>) -> Vec<Cidr> {
    let mut drawn: Vec<(u128, u8)> = Vec::with_capacity(count);
    let mut seen = HashSet::with_capacity(count);
    while drawn.len() < count {
        let len = len(rng);
        let mut bits = rng.next_u128();
        if rng.below(100) < NESTED && !drawn.is_empty() {
            let outer = (0..ATTEMPTS).map(|_| drawn[rng.below(drawn.len())]).find(|(_, outer)| *outer < len);
            if let Some((outer, outer_len)) = outer {
                let host = u128::MAX >> outer_len;
                bits = outer & !host | bits & host;
            }
        }
        if let Some(cidr) = cidr(bits, len).filter(|cidr| seen.insert(*cidr)) {
            drawn.push((bits, cidr.prefix_len()));
        }
    }
    let mut table: Vec<Cidr> = seen.into_iter().collect();
    table.sort_unstable();
    table
}

fn v4_len(rng: &mut Rng) -> u8 {
    match rng.below(1000) {
        0..630 => 24,
        630..740 => 22,
        740..840 => 23,
        840..843 => rng.between(25, 32) as u8,
        _ => rng.between(8, 21) as u8,
    }
}

fn v6_len(rng: &mut Rng) -> u8 {
    match rng.below(100) {
        0..50 => 48,
        50..65 => 32,
        _ => rng.between(19, 64) as u8,
    }
}
