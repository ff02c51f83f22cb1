//! In which range of a node an address lies, against starts counted one by one.

use sensor_ebpf::abi::{MAX_RANGES, Node};

/// Every number of ranges, with starts that touch and starts at the ends.
#[test]
fn the_range_is_the_number_of_starts_reached() {
    let edges = [1, 2, 3, 0xff, 0x100, 0x7fff_ffff, 0x8000_0000, 0x8000_0001, u32::MAX - 2, u32::MAX - 1, u32::MAX];
    let mut checked = 0;
    for chosen in 0_u32..1 << edges.len() {
        if chosen.count_ones() as usize >= MAX_RANGES {
            continue;
        }
        let mut node = Node { starts: [u32::MAX; MAX_RANGES - 1], ..Node::default() };
        let chosen = edges.iter().enumerate().filter(|(at, _)| chosen >> at & 1 == 1);
        node.starts.iter_mut().zip(chosen).for_each(|(start, (_, edge))| *start = *edge);
        for bits in edges.iter().flat_map(|edge| [edge - 1, *edge, edge.saturating_add(1)]).chain([0]) {
            let reached = node.starts.iter().filter(|start| **start <= bits).count();
            assert_eq!(node.range_of(bits), reached, "{bits:#x} in {:x?}", node.starts);
            checked += 1;
        }
    }
    assert!(checked > 60_000, "{checked}");
}
