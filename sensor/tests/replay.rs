//! `sensor replay` as its users see it: records and their keys, intervals, inputs, output that is not read to its end.
#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

#[path = "support/command.rs"]
mod command;
#[path = "support/pcap.rs"]
mod pcap;

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;
use tempfile::TempDir;

use self::{
    command::{finish, sensor},
    pcap::{Sent, ipv4},
};

/// 2026-11-21T10:00:00Z, the start of an interval of any length.
const START: u32 = 1_795_255_200;
/// Addresses: two prefixes of the table, one of them watched, and the rest of the world.
const WATCHED: [u8; 4] = [192, 0, 2, 1];
const ACCOUNTED: [u8; 4] = [198, 51, 100, 9];
const ELSEWHERE: [u8; 4] = [203, 0, 113, 5];
/// Keys of every record.
const KEY: [&str; 6] = ["record", "sensor", "epoch", "start", "end", "sequence"];
/// What the watched and the accounted prefix are selected by.
const WATCH: [&str; 2] = ["--watch", "192.0.2.0/24"];

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        fs::write(folder.path("prefixes"), "198.51.100.0/24\n2001:db8::/32\n").unwrap();
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn capture(&self, name: &str, frames: &[Sent]) -> PathBuf {
        fs::write(self.path(name), pcap::bytes(frames)).unwrap();
        self.path(name)
    }

    /// Arguments for a replay to JSON lines by the native engine.
    fn arguments(&self, captures: &[&Path], more: &[&str]) -> Vec<String> {
        let prefixes = self.path("prefixes");
        let fixed = ["replay", "--engine", "native", "--format", "jsonl", "--prefixes", prefixes.to_str().unwrap()];
        let captures = captures.iter().map(|path| path.to_str().unwrap());
        fixed.into_iter().chain(WATCH).chain(more.iter().copied()).chain(captures).map(str::to_owned).collect()
    }

    /// The records of a replay that must be good and silent.
    fn records(&self, captures: &[&Path], more: &[&str]) -> Vec<Value> {
        let run = finish(&mut sensor(self.arguments(captures, more)));
        assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
        parse(&run.stdout)
    }
}

fn parse(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["record"] == kind).collect()
}

fn number(record: &Value, key: &str) -> u64 {
    record[key].as_u64().unwrap_or_else(|| panic!("{key} is no number in {record}"))
}

fn sum(records: &[&Value], key: &str) -> u64 {
    records.iter().map(|record| number(record, key)).sum()
}

/// One frame of each fate, within one interval.
fn mixed() -> Vec<Sent> {
    let mut arp = ipv4(START + 3, WATCHED, WATCHED, 40);
    arp.frame[12..14].copy_from_slice(&[8, 6]);
    let mut short = ipv4(START + 4, WATCHED, ELSEWHERE, 40);
    short.frame.truncate(30);
    let mut zero = ipv4(START + 5, WATCHED, ELSEWHERE, 60);
    zero.frame[16..18].copy_from_slice(&[0, 0]);
    vec![
        ipv4(START, WATCHED, ELSEWHERE, 100),
        ipv4(START + 1, ELSEWHERE, WATCHED, 200),
        ipv4(START + 1, WATCHED, ACCOUNTED, 300),
        ipv4(START + 2, ELSEWHERE, ACCOUNTED, 400),
        ipv4(START + 2, ELSEWHERE, ELSEWHERE, 500),
        arp,
        short,
        zero,
    ]
}

#[test]
fn records_have_the_keys_of_the_contract() {
    let folder = Folder::new();
    let records = folder.records(&[&folder.capture("a.pcap", &mixed())], &["--sensor-id", "edge-1"]);
    let kinds: BTreeSet<&str> = records.iter().map(|record| record["record"].as_str().unwrap()).collect();
    assert_eq!(kinds, BTreeSet::from(["event", "host", "ledger", "network", "prefix"]));
    for record in &records {
        for key in KEY {
            assert!(!record[key].is_null(), "{key} is missing in {record}");
        }
        for key in &KEY[1..] {
            assert_eq!(record[key], records[0][key], "one interval, one key: {record}");
        }
        assert_eq!((&record["sensor"], &record["sequence"]), (&"edge-1".into(), &0.into()));
        let epoch = record["epoch"].as_str().unwrap();
        assert!(epoch.len() == 32 && epoch.bytes().all(|digit| digit.is_ascii_hexdigit()), "{epoch}");
    }
    for prefix in of_kind(&records, "prefix") {
        let keys: BTreeSet<&str> = prefix.as_object().unwrap().keys().map(String::as_str).collect();
        let watched = prefix["prefix"] == "192.0.2.0/24";
        let network = if watched { &["network"][..] } else { &[] };
        let own = ["prefix", "direction", "packets", "bytes", "frame_bytes"];
        assert_eq!(keys, KEY.iter().chain(&own).chain(network).copied().collect(), "{prefix}");
        assert!(["in", "out"].contains(&prefix["direction"].as_str().unwrap()), "{prefix}");
    }
    for ledger in of_kind(&records, "ledger") {
        for key in ["seen_packets", "matched_packets", "other_packets"] {
            number(ledger, key);
        }
        assert!(ledger["unparsed"].is_object() && ledger["degraded"].is_object(), "{ledger}");
    }
}

