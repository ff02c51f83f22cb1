//! From facts about prefixes to what holds for their addresses: one pass in the order of the addresses.

use std::{collections::HashMap, ops::Range, sync::Arc};

use super::{
    ORDINARY_KIND,
    facts::{Fact, TextId, Texts},
};
use crate::cidr::Cidr;

/// All that is known of an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Known {
    pub(super) country: Option<[u8; 2]>,
    pub(super) asn: Option<u32>,
    pub(super) as_name: Option<TextId>,
    /// `None` for the ordinary one, too.
    pub(super) kind: Option<TextId>,
    /// A bit for each list.
    pub(super) lists: u64,
}

/// A prefix, and what holds for its addresses that are in no longer one: a place in a list of [`Known`].
pub(super) type Leaf = (Cidr, u32);

/// A prefix around the one that is looked at.
struct Frame {
    cidr: Cidr,
    /// Its facts.
    facts: Range<usize>,
    /// The lists that it or a prefix around it is on.
    lists: u64,
    /// What holds there.
    known: u32,
}

/// Walks over facts and listed prefixes, both sorted; gives the prefixes at which what is known changes, sorted, and all that is known,
/// with nothing at place 0. `names` are those of the lists.
pub(super) fn merge(
    facts: &[Fact],
    listed: &[(Cidr, u8)],
    texts: &Texts,
    names: &[Arc<str>],
) -> (Vec<Leaf>, Vec<Known>) {
    let mut all = vec![Known::default()];
    let mut places = HashMap::from([(Known::default(), 0)]);
    let mut frames: Vec<Frame> = vec![];
    let mut leaves: Vec<Leaf> = vec![];
    let (mut fact, mut entry) = (0, 0);
    loop {
        let next = [facts.get(fact).map(|fact| fact.cidr), listed.get(entry).map(|(cidr, _)| *cidr)];
        let Some(cidr) = next.into_iter().flatten().min() else { break };
        while frames.last().is_some_and(|frame| !frame.cidr.contains(cidr)) {
            frames.pop();
        }
        let from = fact;
        fact += facts[fact..].iter().take_while(|fact| fact.cidr == cidr).count();
        let (mut lists, around) = frames.last().map_or((0, 0), |frame| (frame.lists, frame.known));
        for (_, list) in listed[entry..].iter().take_while(|(listed, _)| *listed == cidr) {
            lists |= 1u64.checked_shl((*list).into()).unwrap_or(0);
            entry += 1;
        }
        frames.push(Frame { cidr, facts: from..fact, lists, known: around });
        let mut known = Known { lists, ..resolve(&frames, facts, texts) };
        // A kind that a list is named like is one with it: there are no two labels that say the same.
        let kind = known.kind.and_then(|kind| texts.get(kind));
        if let Some(list) = names.iter().position(|name| Some(name) == kind) {
            known.lists |= 1u64.checked_shl(list as u32).unwrap_or(0);
            known.kind = None;
        }
        let place = *places.entry(known).or_insert_with(|| {
            all.push(known);
            // Facts and entries of lists are far fewer than that.
            all.len() as u32 - 1
        });
        if let Some(frame) = frames.last_mut() {
            frame.known = place;
        }
        // What says the same as the prefix around it need not be in the table.
        if place != around {
            push(&mut leaves, (cidr, place));
        }
    }
    (leaves, all)
}

/// Attribute by attribute what the longest prefix says that says anything; the name only of a row about the same autonomous system.
fn resolve(frames: &[Frame], facts: &[Fact], texts: &Texts) -> Known {
    let inside_out = || frames.iter().rev().flat_map(|frame| &facts[frame.facts.clone()]);
    let kept = |kind: TextId| texts.get(kind).is_none_or(|kind| !kind.eq_ignore_ascii_case(ORDINARY_KIND));
    let asn = inside_out().find_map(|fact| fact.asn);
    Known {
        country: inside_out().find_map(|fact| fact.country),
        asn,
        as_name: inside_out().filter(|fact| fact.asn.is_none() || fact.asn == asn).find_map(|fact| fact.as_name),
        kind: inside_out().find_map(|fact| fact.kind).filter(|kind| kept(*kind)),
        lists: 0,
    }
}

/// Adds a leaf; two halves of a prefix of which the same is known become that prefix.
fn push(leaves: &mut Vec<Leaf>, leaf: Leaf) {
    leaves.push(leaf);
    while let [.., (left, known), (right, same)] = leaves[..]
        && known == same
        && let Some(whole) = join(left, right)
    {
        leaves.truncate(leaves.len() - 2);
        // The whole may be there with something else: no address is left of which that holds.
        if leaves.last().is_some_and(|(cidr, _)| *cidr == whole) {
            leaves.pop();
        }
        leaves.push((whole, known));
    }
}

/// The prefix whose halves these are, in that order.
fn join(left: Cidr, right: Cidr) -> Option<Cidr> {
    let len = left.prefix_len().checked_sub(1)?;
    let whole = Cidr::masked(left.address(), len).ok()?;
    let halves = left.prefix_len() == right.prefix_len() && left != right && left.address() == whole.address();
    (halves && whole.contains(right)).then_some(whole)
}
