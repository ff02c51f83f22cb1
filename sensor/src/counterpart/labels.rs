//! Numbers for labels: dense, and no more than there is room for.

use std::{cmp::Reverse, sync::Arc};

use sensor_ebpf::abi::{Entry, PrefixId};

use super::{
    Label,
    facts::Texts,
    merge::{Known, Leaf},
};
use crate::cidr::Cidr;

/// Labels under their numbers, and prefixes with the entries that lead there.
pub(super) struct Numbered {
    pub(super) labels: Vec<Label>,
    pub(super) leaves: Vec<(Cidr, Entry)>,
    pub(super) other: Option<u32>,
    pub(super) folded: usize,
}

/// Numbers what is known, in the order of the addresses. Of more than `most` labels those of the most prefixes are kept; what is known of
/// the others is not.
pub(super) fn number(leaves: Vec<Leaf>, all: &[Known], texts: &Texts, lists: &[Arc<str>], most: usize) -> Numbered {
    let mut prefixes = vec![0u32; all.len()];
    leaves.iter().for_each(|(_, known)| prefixes[*known as usize] += 1);
    // What nothing is known of has its number without being counted.
    let mut used: Vec<u32> = (1..all.len() as u32).filter(|known| prefixes[*known as usize] > 0).collect();
    let room = most.saturating_sub(1);
    let mut folded = 0;
    if used.len() > room {
        let kept = room.saturating_sub(1);
        used.sort_by_key(|known| (Reverse(prefixes[*known as usize]), *known));
        folded = used.len() - kept;
        used.truncate(kept);
        used.sort_unstable();
    }
    let mut labels = vec![Label::default()];
    labels.extend(used.iter().map(|known| label(&all[*known as usize], texts, lists)));
    let other = (folded > 0).then(|| {
        labels.push(Label::default());
        labels.len() as u32 - 1
    });
    let mut numbers = vec![other.unwrap_or(0); all.len()];
    numbers[0] = 0;
    for (number, known) in (1..).zip(&used) {
        numbers[*known as usize] = number;
    }
    let entry = |known: u32| {
        let id = PrefixId::new(numbers[known as usize] + 1);
        id.map_or(Entry::NONE, |id| Entry::leaf(id, None))
    };
    let leaves = leaves.into_iter().map(|(cidr, known)| (cidr, entry(known))).collect();
    Numbered { labels, leaves, other, folded }
}

fn label(known: &Known, texts: &Texts, lists: &[Arc<str>]) -> Label {
    let text = |id| texts.get(id).cloned();
    let mut names: Vec<Arc<str>> = known.kind.and_then(text).into_iter().collect();
    for (number, list) in lists.iter().enumerate() {
        if known.lists >> number & 1 != 0 {
            names.push(Arc::clone(list));
        }
    }
    Label { country: known.country, asn: known.asn, as_name: known.as_name.and_then(text), lists: names }
}
