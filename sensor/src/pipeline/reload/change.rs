//! What another configuration changes. Pure.

use std::collections::BTreeSet;

use anyhow::Result;

use crate::{
    bpf::Layout,
    config::Config,
    control::{NetworkChanges, PrefixChanges},
    counterpart::{Counterparts, Meanings},
    lists::Lists,
    pipeline::prefix_set,
    prefix::{Meaning, PrefixSet, Trie},
};

/// What a configuration counts, and by what it labels far ends.
pub(in super::super) struct Wish {
    pub(in super::super) set: PrefixSet,
    pub(in super::super) counterparts: Option<Counterparts>,
}

/// A set, and the table that finds its prefixes; what labels mean, and the table that leads to them where it is another one.
pub(in super::super) struct Table {
    pub(in super::super) set: PrefixSet,
    pub(in super::super) trie: Trie,
    pub(in super::super) meanings: Meanings,
    pub(in super::super) labels: Option<Trie>,
}

impl Wish {
    /// What a configuration asks for.
    ///
    /// # Errors
    /// A table or a file of counterparts cannot be read, or is too large.
    pub(in super::super) fn of(config: &Config, lists: &Lists) -> Result<Self> {
        Ok(Self { set: prefix_set(config)?, counterparts: Counterparts::of(config, lists)? })
    }

    /// The tables of maps that begin with it.
    ///
    /// # Errors
    /// There can be no table of these prefixes.
    pub(in super::super) fn table(self) -> Result<Table> {
        let Self { set, counterparts } = self;
        let (trie, meanings) = (set.trie()?, Meanings::begin(counterparts.as_ref()));
        Ok(Table { set, trie, meanings, labels: counterparts.map(|counterparts| counterparts.trie) })
    }
}

/// What is to be done for another set of prefixes to be counted.
pub(in super::super) enum Change {
    /// Nothing: it is the same.
    Unchanged,
    /// Another table in the same maps: that of the successor of the set in force.
    InPlace(Box<Table>),
    /// It does not fit into the maps that are there.
    NewMaps { why: String },
}

impl Change {
    /// From the set and the labels in force, in maps of this layout, to those that are wanted, in maps of the size that the configuration asks for.
    ///
    /// # Errors
    /// There can be no table of the wanted prefixes.
    pub(in super::super) fn between(
        (old, meanings): (&PrefixSet, &Meanings),
        layout: &Layout,
        Wish { set: wanted, counterparts }: &Wish,
        config: &Config,
    ) -> Result<Self> {
        let (memory, flows) = (config.memory, config.limits.flows);
        let taken = layout.footprint().total();
        if taken > memory.bytes() {
            let taken = taken.div_ceil(1 << 20);
            let why = format!("the maps take {taken} MiB, and [sensor] memory is {memory}; smaller ones are needed");
            return Ok(Self::NewMaps { why });
        }
        if !layout.is_for_flows(flows, memory.bytes()) {
            return Ok(Self::NewMaps {
                why: format!("maps for another number of flows than {flows}; new maps are needed"),
            });
        }
        if !layout.is_for_counterparts(config.counterpart_rows(), memory.bytes()) {
            let why = "maps for another number of counterparts; new maps are needed".to_owned();
            return Ok(Self::NewMaps { why });
        }
        let (meanings, labels) = match counterparts {
            Some(counterparts) if !meanings.is_of(Some(counterparts)) => {
                if let Some(why) = layout.lacks_for_labels(&counterparts.trie) {
                    return Ok(Self::NewMaps { why });
                }
                let Some(successor) = meanings.successor(counterparts) else {
                    let why = "these maps have had all the tables of counterparts that they may; new maps are needed";
                    return Ok(Self::NewMaps { why: why.to_owned() });
                };
                (successor, Some(counterparts.trie.clone()))
            }
            Some(_) | None => (meanings.clone(), None),
        };
        if labels.is_none() && old.same_content(wanted) {
            return Ok(Self::Unchanged);
        }
        let set = match old.successor(wanted, layout.prefix_capacity()) {
            Ok(set) => set,
            Err(outgrown) => return Ok(Self::NewMaps { why: outgrown.to_string() }),
        };
        if !layout.bills(set.highest_network()) {
            let networks = set.networks().count();
            return Ok(Self::NewMaps { why: format!("{networks} networks outgrow the maps; new maps are needed") });
        }
        let trie = set.trie_with(layout.root_bits())?;
        Ok(match layout.lacks(&trie) {
            None => Self::InPlace(Box::new(Table { set, trie, meanings, labels })),
            Some(why) => Self::NewMaps { why },
        })
    }
}

