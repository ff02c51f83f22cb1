//! ClickHouse's own engine (chdb, in a process of its own) takes what exporters send, once, however often it is sent.
//!
//! Wants the environment variable SENSOR_COLLECTORS: a folder with `venv`, a virtual environment of Python with the package `chdb-core`.
#![expect(clippy::unwrap_used, reason = "an engine that cannot be asked fails the test")]
#![expect(clippy::print_stdout, reason = "a test that was skipped says so")]

#[path = "collectors/certificates.rs"]
mod certificates;
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
#[path = "collectors/tls.rs"]
mod tls;

use std::{collections::BTreeMap, net::TcpListener};

use jiff::Timestamp;
use sensor::{
    epoch::Epoch,
    export::Failure,
    summary::{
        Count, CounterpartRecord, Event, EventRecord, Fraction, Key, LedgerRecord, Moved, NetworkRecord, PrefixRecord,
        Summary, Turn, Unusual,
    },
};
use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence},
};

use self::{
    certificates::{NAME, certificates},
    deliver::deliver,
    engine::Engine,
    history::{Both, History, part, said, total},
    tls::{Clients, complaint, terminate},
};

const INTERVALS: u64 = 20;
const PREFIXES: u64 = 500;

fn summary(sequence: u64) -> Summary {
    let at = |sequence: u64| Timestamp::from_second(1_767_225_600 + 10 * sequence as i64).unwrap();
    let epoch = Epoch::from_bytes([7; 16]).unwrap();
    let key = Key { sensor: "edge-1".to_owned(), epoch, start: at(sequence), end: at(sequence + 1), sequence };
    let count = |seed: u64| {
        let packets = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        Count { packets, bytes: 1000 * packets + seed, frame_bytes: 1014 * packets + seed }
    };
    let prefix = |number: u64| PrefixRecord {
        prefix: match number % 2 {
            0 => format!("10.{}.{}.0/24", number >> 8, number & 255).parse().unwrap(),
            _ => format!("2001:db8:{number:x}::/48").parse().unwrap(),
        },
        direction: Direction::ALL[number as usize / 2 % 2],
        network: number.is_multiple_of(3).then(|| "a\"'\\ b".into()),
        count: count(sequence * PREFIXES + number),
    };
    let network = |class: Class, evidence, moved: u64| NetworkRecord {
        network: "a".into(),
        direction: Direction::In,
        upstream: Some("transit".into()),
        upstream_asn: Some(64_500),
        class,
        family: class.family().name(),
        evidence,
        count: if moved > 0 { Count::default() } else { count(sequence) },
        moved: Moved { moved_packets: moved, moved_bytes: 20 * moved, moved_frame_bytes: 34 * moved },
    };
    let counterpart = CounterpartRecord {
        network: "a".into(),
        direction: Direction::Out,
        country: Some(*b"NL"),
        asn: None,
        as_name: None,
        list: vec!["hosting".into(), "relays".into()],
        counterpart: None,
        count: count(sequence),
    };
    let event = |event| EventRecord { network: None, at: at(sequence), event };
    let surge = Unusual {
        direction: Direction::In,
        state: Turn::Began,
        since: Some(at(sequence)),
        bytes_per_second: 900,
        usual_bytes_per_second: 100,
    };
    let shift = Event::UpstreamShift {
        state: Turn::Over,
        since: None,
        from: "north".to_owned(),
        to: "south".to_owned(),
        share: Fraction::of(0.25),
    };
    Summary {
        networks: vec![network(Class::Tls, Some(Evidence::Confirmed), 0), network(Class::Unknown, None, sequence)],
        counterparts: vec![counterpart],
        prefixes: (0..PREFIXES).map(prefix).collect(),
        events: vec![
            event(Event::Loss { what: "flows".to_owned(), count: 3 }),
            event(Event::Surge(surge.clone())),
            // Of the same moment, in the other direction.
            event(Event::Surge(Unusual { direction: Direction::Out, ..surge })),
            event(shift),
            event(Event::SensorBlind { state: Turn::Began, since: at(sequence), seconds: 60 }),
        ],
        ledger: vec![LedgerRecord {
            interface: "eth9".to_owned(),
            direction: "rx",
            seen_packets: sequence,
            unparsed: BTreeMap::from([("not_ip", 2)]),
            ..LedgerRecord::default()
        }],
        ..Summary::empty(key)
    }
}

