//! The prefix table against two others: a list searched from end to end, and the trie of the `prefix-trie` crate.

use std::{collections::HashMap, net::IpAddr};

use prefix_trie::PrefixMap;
use sensor_ebpf::{
    abi::{BLOCK_LEN, Child, Entry, MAX_RANGES, NetworkId, Node},
    lookup::{self, LARGE_ROOT_BITS_V6, ROOT_BITS_V4, ROOT_BITS_V6, STRIDE, root_len_v4},
};

use self::{
    net::{Address, Net},
    random::Random,
    sets::List,
};
use super::{Item, Meaning, PrefixSet, RootBits, SetBuilder, Trie};
use crate::{cidr::Cidr, native::Native};

#[path = "../../tests/support/net.rs"]
mod net;
#[path = "../../tests/support/random.rs"]
mod random;
#[path = "../../tests/support/sets.rs"]
mod sets;
mod shapes;

/// Networks that watch.
const NETWORKS: usize = 5;
/// Random addresses asked of every table, besides those at the ends of its prefixes.
const RANDOM_ADDRESSES: usize = 2000;
/// Sets of prefixes that are also put under the IPv4 root of 24 bits, which takes 64 MiB each time.
const SETS_FOR_LARGE_ROOT_V4: [&str; 2] = ["every slot of a node", "anything"];

/// A table and what it must say.
struct Case {
    name: String,
    set: PrefixSet,
    /// Each prefix, its id, and the number of the network that watches it.
    rows: Vec<(Net, u32, Option<u32>)>,
    all: List,
    watched: List,
}

impl Case {
    fn new(name: &str, seed: u64, nets: &[Net]) -> Self {
        let mut random = Random::new(seed);
        let mut builder = SetBuilder::default();
        let mut watched = vec![Vec::new(); NETWORKS];
        let mut watchers = HashMap::new();
        for net in nets {
            // A quarter is watched; of those, half are accounted too.
            let network = random.below(4 * NETWORKS as u64) as usize;
            match watched.get_mut(network) {
                Some(list) => {
                    list.push(cidr(*net));
                    watchers.insert(cidr(*net), network as u32 + 1);
                    if random.below(2) == 0 {
                        builder.account(cidr(*net));
                    }
                }
                None => builder.account(cidr(*net)),
            }
        }
        for (number, prefixes) in watched.into_iter().enumerate() {
            builder.watch(&format!("network {number}"), prefixes).unwrap();
        }
        let set = builder.build().unwrap();
        let ids: HashMap<Cidr, u32> = set.live().map(|(id, meaning)| (meaning.cidr, id.get())).collect();
        let rows: Vec<_> =
            nets.iter().map(|net| (*net, ids[&cidr(*net)], watchers.get(&cidr(*net)).copied())).collect();
        let places = || rows.iter().enumerate().map(|(place, (net, _, _))| (place, *net));
        let all = List::new(places());
        let watched = List::new(places().filter(|(place, _)| rows[*place].2.is_some()));
        Self { name: format!("{name} (seed {seed})"), set, rows, all, watched }
    }

    fn items(&self, v4: bool) -> Vec<Item> {
        let of_family = self.set.live().filter(|(_, meaning)| meaning.cidr.is_v4() == v4);
        of_family
            .map(|(id, Meaning { cidr, network, .. })| {
                let bits = match cidr.address() {
                    IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
                    IpAddr::V6(address) => address.to_bits(),
                };
                Item { bits, len: cidr.prefix_len(), entry: Entry::leaf(id, network) }
            })
            .collect()
    }

    fn trie(&self, root_bits: RootBits) -> Trie {
        Trie::build(root_bits, self.items(true).into_iter(), self.items(false).into_iter()).unwrap()
    }

    /// The id of the longest prefix, and the number of the network that watches the longest watched one.
    fn expected(&self, address: Address) -> (Option<u32>, Option<u32>) {
        let id = self.all.longest(address).map(|place| self.rows[place].1);
        (id, self.watched.longest(address).and_then(|place| self.rows[place].2))
    }
}

