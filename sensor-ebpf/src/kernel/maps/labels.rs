//! The table that leads from a far address to its label.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use sensor_ebpf::{
    abi::{Entry, Node, Words},
    lookup::{SMALL_ROOT_BITS_V4, SMALL_ROOT_BITS_V6, TrieMaps},
};

use super::{SIZED_BY_LOADER, word};

/// Key: 16 root entries. Value: the entries.
#[map]
static LABEL_ROOTS: Array<Words> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: node index. Value: the node.
#[map]
static LABEL_NODES: Array<Node> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// Key: 16 entries of blocks. Value: the entries.
#[map]
static LABEL_BLOCKS: Array<Words> = Array::with_max_entries(SIZED_BY_LOADER, BPF_F_MMAPABLE);

/// These maps.
pub(in crate::kernel) struct Labels;

impl TrieMaps for Labels {
    #[inline(always)]
    fn root_bits_v4(&self) -> u32 {
        SMALL_ROOT_BITS_V4
    }

    #[inline(always)]
    fn root_bits_v6(&self) -> u32 {
        SMALL_ROOT_BITS_V6
    }

    #[inline(always)]
    fn root(&self, index: u32) -> Option<Entry> {
        word(&LABEL_ROOTS, index)
    }

    #[inline(always)]
    fn node(&self, index: u32) -> Option<&Node> {
        LABEL_NODES.get(index)
    }

    #[inline(always)]
    fn block_entry(&self, index: u32) -> Option<Entry> {
        word(&LABEL_BLOCKS, index)
    }
}