/// What the tables hold, as they are.
fn held(engine: &Engine) -> String {
    let mut held = String::new();
    for (table, sums) in [
        ("prefix", "prefix, direction, network"),
        ("network", "network, class, evidence, upstream, upstream_asn"),
        ("counterpart", "country, asn, list"),
        ("ledger", "interface"),
        ("event", "event, what, direction, state, isNull(since), `from`, `to`, share"),
    ] {
        let what = match table {
            "network" => "sum(net_packets), sum(net_bytes), sum(net_frame_bytes)",
            "prefix" | "counterpart" => "sum(packets), sum(bytes), sum(frame_bytes)",
            "ledger" => "sum(seen_packets), sum(unparsed['not_ip'])",
            _ => "count(), sum(count), sum(bytes_per_second), sum(usual_bytes_per_second), sum(seconds)",
        };
        held += &engine.ask(&format!("SELECT {sums}, {what} FROM sensor.{table} GROUP BY ALL ORDER BY ALL;\n"));
        held += "\n";
    }
    held
}

#[test]
fn clickhouse_has_what_a_replay_prints_however_often_it_is_replayed() {
    let Some(engine) = Engine::start("clickhouse_has_what_a_replay_prints_however_often_it_is_replayed") else {
        return;
    };
    for both in [Both::None, Both::Some] {
        let history = History::new(both);
        let printed = history.printed();
        let exporter =
            format!("[[exporter]]\ntype = \"clickhouse\"\nendpoint = \"http://127.0.0.1:{}\"\n", engine.port);
        history.export(&exporter, &[]);
        let (had, rolled) = (engine.traffic(""), engine.rolled());
        assert_eq!(had, said(&printed));
        // Packets with both ends in the table are in two prefixes.
        let [packets, bytes] = total(&part(&had, "prefix"));
        assert_eq!([packets - history.both[0], bytes - history.both[1]], history.matched);
        let ledger = engine
            .ask("SELECT sum(matched_packets), sum(matched_bytes), sum(matched_both_packets) FROM sensor.ledger;\n");
        assert_eq!(ledger, format!("{}\t{}\t{}", history.matched[0], history.matched[1], history.both[0]));
        for ((table, net), rolled) in
            [("prefix", ""), ("network", "net_"), ("counterpart", "")].iter().zip(rolled.chunks(2))
        {
            let raw =
                format!("SELECT sum({net}packets), sum({net}bytes), sum({net}frame_bytes) FROM sensor.{table};\n");
            let raw = engine.ask(&raw);
            assert_eq!(rolled, [raw.clone(), raw], "{table}");
        }
        history.export(&exporter, &[]);
        assert!(engine.traffic("") == had, "raw rows were taken twice");
        assert_eq!(engine.rolled(), rolled);
        engine.empty();
    }
}

#[test]
fn clickhouse_over_tls_is_for_whom_the_authority_vouches() {
    let Some(engine) = Engine::start("clickhouse_over_tls_is_for_whom_the_authority_vouches") else { return };
    let history = History::new(Both::None);
    let folder = history.folder.path();
    certificates(folder);
    let port = terminate(folder, Clients::Known, format!("127.0.0.1:{}", engine.port));
    let file = |name: &str| folder.join(name).display().to_string();
    let identity = format!("cert = \"{}\"\nkey = \"{}\"\n", file("sensor.pem"), file("sensor.key"));
    let exporter = |ca: &str, identity: &str| {
        let endpoint = format!("https://{}:{port}", NAME);
        format!("[[exporter]]\ntype = \"clickhouse\"\nendpoint = \"{endpoint}\"\nca = \"{}\"\n{identity}", file(ca))
    };
    for (ca, identity) in [("other.pem", identity.as_str()), ("ca.pem", "")] {
        let complaint = complaint(&history, &exporter(ca, identity));
        assert!(complaint.contains("cannot agree on TLS"), "{complaint}");
        assert!(complaint.contains("correct ca, cert and key, or the server's certificate"), "{complaint}");
    }
    assert_eq!(engine.traffic(""), history::Sums::new());
    history.export(&exporter("ca.pem", &identity), &[]);
    assert_eq!(engine.traffic(""), said(&history.printed()));
}