#[test]
fn counters_are_those_of_the_packets() {
    let folder = Folder::new();
    let records = folder.records(&[&folder.capture("a.pcap", &mixed())], &[]);
    let counters: BTreeSet<(&str, &str, u64, u64, u64)> = of_kind(&records, "prefix")
        .into_iter()
        .map(|record| {
            let text = |key: &str| record[key].as_str().unwrap();
            let count = |key| number(record, key);
            (text("prefix"), text("direction"), count("packets"), count("bytes"), count("frame_bytes"))
        })
        .collect();
    // 100 + 300 + 60 by the frame, where the length field is 0.
    let expected = [
        ("192.0.2.0/24", "out", 3, 460, 502),
        ("192.0.2.0/24", "in", 1, 200, 214),
        ("198.51.100.0/24", "in", 2, 700, 728),
    ];
    assert_eq!(counters, BTreeSet::from(expected));
    let ledger = of_kind(&records, "ledger")[0];
    assert_eq!((number(ledger, "seen_packets"), number(ledger, "matched_packets")), (8, 5));
    assert_eq!((number(ledger, "other_packets"), number(ledger, "other_bytes")), (1, 500));
    assert_eq!(ledger["unparsed"], serde_json::json!({"not_ip": 1, "truncated": 1}));
    assert_eq!(ledger["degraded"], serde_json::json!({"ip_len_zero": 1}));
}

