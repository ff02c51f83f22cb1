//! What a spool promises: everything once, in order, over crashes and damage; and whatever is lost is told exactly.

use std::{
    cell::RefCell,
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use jiff::Timestamp;

use super::*;
use crate::summary::{Count, Key, PrefixRecord, Summary};

mod bench;
mod faults;
mod memory;
mod merging;
mod model;
mod seeds;

const WIDE: Bounds = Bounds { max_bytes: 1 << 30, max_age: Duration::from_secs(1 << 30) };

fn epoch(number: u8) -> Epoch {
    Epoch::from_bytes([number; 16]).unwrap()
}

/// An interval of as many records.
fn summary(sequence: u64, records: u64) -> Summary {
    let at = |sequence: u64| Timestamp::from_second(10 * sequence as i64).unwrap();
    let key = Key { sensor: "s".to_owned(), epoch: epoch(1), start: at(sequence), end: at(sequence + 1), sequence };
    let record = |number: u64| PrefixRecord {
        prefix: format!("10.{}.{}.0/24", number >> 8 & 255, number & 255).parse().unwrap(),
        direction: sensor_ebpf::abi::Direction::In,
        network: None,
        count: Count { packets: sequence, bytes: number.wrapping_mul(0x9e37_79b9) % 100_000, frame_bytes: 1 },
    };
    Summary { prefixes: (0..records).map(record).collect(), ..Summary::empty(key) }
}

fn lines(summary: &Summary) -> String {
    let mut lines = vec![];
    crate::output::Format::Jsonl.write(summary, &mut lines).unwrap();
    String::from_utf8(lines).unwrap()
}

/// What an exporter had: the sequences with their records, the text, and what was lost on the way.
#[derive(Debug, Default, PartialEq, Eq)]
struct Had {
    records: Vec<(u64, u32)>,
    text: String,
    lost: Lost,
}

fn read_all(reader: &mut Reader) -> Had {
    let mut had = Had::default();
    while let Some(piece) = reader.peek().unwrap() {
        had.lost.add(reader.lost_before(&piece));
        had.records.push((piece.sequence(), piece.records()));
        had.text.push_str(std::str::from_utf8(&piece.lines().unwrap()).unwrap());
        reader.acknowledge(&piece);
    }
    had
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder.join(FOLDER))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| segment::Name::parse(path.file_name().unwrap().to_str().unwrap()).is_some())
        .collect();
    paths.sort();
    paths
}

#[test]
fn each_exporter_has_everything_once_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), WIDE, &["a", "b"]).unwrap();
    let (mut a, mut b) = (spool.reader("a").unwrap(), spool.reader("b").unwrap());
    assert!(spool.reader("c").is_none());
    let mut expected = String::new();
    for sequence in 0..10 {
        let summary = summary(sequence, sequence);
        expected.push_str(&lines(&summary));
        spool.append(&summary).unwrap();
        if sequence == 4 {
            let had = read_all(&mut a);
            assert_eq!((had.records.len(), had.text == expected), (4, true), "an interval without records is no piece");
            // What is not acknowledged is given again.
            assert_eq!(b.peek().unwrap(), b.peek().unwrap());
        }
    }
    assert_eq!(a.waiting(), 5);
    let (first, whole) = (read_all(&mut a), read_all(&mut b));
    assert_eq!(first.records, (5..10).map(|sequence| (sequence, sequence as u32)).collect::<Vec<_>>());
    assert_eq!((whole.text, whole.lost), (expected, Lost::default()));
    assert_eq!((a.peek().unwrap(), a.waiting()), (None, 0));
}

