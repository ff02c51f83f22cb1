//! Sizes: what fits, what is given up first, and what maps tell of their sizes.

use super::*;
use crate::{
    cidr::Cidr,
    config::{DEFAULT_FLOWS, DEFAULT_MEMORY, DEFAULT_SAMPLES_PER_SECOND},
    prefix::SetBuilder,
};

const MIB: u64 = 1 << 20;
const UNBOUNDED: u64 = u64::MAX;

fn made(trie: &Trie, highest_id: u32, cpus: u32, interfaces: u32, memory: u64, room: Room) -> Result<Layout, TooLarge> {
    let (highest_network, flows, labels) = (0, 1 << 12, None);
    Layout::new(&Wanted { trie, highest_id, highest_network, flows, labels, cpus, interfaces, memory, room })
}

/// The table of /28 prefixes side by side, under a root of 16 bits: a block for each 16 of them, and no nodes.
fn trie(prefixes: u32) -> Trie {
    table(prefixes, 4)
}

/// The same with each in a /24 of its own: a node for each, and a block for each 256.
fn scattered(prefixes: u32) -> Trie {
    table(prefixes, 8)
}

fn table(prefixes: u32, shift: u32) -> Trie {
    let mut builder = SetBuilder::default();
    let cidr = |number: u32| Cidr::new(std::net::Ipv4Addr::from_bits(number << shift).into(), 28).unwrap();
    builder.account_all((0..prefixes).map(cidr));
    builder.build().unwrap().trie().unwrap()
}

#[test]
fn counters_and_maps_tell_their_layout() {
    for (prefixes, highest_id, cpus, interfaces) in
        [(0, 0, 1, 1), (7, 7, 2, 3), (1000, 1500, 5, 1), (7, 4_000_000, 64, 2)]
    {
        let trie = trie(prefixes);
        let layout = made(&trie, highest_id, cpus, interfaces, UNBOUNDED, Room::ForReloads).unwrap();
        let rows = |name| layout.shape(name).entries;
        let (prefix_rows, ledger_rows) = (rows(map_name::PREFIXES), rows(map_name::LEDGER));
        let told = Layout::of_counters(prefix_rows, ledger_rows, interfaces).unwrap();
        let expected = (layout.prefix_capacity(), layout.slices(), layout.ledger_slots());
        assert_eq!((told.prefix_capacity(), told.slices(), told.ledger_slots()), expected);
        assert_eq!(Layout::of_counters(prefix_rows + 1, ledger_rows, interfaces), None);
        assert_eq!(Layout::of_counters(prefix_rows, ledger_rows + 1, interfaces), None);
        assert_eq!(Layout::of_maps(rows, interfaces), Some(layout));
        for name in map_name::SHARED {
            let other = |asked: &'static str| rows(asked) + u32::from(asked == name);
            assert_eq!(Layout::of_maps(other, interfaces), None, "one more entry in {name}");
        }
        for v4 in ROOT_BITS_V4 {
            for v6 in ROOT_BITS_V6 {
                let other = Layout { root_bits: RootBits { v4, v6 }, ..layout };
                assert_eq!(Layout::of_maps(|name| other.shape(name).entries, interfaces), Some(other));
            }
        }
    }
    for (prefix_rows, ledger_rows, interfaces) in [(0, 0, 0), (2, 0, 1), (0, 128, 1), (u32::MAX, u32::MAX, u32::MAX)] {
        assert_eq!(Layout::of_counters(prefix_rows, ledger_rows, interfaces), None);
    }
    assert_eq!(Layout::of_maps(|_| 0, 1), None);
}

#[test]
fn a_reload_has_room() {
    let layout = made(&trie(20_000), 20_000, 2, 1, UNBOUNDED, Room::ForReloads).unwrap();
    assert!(layout.holds(&trie(25_000), 25_000));
    assert!(!layout.holds(&scattered(20_000), 20_000), "more nodes than there are");
    let other = made(&scattered(20_000), 20_000, 2, 1, UNBOUNDED, Room::ForReloads).unwrap();
    assert!(other.holds(&scattered(25_000), 25_000));
    // Eight of them in a /24 with gaps between them are too many ranges for a node.
    assert!(!other.holds(&table(25_000, 5), 25_000), "more blocks than there are");
    assert!(!layout.holds(&trie(20_000), 27_000), "more ids than there are");
    let capacity = layout.prefix_capacity();
    assert!(layout.holds(&trie(20_000), capacity - 1) && !layout.holds(&trie(20_000), capacity));
    let small = made(&trie(0), 0, 2, 1, UNBOUNDED, Room::ForReloads).unwrap();
    assert!(small.holds(&trie(500), 1000));
    let exact = made(&trie(20_000), 20_000, 2, 1, UNBOUNDED, Room::None).unwrap();
    assert!(exact.holds(&trie(20_000), 20_000) && !exact.holds(&trie(20_000), 20_001));
    let used = scattered(20_000);
    let exact = made(&used, 20_000, 2, 1, UNBOUNDED, Room::None).unwrap();
    assert_eq!((exact.prefix_capacity(), exact.nodes() as usize), (20_001, used.nodes.len().max(1)));
    assert_eq!(exact.blocks() as usize, (used.blocks.len() / BLOCK_LEN as usize).max(1));
    let mut other = trie(20_000);
    other.root_bits = RootBits { v4: 24, v6: 16 };
    assert!(!layout.holds(&other, 20_000), "roots of another size");
}

