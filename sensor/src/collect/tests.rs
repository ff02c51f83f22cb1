//! Readings against counters that are kept one by one.

use std::sync::atomic::{AtomicU64, Ordering};

use proptest::{prelude::*, sample::Index};

use super::*;

/// Words of a counter in a map.
const WORDS: usize = 4;
/// Sums of a case are below half of what a counter holds: beyond that, growth is taken for a sum that lacks a packet.
const MAX_COUNTED: u32 = 5;

fn counter(packets: u64) -> Counter {
    Counter { packets, bytes: packets.wrapping_mul(100), frame_bytes: packets.wrapping_mul(114), reserved: 0 }
}

fn of(rows: &[Counter]) -> Reading {
    Reading::of_counters(rows, vec![])
}

/// Maps of so many rows, with these counters in them, each in some slice.
fn maps(rows: usize, slices: usize, counted: &[(Index, Index, [u64; 3])]) -> Vec<Vec<AtomicU64>> {
    let maps: Vec<Vec<AtomicU64>> =
        (0..slices).map(|_| (0..rows * WORDS).map(|_| AtomicU64::default()).collect()).collect();
    for (slice, row, more) in counted {
        let first = row.index(rows) * WORDS;
        let words = &maps[slice.index(slices)][first..first + WORDS];
        words.iter().zip(more).for_each(|(word, more)| {
            word.fetch_add(*more, Ordering::Relaxed);
        });
        // What the programs never write, and nobody may take for a count.
        words[3].store(1, Ordering::Relaxed);
    }
    maps
}

/// The counters of these rows in maps, added up one by one.
fn naive(rows: usize, maps: &[Vec<AtomicU64>]) -> Vec<Counter> {
    let word = |row: usize, word: usize| {
        let words = maps.iter().map(|map| map[row * WORDS + word].load(Ordering::Relaxed));
        words.fold(0, u64::wrapping_add)
    };
    let row = |row| Counter { packets: word(row, 0), bytes: word(row, 1), frame_bytes: word(row, 2), reserved: 0 };
    (0..rows).map(row).collect()
}

/// The slices of maps one behind the other, as the kernel has them.
fn flat(maps: &[Vec<AtomicU64>]) -> Vec<AtomicU64> {
    maps.iter().flatten().map(|word| AtomicU64::new(word.load(Ordering::Relaxed))).collect()
}

fn counted() -> impl Strategy<Value = Vec<(Index, Index, [u64; 3])>> {
    // Most counters of a tick are as they were; some differ in one word alone.
    let much = any::<[u64; 3]>().prop_map(|words| words.map(|word| word >> MAX_COUNTED));
    let more = prop_oneof![much, (0..3_usize).prop_map(|word| std::array::from_fn(|at| u64::from(at == word)))];
    proptest::collection::vec((any::<Index>(), any::<Index>(), more), 0..12)
}

