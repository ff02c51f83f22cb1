//! Coarser intervals: every sum as it was, every interval in exactly one record, nothing twice for anybody.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

const SMALL: Bounds = Bounds { max_bytes: 64 << 10, ..WIDE };
const SMALL_ENOUGH: Bounds = Bounds { max_bytes: 160 << 10, ..WIDE };
const RECORDS: u64 = 40;

/// Packets and bytes by prefix, and the sequences that records stand for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sums {
    prefixes: BTreeMap<String, [u64; 2]>,
    /// First and last sequence, each once.
    ranges: Vec<(u64, u64)>,
}

impl Sums {
    fn of(text: &str) -> Self {
        let mut sums = Self::default();
        let mut keys = std::collections::HashSet::new();
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let number = |name: &str| record[name].as_u64();
            let prefix = record["prefix"].as_str().unwrap().to_owned();
            let sequence = number("sequence").unwrap();
            assert!(keys.insert((sequence, prefix.clone())), "a key that comes twice: {line}");
            let sum = sums.prefixes.entry(prefix).or_default();
            sum[0] += number("packets").unwrap();
            sum[1] += number("bytes").unwrap();
            let range = (number("first_sequence").unwrap_or(sequence), sequence);
            if sums.ranges.last() != Some(&range) {
                sums.ranges.push(range);
            }
        }
        sums
    }

    /// Whether these are the sums of intervals, each in one range.
    fn check(&self, sequences: std::ops::Range<u64>) {
        let text: String = sequences.clone().map(|sequence| lines(&summary(sequence, RECORDS))).collect();
        assert_eq!(self.prefixes, Self::of(&text).prefixes);
        let mut next = sequences.start;
        for (first, last) in &self.ranges {
            assert_eq!(*first, next, "{:?}", self.ranges);
            next = last + 1;
        }
        assert_eq!(next, sequences.end);
    }
}

fn fill(spool: &Spool, sequences: std::ops::Range<u64>) {
    for sequence in sequences {
        spool.append(&summary(sequence, RECORDS)).unwrap();
        spool.merge();
    }
}

/// Leaves so many intervals in a spool that has room for them as they are.
fn not_merged(folder: &Path, intervals: u64) {
    let spool = Spool::open(folder, Bounds { max_bytes: 1 << 20, ..WIDE }, &["a"]).unwrap();
    (0..intervals).for_each(|sequence| spool.append(&summary(sequence, RECORDS)).unwrap());
}

#[test]
fn a_long_outage_becomes_coarser_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), SMALL, &["a"]).unwrap();
    // Ten times as long as what there is room for without.
    fill(&spool, 0..3000);
    assert!(spool.size() <= SMALL.max_bytes, "{}", spool.size());
    let had = read_all(&mut spool.reader("a").unwrap());
    assert_eq!(had.lost, Lost::default());
    let sums = Sums::of(&had.text);
    sums.check(0..3000);
    let first = sums.ranges[0];
    assert!(first.1 - first.0 > 5, "the oldest are the coarsest: {:?}", sums.ranges);
    let last = sums.ranges[sums.ranges.len() - 1];
    assert!(last.1 - last.0 <= 5, "the newest are the finest: {:?}", sums.ranges);
}

#[test]
fn intervals_end_where_hours_do() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), SMALL, &["a"]).unwrap();
    fill(&spool, 0..3000);
    for (first, last) in Sums::of(&read_all(&mut spool.reader("a").unwrap()).text).ranges {
        // Ten seconds each: 360 in an hour. What is merged lies within a bucket of some level.
        let is_within = |buckets: u64| first / buckets == last / buckets;
        assert!([1, 6, 60, 360, 2160, 8640].into_iter().any(is_within), "{first} to {last}");
    }
}

