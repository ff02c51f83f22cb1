//! What kernel and user space agree on: layouts, indices and limits of every map.
//!
//! `docs/abi.md` draws the bytes; `cargo xtask tidy` compares its hash of these files with the one the page carries.

mod control;
mod counter;
mod direction;
mod flow;
mod label;
mod ledger;
mod neighbour;
mod open;
mod pending;
mod row;
mod sample;
mod settings;
mod trie;

pub use control::{Clock, Control, ControlBlock, HASH_WORDS, HashKeys};
pub use counter::{Counter, prefix_row};
pub use direction::{Direction, Side};
pub use flow::{End, FlowKey, FlowSet, FlowState, Kind, MAX_LABELS, NO_LABEL, OTHER_LABEL, Tag, WAYS};
pub use label::LabelKey;
pub use ledger::{Cell, Degraded, Matched, Outcome, Shed, Unparsed, ledger_row};
pub use neighbour::{MAX_NEIGHBOURS, NEIGHBOUR_PROBES, Neighbour};
pub use open::{OPEN_PROBES, OPEN_REST, Open, OpenCount, Progress};
pub use pending::Pending;
pub use row::{ROW_PROBES, Row, RowKey, direction_of, network_of, row_place, rows_of_slice, spare_row};
pub use sample::{Budget, MAX_SAMPLE, Sample, Spending, budget_row, why};
pub use settings::Settings;
pub use trie::{
    BLOCK_LEN, Child, Entry, Line, MAX_NETWORKS, MAX_NODES, MAX_PREFIXES, MAX_RANGES, NetworkId, Node, PrefixId, Words,
};

/// Number of this layout. A pinned map of another number is never reused.
pub const ABI_VERSION: u32 = 6;

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
    /// One [`FlowSet`](super::FlowSet) after the other.
    pub const FLOWS: &str = "FLOWS";
    /// [`Open`](super::Open) flows, by slice.
    pub const OPEN: &str = "OPEN";
    /// By slice a list of the entries of `OPEN` that changed, the last ones, as 64 bits each.
    pub const CHANGES: &str = "CHANGES";
    /// One [`Progress`](super::Progress) per slice.
    pub const PROGRESS: &str = "PROGRESS";
    /// One [`Row`](super::Row) for each [`RowKey`](super::RowKey) that occurs, by slice.
    pub const BREAKDOWN: &str = "BREAKDOWN";
    /// One [`Row`](super::Row) for each [`LabelKey`](super::LabelKey) that occurs, by slice.
    pub const COUNTERPARTS: &str = "COUNTERPARTS";
    /// As `ROOTS`, of the tables of labels.
    pub const LABEL_ROOTS: &str = "LABEL_ROOTS";
    /// As `NODES`, likewise.
    pub const LABEL_NODES: &str = "LABEL_NODES";
    /// As `BLOCKS`, likewise.
    pub const LABEL_BLOCKS: &str = "LABEL_BLOCKS";
    /// [`Neighbour`](super::Neighbour)s, by slice.
    pub const NEIGHBOURS: &str = "NEIGHBOURS";
    /// [`Budget`](super::Budget)s, see [`budget_row`](super::budget_row).
    pub const BUDGETS: &str = "BUDGETS";
    /// Ring of [`Sample`](super::Sample)s.
    pub const SAMPLES: &str = "SAMPLES";
    /// All maps that instances of one sensor share.
    pub const SHARED: [&str; 20] = [
        CONTROL,
        ROOTS,
        NODES,
        BLOCKS,
        PREFIXES,
        PENDING,
        LEDGER,
        EXTERNAL,
        FLOWS,
        OPEN,
        CHANGES,
        PROGRESS,
        BREAKDOWN,
        COUNTERPARTS,
        LABEL_ROOTS,
        LABEL_NODES,
        LABEL_BLOCKS,
        NEIGHBOURS,
        BUDGETS,
        SAMPLES,
    ];
    /// The read-only [`Settings`](super::Settings) of one program instance.
    pub const SETTINGS: &str = "SETTINGS";
}