#[test]
fn clickhouse_has_every_byte_once_however_often_it_is_sent() {
    let Some(engine) = Engine::start("clickhouse_has_every_byte_once_however_often_it_is_sent") else { return };
    let summaries: Vec<Summary> = (0..INTERVALS).map(summary).collect();
    let progress = deliver(engine.port, "sensor", &summaries);
    assert_eq!((progress.pieces, progress.failures.len()), (INTERVALS, 0), "{progress:?}");

    let (mut prefixes, mut tls, mut moved) = (BTreeMap::new(), [0; 3], [0; 3]);
    for summary in &summaries {
        let add = |sums: &mut [u64; 3], count: Count| {
            sums.iter_mut().zip([count.packets, count.bytes, count.frame_bytes]).for_each(|(sum, more)| *sum += more);
        };
        for record in &summary.prefixes {
            let direction = ["in", "out"][record.direction as usize];
            let about =
                (record.prefix.to_string(), direction, record.network.as_deref().unwrap_or_default().to_owned());
            add(prefixes.entry(about).or_default(), record.count);
        }
        add(&mut tls, summary.networks[0].count);
        let Moved { moved_packets: packets, moved_bytes: bytes, moved_frame_bytes: frame_bytes } =
            summary.networks[1].moved;
        add(&mut moved, Count { packets, bytes, frame_bytes });
    }
    let mut expected = String::new();
    for ((prefix, direction, network), [packets, bytes, frame_bytes]) in &prefixes {
        // As TabSeparated has it.
        let network = network.replace('\\', "\\\\").replace('\'', "\\'");
        expected += &format!("{prefix}\t{direction}\t{network}\t{packets}\t{bytes}\t{frame_bytes}\n");
    }
    let [packets, bytes, frame_bytes] = tls;
    expected += &format!("a\ttls\tconfirmed\ttransit\t64500\t{packets}\t{bytes}\t{frame_bytes}\n");
    let with = format!("NL\t0\t['hosting','relays']\t{packets}\t{bytes}\t{frame_bytes}\n");
    let [packets, bytes, frame_bytes] = moved;
    expected += &format!("a\tunknown\t\ttransit\t64500\t-{packets}\t-{bytes}\t-{frame_bytes}\n{with}");
    expected += &format!("eth9\t{}\t{}\n", INTERVALS * (INTERVALS - 1) / 2, 2 * INTERVALS);
    let count = INTERVALS;
    let [lost, rate, usual, seconds] = [3, 900, 100, 60].map(|times| times * count);
    for [event, columns, sums] in [
        ["loss", "flows\t\t\t1\t\t\t0", &format!("{lost}\t0\t0\t0")],
        ["sensor_blind", "\t\tbegan\t0\t\t\t0", &format!("0\t0\t0\t{seconds}")],
        ["surge", "\tin\tbegan\t0\t\t\t0", &format!("0\t{rate}\t{usual}\t0")],
        ["surge", "\tout\tbegan\t0\t\t\t0", &format!("0\t{rate}\t{usual}\t0")],
        ["upstream_shift", "\t\tover\t1\tnorth\tsouth\t0.25", "0\t0\t0\t0"],
    ] {
        expected += &format!("{event}\t{columns}\t{count}\t{sums}\n");
    }
    let first = held(&engine);
    assert!(first == expected, "{}\n---\n{}", &first[first.len() - 300..], &expected[expected.len() - 300..]);

    let rolled = engine.rolled();
    let all = |table: &str, net: &str| {
        engine.ask(&format!("SELECT sum({net}packets), sum({net}bytes), sum({net}frame_bytes) FROM sensor.{table};\n"))
    };
    let (prefix, network, with) = (all("prefix", ""), all("network", "net_"), all("counterpart", ""));
    assert_eq!(rolled, [prefix.clone(), prefix, network.clone(), network, with.clone(), with]);

    // Another life of the exporter, which had forgotten that it delivered them.
    assert_eq!(deliver(engine.port, "sensor", &summaries).pieces, INTERVALS);
    assert!(held(&engine) == first, "raw rows were taken twice");
    assert_eq!(engine.rolled(), rolled);
    // And from raw rows, where tokens are forgotten.
    engine.ask(&include_str!("../../docs/clickhouse/rebuild.sql").replace("{month:UInt32}", "202601"));
    assert_eq!(engine.rolled(), rolled);

    for change in ["DROP TABLE sensor.prefix;\n", ""] {
        let database = if change.is_empty() { "nowhere" } else { "sensor" };
        engine.ask(&format!("{change}SELECT 1;\n"));
        let progress = deliver(engine.port, database, &summaries);
        assert_eq!((progress.pieces, progress.is_down), (0, true), "{progress:?}");
        assert_eq!(progress.failures.keys().collect::<Vec<_>>(), [&Failure::Rejected]);
    }
}

#[test]
fn a_port_of_nobody_is_told_as_such() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let progress = deliver(port, "sensor", &[summary(0)]);
    assert_eq!(progress.failures.keys().collect::<Vec<_>>(), [&Failure::Connect]);
    assert_eq!((progress.pieces, progress.is_down), (0, true));
}
