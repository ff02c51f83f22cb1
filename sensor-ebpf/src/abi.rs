//! What kernel and user space agree on: layouts, indices and limits of every map.
//!
//! `docs/abi.md` draws the bytes; `cargo xtask tidy` compares its hash of these files with the one the page carries.

mod control;
mod counter;
mod direction;
mod ledger;
mod pending;
mod settings;
mod trie;

pub use control::{Control, ControlBlock};
pub use counter::{Counter, prefix_row};
pub use direction::{Direction, Side};
pub use ledger::{Cell, Degraded, Matched, Outcome, Unparsed, ledger_row};
pub use pending::Pending;
pub use settings::Settings;
pub use trie::{
    BLOCK_LEN, Child, Entry, Line, MAX_NETWORKS, MAX_NODES, MAX_PREFIXES, MAX_RANGES, NetworkId, Node, PrefixId, Words,
};

/// Number of this layout. A pinned map of another number is never reused.
pub const ABI_VERSION: u32 = 4;

/// Interfaces that map `EXTERNAL` has room for: every attached one, and every device stacked on one.
pub const MAX_EXTERNAL: u32 = 4096;

/// Names of the maps in the object: what the loader looks up and `docs/abi.md` describes.
pub mod map_name {
    /// One [`ControlBlock`](super::ControlBlock).
    pub const CONTROL: &str = "CONTROL";
    /// Root entries of both families and both table slots, packed in [`Line`](super::Line)s.
    pub const ROOTS: &str = "ROOTS";
    /// Trie [`Node`](super::Node)s of both table slots.
    pub const NODES: &str = "NODES";
    /// Entries of blocks, packed in [`Line`](super::Line)s.
    pub const BLOCKS: &str = "BLOCKS";
    /// One [`Counter`](super::Counter) per slice, prefix and direction.
    pub const PREFIXES: &str = "PREFIXES";
    /// One [`Pending`](super::Pending) per slice.
    pub const PENDING: &str = "PENDING";
    /// One [`Counter`](super::Counter) per interface side, bank, slice and [`Cell`](super::Cell).
    pub const LEDGER: &str = "LEDGER";
    /// Interfaces that bill what they receive, by index; those stacked on them too.
    pub const EXTERNAL: &str = "EXTERNAL";
    /// All maps that instances of one sensor share.
    pub const SHARED: [&str; 8] = [CONTROL, ROOTS, NODES, BLOCKS, PREFIXES, PENDING, LEDGER, EXTERNAL];
    /// The read-only [`Settings`](super::Settings) of one program instance.
    pub const SETTINGS: &str = "SETTINGS";
}