fn cidr(net: Net) -> Cidr {
    Cidr::new(net.first().ip(), net.len).unwrap()
}

fn found(native: &Native, address: Address) -> (Option<u32>, Option<u32>) {
    let entry = if address.v4 {
        lookup::v4(native, 0, (address.bits >> 96) as u32)
    } else {
        lookup::v6(native, 0, [(address.bits >> 64) as u64, address.bits as u64])
    };
    let entry = entry.unwrap();
    assert_eq!(entry.child(), None, "a walk must end in a leaf");
    (entry.prefix().map(|id| id.get()), entry.network().map(NetworkId::get))
}

/// Every address of interest, in the tables of `roots`.
fn agree(case: &Case, roots: &[RootBits], random: &mut Random) {
    let mut v4 = PrefixMap::<(u32, u8), u32>::new();
    let mut v6 = PrefixMap::<(u128, u8), u32>::new();
    for (net, id, _) in &case.rows {
        if net.v4 {
            v4.insert(((net.bits >> 96) as u32, net.len), *id);
        } else {
            v6.insert((net.bits, net.len), *id);
        }
    }
    let nets: Vec<Net> = case.rows.iter().map(|(net, _, _)| *net).collect();
    let addresses = sets::addresses(&nets, random, RANDOM_ADDRESSES);
    let mut answers = Vec::new();
    for address in addresses {
        let expected = case.expected(address);
        let other = if address.v4 {
            v4.get_lpm(&((address.bits >> 96) as u32, 32)).map(|(_, id)| *id)
        } else {
            v6.get_lpm(&(address.bits, 128)).map(|(_, id)| *id)
        };
        assert_eq!(other, expected.0, "{}: the two witnesses on {}", case.name, address.ip());
        answers.push((address, expected));
    }
    for root_bits in roots {
        let trie = case.trie(*root_bits);
        well_formed(&trie, case);
        let native = Native::new(trie, case.set.len());
        for (address, expected) in &answers {
            assert_eq!(found(&native, *address), *expected, "{}: {} under {root_bits:?}", case.name, address.ip());
        }
    }
}

/// What `lookup` and the kernel rely on, of every node, and that no node or block is there in vain.
fn well_formed(trie: &Trie, case: &Case) {
    let Trie { root_bits, nodes, blocks, highest_id, .. } = trie;
    let roots: Vec<Entry> = trie.root_lines(|entry| entry).flat_map(|words| words.0).collect();
    assert_eq!(*highest_id, case.set.len(), "{}", case.name);
    assert_eq!(roots.len() as u32, root_bits.entries());
    let (roots_v4, roots_v6) = roots.split_at(root_len_v4(root_bits.v4) as usize);
    let (small_v6, large_v6) = roots_v6.split_at(1 << 16);
    let mut waiting = Vec::new();
    for (list, levels) in [
        (roots_v4, (32 - root_bits.v4) / STRIDE),
        (small_v6, (128 - 16) / STRIDE),
        (large_v6, (128 - LARGE_ROOT_BITS_V6) / STRIDE),
    ] {
        waiting.extend(list.iter().filter(|entry| **entry != Entry::NONE).map(|entry| (*entry, levels)));
    }
    let (blocks, rest) = blocks.as_chunks::<{ BLOCK_LEN as usize }>();
    assert!(rest.is_empty(), "{}: half a block", case.name);
    let mut parents = vec![0; nodes.len() + blocks.len()];
    while let Some((entry, levels)) = waiting.pop() {
        let Some(child) = entry.child() else {
            let id = entry.prefix().map_or(0, |id| id.get());
            let networks = case.set.networks().count() as u32;
            assert!(entry == Entry::NONE || (1..=case.set.len()).contains(&id), "{}: id {id}", case.name);
            assert!(entry.network().is_none_or(|network| network.get() <= networks), "{}: {entry:?}", case.name);
            continue;
        };
        assert!(levels > 0, "{}: {child:?} decides bits that no address has", case.name);
        let values = match child {
            Child::Node(index) => {
                parents[index as usize] += 1;
                ranges(&nodes[index as usize], &case.name)
            }
            Child::Block(index) => {
                parents[nodes.len() + index as usize] += 1;
                let block = &blocks[index as usize];
                let runs = block.chunk_by(|one, next| one == next).count();
                // Two levels are left of IPv4 under its small root alone, or at the end of an IPv6 address.
                assert!(runs > MAX_RANGES || levels == 2, "{}: {runs} runs would fit into a node", case.name);
                block
            }
        };
        // Neighbours in a block share what they lead to.
        let distinct = values.chunk_by(|one, next| one == next).map(|run| run[0]);
        waiting.extend(distinct.map(|value| (value, levels - 1)));
    }
    assert!(parents.iter().all(|count| *count == 1), "{}: a node or block has no parent, or two", case.name);
}