#[test]
fn sums_of_the_records_agree() {
    let folder = Folder::new();
    let mut frames = Vec::new();
    for second in 0..45 {
        frames.extend(mixed().into_iter().map(|sent| Sent { second: sent.second + second, ..sent }));
    }
    let records = folder.records(&[&folder.capture("a.pcap", &frames)], &["--watch", "198.51.100.9/32"]);
    let ledgers = of_kind(&records, "ledger");
    assert_eq!(ledgers.len(), 5);
    for ledger in &ledgers {
        let of_interval = |kind: &str, direction: &str| -> Vec<&Value> {
            let all = of_kind(&records, kind).into_iter();
            all.filter(|record| record["sequence"] == ledger["sequence"] && record["direction"] == direction).collect()
        };
        let unparsed: u64 = ledger["unparsed"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
        let matched = number(ledger, "matched_packets");
        assert_eq!(number(ledger, "seen_packets"), matched + number(ledger, "other_packets") + unparsed);
        let both = number(ledger, "matched_both_packets");
        let (source, destination) = (number(ledger, "matched_src_packets"), number(ledger, "matched_dst_packets"));
        assert_eq!(matched, source + destination + both);
        assert_eq!(sum(&of_interval("prefix", "out"), "packets"), source + both);
        assert_eq!(sum(&of_interval("prefix", "in"), "packets"), destination + both);
        for direction in ["in", "out"] {
            let watched: Vec<&Value> =
                of_interval("prefix", direction).into_iter().filter(|record| record["network"] == "watch").collect();
            for key in ["packets", "bytes", "frame_bytes"] {
                assert_eq!(sum(&of_interval("network", direction), key), sum(&watched, key), "{direction} {key}");
            }
        }
    }
    assert_eq!(sum(&ledgers, "seen_packets"), frames.len() as u64);
    assert_eq!(sum(&ledgers, "seen_frame_bytes"), frames.iter().map(|sent| sent.frame.len() as u64).sum::<u64>());
}

/// Start, end and packets of every interval.
fn intervals(records: &[Value]) -> Vec<(String, String, u64)> {
    let text = |record: &Value, key: &str| record[key].as_str().unwrap().to_owned();
    let ledgers = of_kind(records, "ledger").into_iter();
    ledgers.map(|ledger| (text(ledger, "start"), text(ledger, "end"), number(ledger, "seen_packets"))).collect()
}

fn interval(start: &str, end: &str, packets: u64) -> (String, String, u64) {
    (format!("2026-11-21T{start}Z"), format!("2026-11-21T{end}Z"), packets)
}

#[test]
fn intervals_are_aligned_to_the_wall_clock_of_the_capture() {
    let folder = Folder::new();
    let at = |second: u32| ipv4(START + second, WATCHED, ELSEWHERE, 100);
    let capture = folder.capture("a.pcap", &[at(9), at(10), at(19), at(20), at(61)]);
    let ten_seconds = [
        interval("10:00:00", "10:00:10", 1),
        interval("10:00:10", "10:00:20", 2),
        interval("10:00:20", "10:00:30", 1),
        interval("10:01:00", "10:01:10", 1),
    ];
    assert_eq!(intervals(&folder.records(&[&capture], &[])), ten_seconds);
    let minutes = [interval("10:00:00", "10:01:00", 4), interval("10:01:00", "10:02:00", 1)];
    let records = folder.records(&[&capture], &["--interval", "1m"]);
    assert_eq!(intervals(&records), minutes);
    let sequences: Vec<u64> =
        of_kind(&records, "ledger").into_iter().map(|ledger| number(ledger, "sequence")).collect();
    assert_eq!(sequences, [0, 1]);
}

#[test]
fn a_frame_that_is_late_belongs_to_the_interval_at_hand() {
    let folder = Folder::new();
    let at = |second: u32| ipv4(START + second, WATCHED, ELSEWHERE, 100);
    let capture = folder.capture("a.pcap", &[at(12), at(3), at(15), at(25), at(1), at(29)]);
    let expected = [interval("10:00:10", "10:00:20", 3), interval("10:00:20", "10:00:30", 3)];
    assert_eq!(intervals(&folder.records(&[&capture], &[])), expected);
}

#[test]
fn years_without_frames_make_no_records() {
    let folder = Folder::new();
    let at = |second: u32| ipv4(second, WATCHED, ELSEWHERE, 100);
    let capture = folder.capture("a.pcap", &[at(0), at(START), at(u32::MAX)]);
    let records = folder.records(&[&capture], &["--interval", "1s"]);
    let starts: Vec<String> = intervals(&records).into_iter().map(|(start, _, _)| start).collect();
    assert_eq!(starts, ["1970-01-01T00:00:00Z", "2026-11-21T10:00:00Z", "2106-02-07T06:28:15Z"]);
    let of_kinds = |kinds: &[&str]| -> usize { kinds.iter().map(|kind| of_kind(&records, kind).len()).sum() };
    assert_eq!(of_kinds(&["network", "prefix", "ledger"]), 3 * 3, "one each");
    assert_eq!(of_kinds(&["host", "event"]), records.len() - 3 * 3, "{records:?}");
}

#[test]
fn several_captures_are_one_history() {
    let folder = Folder::new();
    let frames: Vec<Sent> = (0..40).map(|second| ipv4(START + second, WATCHED, ELSEWHERE, 100)).collect();
    let whole = folder.records(&[&folder.capture("whole.pcap", &frames)], &[]);
    let first = folder.capture("first.pcap", &frames[..17]);
    let second = folder.capture("second.pcap", &frames[17..]);
    let parts = folder.records(&[&first, &second], &[]);
    let without_epoch = |records: &[Value]| -> Vec<Value> {
        let mut records = records.to_vec();
        records.iter_mut().for_each(|record| record["epoch"] = Value::Null);
        records
    };
    assert_eq!(without_epoch(&parts), without_epoch(&whole));
    // In whatever order they are named.
    assert_eq!(folder.records(&[&second, &first], &[]), parts);
}

#[test]
fn standard_input_and_gzip_are_read_like_the_file() {
    let folder = Folder::new();
    let plain = folder.capture("a.pcap", &mixed());
    let expected = folder.records(&[&plain], &[]);
    let piped = finish(sensor(folder.arguments(&[Path::new("-")], &[])).stdin(File::open(&plain).unwrap()));
    assert_eq!((piped.status, piped.stderr.as_str()), (Some(0), ""));
    assert_eq!(parse(&piped.stdout), expected);
    let mut encoder = GzEncoder::new(File::create(folder.path("a.pcap.gz")).unwrap(), Compression::default());
    encoder.write_all(&pcap::bytes(&mixed())).unwrap();
    encoder.finish().unwrap();
    let zipped = folder.records(&[&folder.path("a.pcap.gz")], &[]);
    let counters = |records: &[Value]| -> Vec<Value> {
        records
            .iter()
            .map(|record| serde_json::json!([record["prefix"], record["bytes"], record["seen_packets"]]))
            .collect()
    };
    assert_eq!(counters(&zipped), counters(&expected));
}

#[test]
fn the_epoch_depends_on_what_is_counted_and_on_nothing_else() {
    let folder = Folder::new();
    let capture = folder.capture("a.pcap", &mixed());
    let epoch = |captures: &[&Path], more: &[&str]| folder.records(captures, more)[0]["epoch"].clone();
    let first = epoch(&[&capture], &[]);
    assert_eq!(epoch(&[&capture], &[]), first, "a second run");
    let copy = folder.path("another-name");
    fs::copy(&capture, &copy).unwrap();
    assert_eq!(epoch(&[&copy], &[]), first, "another file name");
    let mut other = mixed();
    other[0].frame[30] ^= 1;
    let others = [
        epoch(&[&folder.capture("b.pcap", &other)], &[]),
        epoch(&[&capture, &copy], &[]),
        epoch(&[&capture], &["--watch", "203.0.113.0/24"]),
        epoch(&[&capture], &["--interval", "1m"]),
        epoch(&[&capture], &["--sensor-id", "edge-1"]),
    ];
    fs::write(folder.path("prefixes"), "198.51.100.0/25\n2001:db8::/32\n").unwrap();
    let all = [&[first, epoch(&[&capture], &[])], &others[..]].concat();
    let different: BTreeSet<String> = all.iter().map(Value::to_string).collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
}

#[test]
fn a_table_without_further_options_shows_everything() {
    let folder = Folder::new();
    let capture = folder.capture("a.pcap", &mixed());
    let run = finish(&mut sensor(["replay", "--engine", "native", "--format", "table", capture.to_str().unwrap()]));
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    for expected in ["0.0.0.0/0", "watch", "packets", "8 frames seen", "6 matched", "1 not_ip", "1 truncated"] {
        assert!(run.stdout.contains(expected), "{expected} is missing:\n{}", run.stdout);
    }
    assert_eq!(run.stdout.matches("frames seen").count(), 1, "one table, however many intervals:\n{}", run.stdout);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = Folder::new();
    // More records than a pipe holds.
    let frames: Vec<Sent> = (0..3000).map(|second| ipv4(START + 10 * second, WATCHED, ELSEWHERE, 100)).collect();
    let capture = folder.capture("a.pcap", &frames);
    for lines in [0, 1] {
        let mut command = sensor(folder.arguments(&[&capture], &[]));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reader = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        for _ in 0..lines {
            reader.read_line(&mut line).unwrap();
        }
        assert_eq!(line.is_empty(), lines == 0);
        drop(reader);
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    }
}

#[test]
fn a_capture_cut_at_any_byte_is_counted_up_to_there() {
    let folder = Folder::new();
    let frames = [30, 20, 20].map(|length| ipv4(START, WATCHED, ELSEWHERE, length));
    let bytes = pcap::bytes(&frames);
    let ends: Vec<usize> = (0..=3).map(|count| pcap::bytes(&frames[..count]).len()).collect();
    for len in ends[1]..=ends[3] {
        fs::write(folder.path("cut.pcap"), &bytes[..len]).unwrap();
        let run = finish(&mut sensor(folder.arguments(&[&folder.path("cut.pcap")], &[])));
        let whole = ends.iter().rposition(|end| *end <= len).unwrap();
        assert_eq!(run.status, Some(0), "cut at {len}: {}", run.stderr);
        assert_eq!(sum(&of_kind(&parse(&run.stdout), "ledger"), "seen_packets"), whole as u64, "cut at {len}");
        let warned = run.stderr.lines().count() == 1 && run.stderr.contains("WARN") && run.stderr.contains("cut.pcap");
        assert_eq!(warned, !ends.contains(&len), "cut at {len}: {}", run.stderr);
        assert_eq!(run.stderr.is_empty(), ends.contains(&len), "cut at {len}: {}", run.stderr);
    }
}

/// A running sensor refuses such a table (`root_reload`); here whoever asked sees at once that nothing of it was counted.
#[test]
fn a_table_without_prefix_is_told_of_and_counts_nothing() {
    let folder = Folder::new();
    fs::write(folder.path("prefixes"), "# none\n").unwrap();
    let run = finish(&mut sensor(folder.arguments(&[&folder.capture("a.pcap", &mixed())], &[])));
    assert!(run.stderr.contains("has no prefix"), "{run:?}");
    let records = parse(&run.stdout);
    assert_eq!((run.status, number(of_kind(&records, "ledger")[0], "seen_packets")), (Some(0), 8));
    assert!(of_kind(&records, "prefix").iter().all(|record| record["network"] == "watch"), "{run:?}");
}
