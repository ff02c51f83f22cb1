//! Which prefixes are counted, and the dense ids they are counted under.

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf};

use anyhow::{Result, bail};
use sensor_ebpf::abi::{Entry, MAX_NETWORKS, MAX_PREFIXES, NetworkId, PrefixId};

use super::{Item, RootBits, Trie};
use crate::{cidr::Cidr, table_file::read_tables};

/// Why a prefix is in the table, and whom its traffic bills.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Membership {
    /// The network that names this very prefix.
    pub watched: Option<NetworkId>,
    /// Whether an accounting table names it.
    pub accounted: bool,
}

/// Collects prefixes; a CIDR given twice is one prefix.
#[derive(Debug, Default)]
pub struct SetBuilder {
    networks: Vec<String>,
    prefixes: BTreeMap<Cidr, Membership>,
}

impl SetBuilder {
    /// Adds a watched network.
    ///
    /// # Errors
    /// Too many networks, or a prefix that another network watches already.
    pub fn watch(&mut self, name: &str, prefixes: impl IntoIterator<Item = Cidr>) -> Result<()> {
        self.networks.push(name.to_owned());
        let Some(network) = NetworkId::new(self.networks.len() as u32) else {
            bail!("network {name:?} is one too many: at most {MAX_NETWORKS} can be watched");
        };
        for prefix in prefixes {
            let membership = self.prefixes.entry(prefix).or_default();
            match membership.watched {
                Some(other) if other != network => {
                    bail!(
                        "{prefix} is watched as {name:?} and as {:?}: give it to one network",
                        self.networks[other.get() as usize - 1]
                    )
                }
                _ => membership.watched = Some(network),
            }
        }
        Ok(())
    }

    /// Adds a prefix that is only counted.
    pub fn account(&mut self, prefix: Cidr) {
        self.prefixes.entry(prefix).or_default().accounted = true;
    }

    /// Adds the prefixes of accounting tables.
    ///
    /// # Errors
    /// A table cannot be read.
    pub fn account_tables(&mut self, paths: &[PathBuf]) -> Result<()> {
        let table = read_tables(paths)?;
        if table.duplicates > 0 {
            tracing::info!(
                duplicates = table.duplicates,
                "prefixes given more than once in accounting tables were taken once"
            );
        }
        table.prefixes.iter().for_each(|entry| self.account(entry.cidr));
        Ok(())
    }

    /// Numbers the prefixes, in the order of their addresses, and gives each the network of the longest watched prefix that covers it.
    ///
    /// # Errors
    /// Too many prefixes.
    pub fn build(self) -> Result<PrefixSet> {
        if self.prefixes.len() > MAX_PREFIXES as usize {
            bail!("{} prefixes are too many: a table holds at most {MAX_PREFIXES}", self.prefixes.len());
        }
        let mut covering: Vec<(Cidr, NetworkId)> = Vec::new();
        let mut prefixes = Vec::with_capacity(self.prefixes.len());
        for (cidr, membership) in self.prefixes {
            // Sorted order: whatever does not cover this prefix covers none of the later ones either.
            while covering.last().is_some_and(|(outer, _)| !outer.contains(cidr)) {
                covering.pop();
            }
            if let Some(network) = membership.watched {
                covering.push((cidr, network));
            }
            prefixes.push(Prefix { cidr, membership, network: covering.last().map(|(_, network)| *network) });
        }
        Ok(PrefixSet { networks: self.networks, prefixes })
    }
}

#[derive(Clone, Copy, Debug)]
struct Prefix {
    cidr: Cidr,
    membership: Membership,
    network: Option<NetworkId>,
}

/// The prefixes of one generation of the table, under their ids.
#[derive(Clone, Debug)]
pub struct PrefixSet {
    networks: Vec<String>,
    prefixes: Vec<Prefix>,
}

impl PrefixSet {
    /// The set of these prefixes under these very ids, as [`iter`](Self::iter) gave them: the first has id 1.
    ///
    /// # Errors
    /// Too many networks or prefixes, prefixes out of the order of their addresses, or one that bills a network without a name.
    pub fn restore(
        networks: Vec<String>,
        prefixes: impl IntoIterator<Item = (Cidr, Membership, Option<NetworkId>)>,
    ) -> Result<Self> {
        if networks.len() > MAX_NETWORKS as usize {
            bail!("{} networks are too many: at most {MAX_NETWORKS} can be watched", networks.len());
        }
        let mut restored: Vec<Prefix> = Vec::new();
        for (cidr, membership, network) in prefixes {
            if restored.len() == MAX_PREFIXES as usize {
                bail!("more than {MAX_PREFIXES} prefixes, which is all that a table holds");
            }
            for network in [membership.watched, network].into_iter().flatten() {
                if network.get() as usize > networks.len() {
                    bail!("{cidr} bills network {}, and only {} have a name", network.get(), networks.len());
                }
            }
            restored.push(Prefix { cidr, membership, network });
        }
        // As `build` numbers them, and as the trie wants them.
        if let Some([_, next]) = restored.array_windows().find(|[one, next]| one.cidr >= next.cidr) {
            bail!("{} is not in the order of addresses", next.cidr);
        }
        Ok(Self { networks, prefixes: restored })
    }

    /// Number of prefixes: ids run from 1 to this.
    pub fn len(&self) -> u32 {
        self.prefixes.len() as u32
    }

    /// Whether nothing is counted.
    pub fn is_empty(&self) -> bool {
        self.prefixes.is_empty()
    }

    /// Prefixes that a watched network names itself.
    pub fn watched(&self) -> usize {
        self.prefixes.iter().filter(|prefix| prefix.membership.watched.is_some()).count()
    }

    /// Names of the watched networks; network id n is at n - 1.
    pub fn networks(&self) -> &[String] {
        &self.networks
    }

    /// Every prefix: its id, itself, why it is here, and the network it bills.
    pub fn iter(&self) -> impl Iterator<Item = (PrefixId, Cidr, Membership, Option<NetworkId>)> {
        (1..)
            .filter_map(PrefixId::new)
            .zip(&self.prefixes)
            .map(|(id, prefix)| (id, prefix.cidr, prefix.membership, prefix.network))
    }

    /// The table that finds these prefixes.
    ///
    /// # Errors
    /// The table is too large for its indices.
    pub fn trie(&self) -> Result<Trie> {
        let mut v4 = Vec::new();
        let mut v6 = Vec::new();
        for (id, cidr, _, network) in self.iter() {
            let item = |bits| Item { bits, len: cidr.prefix_len(), entry: Entry::leaf(id, network) };
            match cidr.address() {
                IpAddr::V4(address) => v4.push(item(u128::from(address.to_bits()) << 96)),
                IpAddr::V6(address) => v6.push(item(address.to_bits())),
            }
        }
        Trie::build(RootBits::for_size(v4.len(), v6.len()), &v4, &v6)
    }
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
            .map(|(id, cidr, _, network)| {
                (cidr.to_string(), id.get(), network.map(|network| set.networks()[network.get() as usize - 1].as_str()))
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
    fn a_cidr_of_both_kinds_is_one_prefix() {
        let mut builder = SetBuilder::default();
        builder.account(cidr("192.0.2.0/24"));
        builder.watch("lab", [cidr("192.0.2.0/24")]).unwrap();
        let set = builder.build().unwrap();
        let (_, _, membership, _) = set.iter().next().unwrap();
        assert_eq!((set.len(), membership), (1, Membership { watched: NetworkId::new(1), accounted: true }));
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
        assert_eq!(set.iter().map(|(_, _, _, network)| network).collect::<Vec<_>>(), [NetworkId::new(1), None]);
    }
}