/// What becomes of the prefixes.
pub(super) fn prefixes(old: &PrefixSet, new: &PrefixSet) -> PrefixChanges {
    let mut changes = PrefixChanges::default();
    let name = |set: &PrefixSet, network| Option::and_then(network, |network| set.network(network)).map(str::to_owned);
    let bills = |set: &PrefixSet, meaning: Meaning| {
        let Meaning { cidr: _, membership, network } = meaning;
        (name(set, membership.watched), membership.accounted, name(set, network))
    };
    let (mut olds, mut news) = (old.live().peekable(), new.live().peekable());
    loop {
        match (olds.peek().copied(), news.peek().copied()) {
            (None, None) => return changes,
            (Some((_, one)), Some((_, two))) if one.cidr == two.cidr => {
                let same = bills(old, one) == bills(new, two);
                *(if same { &mut changes.kept } else { &mut changes.moved }) += 1;
                olds.next();
                news.next();
            }
            (Some((_, one)), two) if two.is_none_or(|(_, two)| one.cidr < two.cidr) => {
                changes.removed += 1;
                olds.next();
            }
            _ => {
                changes.added += 1;
                news.next();
            }
        }
    }
}

/// What becomes of the networks.
pub(super) fn networks(old: &Config, new: &Config) -> NetworkChanges {
    let names = |config: &Config| -> BTreeSet<String> {
        config.networks.iter().map(|network| network.name.to_string()).collect()
    };
    let (old, new) = (names(old), names(new));
    let count = |names: std::collections::btree_set::Difference<'_, String>| names.count() as u64;
    NetworkChanges {
        added: count(new.difference(&old)),
        removed: count(old.difference(&new)),
        kept: old.intersection(&new).count() as u64,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{
        bpf::{InterfaceKind, Plan, Room},
        prefix::set_of as set,
    };

    #[test]
    fn prefixes_are_added_removed_moved_and_kept() {
        let old = set(&[("a", &["10.0.0.0/8"]), ("b", &["192.0.2.0/24"])], &["10.1.0.0/16", "::/0", "203.0.113.0/24"]);
        let same = PrefixChanges { kept: 5, ..PrefixChanges::default() };
        assert_eq!(prefixes(&old, &old), same);
        // Numbered otherwise, and the same all the same.
        let turned =
            set(&[("b", &["192.0.2.0/24"]), ("a", &["10.0.0.0/8"])], &["10.1.0.0/16", "::/0", "203.0.113.0/24"]);
        assert_eq!(prefixes(&old, &turned), same);
        // The network, and with it what it covers; one that is watched now; one gone; two new.
        let new = set(
            &[("b", &["10.0.0.0/8", "192.0.2.0/24"]), ("c", &["203.0.113.0/24"])],
            &["10.1.0.0/16", "2001:db8::/32", "9.9.9.9/32"],
        );
        assert_eq!(prefixes(&old, &new), PrefixChanges { added: 2, removed: 1, moved: 3, kept: 1 });
        let empty = PrefixSet::default();
        assert_eq!(prefixes(&empty, &old), PrefixChanges { added: 5, ..PrefixChanges::default() });
        assert_eq!(prefixes(&old, &empty), PrefixChanges { removed: 5, ..PrefixChanges::default() });
    }

    #[test]
    fn what_fits_goes_in_place_and_what_does_not_into_new_maps() {
        let old = set(&[("a", &["10.0.0.0/8"])], &["10.1.2.0/24", "192.0.2.0/24"]);
        let trie = old.trie().unwrap();
        let interfaces = &[InterfaceKind::default()];
        let text = "[[interface]]\nname = \"eth0\"\n[[network]]\nname = \"a\"\nprefixes = [\"10.0.0.0/8\"]\n";
        let config = Config::parse(text, Path::new("sensor.toml")).unwrap();
        let (flows, memory) = (config.limits.flows, config.memory);
        let plan = Plan { set: &old, trie: &trie, interfaces, flows, labels: None, memory };
        let layout = Layout::new(&plan.wanted(1, Room::ForReloads)).unwrap();
        let between = |wanted: &PrefixSet| {
            let wish = Wish { set: wanted.clone(), counterparts: None };
            match Change::between((&old, &Meanings::default()), &layout, &wish, &config).unwrap() {
                Change::Unchanged => "unchanged".to_owned(),
                Change::InPlace(table) => {
                    let Table { set, trie, labels, .. } = *table;
                    assert!(set.same_content(wanted) && trie.root_bits == layout.root_bits() && labels.is_none());
                    "in place".to_owned()
                }
                Change::NewMaps { why } => why,
            }
        };
        assert_eq!(between(&set(&[("a", &["10.0.0.0/8"])], &["192.0.2.0/24", "10.1.2.0/24"])), "unchanged");
        assert_eq!(between(&set(&[("a", &["10.0.0.0/8"])], &["192.0.2.0/24"])), "in place");
        let many: Vec<String> =
            (0..layout.prefix_capacity()).map(|byte| format!("20.{}.{}.0/24", byte >> 8, byte & 255)).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let why = between(&set(&[], &many));
        assert!(why.contains("outgrow"), "{why}");
    }
}
