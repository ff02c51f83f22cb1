//! What a report says by ClickHouse is what it says by the store, of the same records.
//!
//! Wants the environment variable SENSOR_COLLECTORS: a folder with `venv`, a virtual environment of Python with the package `chdb-core`.
#![expect(clippy::unwrap_used, reason = "an engine that cannot be asked fails the test")]
#![expect(clippy::print_stdout, reason = "a test that was skipped says so")]

#[path = "support/command.rs"]
mod command;
#[path = "collectors/deliver.rs"]
mod deliver;
#[path = "collectors/engine.rs"]
mod engine;
#[path = "collectors/history.rs"]
mod history;
#[path = "collectors/running.rs"]
mod running;

use std::{collections::BTreeMap, fs, net::Ipv4Addr, path::Path, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use sensor::{
    config::Config,
    epoch::Epoch,
    store::Store,
    summary::{
        AddressSet, Count, CounterpartRecord, Event, EventRecord, HostRecord, Key, LedgerRecord, Moved, NetworkRecord,
        Summary, UnattributedRecord,
    },
    testing::{
        history::{FILES, PERIODS, Version, write},
        rng::Rng,
    },
};
use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence},
};
use serde_json::Value;

use self::{
    command::{finish, sensor},
    deliver::deliver,
    engine::Engine,
};

/// Days of both periods, the baseline behind.
type Days = [&'static str; 4];

/// The report of both, which must be the same but for whom it was asked of.
fn reports(folder: &Path, engine: &Engine, days: [&str; 4]) -> Value {
    let [config, store] = [FILES[0], "store"].map(|name| folder.join(name).to_str().unwrap().to_owned());
    let server = format!("http://127.0.0.1:{}", engine.port);
    let [now, next, before, behind] = days;
    let days = ["--from", now, "--to", next, "--baseline-from", before, "--baseline-to", behind];
    let [of_store, of_server] = [["--store", &store], ["--clickhouse", &server]].map(|from| {
        let run = finish(sensor(["report", "--format", "json", "--config", &config]).args(from).args(days));
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        serde_json::from_str::<BTreeMap<String, Value>>(&run.stdout).unwrap()
    });
    assert_eq!(of_store.keys().collect::<Vec<_>>(), of_server.keys().collect::<Vec<_>>());
    for (key, value) in &of_store {
        assert_eq!(value, &of_server[key], "{key}");
    }
    serde_json::to_value(of_store).unwrap()
}

#[test]
fn a_history_in_clickhouse_has_the_report_of_the_store() {
    let Some(engine) = Engine::start("a_history_in_clickhouse_has_the_report_of_the_store") else { return };
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), Version::V4).unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let config = path(FILES[0]);
    let exporter = format!("[[exporter]]\ntype = \"clickhouse\"\nendpoint = \"http://127.0.0.1:{}\"\n", engine.port);
    fs::write(&config, fs::read_to_string(&config).unwrap() + &exporter).unwrap();
    let captures = PERIODS.map(|period| path(period.name) + ".pcap");
    let kept = ["--config", &config, "--store", &path("store")];
    let run = finish(sensor(["replay", "--engine", "native"]).args(kept).args(captures));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let [before, now] = PERIODS.map(|period| period.days().map(|day| day.to_string()));
    let report = reports(folder.path(), &engine, [&now[0], &now[1], &before[0], &before[1]]);
    assert!(report["volume"]["bytes"].as_u64() > Some(1_000_000), "{}", report["volume"]);
    assert!(report["services"].as_array().unwrap().len() > 1, "{}", report["services"]);
}

/// A network whose clocks are set within the period.
const CONFIG: &str = r#"
[sensor]
id = "edge"
[[interface]]
name = "wan"
[[network]]
name = "lab"
timezone = "Europe/Berlin"
prefixes = ["192.0.2.0/24"]
"#;
const DAYS: Days = ["2026-03-28", "2026-04-03", "2026-03-20", "2026-03-27"];
/// Lengths of intervals in seconds: those of a running sensor, one that was blocked for a while, and one that nobody ended for days.
const LENGTHS: [i64; 8] = [60, 60, 60, 61, 299, 1000, 11_111, 200_000];
const CLASSES: [(Class, Option<Evidence>); 4] = [
    (Class::Unknown, None),
    (Class::Tls, Some(Evidence::Confirmed)),
    (Class::Tor, Some(Evidence::Payload)),
    (Class::Stratum, Some(Evidence::Payload)),
];

fn count(rng: &mut Rng) -> Count {
    let packets = 1 + rng.below(50_000) as u64;
    Count { packets, bytes: packets * 40 + rng.below(1_000_000) as u64, frame_bytes: 0 }
}