#[test]
fn what_was_handed_out_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), SMALL_ENOUGH, &["ahead", "behind", "stuck"]).unwrap();
    let [mut ahead, mut behind] = ["ahead", "behind"].map(|name| spool.reader(name).unwrap());
    let mut stuck = spool.reader("stuck").unwrap();
    let mut texts = [String::new(), String::new()];
    for sequence in 0..1500 {
        fill(&spool, sequence..sequence + 1);
        if sequence == 20 {
            assert!(stuck.peek().unwrap().is_some());
        }
        if sequence % 7 == 0 {
            texts[0] += &read_all(&mut ahead).text;
        }
        // Handed out and not acknowledged, over and over.
        if sequence % 50 == 0
            && let Some(piece) = behind.peek().unwrap()
        {
            assert_eq!(behind.lost_before(&piece), Lost::default());
            assert_eq!(behind.peek().unwrap().as_ref(), Some(&piece));
            texts[1] += std::str::from_utf8(&piece.lines().unwrap()).unwrap();
            behind.acknowledge(&piece);
        }
    }
    texts[0] += &read_all(&mut ahead).text;
    let rests = [&mut behind, &mut stuck].map(read_all);
    assert_eq!(rests.each_ref().map(|had| had.lost), [Lost::default(); 2]);
    texts[1] += &rests[0].text;
    for text in [&texts[0], &texts[1], &rests[1].text] {
        Sums::of(text).check(0..1500);
    }
    let is_merged = |text: &str| Sums::of(text).ranges.iter().any(|(first, last)| first < last);
    assert!(is_merged(&texts[1]) && is_merged(&rests[1].text) && !is_merged(&texts[0]));
}

/// Killed between putting a merged segment in place and removing what it was made of.
#[test]
fn a_merge_that_was_interrupted_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    not_merged(folder.path(), 600);
    let before = tempfile::tempdir().unwrap();
    copy(folder.path(), before.path());
    let spool = Spool::open(folder.path(), SMALL_ENOUGH, &["a"]).unwrap();
    spool.merge();
    drop(spool);
    let names = |folder: &Path| -> Vec<String> {
        segments(folder).iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    };
    assert_ne!(names(folder.path()), names(before.path()), "something was merged");
    // All of what there was before is there again, and the beginning of another merge.
    copy(before.path(), folder.path());
    fs::write(folder.path().join(FOLDER).join("merging"), b"half").unwrap();
    let spool = Spool::open(folder.path(), WIDE, &["a"]).unwrap();
    let had = read_all(&mut spool.reader("a").unwrap());
    assert_eq!(had.lost, Lost::default());
    Sums::of(&had.text).check(0..600);
    assert!(!folder.path().join(FOLDER).join("merging").exists());
}

/// What is damaged when it is merged is told as lost, and the rest is whole.
#[test]
fn damage_that_is_merged_is_told() {
    let folder = tempfile::tempdir().unwrap();
    not_merged(folder.path(), 300);
    let harmed = &segments(folder.path())[0];
    let file = fs::File::options().write(true).open(harmed).unwrap();
    // In the payload of one piece, and in the header of another.
    file.write_all_at(&[0; 8], 200).unwrap();
    file.write_all_at(&[0; 8], 5000).unwrap();
    let spool = Spool::open(folder.path(), SMALL_ENOUGH, &["a"]).unwrap();
    spool.merge();
    let had = read_all(&mut spool.reader("a").unwrap());
    assert!((1..4).contains(&had.lost.pieces), "{:?}", had.lost);
    assert_eq!(had.lost.records, RECORDS * had.lost.pieces);
    let sums = Sums::of(&had.text);
    let covered: u64 = sums.ranges.iter().map(|(first, last)| last + 1 - first).sum();
    assert_eq!(covered + had.lost.pieces, 300, "{:?}", sums.ranges);
}

/// Intervals of several pieces, of which some are handed out.
#[test]
fn long_intervals_are_merged_whole() {
    const LONG: u64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { max_bytes: 3 << 20, ..WIDE };
    let spool = Spool::open(folder.path(), bounds, &["a"]).unwrap();
    (0..15).for_each(|sequence| spool.append(&summary(sequence, LONG)).unwrap());
    spool.merge();
    let had = read_all(&mut spool.reader("a").unwrap());
    assert_eq!(had.lost, Lost::default());
    let mut sums = BTreeMap::<String, u64>::new();
    let mut ranges = std::collections::BTreeSet::new();
    for line in had.text.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let sequence = record["sequence"].as_u64().unwrap();
        ranges.insert((record["first_sequence"].as_u64().unwrap_or(sequence), sequence));
        *sums.entry(record["prefix"].to_string()).or_default() += record["packets"].as_u64().unwrap();
    }
    assert!(ranges.iter().any(|(first, last)| first < last), "{ranges:?}");
    // The prefixes of a summary repeat.
    let each = LONG / 65_536 + 1;
    assert!(sums.len() as u64 == LONG && sums.values().all(|sum| *sum == each * (0..15).sum::<u64>()));
}
