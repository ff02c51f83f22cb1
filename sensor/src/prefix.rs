//! Prefixes: which are counted, under which id, for which network, and the table that finds them.

mod builder;
mod networks;
mod set;
mod successor;
#[cfg(test)]
mod tests;
mod trie;

pub use builder::SetBuilder;
pub use set::{Meaning, Membership, PrefixSet};
pub use successor::{EXPORTS_BEFORE_REUSE, Outgrown};
pub use trie::{Item, RootBits, Trie};

/// For tests: the set of these networks, each with its prefixes, and of prefixes that are only counted.
#[cfg(test)]
pub(crate) fn set_of(watched: &[(&str, &[&str])], accounted: &[&str]) -> PrefixSet {
    let mut builder = SetBuilder::default();
    for (name, prefixes) in watched {
        builder.watch(name, prefixes.iter().map(|prefix| prefix.parse().unwrap())).unwrap();
    }
    accounted.iter().for_each(|prefix| builder.account(prefix.parse().unwrap()));
    builder.build().unwrap()
}