/// An interval of a sensor at work.
fn interval(sequence: u64, start: Timestamp, seconds: i64, rng: &mut Rng) -> Summary {
    let end = start + SignedDuration::from_secs(seconds);
    let key = Key { sensor: "edge".into(), epoch: Epoch::from_bytes([3; 16]).unwrap(), start, end, sequence };
    let mut summary = Summary::empty(key);
    let network: Arc<str> = "lab".into();
    for (class, evidence) in CLASSES {
        if rng.one_in(3) {
            continue;
        }
        // More of it may have been of another class than came.
        let moved = if class == Class::Unknown { count(rng) } else { Count::default() };
        summary.networks.push(NetworkRecord {
            network: Arc::clone(&network),
            direction: Direction::ALL[rng.below(2)],
            upstream: [Some("a".into()), Some("b".into()), None][rng.below(3)].clone(),
            upstream_asn: None,
            class,
            family: class.family().name(),
            evidence,
            count: count(rng),
            moved: Moved { moved_packets: moved.packets, moved_bytes: moved.bytes, moved_frame_bytes: 0 },
        });
    }
    for country in [*b"CH", *b"SE"] {
        summary.counterparts.push(CounterpartRecord {
            network: Arc::clone(&network),
            direction: Direction::ALL[rng.below(2)],
            country: Some(country),
            asn: None,
            as_name: None,
            list: if rng.one_in(2) { vec!["hosting".into(), "relays".into()] } else { vec![] },
            counterpart: None,
            count: count(rng),
        });
    }
    let mut active = AddressSet::default();
    active.insert(Ipv4Addr::new(192, 0, 2, rng.below(256) as u8));
    summary.hosts.push(HostRecord {
        network,
        active_addresses: active.len(),
        active,
        active_prefixes: vec![],
        newly_lit: AddressSet::default(),
        newly_lit_prefixes: vec![],
        initial: false,
        incomplete: false,
        flows: 3,
        one_way_flows: 1,
        asymmetric_flows: 0,
    });
    summary.ledger.push(LedgerRecord {
        interface: "wan".into(),
        direction: "rx",
        seen_packets: rng.below(100_000) as u64,
        unparsed: [("arp", rng.below(50) as u64)].into(),
        lost: [("missed", 1 + rng.below(50) as u64)].into(),
        attached: Some(true),
        blind_ms: Some(rng.below(20) as u64),
        ..LedgerRecord::default()
    });
    if rng.one_in(5) {
        let event = Event::Loss { what: "services".to_owned(), count: 1 + rng.below(9) as u64 };
        summary.events = vec![EventRecord { network: None, at: start, event }];
        summary.unattributed = vec![UnattributedRecord { direction: Direction::In, count: count(rng) }];
    }
    summary
}

#[test]
fn long_intervals_in_clickhouse_are_spread_as_in_the_store() {
    let Some(engine) = Engine::start("long_intervals_in_clickhouse_are_spread_as_in_the_store") else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join(FILES[0]);
    fs::write(&config, CONFIG).unwrap();
    let mut store = Store::open_for(&folder.path().join("store"), &Config::load(&config).unwrap(), false).unwrap();
    let mut rng = Rng::new(7);
    let (mut at, end): (Timestamp, Timestamp) =
        ("2026-03-19T21:13:07Z".parse().unwrap(), "2026-04-03T03:00:00Z".parse().unwrap());
    let mut summaries = Vec::new();
    while at < end {
        let seconds = LENGTHS[rng.below(LENGTHS.len())];
        summaries.push(interval(summaries.len() as u64, at, seconds, &mut rng));
        at += SignedDuration::from_secs(seconds);
    }
    summaries.iter().for_each(|summary| _ = store.append(summary).unwrap());
    store.commit().unwrap();
    drop(store);
    let progress = deliver(engine.port, "sensor", &summaries);
    assert_eq!((progress.pieces, progress.failures.len()), (summaries.len() as u64, 0), "{progress:?}");
    let report = reports(folder.path(), &engine, DAYS);
    let number = |key: &str| report["coverage"][key].as_u64().unwrap();
    assert!(number("lost_packets") > 0 && number("unattributed_packets") > 0, "{}", report["coverage"]);
    assert!(report["coverage"]["losses"]["services"].as_u64() > Some(0), "{}", report["coverage"]);
    assert!(report["coverage"]["coarse_seconds"].as_f64() > Some(86_400.0), "{}", report["coverage"]);
}

#[test]
fn tables_of_an_earlier_version_become_those_of_this_one() {
    let Some(engine) = Engine::start("tables_of_an_earlier_version_become_those_of_this_one") else { return };
    let tables = || {
        engine.ask(
            "SELECT name, sorting_key FROM system.tables WHERE database = 'sensor' ORDER BY name;
             SELECT table, name, type FROM system.columns WHERE database = 'sensor' ORDER BY table, name;
             SELECT table, name, expr FROM system.data_skipping_indices WHERE database = 'sensor' ORDER BY table, name;\n",
        )
    };
    let upgrade = include_str!("../../docs/clickhouse/upgrade.sql");
    let of_this_version = tables();
    engine.ask(upgrade);
    assert_eq!(tables(), of_this_version, "nothing is to be done");
    // As they were before there were events over history, and packets known to be lost.
    let schema = include_str!("../../docs/clickhouse/schema.sql");
    let event = schema.split("CREATE TABLE IF NOT EXISTS event").nth(1).unwrap().split_once(';').unwrap().0;
    let (columns, rest) = event.split_once("    direction LowCardinality(String),").unwrap();
    let rest = rest.split_once("    INDEX starts").unwrap().1.replace(", direction, state)", ")");
    let rest = rest.replace(",\n    INDEX ends end TYPE minmax GRANULARITY 1", "");
    engine.ask(&format!("DROP TABLE event;\nCREATE TABLE event{columns}    INDEX starts{rest};\n"));
    engine.ask("ALTER TABLE ledger DROP COLUMN lost;\n");
    for table in ["network", "counterpart", "unattributed", "ledger"] {
        engine.ask(&format!("ALTER TABLE {table} DROP INDEX ends;\n"));
    }
    assert_ne!(tables(), of_this_version);
    engine.ask(upgrade);
    assert_eq!(tables(), of_this_version);
    engine.ask(upgrade);
    assert_eq!(tables(), of_this_version, "again");
}