#[test]
fn a_long_interval_is_in_pieces_and_a_part_of_it_is_completed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), WIDE, &["a"]).unwrap();
    let long = summary(3, 50_000);
    // As an append that was interrupted between two pieces leaves it.
    let mut first = None;
    cut::cut(std::slice::from_ref(&long), cut::PIECE_LEN, 0, |piece| {
        first.get_or_insert(piece);
        Ok(())
    })
    .unwrap();
    let first = first.unwrap();
    let records = first.records;
    assert!(records > 1000 && records < 50_000, "{records}");
    spool.inner().log.append(&long.key, &first).unwrap();
    spool.inner().log.commit(&long.key, records).unwrap();
    drop(spool);
    let spool = Spool::open(folder.path(), WIDE, &["a"]).unwrap();
    for _ in 0..2 {
        spool.append(&long).unwrap();
        spool.append(&summary(2, 7)).unwrap();
    }
    let had = read_all(&mut spool.reader("a").unwrap());
    assert!(had.text == lines(&long) && had.records.len() > 2, "each record once");
    assert_eq!(had.records.iter().map(|(_, records)| records).sum::<u32>(), 50_000);
}

#[test]
fn exporters_go_on_where_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let open = |names: &[&str]| Spool::open(folder.path(), WIDE, names).unwrap();
    let spool = open(&["a", "b"]);
    (0..4).for_each(|sequence| spool.append(&summary(sequence, 2)).unwrap());
    let mut reader = spool.reader("a").unwrap();
    for _ in 0..2 {
        let piece = reader.peek().unwrap().unwrap();
        reader.acknowledge(&piece);
    }
    reader.save();
    drop((spool, reader));
    // A new one has what comes; one that is not configured any more holds nothing up.
    let spool = open(&["a", "c"]);
    spool.append(&summary(4, 2)).unwrap();
    assert_eq!(read_all(&mut spool.reader("a").unwrap()).records, [(2, 2), (3, 2), (4, 2)]);
    assert_eq!(read_all(&mut spool.reader("c").unwrap()).records, [(4, 2)]);
    drop(spool);
    // Without cursors everything is delivered again.
    fs::write(folder.path().join(FOLDER).join("cursors"), [7; 1 << 14]).unwrap();
    let had = read_all(&mut open(&["a"]).reader("a").unwrap());
    assert_eq!((had.records.len(), had.lost), (5, Lost::default()));
}

#[test]
fn beyond_the_bound_the_oldest_goes_and_is_told_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { max_bytes: 64 << 10, ..WIDE };
    let spool = Spool::open(folder.path(), bounds, &["slow", "fast"]).unwrap();
    let (mut slow, mut fast) = (spool.reader("slow").unwrap(), spool.reader("fast").unwrap());
    let first = slow.peek().unwrap();
    assert_eq!(first, None);
    let mut fast_had = 0;
    for sequence in 0..400 {
        // Of two epochs in turn, which nobody can merge.
        let mut summary = summary(sequence, 40);
        summary.key.epoch = epoch(1 + (sequence % 2) as u8);
        spool.append(&summary).unwrap();
        fast_had += read_all(&mut fast).records.len();
        assert!(spool.size() <= bounds.max_bytes + (8 << 10), "{}", spool.size());
    }
    assert_eq!(fast_had, 400);
    let had = read_all(&mut slow);
    assert!(had.records.len() > 20 && had.lost.pieces > 100, "{:?}", had.lost);
    assert_eq!(had.records.len() as u64 + had.lost.pieces, 400);
    assert_eq!(had.lost.records, 40 * had.lost.pieces);
    slow.save();
    // Nobody has taken it to be told when the agent dies.
    drop((fast, slow, spool));
    let spool = Spool::open(folder.path(), bounds, &["fast", "slow"]).unwrap();
    let mut slow = spool.reader("slow").unwrap();
    assert_eq!(spool.take_lost(), BTreeMap::from([("slow".to_owned(), had.lost)]));
    assert_eq!((spool.take_lost(), slow.cursor().lost), (BTreeMap::new(), had.lost));
    // What all have is removed.
    slow.save();
    assert!(segments(folder.path()).len() <= 2);
}

