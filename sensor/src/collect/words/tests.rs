//! Readings of counters while packets leave their parts to be added.

use std::{
    sync::atomic::{AtomicBool, Ordering::*, compiler_fence},
    thread,
};

use super::*;
use crate::{collect::Reading, testing::rng::Rng};

/// Rows of a slice.
const ROWS: usize = 300;
const SLICES: usize = 2;

/// The maps, and a CPU for each slice that does what the program does, step by step.
struct Maps {
    counters: Vec<AtomicU64>,
    pending: Vec<AtomicU64>,
}

impl Maps {
    fn new() -> Self {
        let zeros = |len| (0..len).map(|_| AtomicU64::default()).collect();
        Self { counters: zeros(SLICES * ROWS * COUNTER_WORDS), pending: zeros(SLICES * PENDING_WORDS) }
    }

    fn words(&self) -> MapWords<'_> {
        MapWords::new(&self.counters, ROWS, &self.pending)
    }

    fn line(&self, slice: usize) -> &[AtomicU64] {
        &self.pending[slice * PENDING_WORDS..(slice + 1) * PENDING_WORDS]
    }

    /// Takes the line of a slice.
    fn begin(&self, slice: usize) {
        self.line(slice)[0].fetch_add(1, Release);
        compiler_fence(SeqCst);
    }

    /// Adds what waits in the line of a slice.
    fn add(&self, slice: usize) {
        let line: [u64; PENDING_WORDS] = std::array::from_fn(|word| self.line(slice)[word].load(Relaxed));
        for (row, more) in bytemuck::cast::<_, Pending>(line).left() {
            for (word, more) in words(&more).into_iter().enumerate() {
                let word = &self.counters[row * COUNTER_WORDS + word];
                word.store(word.load(Relaxed) + more, Release);
            }
        }
    }

    /// Leaves so much for two rows of the slice, and gives the line back.
    fn end(&self, slice: usize, rows: [usize; 2], size: [u32; 3]) {
        self.leave(slice, rows.map(|row| if row == 0 { 0 } else { (slice * ROWS + row) as u32 }), size);
    }

    fn leave(&self, slice: usize, rows: [u32; 2], [packets, bytes, frame_bytes]: [u32; 3]) {
        let line = Pending { rows, packets, bytes, frame_bytes, ..Pending::default() };
        let words: [u64; PENDING_WORDS] = bytemuck::cast(line);
        for (word, value) in self.line(slice).iter().zip(words).skip(1) {
            word.store(value, Release);
        }
        compiler_fence(SeqCst);
        self.line(slice)[0].fetch_add(1, Release);
    }

    /// A packet.
    fn count(&self, slice: usize, rows: [usize; 2], size: [u32; 3]) {
        self.begin(slice);
        self.add(slice);
        self.end(slice, rows, size);
    }

    fn sum(&self, row: usize) -> Row {
        words(&Reading::of_maps(&self.words(), vec![]).prefixes.get(row))
    }
}

#[test]
fn what_waits_is_in_the_sum_once() {
    let maps = Maps::new();
    maps.count(0, [2, 257], [1, 100, 114]);
    assert_eq!((maps.sum(2), maps.sum(257)), ([1, 100, 114], [1, 100, 114]));
    // On its way into the counters it is in none of the two, or in both, and must not be taken for the latter.
    maps.begin(0);
    assert_eq!(maps.sum(2), [0; 3]);
    maps.add(0);
    assert_eq!(maps.sum(2), [1, 100, 114]);
    maps.end(0, [0, 2], [3, 30, 33]);
    assert_eq!((maps.sum(2), maps.sum(257)), ([4, 130, 147], [1, 100, 114]));
    // Both addresses in one prefix have two rows; both rows may be one all the same.
    maps.count(1, [2, 2], [1, 1, 1]);
    assert_eq!(maps.sum(2), [6, 132, 149]);
}

#[test]
fn what_is_added_while_counters_are_read_is_in_the_sum_once() {
    let maps = Maps::new();
    maps.count(0, [2, 257], [1, 100, 114]);
    let mut sums = [[0; 3]; ROWS];
    maps.words().sums(|first, block| {
        sums[first..first + block.len()].copy_from_slice(block);
        if first == 0 {
            maps.count(0, [3, 258], [1, 40, 60]);
        }
    });
    // What came behind its block is for the next reading.
    assert_eq!((sums[2], sums[257], sums[3], sums[258]), ([1, 100, 114], [1, 100, 114], [0; 3], [0; 3]));
}

#[test]
fn a_row_of_another_slice_waits_for_nobody() {
    let maps = Maps::new();
    for slice in 0..SLICES {
        maps.begin(slice);
        maps.leave(slice, [(ROWS * (1 - slice)) as u32 + 2, u32::MAX], [1, 1, 1]);
    }
    assert!((0..ROWS).all(|row| maps.sum(row) == [0; 3]));
}

#[test]
fn a_sum_that_lacks_what_it_had_is_held() {
    let maps = Maps::new();
    let mut reported = Reading::of_maps(&maps.words(), vec![]);
    let look = |reported: &mut Reading| {
        let delta = reported.growth_in(&maps.words(), &[]).unwrap();
        delta.add_to(reported).unwrap();
        words(&reported.prefixes.get(5))
    };
    maps.count(0, [5, 0], [1, 1000, 1014]);
    assert_eq!(look(&mut reported), [1, 1000, 1014]);
    maps.begin(0);
    // Taken, not added: less than before, and told as nothing.
    assert_eq!(look(&mut reported), [1, 1000, 1014]);
    maps.add(0);
    maps.end(0, [5, 0], [1, 40, 60]);
    assert_eq!(look(&mut reported), [2, 1040, 1074]);
}

#[test]
fn nothing_is_lost_or_doubled_while_packets_are_counted() {
    const PACKETS: usize = 300_000;
    let maps = Maps::new();
    let done = AtomicBool::new(false);
    let sizes = |slice: usize| {
        let mut rng = Rng::new(slice as u64 + 1);
        std::iter::repeat_with(move || {
            // Few rows: that of the packet before comes again.
            let row = |rng: &mut Rng| rng.below(4) * 86;
            let rows = [row(&mut rng), row(&mut rng)];
            (rows, [1, 1 + rng.below(1500) as u32, 1500 + rng.below(100) as u32])
        })
        .take(PACKETS)
    };
    let mut reported = Reading::of_maps(&maps.words(), vec![]);
    let mut looks = 0;
    thread::scope(|scope| {
        let counting: Vec<_> = (0..SLICES)
            .map(|slice| {
                let maps = &maps;
                scope.spawn(move || sizes(slice).for_each(|(rows, size)| maps.count(slice, rows, size)))
            })
            .collect();
        scope.spawn(|| {
            counting.into_iter().for_each(|thread| thread.join().unwrap());
            done.store(true, Release);
        });
        loop {
            let last = done.load(Acquire);
            let delta = reported.growth_in(&maps.words(), &[]).unwrap();
            delta.add_to(&mut reported).unwrap();
            looks += 1;
            if last {
                break;
            }
        }
    });
    let mut expected = vec![[0; 3]; ROWS];
    for (rows, size) in (0..SLICES).flat_map(sizes) {
        for row in rows.into_iter().filter(|row| *row != 0) {
            expected[row].iter_mut().zip(size).for_each(|(sum, more)| *sum += u64::from(more));
        }
    }
    let found: Vec<Row> = (0..ROWS).map(|row| words(&reported.prefixes.get(row))).collect();
    assert_eq!(found, expected);
    assert!(looks > 10, "{looks}");
}
