//! Sequences of configurations and exports against a model that remembers every id in hash maps.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use proptest::prelude::*;
use sensor_ebpf::abi::{MAX_NETWORKS, NetworkId, PrefixId};

use super::*;
use crate::{
    cidr::Cidr,
    prefix::{Meaning, Membership, SetBuilder},
};

/// Prefixes that cover each other in several ways.
const CIDRS: [&str; 10] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.2.0/24",
    "10.1.2.3/32",
    "10.128.0.0/9",
    "192.0.2.0/24",
    "::/0",
    "2001:db8::/32",
    "2001:db8::1/128",
];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What each of `CIDRS` is: watched by one of `NAMES` or by nobody, accounted or not.
type Wish = Vec<(Option<usize>, bool)>;

#[derive(Clone, Debug)]
enum Step {
    Configure(Wish),
    Export,
}

/// A meaning in words: prefix, network that watches it, whether it is accounted, network billed.
type Words = (String, Option<String>, bool, Option<String>);

fn built(wish: &Wish) -> PrefixSet {
    let mut builder = SetBuilder::default();
    // From the last network on, so that the builder numbers them otherwise each time.
    for number in (0..NAMES.len()).rev() {
        let watched = wish.iter().zip(CIDRS).filter(|((network, _), _)| *network == Some(number));
        let watched: Vec<Cidr> = watched.map(|(_, cidr)| cidr.parse().unwrap()).collect();
        if !watched.is_empty() {
            builder.watch(NAMES[number], watched).unwrap();
        }
    }
    for ((_, accounted), cidr) in wish.iter().zip(CIDRS) {
        if *accounted {
            builder.account(cidr.parse().unwrap());
        }
    }
    builder.build().unwrap()
}

/// What a configuration counts, by searching it from end to end for each prefix.
fn meant(wish: &Wish) -> Vec<Words> {
    let cidr = |place: usize| CIDRS[place].parse::<Cidr>().unwrap();
    let billed = |inner: usize| {
        let covering = (0..CIDRS.len()).filter(|outer| cidr(*outer).contains(cidr(inner)));
        covering.filter_map(|outer| Some((cidr(outer).prefix_len(), wish[outer].0?))).max().map(|(_, network)| network)
    };
    let name = |network: Option<usize>| network.map(|number| NAMES[number].to_owned());
    let wanted = (0..CIDRS.len()).filter(|place| wish[*place] != (None, false));
    wanted.map(|place| (CIDRS[place].to_owned(), name(wish[place].0), wish[place].1, name(billed(place)))).collect()
}

fn words(set: &PrefixSet, meaning: Meaning) -> Words {
    let name = |network: Option<NetworkId>| network.map(|network| set.network(network).unwrap().to_owned());
    let Membership { watched, accounted } = meaning.membership;
    (meaning.cidr.to_string(), name(watched), accounted, name(meaning.network))
}

#[derive(Default)]
struct Model {
    /// What each id meant last, and for how many exports it has been out of the table.
    ids: HashMap<u32, (Words, Option<u64>)>,
}

impl Model {
    fn export(&mut self) {
        self.ids.values_mut().filter_map(|(_, out)| out.as_mut()).for_each(|exports| *exports += 1);
    }

    /// Ids that nothing of `wanted` means and that may not mean anything else yet.
    fn held(&self, wanted: &HashSet<Words>) -> usize {
        let held = |(words, out): &&(Words, Option<u64>)| !wanted.contains(words) && out.unwrap_or(0) < 2;
        self.ids.values().filter(held).count()
    }

    /// Compares a new set with what was before it, and remembers it.
    fn follow(&mut self, set: &PrefixSet, wish: &Wish) {
        let live: Vec<(u32, Words)> = set.live().map(|(id, meaning)| (id.get(), words(set, meaning))).collect();
        assert_eq!(live.iter().map(|(_, words)| words.clone()).collect::<Vec<_>>(), meant(wish));
        let before: HashMap<Words, u32> = self.ids.iter().map(|(id, (words, _))| (words.clone(), *id)).collect();
        for (id, words) in &live {
            if let Some((old, out)) = self.ids.get(id)
                && old != words
            {
                assert!(out.is_some_and(|exports| exports >= 2), "id {id} was {old:?} and is {words:?} too early");
            }
            if let Some(old) = before.get(words) {
                assert_eq!(id, old, "{words:?} changed its id");
            }
        }
        let now: HashMap<u32, Words> = live.into_iter().collect();
        assert_eq!(now.len() as u32, set.len(), "an id is in the table twice");
        self.ids.retain(|id, (_, out)| now.contains_key(id) || out.is_none_or(|exports| exports < 2));
        for (id, (_, out)) in &mut self.ids {
            if !now.contains_key(id) {
                out.get_or_insert(0);
            }
        }
        self.ids.extend(now.into_iter().map(|(id, words)| (id, (words, None))));
        self.agree(set);
    }

