//! Records in a real broker that speaks Kafka: what is read back from the topic is what a replay prints, line by line, and what the spool had, to the
//! byte; a broker that is killed has no key missing.
//!
//! `SENSOR_COLLECTORS` names the folder with the broker's `venv`.
#![expect(clippy::unwrap_used, reason = "a broker that cannot be had fails the test")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

#[path = "collectors/broker.rs"]
mod broker;
#[path = "support/command.rs"]
mod command;
#[path = "collectors/history.rs"]
mod history;
#[path = "collectors/running.rs"]
mod running;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use sensor::{
    config::{DEFAULT_SPOOL, Exporter, Kafka, Target},
    epoch::Epoch,
    export::Exporters,
    spool::Spool,
    summary::{Count, Key, Moved, NetworkRecord, PrefixRecord, Summary},
    testing::rng::Rng,
};
use sensor_ebpf::{abi::Direction, class::Class};
use serde_json::Value;

use self::{
    broker::{Broker, TOPIC},
    history::{Both, History, assert_same, said, total},
    running::eventually,
};

const NETWORKS: [&str; 3] = ["bank", "school", "town"];
/// Prefixes of each network.
const PREFIXES: u64 = 100;

fn exporter(broker: &Broker) -> Exporter {
    let kafka = Kafka { brokers: vec![broker.address().clone()], topic: TOPIC.to_owned(), tls: None, login: None };
    Exporter { name: "kafka".parse().unwrap(), target: Target::Kafka(kafka) }
}

