//! Prefixes: which are counted, under which id, for which network, and the table that finds them.

mod set;
#[cfg(test)]
mod tests;
mod trie;

pub use set::{Membership, PrefixSet, SetBuilder};
pub use trie::{Item, RootBits, Trie};
