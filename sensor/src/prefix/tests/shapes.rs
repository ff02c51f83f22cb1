//! Prefixes at the borders of roots, nodes and blocks: every address is found, in as many nodes and blocks as follow from the layout.

use super::{
    Case, agree,
    net::{Net, sorted},
    random::Random,
};
use crate::prefix::RootBits;

const SMALL: RootBits = RootBits { v4: 16, v6: 16 };
const LARGE_V4: RootBits = RootBits { v4: 24, v6: 16 };
const LARGE_V6: RootBits = RootBits { v4: 16, v6: 24 };

fn v4(address: u32, len: u8) -> Net {
    Net::new(true, u128::from(address) << 96, len)
}

fn v6(leading: u64, len: u8) -> Net {
    Net::new(false, u128::from(leading) << 64, len)
}

/// Number `number` of the /48 in 2001::/16.
fn site(number: u64) -> Net {
    v6(0x2001 << 48 | number << 16, 48)
}

fn default_routes() -> [Net; 2] {
    [v4(0, 0), v6(0, 0)]
}

/// The host routes at both ends of either family.
fn hosts_at_the_ends() -> Vec<Net> {
    let ends = [0, u128::MAX];
    ends.into_iter().flat_map(|bits| [Net::new(true, bits, 32), Net::new(false, bits, 128)]).collect()
}

/// Looks up everything, without and with default routes, which change what an address gets and no range. The table under the small
/// roots has so many nodes and blocks.
fn shape(name: &str, nets: &[Net], nodes: usize, blocks: usize) {
    let mut random = Random::new(6);
    let with_default_routes = [nets, &default_routes()].concat();
    for (name, nets, roots) in [
        (name.to_owned(), nets.to_vec(), &[SMALL, LARGE_V6][..]),
        (format!("{name}, default routes"), with_default_routes, &[SMALL]),
    ] {
        let case = Case::new(&name, 6, &sorted(nets));
        let trie = case.trie(SMALL);
        let found = (trie.nodes.len(), trie.blocks.len() / 256);
        assert_eq!(found, (nodes, blocks), "nodes and blocks of {name}");
        agree(&case, roots, &mut random);
    }
}

#[test]
fn host_routes_at_both_ends() {
    // Under an IPv4 root: a block, and a node of two ranges. Of IPv6 as below.
    shape("hosts at the ends", &hosts_at_the_ends(), 2 + 2 * 11, 2);
}

#[test]
fn a_lone_host_takes_a_chain_of_nodes() {
    let host = Net::new(false, 0x2001_0db8_1234_5678_9abc_def0_1357_9bdf, 128);
    // Eight bits each from bit 16 on, until the last one tells the rest of 32 bits apart.
    shape("a lone host", &[host], 11, 0);
    let trie = Case::new("a lone host", 6, &[host]).trie(SMALL);
    assert!(trie.bytes() < 4096, "{} bytes for one prefix", trie.bytes());
}

#[test]
fn eight_ranges_are_a_node_and_nine_are_not() {
    let sites = |numbers: [u64; 4]| numbers.map(site);
    // The first begins where the node does: ranges are those of the sites and what is behind each.
    shape("eight ranges", &sites([0, 2, 4, 6]), 1, 0);
    // One more before the first: a block, behind three nodes that lead to where the sites differ.
    shape("nine ranges", &sites([1, 3, 5, 7]), 3, 1);
    // The last ends where the node does, on the last start there can be.
    shape("eight ranges to the end", &sites([1, 3, 5, 0xffff_ffff]), 1, 0);
    shape("nine ranges to the end", &[&sites([1, 3, 5, 7])[..], &[site(0xffff_ffff)]].concat(), 4, 1);
}

#[test]
fn eight_prefixes_side_by_side_are_a_node() {
    let eighths: Vec<Net> = (0..8).map(|number| v6(0x2001 << 48 | number << 45, 19)).collect();
    shape("eight eighths", &eighths, 1, 0);
    shape("seven eighths", &eighths[..7], 1, 0);
    // A block of the eighths and the slot of the one more specific, which is a node.
    shape("eight eighths and a site", &[&eighths[..], &[site(0x4000_0000)]].concat(), 1, 1);
}

#[test]
fn eight_prefixes_of_eight_ranges_are_a_node() {
    // The first two sites hide the prefix of both, which starts no range.
    let both = v6(0x2001 << 48, 47);
    shape("sites and one around two of them", &[&[both][..], &[0, 1, 2, 3, 4, 5, 6].map(site)].concat(), 1, 0);
}

#[test]
fn many_hosts_of_two_neighbours_take_a_block_each() {
    let hosts: Vec<Net> = (0..300).map(|number| v4(0x0a00_0000 + number, 32)).collect();
    shape("300 hosts", &hosts, 0, 3);
    // Every second one: 88 of each, a range before and behind it.
    let apart: Vec<Net> = (0..176).map(|number| v4(0x0a00_0001 + 2 * number, 32)).collect();
    shape("hosts apart", &apart, 0, 3);
}

/// The halves of an IPv6 address are words of their own; a walk has the second one in its hands from bit 80 on.
#[test]
fn prefixes_around_bit_64() {
    // Each alone under its root entry: a node for eight bits each, until what is left is no more than 32.
    let alone: Vec<Net> =
        (57..=72).map(|len| Net::new(false, (0x2100 + u128::from(len)) << 112 | 0xff << 56, len)).collect();
    shape("alone around bit 64", &alone, 8 * 3 + 8 * 4, 0);
    let mut nets = Vec::new();
    for near in [0x0000_ff00_u128, 0x0001_0000, 0x0080_8000, 0xffff_ff00, 0x00ff_0100] {
        for len in 57..=104 {
            let bits = 0x2001_0db8_u128 << 96 | near << 48 | near << 24;
            nets.extend([Net::new(false, bits, len), Net::new(false, bits ^ 1 << (128 - u32::from(len)), len)]);
        }
    }
    let case = Case::new("around bit 64", 6, &sorted(nets.clone()));
    agree(&case, &[SMALL, LARGE_V6], &mut Random::new(6));
    nets.extend(default_routes());
    agree(&Case::new("around bit 64, default routes", 6, &sorted(nets)), &[SMALL], &mut Random::new(6));
}

#[test]
fn hosts_under_the_large_ipv4_root() {
    let hosts = (0..300).step_by(2).map(|number| v4(0x0a00_0000 + number, 32));
    let case = Case::new("hosts", 6, &sorted(hosts_at_the_ends().into_iter().chain(hosts).collect()));
    let trie = case.trie(LARGE_V4);
    // A node for each end, and a block for each of the two neighbours.
    assert_eq!((trie.nodes.len(), trie.blocks.len() / 256), (2 + 2 * 11, 2));
    agree(&case, &[LARGE_V4], &mut Random::new(6));
}
