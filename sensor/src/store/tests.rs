//! A store has each interval once, however it came, and says what it cannot do.

mod flows;
pub(crate) mod keep;
mod long;
mod measure;

use std::{collections::BTreeMap, fs, sync::Arc};

use jiff::{Timestamp, tz::TimeZone};
use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence},
};
use tempfile::TempDir;

use super::*;
use crate::{
    epoch::Epoch,
    study::{Dimension, MINUTE, Records as _},
    summary::{AddressSet, Count, HostRecord, LedgerRecord, Moved, NetworkRecord, PrefixRecord, ServiceRecord},
    testing::rng::Rng,
};

pub(crate) const NETWORK: &str = "own";
const CLASSES: [Class; 4] = [Class::Unknown, Class::Tls, Class::Tor, Class::Stratum];
const UPSTREAMS: [&str; 3] = ["a", "b", "with \"quotes\", and commas"];

pub(crate) fn network(zone: &str) -> Network {
    let prefixes = vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/32".parse().unwrap()];
    Network { name: NETWORK.parse().unwrap(), timezone: TimeZone::get(zone).unwrap(), prefixes }
}

/// An interval of a minute of a made-up history.
pub(crate) fn interval(epoch: u8, sequence: u64, start: Timestamp, rng: &mut Rng) -> Summary {
    let end = start + jiff::SignedDuration::from_secs(60);
    let key = Key { sensor: "edge".into(), epoch: Epoch::from_bytes([epoch; 16]).unwrap(), start, end, sequence };
    let mut summary = Summary::empty(key);
    let count = |rng: &mut Rng| {
        let packets = 1 + rng.below(50) as u64;
        Count { packets, bytes: packets * (40 + rng.below(1400) as u64), frame_bytes: packets * 60 }
    };
    for _ in 0..rng.below(6) {
        let class = CLASSES[rng.below(CLASSES.len())];
        let upstream = rng.below(UPSTREAMS.len());
        let moves = rng.below(4) == 0;
        summary.networks.push(NetworkRecord {
            network: NETWORK.into(),
            direction: Direction::ALL[rng.below(2)],
            upstream: Some(UPSTREAMS[upstream].into()),
            upstream_asn: (upstream == 0).then_some(64_500),
            class,
            family: class.family().name(),
            evidence: (class != Class::Unknown).then_some(Evidence::Payload),
            count: if moves { Count::default() } else { count(rng) },
            moved: if moves {
                Moved { moved_bytes: rng.below(500) as u64, ..Moved::default() }
            } else {
                Moved::default()
            },
        });
    }
    summary.prefixes.push(PrefixRecord {
        prefix: "192.0.2.0/24".parse().unwrap(),
        direction: Direction::In,
        network: [Some(Arc::from(NETWORK)), None][rng.below(2)].clone(),
        count: count(rng),
    });
    let mut active = AddressSet::default();
    (0..rng.below(3)).for_each(|_| active.insert([192, 0, 2, rng.below(256) as u8].into()));
    summary.hosts.push(HostRecord {
        network: NETWORK.into(),
        active_addresses: active.len(),
        active,
        active_prefixes: vec!["2001:db8:0:1::/64".parse().unwrap()],
        newly_lit: AddressSet::default(),
        newly_lit_prefixes: vec![],
        initial: false,
        incomplete: false,
        flows: 3,
        one_way_flows: 1,
        asymmetric_flows: 0,
    });
    if rng.below(3) == 0 {
        summary.services.push(ServiceRecord {
            network: NETWORK.into(),
            address: "192.0.2.7".parse().unwrap(),
            port: 25,
            protocol: 6,
            class: Class::Smtp,
            family: Class::Smtp.family(),
            evidence: Some(Evidence::Confirmed),
            first: start,
            last: end,
            answers: sequence,
            clients: 1,
            new: true,
        });
    }
    let unparsed = BTreeMap::from([("not_ip", rng.below(3) as u64)]);
    summary.ledger.push(LedgerRecord {
        interface: "wan".into(),
        direction: "rx",
        seen_packets: 9,
        unparsed,
        ..LedgerRecord::default()
    });
    summary
}

/// A history of so many minutes from a moment on.
pub(crate) fn history(epoch: u8, start: &str, minutes: u64, seed: u64) -> Vec<Summary> {
    let mut rng = Rng::new(seed);
    let start: Timestamp = start.parse().unwrap();
    let at = |sequence: u64| start + jiff::SignedDuration::from_secs(60 * sequence as i64);
    (0..minutes).map(|sequence| interval(epoch, sequence, at(sequence), &mut rng)).collect()
}