fn values(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// An interval: prefixes, and the same by network and class.
fn summary(sequence: u64, rng: &mut Rng) -> Summary {
    let at = |sequence: u64| jiff::Timestamp::from_second(10 * sequence as i64).unwrap();
    let epoch = Epoch::from_bytes([7; 16]).unwrap();
    let key = Key { sensor: "edge-1".to_owned(), epoch, start: at(sequence), end: at(sequence + 1), sequence };
    let (mut prefixes, mut networks) = (vec![], vec![]);
    let classes = [Class::Unknown, Class::Dns, Class::Tls];
    for (number, network) in NETWORKS.into_iter().enumerate() {
        for direction in Direction::ALL {
            let mut sums = [Count::default(); 3];
            for last in 0..PREFIXES {
                let packets = 1 + (rng.next_u64() >> 40);
                let bytes = packets * (40 + (rng.next_u64() >> 53));
                let count = Count { packets, bytes, frame_bytes: bytes + 14 * packets };
                let prefix = format!("10.{number}.{last}.0/24").parse().unwrap();
                prefixes.push(PrefixRecord { prefix, direction, network: Some(network.into()), count });
                let sum = &mut sums[last as usize % 3];
                sum.packets += packets;
                sum.bytes += bytes;
                sum.frame_bytes += count.frame_bytes;
            }
            networks.extend(classes.into_iter().zip(sums).map(|(class, count)| NetworkRecord {
                network: network.into(),
                direction,
                upstream: None,
                upstream_asn: None,
                class,
                family: class.family().name(),
                evidence: None,
                count,
                moved: Moved::default(),
            }));
        }
    }
    Summary { prefixes, networks, ..Summary::empty(key) }
}

/// Packets and bytes of each thing that records are about.
type Sums = BTreeMap<String, [u64; 2]>;

fn appended(summaries: &[Summary]) -> Sums {
    let mut sums = Sums::new();
    let mut add = |name: String, count: Count| {
        let sum = sums.entry(name).or_default();
        *sum = [sum[0] + count.packets, sum[1] + count.bytes];
    };
    for summary in summaries {
        for record in &summary.prefixes {
            add(format!("prefix {} {}", record.prefix, record.direction.name()), record.count);
        }
        for record in &summary.networks {
            add(
                format!("network {} {} {}", record.network, record.class.name(), record.direction.name()),
                record.count,
            );
        }
    }
    sums
}

/// What a record is about.
fn about(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap();
    match text("record") {
        "prefix" => format!("prefix {} {}", text("prefix"), text("direction")),
        "network" => format!("network {} {} {}", text("network"), text("class"), text("direction")),
        other => panic!("{other}"),
    }
}

fn read_back(records: &[Value]) -> Sums {
    let mut sums = Sums::new();
    for record in records {
        let sum = sums.entry(about(record)).or_default();
        *sum = [sum[0] + record["packets"].as_u64().unwrap(), sum[1] + record["bytes"].as_u64().unwrap()];
    }
    sums
}

fn length(summaries: &[Summary]) -> usize {
    summaries.iter().map(|summary| summary.prefixes.len() + summary.networks.len()).sum()
}

fn finish(exporters: Exporters) {
    exporters.finish_blocking().unwrap();
}

#[test]
fn kafka_has_what_a_replay_prints() {
    let Some(broker) = Broker::start("kafka_has_what_a_replay_prints") else { return };
    let history = History::new(Both::None);
    let printed = history.printed();
    history.export(&format!("[[exporter]]\ntype = \"kafka\"\nendpoint = \"kafka://{}\"\n", broker.address()), &[]);
    let had = values(&broker.read(printed.len()));
    let sums = said(&had);
    assert_same(&sums, &said(&printed));
    assert_eq!(total(&history::part(&sums, "prefix")), history.matched);
    let sorted = |records: &[Value]| {
        let mut lines: Vec<String> = records.iter().map(ToString::to_string).collect();
        lines.sort();
        lines
    };
    // Each once, and all of it.
    assert_eq!(sorted(&had), sorted(&printed));
}

#[test]
fn kafka_has_what_the_spool_had_to_the_byte() {
    let Some(broker) = Broker::start("kafka_has_what_the_spool_had_to_the_byte") else { return };
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), DEFAULT_SPOOL, &["kafka"]).unwrap();
    let mut rng = Rng::new(1);
    let summaries: Vec<Summary> = (0..50).map(|sequence| summary(sequence, &mut rng)).collect();
    summaries.iter().for_each(|summary| spool.append(summary).unwrap());
    let exporters = Exporters::start(&[exporter(&broker)], &spool).unwrap();
    let (status, began) = (Arc::clone(&exporters.statuses()[0]), Instant::now());
    let records = length(&summaries);
    eventually("all is delivered", || status.progress().records == records as u64);
    println!("{records} records delivered in {:?}", began.elapsed());
    let lines = broker.read(records);
    assert_eq!((read_back(&values(&lines)), lines.len()), (appended(&summaries), records));
    assert!(status.progress().failures.is_empty(), "{:?}", status.progress());
    finish(exporters);
}

#[test]
fn kafka_killed_and_started_again_misses_no_key() {
    let Some(mut broker) = Broker::start("kafka_killed_and_started_again_misses_no_key") else { return };
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), DEFAULT_SPOOL, &["kafka"]).unwrap();
    let mut rng = Rng::new(2);
    let summaries: Vec<Summary> = (0..20).map(|sequence| summary(sequence, &mut rng)).collect();
    let (before, after) = summaries.split_at(10);
    let exporters = Exporters::start(&[exporter(&broker)], &spool).unwrap();
    let status = Arc::clone(&exporters.statuses()[0]);
    before.iter().for_each(|summary| spool.append(summary).unwrap());
    eventually("the first half is delivered", || status.progress().records == length(before) as u64);
    // It forgets all when it is killed.
    let mut had = values(&broker.read(length(before)));
    broker.kill();
    after.iter().for_each(|summary| spool.append(summary).unwrap());
    eventually("the exporter fails", || status.progress().is_down);
    broker.start_again();
    eventually("all is delivered", || status.progress().records == length(&summaries) as u64);
    had.extend(values(&broker.read(length(after))));
    // What came twice is the same under its key, and counts once.
    let mut keys = BTreeSet::new();
    had.retain(|record| keys.insert(format!("{} {} {}", record["epoch"], record["sequence"], about(record))));
    assert_eq!(read_back(&had), appended(&summaries));
    println!("failures meanwhile: {:?}", status.progress().failures);
    finish(exporters);
}
