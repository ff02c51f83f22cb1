//! The figures of `docs/decisions/0009-journal.md`.

use std::time::Instant;

use super::*;

/// A full table.
const PREFIXES: u32 = 1_250_000;
/// Prefixes with traffic in an interval, in both directions.
const CHANGED: u32 = 10_000;

#[test]
#[ignore = "a measurement: cargo test --release -p sensor --lib measure -- --ignored --nocapture"]
fn commits_and_recovery_of_a_full_table() {
    let folder = tempfile::tempdir().unwrap();
    let dir = StateDir::open(folder.path()).unwrap();
    let file = folder.path().join("journal");
    let mut journal = dir.journal().unwrap();
    let mut commit = |sequence: u64, first: u32, changed: u32| {
        let mut delta = Reading::zero(PREFIXES, 2);
        for number in 0..changed {
            let id = 1 + (first + number * (PREFIXES / changed)) % PREFIXES;
            delta.add(2 * id as usize, &counter(100 + u64::from(number % 5000))).unwrap();
            delta.add(2 * id as usize + 1, &counter(50 + u64::from(number % 3000))).unwrap();
        }
        let start = Instant::now();
        let sparse = delta.sparse();
        let made = start.elapsed();
        let batch = Batch { delta: sparse, ..batch(epoch(0), sequence, &[]) };
        let before = std::fs::metadata(&file).map_or(0, |file| file.len());
        let start = Instant::now();
        journal.commit(batch).unwrap();
        let committed = start.elapsed();
        journal.delivered(epoch(0), sequence).unwrap();
        let bytes = std::fs::metadata(&file).unwrap().len() as i64 - before as i64;
        println!("{changed} changed: sparse {made:.1?}, commit {committed:.1?}, {bytes} bytes more");
    };
    (0..20).for_each(|sequence| commit(sequence, 7 * sequence as u32, CHANGED));
    commit(20, 0, PREFIXES);
    (21..24).for_each(|sequence| commit(sequence, 3, CHANGED));
    (24..30).for_each(|sequence| commit(sequence, 0, PREFIXES));
    let start = Instant::now();
    journal.replace(&[]).unwrap();
    let len = std::fs::metadata(&file).unwrap().len();
    println!("rewrite with every counter in use: {:.1?}, {len} bytes", start.elapsed());
    drop(journal);
    let start = Instant::now();
    let journal = dir.journal().unwrap();
    println!("recovery of that: {:.1?}", start.elapsed());
    assert_eq!(journal.baseline(epoch(0)).unwrap().next_sequence, 30);
}
