//! The table of labels, mapped into this process.

use std::path::Path;

use anyhow::{Result, bail};
use sensor_ebpf::{
    abi::{BLOCK_LEN, Entry, Line, Node, Words, map_name},
    watch::LABEL_ROOTS,
};

use super::{array::MappedArray, layout::Layout, pinned::open_array};
use crate::prefix::Trie;

/// The user-space end of these maps.
#[derive(Debug)]
pub(super) struct LabelTable {
    roots: MappedArray<Words>,
    nodes: MappedArray<Node>,
    blocks: MappedArray<Words>,
}

impl LabelTable {
    /// Maps those pinned in `directory`, which must be of this layout.
    pub(super) fn open(directory: &Path, layout: &Layout) -> Result<Self> {
        Ok(Self {
            roots: open_array(directory, layout, map_name::LABEL_ROOTS)?,
            nodes: open_array(directory, layout, map_name::LABEL_NODES)?,
            blocks: open_array(directory, layout, map_name::LABEL_BLOCKS)?,
        })
    }

    /// Writes the table of that generation into its half, into which no program may look any more.
    pub(super) fn write(&self, trie: &Trie, layout: &Layout, labelling: u32) -> Result<()> {
        let (half, sizes) = (labelling & 1, layout.labels());
        let (node_base, block_base) = (half * sizes.nodes, half * sizes.blocks);
        let moved = |entry: Entry| entry.moved(node_base, block_base);
        let moved_node = |node: &Node| Node { values: node.values.map(moved), ..*node };
        // A block is whole lines.
        let (lines, _) = trie.blocks.as_chunks();
        let blocks = lines.iter().map(|line| Words(line.map(moved)));
        let fits = sizes.rows > 0
            && trie.root_bits.entries() == LABEL_ROOTS
            && layout.lacks_for_labels(trie).is_none()
            && self.roots.fill((half * LABEL_ROOTS / Line::WORDS) as usize, trie.root_lines(moved))
            && self.blocks.fill((block_base * BLOCK_LEN / Line::WORDS) as usize, blocks)
            && self.nodes.fill(node_base as usize, trie.nodes.iter().map(moved_node));
        if !fits {
            bail!("the table of counterparts does not fit into maps made for another one: restart the sensor");
        }
        Ok(())
    }
}