#[test]
fn room_is_given_up_before_slices_are_shared() {
    let (trie, ids) = (trie(0), 1_000_000);
    let with = |memory: u64| made(&trie, ids, 16, 1, memory, Room::ForReloads);
    let sizes = |memory: u64| with(memory).map(|layout| (layout.prefix_capacity(), layout.slices()));
    let all = with(UNBOUNDED).unwrap();
    assert_eq!((all.prefix_capacity(), all.slices()), (1_250_000 + 1024 + 1, 16));
    let total = all.footprint().total();
    assert_eq!(sizes(total), Ok((1_251_025, 16)));
    assert_eq!(sizes(total - 1), Ok((1_126_025, 16)));
    let least = Layout { prefix_capacity: 1_032_275, ..all }.footprint().total();
    assert_eq!(sizes(least), Ok((1_032_275, 16)));
    // Shared slices leave room again.
    assert_eq!(sizes(least - 1), Ok((1_251_025, 8)));
    // The least that does at all is for one slice, and no room but that.
    let (mut too_little, mut enough) = (0, total);
    while enough - too_little > 1 {
        let middle = too_little.midpoint(enough);
        *if with(middle).is_ok() { &mut enough } else { &mut too_little } = middle;
    }
    assert_eq!(sizes(enough), Ok((1_032_275, 1)));
    let refused = with(too_little).unwrap_err();
    assert_eq!((refused.needed.total(), refused.memory), (enough, too_little));
}

#[test]
fn what_does_not_fit_is_told_in_numbers() {
    let refused = made(&trie(0), 1_000_000, 2, 1, 48 * MIB, Room::ForReloads).unwrap_err();
    let expected = "1000000 prefixes need 67 MiB of kernel memory (tables 2, counters 64, ledgers 1, watched flows 3), and 48 MiB \
                    are allowed; raise memory in [sensor], or leave out accounting tables or aggregate them";
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn the_largest_bound_and_table_have_numbers_for_everything() {
    let most = crate::config::MAX_MEMORY.bytes();
    for memory in [most, UNBOUNDED] {
        let layout = made(&trie(0), sensor_ebpf::abi::MAX_PREFIXES, 4096, 64, memory, Room::ForReloads).unwrap();
        assert!(layout.footprint().total() <= memory);
        assert_eq!(layout.prefix_capacity(), sensor_ebpf::abi::MAX_PREFIXES + 1);
        let rows = u64::from(layout.slices()) * u64::from(layout.prefix_capacity()) * u64::from(Direction::COUNT);
        assert_eq!(u64::from(layout.shape(map_name::PREFIXES).entries), rows);
    }
}

#[test]
fn counterparts_take_what_they_need_and_nothing_where_there_are_none() {
    let (small, labels) = (trie(7), scattered(5_000));
    let with = |rows: Option<u32>, memory: u64, room| {
        let labels = rows.map(|rows| LabelPlan { trie: &labels, rows });
        let wanted = Wanted {
            trie: &small,
            highest_id: 7,
            highest_network: 2,
            flows: 1 << 12,
            labels,
            cpus: 2,
            interfaces: 1,
            memory,
            room,
        };
        Layout::new(&wanted).unwrap()
    };
    let none = with(None, UNBOUNDED, Room::ForReloads);
    assert!(labels::NAMES.iter().all(|name| none.shape(name).entries == 1));
    assert_eq!(none.settings(0, InterfaceKind::default(), false, false).counterpart_rows, 0);
    assert!(none.is_for_counterparts(None, UNBOUNDED) && !none.is_for_counterparts(Some(1 << 10), UNBOUNDED));
    let some = with(Some(1 << 14), UNBOUNDED, Room::ForReloads);
    assert_eq!(some.settings(0, InterfaceKind::default(), false, false).counterpart_rows, 1 << 14);
    assert!(some.is_for_counterparts(Some(1 << 14), UNBOUNDED) && !some.is_for_counterparts(Some(1 << 15), UNBOUNDED));
    assert_eq!(some.lacks_for_labels(&scattered(6_000)), None);
    assert!(some.lacks_for_labels(&scattered(20_000)).unwrap().contains("nodes of counterparts outgrow"));
    for layout in [none, some] {
        let rows = |name| layout.shape(name).entries;
        assert_eq!(Layout::of_maps(rows, 1), Some(layout));
        for name in labels::NAMES {
            let other = |asked: &'static str| rows(asked) + u32::from(asked == name);
            assert_eq!(Layout::of_maps(other, 1), None, "one more entry in {name}");
        }
    }
    // A sixteenth of 16 MiB for two slices.
    let bounded = with(Some(1 << 20), 16 * MIB, Room::None);
    assert_eq!(bounded.labels().rows, 1 << 14);
}

/// Unless memory is scarce, what the usual budget lets begin in three seconds finds room apart, even where one CPU has it all.
#[test]
fn a_slice_holds_three_seconds_of_undecided_flows() {
    let entries = |flows, slices, memory| Watched::new(1, flows, slices, memory, false).open_entries;
    let wanted = sensor_ebpf::abi::OPEN_REST * DEFAULT_SAMPLES_PER_SECOND;
    for slices in [1, 2, 16] {
        assert!(entries(DEFAULT_FLOWS, slices, DEFAULT_MEMORY.bytes()) >= wanted, "{slices} slices");
    }
    assert_eq!(entries(1 << 10, 1, UNBOUNDED), 1 << 10);
    assert_eq!(entries(1 << 24, 1, UNBOUNDED), 1 << 18);
    // A sixteenth of 64 MiB for four slices.
    assert_eq!(entries(1 << 24, 4, 64 * MIB), 1 << 14);
}
