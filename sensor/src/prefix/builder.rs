//! Collects what a configuration counts, in any order.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Result, bail};
use sensor_ebpf::abi::{MAX_NETWORKS, MAX_PREFIXES, NetworkId};

use super::{Meaning, Membership, PrefixSet, networks::Networks};
use crate::{cidr::Cidr, table_file::read_tables};

/// Collects prefixes; a CIDR given twice is one prefix.
#[derive(Clone, Debug, Default)]
pub struct SetBuilder {
    networks: Networks,
    watched: BTreeMap<Cidr, NetworkId>,
    accounted: Vec<Cidr>,
}

impl SetBuilder {
    /// Adds a watched network, or prefixes to the one of that name.
    ///
    /// # Errors
    /// Too many networks, or a prefix that another network watches already.
    pub fn watch(&mut self, name: &str, prefixes: impl IntoIterator<Item = Cidr>) -> Result<()> {
        let Some(network) = self.networks.find_or_add(name) else {
            bail!("network {name:?} is one too many: at most {MAX_NETWORKS} can be watched");
        };
        for prefix in prefixes {
            let watcher = *self.watched.entry(prefix).or_insert(network);
            if watcher != network {
                let other = self.networks.name(watcher).unwrap_or_default();
                bail!("{prefix} is watched as {name:?} and as {other:?}: give it to one network");
            }
        }
        Ok(())
    }

    /// Adds a prefix that is only counted.
    pub fn account(&mut self, prefix: Cidr) {
        self.accounted.push(prefix);
    }

    /// The same for many.
    pub fn account_all(&mut self, prefixes: impl IntoIterator<Item = Cidr>) {
        self.accounted.extend(prefixes);
    }

    /// Adds the prefixes of accounting tables.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn account_tables(&mut self, paths: &[PathBuf]) -> Result<()> {
        self.account_all(read_tables(paths)?.prefixes.into_iter().map(|entry| entry.cidr));
        Ok(())
    }

    /// Numbers the prefixes, in the order of their addresses, and gives each the network of the longest watched prefix that covers it.
    ///
    /// # Errors
    /// Too many prefixes.
    pub fn build(mut self) -> Result<PrefixSet> {
        // Stable: tables come sorted, one behind the other, and merging such runs is one pass.
        self.accounted.sort();
        self.accounted.dedup();
        let mut slots = Vec::with_capacity(self.watched.len() + self.accounted.len());
        let mut covering: Vec<(Cidr, NetworkId)> = Vec::new();
        let mut watched = self.watched.into_iter().peekable();
        let mut accounted = self.accounted.into_iter().peekable();
        while let Some(cidr) = least(watched.peek().map(|(cidr, _)| *cidr), accounted.peek().copied()) {
            let membership = Membership {
                watched: watched.next_if(|(next, _)| *next == cidr).map(|(_, network)| network),
                accounted: accounted.next_if_eq(&cidr).is_some(),
            };
            // Sorted order: whatever does not cover this prefix covers none of the later ones either.
            while covering.last().is_some_and(|(outer, _)| !outer.contains(cidr)) {
                covering.pop();
            }
            if let Some(network) = membership.watched {
                covering.push((cidr, network));
            }
            let network = covering.last().map(|(_, network)| *network);
            slots.push(Some(Meaning { cidr, membership, network }.into()));
        }
        if slots.len() > MAX_PREFIXES as usize {
            bail!(
                "{} prefixes are too many: at most {MAX_PREFIXES} can be counted; leave out tables or aggregate them",
                slots.len()
            );
        }
        Ok(PrefixSet::numbered(self.networks, slots))
    }
}

/// The lesser of two, where there are two.
fn least(one: Option<Cidr>, other: Option<Cidr>) -> Option<Cidr> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    #[test]
    fn a_prefix_bills_the_longest_watched_prefix_above_it() {
        let mut builder = SetBuilder::default();
        builder.watch("outer", [cidr("10.0.0.0/8")]).unwrap();
        builder.watch("inner", [cidr("10.1.0.0/16")]).unwrap();
        for prefix in ["10.1.2.0/24", "10.2.0.0/24", "10.1.0.0/16", "11.0.0.0/8", "10.3.0.0/16"] {
            builder.account(cidr(prefix));
        }
        let set = builder.build().unwrap();
        let billed: Vec<(String, u32, Option<&str>)> = set
            .iter()
            .map(|(id, meaning)| {
                (meaning.cidr.to_string(), id.get(), meaning.network.and_then(|network| set.network(network)))
            })
            .collect();
        let expected = [
            ("10.0.0.0/8", 1, Some("outer")),
            ("10.1.0.0/16", 2, Some("inner")),
            ("10.1.2.0/24", 3, Some("inner")),
            ("10.2.0.0/24", 4, Some("outer")),
            ("10.3.0.0/16", 5, Some("outer")),
            ("11.0.0.0/8", 6, None),
        ];
        assert_eq!(billed, expected.map(|(cidr, id, network)| (cidr.to_owned(), id, network)));
    }

    #[test]
    fn a_cidr_of_both_kinds_or_given_twice_is_one_prefix() {
        let mut builder = SetBuilder::default();
        builder.account(cidr("192.0.2.0/24"));
        builder.watch("lab", [cidr("192.0.2.0/24"), cidr("198.51.100.0/24")]).unwrap();
        builder.watch("lab", [cidr("198.51.100.0/24")]).unwrap();
        builder.account(cidr("192.0.2.0/24"));
        let set = builder.build().unwrap();
        let memberships: Vec<_> = set.iter().map(|(_, meaning)| meaning.membership).collect();
        let watched = NetworkId::new(1);
        assert_eq!(memberships, [true, false].map(|accounted| Membership { watched, accounted }));
    }

    #[test]
    fn two_networks_cannot_watch_one_prefix() {
        let mut builder = SetBuilder::default();
        builder.watch("a", [cidr("192.0.2.0/24")]).unwrap();
        let error = builder.watch("b", [cidr("192.0.2.0/24")]).unwrap_err();
        assert_eq!(error.to_string(), r#"192.0.2.0/24 is watched as "b" and as "a": give it to one network"#);
    }

    #[test]
    fn families_do_not_cover_each_other() {
        let mut builder = SetBuilder::default();
        builder.watch("four", [cidr("0.0.0.0/0")]).unwrap();
        builder.account(cidr("2001:db8::/32"));
        let set = builder.build().unwrap();
        assert_eq!(set.iter().map(|(_, meaning)| meaning.network).collect::<Vec<_>>(), [NetworkId::new(1), None]);
    }

    #[test]
    fn one_prefix_more_than_there_are_numbers_for_is_refused() {
        let host = |number: u32| Cidr::host(std::net::Ipv4Addr::from_bits(number).into());
        let mut builder = SetBuilder::default();
        builder.account_all((0..=MAX_PREFIXES).map(host));
        let error = builder.build().unwrap_err().to_string();
        assert!(
            error.starts_with("4194304 prefixes are too many: at most 4194303 can be counted; leave out"),
            "{error}"
        );
    }

    #[test]
    fn one_network_more_than_there_are_numbers_for_is_refused() {
        let mut builder = SetBuilder::default();
        for number in 0..MAX_NETWORKS {
            builder.watch(&format!("network {number}"), []).unwrap();
        }
        builder.watch("network 0", [cidr("192.0.2.0/24")]).unwrap();
        let error = builder.watch("another", []).unwrap_err();
        assert_eq!(error.to_string(), r#"network "another" is one too many: at most 511 can be watched"#);
    }
}
