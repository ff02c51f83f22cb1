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