proptest! {
    #[test]
    fn maps_are_read_and_compared_like_counters_one_by_one(
        rows in 1..400_usize,
        slices in 1..5_usize,
        before in counted(),
        after in counted(),
        ledger in any::<[u64; 2]>(),
    ) {
        let ledger = ledger.map(|packets| LedgerRow([counter(packets); Cell::COUNT as usize]));
        let maps = maps(rows, slices, &before);
        let then = naive(rows, &maps);
        let reported = Reading::of_maps(&MapWords::new(&flat(&maps), rows, &[]), vec![ledger[0]]);
        prop_assert_eq!(reported.counters().take(rows).collect::<Vec<_>>(), then.clone());
        for (map, more) in maps.iter().zip(self::maps(rows, slices, &after)) {
            map.iter().zip(more).for_each(|(word, more)| {
                word.fetch_add(more.into_inner(), Ordering::Relaxed);
            });
        }
        let now = naive(rows, &maps);
        let expected: Vec<Counter> = now.iter().zip(&then).map(|(now, then)| now.since(then)).collect();
        let delta = reported.growth_in(&MapWords::new(&flat(&maps), rows, &[]), &[ledger[1]]).unwrap();
        let dense = delta.dense().unwrap();
        prop_assert_eq!(dense.counters().take(rows).collect::<Vec<_>>(), expected.clone());
        prop_assert_eq!(&dense.ledger, &[ledger[1].since(&ledger[0])]);
        prop_assert_eq!(delta.ledger(), dense.ledger);
        // Nothing but what was counted is in it.
        let cells = if ledger[0] == ledger[1] { 0 } else { Cell::COUNT as usize };
        prop_assert_eq!(delta.len(), expected.iter().filter(|counter| !counter.is_zero()).count() + cells);
        // By way of two readings, and as the native engine reads, it is the same.
        let reading = Reading::of_maps(&MapWords::new(&flat(&maps), rows, &[]), vec![ledger[1]]);
        prop_assert_eq!(&reading, &Reading::of_counters(&now, vec![ledger[1]]));
        prop_assert_eq!(reading.since(&reported).unwrap(), delta.clone());
        let mut advanced = reported;
        delta.add_to(&mut advanced).unwrap();
        prop_assert_eq!(advanced, reading);
    }

    #[test]
    fn a_sparse_reading_is_the_reading(
        rows in 0..20_u32,
        ledgers in 0..4_usize,
        cells in proptest::collection::vec((any::<Index>(), any::<[u64; 3]>()), 0..20),
        more in proptest::collection::vec((any::<Index>(), any::<[u64; 3]>()), 0..20),
    ) {
        let len = ((rows + 1) * Direction::COUNT) as usize + ledgers * Cell::COUNT as usize;
        let fill = |cells: &[(Index, [u64; 3])]| {
            let mut counters = vec![Counter::default(); len];
            for (place, [packets, bytes, frame_bytes]) in cells {
                counters[place.index(len)] = Counter { packets: *packets, bytes: *bytes, frame_bytes: *frame_bytes, reserved: 0 };
            }
            let mut reading = Reading::zero(rows, ledgers);
            counters.iter().enumerate().for_each(|(place, counter)| reading.add(place, counter).unwrap());
            (counters, reading)
        };
        let ((one, first), (two, mut sum)) = (fill(&cells), fill(&more));
        let bytes = postcard::to_stdvec(&first.sparse()).unwrap();
        prop_assert_eq!(&bytes, &postcard::to_stdvec(&Zeroless(&first)).unwrap());
        let back: SparseReading = postcard::from_bytes(&bytes).unwrap();
        prop_assert_eq!(back.dense().unwrap(), first.clone());
        let plus = sum.plus(&first).unwrap();
        back.add_to(&mut sum).unwrap();
        prop_assert_eq!(&sum, &plus);
        let expected: Vec<Counter> = one.iter().zip(&two).map(|(one, two)| one.sum(two)).collect();
        prop_assert_eq!(sum.counters().collect::<Vec<_>>(), expected);
        prop_assert_eq!(back.totals(), first.totals());
        let named: Vec<_> = back.prefixes().collect();
        let ids = (1..=rows).filter_map(PrefixId::new).flat_map(|id| Direction::ALL.map(|direction| (id, direction)));
        let expected = ids.map(|(id, direction)| (id, direction, one[2 * id.get() as usize + direction as usize]));
        prop_assert_eq!(named, expected.filter(|(_, _, counter)| !counter.is_zero()).collect::<Vec<_>>());
        prop_assert!(back.add_to(&mut Reading::zero(rows + 1, ledgers)).is_err());
    }

    #[test]
    fn any_bytes_are_a_sparse_reading_within_bounds_or_refused(bytes: Vec<u8>, rows in 0..20_000_000_u32, ledgers in 0..10_000_u32, zeros in 0..20_000_000_u32) {
        let _ = postcard::from_bytes::<SparseReading>(&bytes);
        let lie = postcard::to_stdvec(&(rows, ledgers, vec![(zeros, 1_u64, 1_u64, 1_u64)])).unwrap();
        let inside = u64::from(zeros) < u64::from(rows) + 32 * u64::from(ledgers);
        let possible = rows <= 2 << 22 && ledgers <= 8192;
        prop_assert_eq!(postcard::from_bytes::<SparseReading>(&lie).is_ok(), inside && possible);
    }
}

#[test]
fn the_last_counter_of_a_sparse_reading_is_inside_and_the_next_is_not() {
    for (zeros, inside) in [(6 + 64 - 1_u32, true), (6 + 64, false)] {
        let wire = postcard::to_stdvec(&(6_u32, 2_u32, vec![(zeros, 1_u64, 1_u64, 1_u64)])).unwrap();
        let reading = postcard::from_bytes::<SparseReading>(&wire);
        assert_eq!(reading.is_ok(), inside, "{zeros}");
    }
}

#[test]
fn seen_is_the_sum_of_the_outcomes_and_nothing_else() {
    let mut row = LedgerRow::default();
    for (packets, cell) in (1..).zip(Cell::all()) {
        row.add(cell, counter(packets));
    }
    let outcomes = Matched::ALL.len() + 2 + Unparsed::ALL.len();
    assert_eq!(row.seen(), counter((1..=outcomes as u64).sum()));
    assert_eq!(row.matched(), counter(1 + 2 + 3));
}

#[test]
fn deltas_survive_a_wrap() {
    let then = of(&[counter(0), counter(0), counter(0), Counter { packets: u64::MAX, ..counter(1) }]);
    let now = of(&[counter(0), counter(0), counter(0), Counter { packets: 1, ..counter(3) }]);
    let id = PrefixId::new(1).unwrap();
    assert_eq!(now.since(&then).unwrap().dense().unwrap().prefix(id, Direction::Out).packets, 2);
}

#[test]
fn readings_of_other_counters_are_refused() {
    let one = of(&[Counter::default()]);
    assert!(one.since(&Reading::default()).is_err());
    assert!(one.plus(&Reading::default()).is_err());
    let words = [0; 2 * WORDS].map(AtomicU64::new);
    assert!(one.growth_in(&MapWords::new(&words, 1, &[]), &[]).is_ok());
    assert!(one.growth_in(&MapWords::new(&words, 1, &[]), &[LedgerRow::default()]).is_err());
    assert!(one.growth_in(&MapWords::new(&words, 2, &[]), &[]).is_err());
}

#[test]
fn totals_without_names_are_in_rows_that_no_prefix_has() {
    let totals = [counter(1), counter(2)];
    for reported in [Reading::default(), Reading::zero(5, 2)] {
        let delta = SparseReading::of_totals(&totals, &reported);
        assert_eq!((delta.totals(), delta.prefixes().count()), (totals, 0));
        assert_eq!(delta.dense().unwrap().ledger, reported.ledger);
        assert!(delta.check().is_ok());
    }
    assert!(SparseReading::of_totals(&totals, &Reading::zero(5, 2)).fits(&Reading::zero(5, 2)));
}
