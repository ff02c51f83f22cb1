//! Prefix sets and their tables from plain prefixes.

use std::net::IpAddr;

use sensor::{
    cidr::Cidr,
    prefix::{Item, Meaning, PrefixSet, RootBits, SetBuilder, Trie},
};
use sensor_ebpf::abi::Entry;

use super::net::Net;

/// A set of sorted prefixes, of which number n gets the id n + 1; every third is watched.
pub(crate) fn set(nets: &[Net]) -> PrefixSet {
    let cidrs = || nets.iter().map(|net| Cidr::new(net.first().ip(), net.len).unwrap());
    let mut builder = SetBuilder::default();
    builder.watch("third", cidrs().step_by(3)).unwrap();
    cidrs().for_each(|cidr| builder.account(cidr));
    builder.build().unwrap()
}

/// The table of a set under the roots wanted, whatever its size.
pub(crate) fn trie(set: &PrefixSet, root_bits: RootBits) -> Trie {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for (id, Meaning { cidr, network, .. }) in set.live() {
        let item = |bits| Item { bits, len: cidr.prefix_len(), entry: Entry::leaf(id, network) };
        match cidr.address() {
            IpAddr::V4(address) => v4.push(item(u128::from(address.to_bits()) << 96)),
            IpAddr::V6(address) => v6.push(item(address.to_bits())),
        }
    }
    Trie::build(root_bits, v4.into_iter(), v6.into_iter()).unwrap()
}
