//! How fast a store takes records, how large it gets, and how fast a study is answered from it.

use std::{env, fs, path::PathBuf, time::Instant};

use jiff::{SignedDuration, Timestamp, civil::date, tz::TimeZone};
use sensor_ebpf::{abi::Direction, class::Class};

use super::*;
use crate::{
    anomaly,
    config::Events,
    study::{Period, QUARTER, Question, Study},
    summary::{Count, CounterpartRecord, NetworkRecord, Summary},
    testing::rng::Rng,
};

const NETWORKS: usize = 8;
const UPSTREAMS: usize = 4;
const CLASSES: usize = 40;
/// Records of each network in each minute.
const ROWS: usize = 10;
/// Systems of far ends.
const SYSTEMS: usize = 500;
const MINUTES_OF_MONTH: u64 = 30 * 24 * 60;

/// Records of one minute: of eight networks, four upstreams, forty classes.
fn minute(sequence: u64, start: Timestamp, rng: &mut Rng) -> Summary {
    let end = start + SignedDuration::from_secs(60);
    let key = Key { sensor: "edge".into(), epoch: Epoch::from_bytes([1; 16]).unwrap(), start, end, sequence };
    let mut summary = Summary::empty(key);
    let count = |rng: &mut Rng| {
        let packets = 1 + rng.below(100_000) as u64;
        Count { packets, bytes: packets * 700, frame_bytes: packets * 714 }
    };
    for network in 0..NETWORKS {
        let name: Arc<str> = format!("network-{network}").into();
        for row in 0..ROWS {
            // There are fewer classes: some come with two kinds of evidence.
            let number = rng.below(CLASSES);
            let class = Class::ALL[number % Class::ALL.len()];
            let evidence = if number < Class::ALL.len() { Evidence::Payload } else { Evidence::Confirmed };
            summary.networks.push(NetworkRecord {
                network: Arc::clone(&name),
                direction: Direction::ALL[row % 2],
                upstream: Some(format!("upstream-{}", rng.below(UPSTREAMS)).into()),
                upstream_asn: Some(64_500),
                class,
                family: class.family().name(),
                evidence: (class != Class::Unknown).then_some(evidence),
                count: count(rng),
                moved: Moved::default(),
            });
            let asn = rng.below(SYSTEMS) as u32;
            summary.counterparts.push(CounterpartRecord {
                network: Arc::clone(&name),
                direction: Direction::ALL[row % 2],
                country: Some([b'A' + (asn % 10) as u8, b'B']),
                asn: Some(64_512 + asn),
                as_name: None,
                list: vec![],
                counterpart: None,
                count: count(rng),
            });
        }
    }
    summary.ledger.push(LedgerRecord {
        interface: "wan".into(),
        direction: "rx",
        seen_packets: 9,
        ..LedgerRecord::default()
    });
    summary
}

/// `SENSOR_STORE_MONTHS` of one-minute records, twelve are a year. In `SENSOR_STORE_FOLDER` the store stays, with a configuration, for `sensor report` to be measured with.
#[test]
#[ignore = "measures, for minutes"]
fn measure_months_of_minutes() {
    let months: u64 = env::var("SENSOR_STORE_MONTHS").map_or(1, |months| months.parse().unwrap());
    let scratch = tempfile::tempdir().unwrap();
    let folder = env::var_os("SENSOR_STORE_FOLDER").map_or_else(|| scratch.path().to_owned(), PathBuf::from);
    let networks: Vec<Network> = (0..NETWORKS)
        .map(|network| Network {
            name: format!("network-{network}").parse().unwrap(),
            timezone: TimeZone::UTC,
            prefixes: vec![],
        })
        .collect();
    let mut store = Store::open(&folder, &networks, false).unwrap();
    let (mut rng, begin) = (Rng::new(1), "2025-01-01T00:00:00Z".parse::<Timestamp>().unwrap());
    let (mut records, mut taken) = (0, std::time::Duration::ZERO);
    for sequence in 0..months * MINUTES_OF_MONTH {
        let summary = minute(sequence, begin + SignedDuration::from_secs(60 * sequence as i64), &mut rng);
        records += summary.records();
        let before = Instant::now();
        store.append(&summary).unwrap();
        taken += before.elapsed();
    }
    let before = Instant::now();
    store.commit().unwrap();
    taken += before.elapsed();
    drop(store);
    let size = fs::metadata(folder.join(FILE)).unwrap().len();
    println!(
        "{records} records in {taken:?}: {:.0} a second; {} MB",
        records as f64 / taken.as_secs_f64(),
        size / 1_000_000
    );
    let sections = (0..NETWORKS)
        .map(|network| format!("[[network]]\nname = \"network-{network}\"\nprefixes = [\"10.{network}.0.0/16\"]\n"));
    let config = format!("[sensor]\nid = \"edge\"\n{}[store]\npath = {folder:?}\n", sections.collect::<String>());
    fs::write(folder.join("sensor.toml"), config).unwrap();
    let last = date(2025, 1, 1).checked_add(jiff::Span::new().days(30 * months as i64)).unwrap();
    let middle = date(2025, 1, 1).checked_add(jiff::Span::new().days(15 * months as i64)).unwrap();
    let question = Question {
        network: "network-0".to_owned(),
        zone: TimeZone::UTC,
        period: Period::new(middle, last, &TimeZone::UTC).unwrap(),
        baseline: Period::new(date(2025, 1, 1), middle, &TimeZone::UTC).unwrap(),
        hidden: vec![Class::Tor],
        upstreams: vec![],
    };
    let before = Instant::now();
    let study = Study::of(&Archive::open(&folder).unwrap(), &question).unwrap();
    println!("a study of all of it in {:?}, {} bytes", before.elapsed(), study.volume.bytes);
    let before = Instant::now();
    let (archive, end) = (Archive::open(&folder).unwrap(), begin.as_second() + (months * MINUTES_OF_MONTH * 60) as i64);
    let range = end + 1 - QUARTER..end + 1;
    let news = anomaly::events(&archive, "edge", &networks, &Events::default(), &range).unwrap().len();
    println!("events of a quarter of an hour, beside eight weeks, in {:?}: {news}", before.elapsed());
    let status = fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().find(|line| line.starts_with("VmHWM")).unwrap());
}