    fn agree(&self, set: &PrefixSet) {
        let of_set: BTreeMap<u32, Words> = set.iter().map(|(id, meaning)| (id.get(), words(set, meaning))).collect();
        let of_model: BTreeMap<u32, Words> = self.ids.iter().map(|(id, (words, _))| (*id, words.clone())).collect();
        assert_eq!(of_set, of_model);
        assert_eq!(set.highest_id(), of_model.keys().copied().max().unwrap_or(0));
        for id in 0..=set.highest_id() + 1 {
            let meaning = PrefixId::new(id).and_then(|id| set.get(id)).map(|meaning| words(set, meaning));
            assert_eq!(meaning.as_ref(), of_model.get(&id));
        }
        let out = self.ids.iter().filter(|(_, (_, out))| out.is_some()).map(|(id, _)| *id);
        let retired: BTreeSet<u32> = set.retired().map(PrefixId::get).collect();
        assert_eq!(retired, out.collect::<BTreeSet<_>>());
        let billed = self.ids.values().flat_map(|((_, watched, _, billed), _)| [watched, billed]).flatten();
        let names: BTreeSet<&str> = set.networks().map(|(_, name)| name).collect();
        assert_eq!(names, billed.map(String::as_str).collect::<BTreeSet<_>>());
    }
}

/// The table finds what is in it and nothing that is retired.
fn found(set: &PrefixSet) {
    let retired: BTreeSet<u32> = set.retired().map(PrefixId::get).collect();
    let trie = set.trie().unwrap();
    let inline = trie.nodes.iter().flat_map(|node| node.inline);
    let entries =
        trie.root_lines(|entry| entry).flat_map(|words| words.0).chain(inline).chain(trie.runs.iter().copied());
    let found: BTreeSet<u32> =
        entries.filter(|entry| entry.child().is_none()).filter_map(|entry| Some(entry.prefix()?.get())).collect();
    assert!(found.is_disjoint(&retired), "{found:?} and {retired:?}");
    assert_eq!(trie.highest_id, set.live().map(|(id, _)| id.get()).max().unwrap_or(0));
}

fn wish() -> impl Strategy<Value = Wish> {
    let one = prop_oneof![
        2 => Just((None, false)),
        2 => Just((None, true)),
        2 => (0..NAMES.len(), any::<bool>()).prop_map(|(network, accounted)| (Some(network), accounted)),
    ];
    proptest::collection::vec(one, CIDRS.len())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(prop_oneof![wish().prop_map(Step::Configure), Just(Step::Export)], 1..24)
}

proptest! {
    #[test]
    fn an_id_means_one_thing_until_two_exports_after_it_is_out_of_the_table(
        first in wish(), steps in steps(), capacity in 8..40_u32
    ) {
        let mut set = built(&first);
        let mut model = Model::default();
        model.follow(&set, &first);
        for step in &steps {
            match step {
                Step::Export => {
                    set.exported();
                    model.export();
                }
                Step::Configure(wish) => {
                    let wanted: HashSet<Words> = meant(wish).into_iter().collect();
                    let needed = wanted.len() + model.held(&wanted);
                    match set.successor(&built(wish), capacity) {
                        Ok(next) => {
                            prop_assert!(needed < capacity as usize);
                            prop_assert!(next.same_content(&built(wish)));
                            prop_assert!(built(wish).same_content(&next));
                            let unchanged = set.live().map(|(_, meaning)| words(&set, meaning)).eq(meant(wish));
                            prop_assert_eq!(next.same_content(&set), unchanged);
                            set = next;
                            model.follow(&set, wish);
                        }
                        Err(error) => {
                            let highest = set.highest_id();
                            prop_assert!(needed >= capacity as usize || highest >= capacity, "{error} with {needed}");
                        }
                    }
                }
            }
        }
        found(&set);
    }

    #[test]
    fn a_set_with_holes_and_retired_ids_is_restored(first in wish(), second in wish(), third in wish()) {
        let mut set = built(&first).successor(&built(&second), u32::MAX).unwrap();
        set.exported();
        set.exported();
        let set = set.successor(&built(&third), u32::MAX).unwrap();
        let retired: HashSet<PrefixId> = set.retired().collect();
        let networks: Vec<_> = set.networks().map(|(network, name)| (network, name.to_owned())).collect();
        let prefixes = set.iter().map(|(id, meaning)| (id, meaning, retired.contains(&id)));
        let back = PrefixSet::restore(networks, prefixes).unwrap();
        prop_assert_eq!(back.iter().collect::<Vec<_>>(), set.iter().collect::<Vec<_>>());
        prop_assert_eq!(back.live().collect::<Vec<_>>(), set.live().collect::<Vec<_>>());
        prop_assert_eq!(back.retired().collect::<HashSet<_>>(), retired);
        prop_assert!(back.networks().eq(set.networks()));
        prop_assert!(back.same_content(&built(&third)));
    }
}

