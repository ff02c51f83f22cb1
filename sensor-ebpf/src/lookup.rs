//! Longest-prefix match in the compressed multibit trie: bounded, allocation-free, the same code in the kernel and on the host.
//!
//! Roots of one table slot, in this order: IPv4 (`1 << root_bits_v4` entries), IPv6 by its first 16 bits (65,536 entries) and, where
//! `root_bits_v6` is 24, IPv6 global unicast by bits 3..24 (2,097,152 entries; 2000::/3 is all that is assigned, RFC 4291).

use crate::{
    abi::{BLOCK_LEN, Child, Control, Entry, Node},
    state::State,
};

/// The maps of one trie, both halves in each: that of prefixes, or that of labels. Every index is checked by the implementation: a map knows its length.
pub trait TrieMaps {
    /// Leading bits that index its IPv4 root.
    fn root_bits_v4(&self) -> u32;
    /// The same of IPv6.
    fn root_bits_v6(&self) -> u32;
    /// Root entry `index` of the array over both halves.
    fn root(&self, index: u32) -> Option<Entry>;
    /// Trie node `index`.
    fn node(&self, index: u32) -> Option<&Node>;
    /// Entry `index` of the array of all blocks.
    fn block_entry(&self, index: u32) -> Option<Entry>;
}

/// Bits that each level below the root decides, at least.
pub const STRIDE: u32 = 8;
/// Leading bits of the small IPv6 root.
pub const SMALL_ROOT_BITS_V6: u32 = 16;
/// Leading bits that the large IPv6 root decides, of which three are those of 2000::/3.
pub const LARGE_ROOT_BITS_V6: u32 = 24;
/// Leading bits of the small IPv4 root. Choices between roots are branches: the verifier knows which one is taken.
pub const SMALL_ROOT_BITS_V4: u32 = 16;
/// Leading bits of the large IPv4 root.
pub const LARGE_ROOT_BITS_V4: u32 = 24;
/// Root bits that IPv4 may use.
pub const ROOT_BITS_V4: [u32; 2] = [SMALL_ROOT_BITS_V4, LARGE_ROOT_BITS_V4];
/// Root bits that IPv6 may use.
pub const ROOT_BITS_V6: [u32; 2] = [SMALL_ROOT_BITS_V6, LARGE_ROOT_BITS_V6];

const GLOBAL_UNICAST: u64 = 0b001;
const GLOBAL_UNICAST_BITS: u32 = 3;
const MAX_LEVELS_V4: u32 = (32 - 16) / STRIDE;
const MAX_LEVELS_V6: u32 = (128 - 16) / STRIDE;

/// Root entries of IPv4 in one table slot.
#[inline(always)]
pub const fn root_len_v4(root_bits: u32) -> u32 {
    if root_bits == LARGE_ROOT_BITS_V4 { 1 << LARGE_ROOT_BITS_V4 } else { 1 << SMALL_ROOT_BITS_V4 }
}

/// Root entries of IPv6 in one table slot.
#[inline(always)]
pub const fn root_len_v6(root_bits: u32) -> u32 {
    let large = if root_bits == LARGE_ROOT_BITS_V6 { 1 << (LARGE_ROOT_BITS_V6 - GLOBAL_UNICAST_BITS) } else { 0 };
    (1 << SMALL_ROOT_BITS_V6) + large
}

/// Index of an IPv4 address among the IPv4 root entries of a slot.
#[inline(always)]
pub const fn root_index_v4(root_bits: u32, address: u32) -> u32 {
    address >> (32 - if root_bits == LARGE_ROOT_BITS_V4 { LARGE_ROOT_BITS_V4 } else { SMALL_ROOT_BITS_V4 })
}

/// Index of an IPv6 address, by its leading 64 bits, among the IPv6 root entries of a slot, and how many bits that decided.
#[inline(always)]
pub const fn root_index_v6(root_bits: u32, leading: u64) -> (u32, u32) {
    if root_bits == LARGE_ROOT_BITS_V6 && leading >> (64 - GLOBAL_UNICAST_BITS) == GLOBAL_UNICAST {
        let mask = (1 << (LARGE_ROOT_BITS_V6 - GLOBAL_UNICAST_BITS)) - 1;
        let index = (leading >> (64 - LARGE_ROOT_BITS_V6)) & mask;
        ((1 << SMALL_ROOT_BITS_V6) + index as u32, LARGE_ROOT_BITS_V6)
    } else {
        ((leading >> (64 - SMALL_ROOT_BITS_V6)) as u32, SMALL_ROOT_BITS_V6)
    }
}

/// The entry of an IPv4 address in the table whose roots begin at entry `half`; `None` where the table points outside its maps.
#[inline(always)]
pub fn v4<T: TrieMaps>(maps: &T, half: u32, address: u32) -> Option<Entry> {
    let root_bits = maps.root_bits_v4();
    let mut entry = maps.root(half + root_index_v4(root_bits, address))?;
    let mut rest =
        if root_bits == LARGE_ROOT_BITS_V4 { address << LARGE_ROOT_BITS_V4 } else { address << SMALL_ROOT_BITS_V4 };
    for _ in 0..MAX_LEVELS_V4 {
        let Some(child) = entry.child() else { return Some(entry) };
        entry = step(maps, child, rest)?;
        rest <<= STRIDE;
    }
    Some(entry)
}

/// The entry of an IPv6 address (leading and trailing 64 bits) in the table whose roots begin at entry `half`; `None` where the table points outside its maps.
#[inline(always)]
pub fn v6<T: TrieMaps>(maps: &T, half: u32, [leading, trailing]: [u64; 2]) -> Option<Entry> {
    let (index, decided) = root_index_v6(maps.root_bits_v6(), leading);
    let mut entry = maps.root(half + root_len_v4(maps.root_bits_v4()) + index)?;
    let mut rest = [leading << decided | trailing >> (64 - decided), trailing << decided];
    for _ in 0..MAX_LEVELS_V6 {
        let Some(child) = entry.child() else { return Some(entry) };
        entry = step(maps, child, (rest[0] >> 32) as u32)?;
        rest = [rest[0] << STRIDE | rest[1] >> (64 - STRIDE), rest[1] << STRIDE];
    }
    Some(entry)
}

/// The first root entry of the table in force.
#[inline(always)]
pub fn half<S: State>(state: &S, control: Control) -> u32 {
    if control.slot() == 0 { 0 } else { state.roots() }
}

/// The entry behind `child`, by the next bits of the address: eight of them in a block, up to 32 in a node.
#[inline(always)]
fn step<T: TrieMaps>(maps: &T, child: Child, bits: u32) -> Option<Entry> {
    match child {
        Child::Node(index) => {
            let node = maps.node(index)?;
            node.values.get(node.range_of(bits)).copied()
        }
        Child::Block(index) => maps.block_entry(index * BLOCK_LEN + (bits >> (u32::BITS - STRIDE))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_cover_every_address_once() {
        assert_eq!(root_index_v4(16, 0xc000_0201), 0xc000);
        assert_eq!(root_index_v4(24, u32::MAX), 0xff_ffff);
        assert_eq!(root_index_v6(16, 0x2001_0db8 << 32), (0x2001, 16));
        assert_eq!(root_index_v6(24, 0x2001_0db8 << 32), (0x1_0000 + 0x00_010d, 24));
        assert_eq!(root_index_v6(24, 0x3fff_ffff << 32), (root_len_v6(24) - 1, 24));
        assert_eq!(root_index_v6(24, 0xfe80 << 48), (0xfe80, 16));
        assert_eq!(root_len_v6(16), 65_536);
    }
}
