//! The number of a flow: a keyed hash of its addresses, ports and protocol, the same for both directions.
//!
//! Twice the multilinear family over words of 32 bits with keys of 64 (Carter and Wegman 1981; Lemire and Kaser, "Strongly universal string hashing is
//! fast", 2014, which proves it strongly universal): a constant, and for each word a product, of whose sum modulo 2^64 the upper half is taken. Whoever does not know the keys can do
//! no better than chance to bring two flows together, and the products do not wait for each other.

use crate::abi::{End, FlowKey, HASH_WORDS, HashKeys};

/// The place of the constant among the keys.
const CONSTANT: usize = HASH_WORDS;
/// The constant of IPv4, whose words are fewer.
const CONSTANT_V4: usize = 4;

/// Odd; one of those of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014).
const STIR: u64 = 0xbf58_476d_1ce4_e5b9;

/// An address and a port.
pub type EndV4 = (u32, u16);
/// The same of IPv6: leading and trailing 64 bits of the address.
pub type EndV6 = ([u64; 2], u16);

/// The number of a flow of IPv4, and which of its ends is the source.
#[inline(always)]
pub fn v4(keys: &HashKeys, source: EndV4, destination: EndV4, protocol: u8) -> (FlowKey, End) {
    let number = |(address, port): EndV4| u64::from(address) << 16 | u64::from(port);
    let (source, destination) = (number(source), number(destination));
    let end = End::from(source > destination);
    let (low, high) = if end == 0 { (source, destination) } else { (destination, source) };
    let ports = (low & 0xffff) << 16 | high & 0xffff;
    let words = [low >> 16, high >> 16, ports, u64::from(protocol)];
    let half = |key: &[u64; HASH_WORDS + 1]| {
        let sum = key[CONSTANT_V4]
            .wrapping_add(key[0].wrapping_mul(words[0]))
            .wrapping_add(key[1].wrapping_mul(words[1]))
            .wrapping_add(key[2].wrapping_mul(words[2]))
            .wrapping_add(key[3].wrapping_mul(words[3]));
        sum >> 32
    };
    (of_halves(half(&keys[0]), half(&keys[1])), end)
}

/// The same of IPv6.
#[inline(always)]
pub fn v6(keys: &HashKeys, source: EndV6, destination: EndV6, protocol: u8) -> (FlowKey, End) {
    let end = End::from(source > destination);
    let (low, high) = if end == 0 { (source, destination) } else { (destination, source) };
    let ports = u64::from(low.1) << 16 | u64::from(high.1);
    let ([a, b], [c, d]) = (low.0, high.0);
    let half = |key: &[u64; HASH_WORDS + 1]| {
        let pair = |at: usize, word: u64| {
            key[at].wrapping_mul(word >> 32).wrapping_add(key[at + 1].wrapping_mul(word & 0xffff_ffff))
        };
        let sum = key[CONSTANT]
            .wrapping_add(pair(0, a))
            .wrapping_add(pair(2, b))
            .wrapping_add(pair(4, c))
            .wrapping_add(pair(6, d))
            .wrapping_add(key[8].wrapping_mul(ports))
            .wrapping_add(key[9].wrapping_mul(protocol.into()));
        sum >> 32
    };
    (of_halves(half(&keys[0]), half(&keys[1])), end)
}

/// Both halves as one number, stirred: sums of flows that follow each other, as those of a scan do, go in even steps. A number comes of no two others, and so
/// this brings nothing together. Zero is no key.
#[inline(always)]
const fn of_halves(upper: u64, lower: u64) -> FlowKey {
    let number = upper << 32 | lower;
    let number = (number ^ number >> 29).wrapping_mul(STIR);
    let number = number ^ number >> 32;
    FlowKey::new(number | (number == 0) as u64)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, vec::Vec};

    use proptest::prelude::*;

    use super::*;

    /// Numbers like those that an agent draws (xorshift64*, Vigna 2016).
    fn keys(mut seed: u64) -> HashKeys {
        let mut next = || {
            seed ^= seed >> 12;
            seed ^= seed << 25;
            seed ^= seed >> 27;
            seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
        };
        core::array::from_fn(|_| core::array::from_fn(|_| next()))
    }

    proptest! {
        #[test]
        fn both_directions_are_one_flow(
            a: (u32, u16), b: (u32, u16), c: ([u64; 2], u16), d: ([u64; 2], u16), protocol: u8, seed in 1_u64..
        ) {
            let keys = keys(seed);
            let ((one, end), (other, other_end)) = (v4(&keys, a, b, protocol), v4(&keys, b, a, protocol));
            prop_assert_eq!(one, other);
            prop_assert_eq!(end, if a == b { 0 } else { 1 - other_end });
            let ((one, end), (other, other_end)) = (v6(&keys, c, d, protocol), v6(&keys, d, c, protocol));
            prop_assert_eq!(one, other);
            prop_assert_eq!(end, if c == d { 0 } else { 1 - other_end });
        }

        #[test]
        fn whatever_is_different_is_another_flow(a: (u32, u16), b: (u32, u16), bit in 0_u32..48, seed in 1_u64..) {
            let keys = keys(seed);
            let flipped = if bit < 32 { (a.0 ^ 1 << bit, a.1) } else { (a.0, a.1 ^ 1 << (bit - 32)) };
            let (one, _) = v4(&keys, a, b, 6);
            prop_assert_ne!(one, v4(&keys, a, b, 17).0);
            prop_assert!(flipped == b || one != v4(&keys, flipped, b, 6).0);
        }
    }

    /// Neighbouring flows, as a scan makes them, lie in as many sets as drawn ones would: of n balls in n boxes 1/e of the boxes stay empty.
    #[test]
    fn scans_are_spread_over_the_sets() {
        const SETS: u32 = 1 << 12;
        for seed in 1..20 {
            let keys = keys(seed);
            let by_port = (0..SETS).map(|port| v4(&keys, (0x0a00_0001, port as u16), (0xc000_0201, 80), 6).0);
            let by_address = (0..SETS).map(|host| v4(&keys, (0x0a00_0001, 40_000), (0xc633_0000 + host, 22), 6).0);
            for flows in [by_port.collect::<Vec<_>>(), by_address.collect()] {
                let sets: HashSet<u32> = flows.iter().map(|key| key.place(SETS)).collect();
                let empty = 1.0 - sets.len() as f64 / f64::from(SETS);
                assert!((0.33..0.41).contains(&empty), "seed {seed}: {empty}");
                let marks: HashSet<u32> = flows.iter().map(|key| key.mark()).collect();
                assert!(marks.len() as u32 > SETS - 8, "seed {seed}");
            }
        }
    }
}
