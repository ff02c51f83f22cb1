//! What delivering costs. Not run by itself: `cargo test --release -p sensor --lib measure -- --ignored --nocapture`.

use std::{fs, time::Instant};

use jiff::Timestamp;
use sensor_ebpf::abi::Direction;

use super::*;
use crate::{
    config::{DEFAULT_SPOOL, Jsonl},
    epoch::Epoch,
    spool::Bounds,
    summary::{Count, Key, PrefixRecord, Summary},
    testing::rng::Rng,
};

/// Prefixes that had traffic, in both directions.
const PREFIXES: u32 = 10_000;
const INTERVALS: u64 = 100;

/// Seconds of an interval.
const SECONDS: u64 = 10;

/// An interval in which so many prefixes had traffic, most little and some much.
fn summary(sequence: u64, active: u32, rng: &mut Rng) -> Summary {
    let epoch = Epoch::from_bytes([7; 16]).unwrap();
    let at = |sequence: u64| Timestamp::from_second((SECONDS * sequence) as i64).unwrap();
    let key = Key { sensor: "edge-1".to_owned(), epoch, start: at(sequence), end: at(sequence + 1), sequence };
    let mut prefixes = vec![];
    for number in 0..active {
        for direction in Direction::ALL {
            let packets = 1 + (rng.next_u64() >> rng.between(40, 63));
            let bytes = packets * rng.between(40, 1500) as u64;
            prefixes.push(PrefixRecord {
                prefix: format!("10.{}.{}.0/24", number >> 8, number & 255).parse().unwrap(),
                direction,
                network: Some("example".into()),
                count: Count { packets, bytes, frame_bytes: bytes + 14 * packets },
            });
        }
    }
    Summary { prefixes, ..Summary::empty(key) }
}

/// Memory of this process in KiB, as `/proc/self/status` has it under a name.
fn memory(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim_matches([':', '\t', ' ', 'k', 'B']).parse().unwrap()
}

#[test]
#[ignore = "measures"]
fn measure_the_way_through_the_spool() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("records");
    let jsonl = Jsonl::File { path: path.clone(), rotate: 1 << 30, keep: 1 };
    let exporter = Exporter { name: "file".parse().unwrap(), target: Target::Jsonl(jsonl) };
    let spool = Spool::open(folder.path(), DEFAULT_SPOOL, &["file"]).unwrap();
    let mut rng = Rng::new(1);
    let mut appends = vec![];
    for sequence in 0..INTERVALS {
        let summary = summary(sequence, PREFIXES, &mut rng);
        let began = Instant::now();
        spool.append(&summary).unwrap();
        appends.push(began.elapsed());
    }
    appends.sort();
    let records = INTERVALS * u64::from(PREFIXES) * 2;
    println!(
        "append of {} records, on disk: median {:?}, most {:?}; {:.1} bytes a record",
        PREFIXES * 2,
        appends[appends.len() / 2],
        appends[appends.len() - 1],
        spool.size() as f64 / records as f64
    );
    drop(spool);
    let began = Instant::now();
    let spool = Spool::open(folder.path(), DEFAULT_SPOOL, &["file"]).unwrap();
    println!("opened in {:?}", began.elapsed());
    let (before, began) = (memory("VmRSS"), Instant::now());
    let exporters = Exporters::start(&[exporter], &spool).unwrap();
    while spool.cursor("file").is_some_and(|cursor| cursor.total < records) {
        thread::sleep(Duration::from_millis(5));
    }
    let passed = began.elapsed();
    println!(
        "delivered to a file, synced: {:.0} records/s; {} KiB more memory",
        records as f64 / passed.as_secs_f64(),
        memory("VmHWM").saturating_sub(before)
    );
    exporters.finish_blocking().unwrap();
}

/// Three days at a tenth of the prefixes, with a tenth of the disk; `SENSOR_SPOOL_PART=1` is all of both, and takes an hour.
#[test]
#[ignore = "measures, for minutes"]
fn measure_three_days_without_a_collector() {
    let part: u64 = std::env::var("SENSOR_SPOOL_PART").map_or(10, |part| part.parse().unwrap());
    let prefixes = PREFIXES / part as u32;
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { max_bytes: DEFAULT_SPOOL.max_bytes / part, ..DEFAULT_SPOOL };
    let spool = Spool::open(folder.path(), bounds, &["file"]).unwrap();
    let mut rng = Rng::new(1);
    let (mut most, mut sums) = (0, [0, 0]);
    let (began, before) = (Instant::now(), memory("VmRSS"));
    let intervals = 3 * 24 * 3600 / SECONDS;
    for sequence in 0..intervals {
        let summary = summary(sequence, prefixes, &mut rng);
        for record in &summary.prefixes {
            sums[0] += record.count.packets;
            sums[1] += record.count.bytes;
        }
        spool.append(&summary).unwrap();
        most = most.max(spool.size());
        // Three days pass in minutes here: merging is given the time that it would have.
        let late = Instant::now();
        while spool.size() > bounds.max_bytes / 4 * 3 && late.elapsed() < PATIENCE {
            thread::sleep(Duration::from_millis(5));
        }
    }
    println!(
        "{intervals} intervals of {} records in {:?}: {} MiB at most, {} now; {} KiB more memory",
        2 * prefixes,
        began.elapsed(),
        most >> 20,
        spool.size() >> 20,
        memory("VmHWM").saturating_sub(before)
    );
    let mut reader = spool.reader("file").unwrap();
    let (mut records, mut had, mut lost) = (0, [0, 0], Lost::default());
    let began = Instant::now();
    while let Some(piece) = reader.peek().unwrap() {
        lost.add(reader.lost_before(&piece));
        for line in piece.lines().unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let record: serde_json::Value = serde_json::from_slice(line).unwrap();
            had[0] += record["packets"].as_u64().unwrap();
            had[1] += record["bytes"].as_u64().unwrap();
            records += 1;
        }
        reader.acknowledge(&piece);
    }
    println!("{records} records read in {:?}, lost {lost:?}", began.elapsed());
    assert!(lost != Lost::default() || had == sums, "{had:?} {sums:?}");
}