/// What is older than it may be goes, too.
#[test]
fn beyond_the_age_the_oldest_goes() {
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { max_bytes: 64 << 10, max_age: Duration::ZERO };
    let spool = Spool::open(folder.path(), bounds, &["a"]).unwrap();
    (0..50).for_each(|sequence| spool.append(&summary(sequence, 40)).unwrap());
    assert!(segments(folder.path()).len() <= 2);
    let had = read_all(&mut spool.reader("a").unwrap());
    assert_eq!(had.records.len() as u64 + had.lost.pieces, 50);
}

/// Intervals of a sample: 170 of them take 48 KiB.
fn intervals() -> u64 {
    std::env::var("SENSOR_SPOOL_INTERVALS").map_or(12, |text| text.parse().unwrap())
}

/// Segments of some pieces each, and nothing to be merged.
fn sample_bounds() -> Bounds {
    Bounds { max_bytes: (6 * intervals()) << 10, ..WIDE }
}

/// A spool in several segments, with a cursor in the middle; what its last piece ends with.
fn sample(folder: &Path) -> (u64, u64) {
    let spool = Spool::open(folder, sample_bounds(), &["a"]).unwrap();
    let mut reader = spool.reader("a").unwrap();
    let mut records = 0;
    for sequence in 0..intervals() {
        spool.append(&summary(sequence, 3 + sequence % 5)).unwrap();
        records += 3 + sequence % 5;
        if sequence == 2 {
            let piece = reader.peek().unwrap().unwrap();
            reader.acknowledge(&piece);
            reader.save();
        }
    }
    (intervals(), records)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.join(FOLDER)).unwrap();
    for path in fs::read_dir(from.join(FOLDER)).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_file() {
            fs::copy(&path, to.join(FOLDER).join(path.file_name().unwrap())).unwrap();
        }
    }
}

/// Opens what is there; the cursor had one piece of three records. Whatever is read is what was written, and with what is told as lost it is everything;
/// what the end has lost, the last sequence tells.
fn check(folder: &Path, (sequences, records): (u64, u64), what: &str) {
    let spool = Spool::open(folder, sample_bounds(), &["a"]).unwrap();
    let mut reader = spool.reader("a").unwrap();
    let already = reader.cursor();
    let last = spool.last_sequence(epoch(1));
    let missing: u64 = (last.map_or(0, |last| last + 1)..sequences).map(|sequence| 3 + sequence % 5).sum();
    // The next interval makes visible what the last one lost.
    spool.append(&summary(sequences, 1)).unwrap();
    let had = read_all(&mut reader);
    let whole: u32 = had.records.iter().map(|(_, records)| records).sum();
    let mut previous = None;
    for (sequence, count) in &had.records {
        assert!(previous < Some(*sequence), "{what}: in order, each once");
        assert!(u64::from(*count) == 3 + sequence % 5 || *sequence == sequences, "{what}");
        previous = Some(*sequence);
    }
    thread_local! {
        /// Written once: this is done for every byte.
        static LINES: RefCell<BTreeMap<(u64, u32), String>> = RefCell::default();
    }
    let expected = LINES.with_borrow_mut(|known| {
        let mut of = |at, count| known.entry((at, count)).or_insert_with(|| lines(&summary(at, count.into()))).clone();
        had.records.iter().map(|(at, count)| of(*at, *count)).collect::<String>()
    });
    assert!(had.text == expected, "{what}: other bytes than were written");
    let told = u64::from(whole) + had.lost.records + missing + already.total;
    assert_eq!(told, records + 1, "{what}: {had:?}, {missing} records missing at the end");
}

#[test]
fn a_spool_cut_anywhere_opens_and_tells_what_is_lost() {
    let whole = tempfile::tempdir().unwrap();
    let truth = sample(whole.path());
    let paths = segments(whole.path());
    assert!(paths.len() > 2, "{paths:?}");
    check_all(whole.path(), truth, &paths, |path, offset| {
        fs::File::options().write(true).open(path).unwrap().set_len(offset).unwrap();
    });
}