/// The values of a node, with its starts checked.
fn ranges<'a>(node: &'a Node, name: &str) -> &'a [Entry] {
    let count = node.starts.iter().take_while(|start| **start != u32::MAX).count() + 1;
    let ascending = node.starts[..count - 1].windows(2).all(|pair| pair[0] < pair[1]);
    assert!(ascending && node.starts.first() != Some(&0), "{name}: starts ascend from above 0: {node:?}");
    assert!(
        node.values[count..].windows(2).all(|pair| pair[0] == pair[1]),
        "{name}: the last value is repeated: {node:?}"
    );
    &node.values
}

#[test]
fn every_lookup_finds_the_longest_prefix_and_its_network() {
    let mut random = Random::new(1);
    for (name, nets) in sets::sets(1) {
        let case = Case::new(name, 1, &nets);
        let roots = ROOT_BITS_V6.map(|v6| RootBits { v4: ROOT_BITS_V4[0], v6 });
        agree(&case, &roots, &mut random);
    }
}

#[test]
fn the_large_ipv4_root_finds_the_same() {
    let mut random = Random::new(3);
    let all = sets::sets(3);
    for name in SETS_FOR_LARGE_ROOT_V4 {
        let (_, nets) = all.iter().find(|(set, _)| *set == name).unwrap();
        let case = Case::new(name, 3, nets);
        // One of them under both IPv6 roots: the tables share nothing but the array, where IPv6 begins behind IPv4.
        let both = name == "anything";
        let roots = ROOT_BITS_V6.map(|v6| RootBits { v4: ROOT_BITS_V4[1], v6 });
        agree(&case, if both { &roots } else { &roots[1..] }, &mut random);
    }
}

#[test]
fn an_empty_table_finds_nothing_and_has_no_nodes() {
    let case = Case::new("nothing", 4, &[]);
    let trie = case.trie(RootBits { v4: 16, v6: 16 });
    assert_eq!((trie.nodes.len(), trie.blocks.len()), (0, 0));
    agree(&case, &[RootBits { v4: 16, v6: 16 }, RootBits { v4: 16, v6: 24 }], &mut Random::new(4));
}

#[test]
fn the_table_of_a_set_has_the_roots_its_size_asks_for() {
    let (name, nets) = sets::sets(5).pop().unwrap();
    let case = Case::new(name, 5, &nets);
    assert_eq!(case.set.trie().unwrap(), case.trie(RootBits { v4: 16, v6: 16 }));
    for (v4, v6, expected) in [
        (0, 0, RootBits { v4: 16, v6: 16 }),
        (199_999, 19_999, RootBits { v4: 16, v6: 16 }),
        (200_000, 0, RootBits { v4: 24, v6: 16 }),
        (0, 20_000, RootBits { v4: 16, v6: 24 }),
        (1_000_000, 200_000, RootBits { v4: 24, v6: 24 }),
    ] {
        assert_eq!(RootBits::for_size(v4, v6), expected);
    }
}