#[test]
fn names_run_out_before_their_numbers_are_used_again() {
    let networks = |kind: &str| {
        let mut builder = SetBuilder::default();
        for number in 0..300 {
            let prefix = format!("10.{}.{}.0/24", number / 256, number % 256).parse().unwrap();
            builder.watch(&format!("{kind} {number}"), [prefix]).unwrap();
        }
        builder.build().unwrap()
    };
    let (one, other) = (networks("one"), networks("other"));
    let error = one.successor(&other, u32::MAX).unwrap_err();
    assert_eq!(error, Outgrown::Networks { networks: 600 });
    let mut none = one.successor(&PrefixSet::default(), u32::MAX).unwrap();
    none.exported();
    assert_eq!(none.successor(&other, u32::MAX).unwrap_err(), error);
    none.exported();
    let other = none.successor(&other, u32::MAX).unwrap();
    assert_eq!((other.networks().count(), other.highest_id()), (300, 300));
    assert!(other.networks().all(|(network, name)| network.get() <= MAX_NETWORKS && name.starts_with("other")));
}

#[test]
fn what_outgrows_the_maps_is_told_in_numbers() {
    let all = built(&vec![(None, true); CIDRS.len()]);
    let error = PrefixSet::default().successor(&all, 10).unwrap_err();
    assert_eq!(
        error.to_string(),
        "10 prefixes and 0 that are not exported yet outgrow maps made for 9; new maps are needed"
    );
    assert_eq!(PrefixSet::default().successor(&all, 11).unwrap().highest_id(), 10);
    let mut last = all.successor(&only_last(), 11).unwrap();
    last.exported();
    last.exported();
    let last = last.successor(&only_last(), 11).unwrap();
    assert_eq!((last.len(), last.highest_id(), last.retired().count()), (1, 10, 0));
    assert!(last.successor(&only_last(), 10).is_err(), "its id is none of those maps");
}

#[test]
fn a_table_that_ends_earlier_counts_something_else() {
    let one = built(&vec![(None, true); CIDRS.len()]);
    let mut wish = vec![(None, true); CIDRS.len()];
    wish[CIDRS.len() - 1] = (None, false);
    let other = built(&wish);
    assert!(!one.same_content(&other) && !other.same_content(&one));
}

/// The prefix that sorts last.
fn only_last() -> PrefixSet {
    let mut wish = vec![(None, false); CIDRS.len()];
    wish[CIDRS.len() - 1] = (None, true);
    built(&wish)
}

#[test]
fn a_set_that_contradicts_itself_is_refused() {
    let (network, other) = (NetworkId::new(7).unwrap(), NetworkId::new(8).unwrap());
    let id = |id| PrefixId::new(id).unwrap();
    let meaning = |cidr: &str| {
        let membership = Membership { watched: Some(network), accounted: false };
        Meaning { cidr: cidr.parse().unwrap(), membership, network: Some(network) }
    };
    let (one, two) = (meaning("10.0.0.0/8"), meaning("10.1.0.0/16"));
    let restore = |networks: &[(NetworkId, &str)], prefixes: &[_]| {
        let networks = networks.iter().map(|(network, name)| (*network, (*name).to_owned()));
        let set = PrefixSet::restore(networks, prefixes.iter().copied());
        set.map(|set| (set.len(), set.highest_id())).map_err(|error| error.to_string())
    };
    let fails = |networks: &[(NetworkId, &str)], prefixes: &[_], message: &str| {
        assert_eq!(restore(networks, prefixes), Err(message.to_owned()));
    };
    let named = [(network, "a")];
    assert_eq!(restore(&named, &[(id(9), two, false), (id(3), one, false), (id(4), one, true)]), Ok((2, 9)));
    fails(&[], &[(id(1), one, false)], "10.0.0.0/8 bills network 7, which has no name");
    fails(&[(network, "a"), (other, "a")], &[], "network 8 or its name \"a\" is given twice");
    fails(&[(network, "a"), (network, "b")], &[], "network 7 or its name \"b\" is given twice");
    fails(&named, &[(id(1), one, false), (id(1), two, true)], "id 1 is 10.0.0.0/8 and 10.1.0.0/16");
    let twice = "10.0.0.0/8 is in the table under the ids 1 and 5";
    fails(&named, &[(id(1), one, false), (id(5), one, false)], twice);
}