fn take(folder: &TempDir, summaries: &[Summary]) {
    let mut store = Store::open(folder.path(), &[network("Asia/Kathmandu")], false).unwrap();
    summaries.iter().for_each(|summary| _ = store.append(summary).unwrap());
    store.commit().unwrap();
}

/// All that is in a store, in an order of its own.
fn content(folder: &TempDir) -> Vec<String> {
    let mut text = Vec::new();
    Archive::open(folder.path()).unwrap().export(&mut text).unwrap();
    let mut lines: Vec<String> = String::from_utf8(text).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn intervals_that_come_again_change_nothing() {
    let [once, twice, cut] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let summaries = history(1, "2026-03-01T00:00:00Z", 2500, 1);
    take(&once, &summaries);
    let expected = content(&once);
    assert!(expected.len() > 1000, "{}", expected.len());
    take(&twice, &summaries);
    take(&twice, &summaries);
    assert_eq!(content(&twice), expected);
    // Killed in the middle: what was not committed comes again, and so does all before it.
    {
        let mut store = Store::open(cut.path(), &[network("Asia/Kathmandu")], false).unwrap();
        summaries[..1700].iter().for_each(|summary| _ = store.append(summary).unwrap());
    }
    take(&cut, &summaries[300..]);
    take(&cut, &summaries);
    // Spans may be other ones of the same intervals.
    let without_spans = |lines: Vec<String>| -> Vec<String> {
        lines.into_iter().filter(|line| !line.contains("\"table\":\"spans\"")).collect()
    };
    assert_eq!(without_spans(content(&cut)), without_spans(expected));
}

#[test]
fn another_replay_of_the_same_time_is_refused_or_takes_its_place() {
    let [folder, alone] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let (first, second) = (history(1, "2026-03-01T00:00:00Z", 60, 1), history(2, "2026-03-01T00:30:00Z", 60, 2));
    take(&folder, &first);
    let mut store = Store::open(folder.path(), &[network("Asia/Kathmandu")], false).unwrap();
    let error = store.append(&second[0]).unwrap_err().to_string();
    assert!(error.contains("replay with --replace"), "{error}");
    drop(store);
    let mut store = Store::open(folder.path(), &[network("Asia/Kathmandu")], true).unwrap();
    second.iter().for_each(|summary| _ = store.append(summary).unwrap());
    store.commit().unwrap();
    take(&alone, &second);
    let of = |folder: &TempDir| -> Vec<String> {
        content(folder).into_iter().filter(|line| !line.contains("\"table\":\"systems\"")).collect()
    };
    assert_eq!(of(&folder), of(&alone));
    // One that was before or after is no other of the same time.
    drop(store);
    take(&folder, &history(3, "2026-03-01T01:30:00Z", 5, 3));
    // What a running sensor saw stays, whatever a replay says of the time.
    let mut live = history(4, "2026-04-01T00:00:00Z", 3, 4);
    live.iter_mut().flat_map(|summary| &mut summary.ledger).for_each(|side| side.attached = Some(true));
    take(&folder, &live);
    let mut store = Store::open(folder.path(), &[network("Asia/Kathmandu")], true).unwrap();
    let error = store.append(&history(5, "2026-04-01T00:00:00Z", 1, 5)[0]).unwrap_err().to_string();
    assert!(error.contains("was running at 2026-04-01T00:00:00Z"), "{error}");
}

#[test]
fn what_is_exported_is_the_same_in_another_store() {
    let [folder, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    take(&folder, &history(1, "2026-03-01T00:00:00Z", 300, 4));
    let mut text = Vec::new();
    Archive::open(folder.path()).unwrap().export(&mut text).unwrap();
    let mut store = Store::open(other.path(), &[], false).unwrap();
    for _ in 0..2 {
        store.import(&mut &*text).unwrap();
    }
    assert_eq!(content(&other), content(&folder));
    // Its intervals are known there as well.
    assert_eq!(store.append(&history(1, "2026-03-01T00:00:00Z", 1, 4)[0]).unwrap(), Taken::Known);
    let error = store.import(&mut &b"{\"table\":\"traffic\"}\n"[..]).unwrap_err();
    assert!(format!("{error:#}").contains("line 1 is none of `sensor store export`"), "{error:#}");
    let mut csv = Vec::new();
    Archive::open(other.path()).unwrap().export_csv("traffic", &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert!(
        csv.starts_with("sensor,epoch,live,method,sampling,network,dimension,step,start,name,")
            && csv.contains(",\"with \"\"quotes\"\", and commas\",")
    );
}

#[test]
fn a_store_of_the_first_version_and_what_it_exported_are_read() {
    let [folder, other] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    take(&folder, &history(1, "2026-03-01T00:00:00Z", 100, 4));
    let expected = content(&folder);
    let first = "CREATE TABLE first(
            id INTEGER PRIMARY KEY, sensor TEXT NOT NULL, epoch TEXT NOT NULL, live INTEGER NOT NULL, UNIQUE(sensor, epoch)) STRICT;
        INSERT INTO first SELECT id, sensor, epoch, live FROM sources;
        DROP TABLE sources; ALTER TABLE first RENAME TO sources; PRAGMA user_version = 1;";
    Connection::open(folder.path().join(FILE)).unwrap().execute_batch(first).unwrap();
    assert_eq!(content(&folder), expected);
    // It goes on where it was.
    take(&folder, &history(1, "2026-03-01T00:00:00Z", 100, 4));
    assert_eq!(content(&folder), expected);
    let without = |line: &String| {
        let mut row: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).unwrap();
        ["method", "sampling"].iter().for_each(|field| _ = row.remove(*field));
        serde_json::to_string(&row).unwrap()
    };
    let exported: Vec<String> = expected.iter().map(without).collect();
    assert_ne!(exported, expected);
    let text = exported.join("\n") + "\n";
    Store::open(other.path(), &[], false).unwrap().import(&mut text.as_bytes()).unwrap();
    assert_eq!(content(&other), expected);
    let odd = text.replace("\"live\":", "\"method\":\"guessed\",\"live\":");
    let error = Store::open(other.path(), &[], false).unwrap().import(&mut odd.as_bytes()).unwrap_err();
    assert!(format!("{error:#}").contains("method or sampling is none"), "{error:#}");
}

#[test]
fn minutes_go_and_the_answers_stay() {
    let folder = tempfile::tempdir().unwrap();
    take(&folder, &history(1, "2024-01-01T00:00:00Z", 200, 5));
    let ask =
        |dimension, step| Archive::open(folder.path()).unwrap().traffic(NETWORK, dimension, step, 0..i64::MAX).unwrap();
    let (minutes, quarters) = (ask(Dimension::Total, MINUTE), ask(Dimension::Class, crate::study::QUARTER));
    assert!(!minutes.is_empty());
    take(&folder, &history(2, "2026-01-01T00:00:00Z", 10, 6));
    let newest: Timestamp = "2025-01-01T00:00:00Z".parse().unwrap();
    assert!(ask(Dimension::Total, MINUTE).iter().all(|part| part.start > newest.as_second()));
    assert_eq!(ask(Dimension::Class, crate::study::QUARTER)[..quarters.len()], quarters);
    let mut store = Store::open(folder.path(), &[], false).unwrap();
    assert_eq!(store.vacuum().unwrap(), 0);
}

#[test]
fn a_record_of_a_wrong_clock_ages_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let from_now = |hours: i64| (Timestamp::now() + jiff::SignedDuration::from_hours(hours)).to_string();
    take(&folder, &history(1, &from_now(-240), 100, 5));
    let archive = || Archive::open(folder.path()).unwrap();
    let minutes = || archive().traffic(NETWORK, Dimension::Total, MINUTE, 0..Timestamp::now().as_second()).unwrap();
    let before = minutes();
    assert!(!before.is_empty());
    take(&folder, &history(2, &from_now(700_000), 10, 6));
    take(&folder, &history(3, &from_now(-48), 10, 7));
    assert_eq!(minutes()[..before.len()], before);
    assert_eq!(Store::open(folder.path(), &[], false).unwrap().vacuum().unwrap(), 0);
}

#[test]
fn what_is_no_store_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let error = |folder: &TempDir| format!("{:#}", Archive::open(folder.path()).unwrap_err());
    assert!(error(&folder).contains("there is no store; write one with"), "{}", error(&folder));
    let path = folder.path().join(FILE);
    fs::write(&path, b"not a database at all, but long enough to be looked at").unwrap();
    assert!(error(&folder).contains("cannot be used as a store; name another folder"), "{}", error(&folder));
    fs::remove_file(&path).unwrap();
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE other(a)").unwrap();
    assert!(error(&folder).contains("database of something else"), "{}", error(&folder));
    fs::remove_file(&path).unwrap();
    take(&folder, &history(1, "2026-03-01T00:00:00Z", 1, 1));
    Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(error(&folder).contains("it is of version 99"), "{}", error(&folder));
}