#[test]
fn a_spool_with_any_byte_flipped_opens_and_tells_what_is_lost() {
    let whole = tempfile::tempdir().unwrap();
    let truth = sample(whole.path());
    check_all(whole.path(), truth, &segments(whole.path()), |path, offset| {
        let file = fs::File::options().read(true).write(true).open(path).unwrap();
        let mut byte = [0];
        file.read_exact_at(&mut byte, offset).unwrap();
        file.write_all_at(&[!byte[0]], offset).unwrap();
    });
}

fn check_all(whole: &Path, truth: (u64, u64), paths: &[PathBuf], harm: impl Fn(&Path, u64)) {
    let mut places = 0;
    for path in paths {
        for offset in 0..fs::metadata(path).unwrap().len() {
            let folder = tempfile::tempdir().unwrap();
            copy(whole, folder.path());
            harm(&folder.path().join(FOLDER).join(path.file_name().unwrap()), offset);
            check(folder.path(), truth, &format!("{} at {offset}", path.display()));
            places += 1;
        }
    }
    println!("{places} places in {} segments", paths.len());
}

#[test]
fn segments_that_are_gone_or_changed_places_are_told() {
    let whole = tempfile::tempdir().unwrap();
    let truth = sample(whole.path());
    let paths = segments(whole.path());
    for path in &paths {
        let folder = tempfile::tempdir().unwrap();
        copy(whole.path(), folder.path());
        fs::remove_file(folder.path().join(FOLDER).join(path.file_name().unwrap())).unwrap();
        check(folder.path(), truth, &format!("without {}", path.display()));
    }
    let folder = tempfile::tempdir().unwrap();
    copy(whole.path(), folder.path());
    let place = |path: &PathBuf| folder.path().join(FOLDER).join(path.file_name().unwrap());
    let (one, other) = (place(&paths[0]), place(&paths[1]));
    fs::rename(&one, folder.path().join("x")).unwrap();
    fs::rename(&other, &one).unwrap();
    fs::rename(folder.path().join("x"), &other).unwrap();
    check(folder.path(), truth, "two segments in each other's place");
    assert_eq!(fs::read_dir(folder.path().join(FOLDER).join("quarantine")).unwrap().count(), 2);
}

/// Of a segment that begins with damage the pieces are there, and of an end that is no piece every byte is kept.
#[test]
fn a_beginning_and_an_end_that_are_damaged_cost_no_piece() {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), WIDE, &["a"]).unwrap();
    (0..3).for_each(|sequence| spool.append(&summary(sequence, 2)).unwrap());
    drop(spool);
    let path = &segments(folder.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[..8].fill(0);
    let rest = [9; 100_000];
    fs::write(path, [&bytes, &rest[..]].concat()).unwrap();
    let spool = Spool::open(folder.path(), WIDE, &["a"]).unwrap();
    spool.append(&summary(3, 2)).unwrap();
    let had = read_all(&mut spool.reader("a").unwrap());
    assert_eq!((had.records, had.lost), (vec![(0, 2), (1, 2), (2, 2), (3, 2)], Lost::default()));
    let kept: Vec<PathBuf> = fs::read_dir(folder.path().join(FOLDER).join("quarantine"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    assert_eq!(fs::read(kept).unwrap(), rest);
}

/// Damage over the last segments leaves how many records there were to those before.
#[test]
fn the_last_two_segments_damaged_throughout_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let truth = sample(folder.path());
    for path in segments(folder.path()).iter().rev().take(2) {
        let len = fs::metadata(path).unwrap().len();
        fs::File::options().write(true).open(path).unwrap().write_all_at(&vec![0; len as usize - 32], 32).unwrap();
    }
    check(folder.path(), truth, "the last two segments zeroed");
}

#[test]
fn another_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    sample(folder.path());
    let path = &segments(folder.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes[8] = 9;
    bytes[12..16].fill(0);
    let crc = crc32fast::hash(&bytes[..32]);
    bytes[12..16].copy_from_slice(&crc.to_ne_bytes());
    fs::write(path, &bytes).unwrap();
    let error = Spool::open(folder.path(), WIDE, &["a"]).unwrap_err().to_string();
    assert!(error.contains("version 9") && error.contains("move the file away"), "{error}");
}
