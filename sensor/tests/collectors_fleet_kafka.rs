//! The fleet of `docs/fleet.md`: three sensors write to one topic, ClickHouse has what is read from it by the views of `kafka.sql`, and the queries of the
//! page answer what they are there for.
//!
//! `SENSOR_COLLECTORS` names the folder with the broker's and the engine's `venv`.
#![expect(clippy::unwrap_used, reason = "a broker that cannot be had fails the test")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

#[path = "collectors/broker.rs"]
mod broker;
#[path = "support/command.rs"]
mod command;
#[path = "collectors/engine.rs"]
mod engine;
#[path = "collectors/history.rs"]
mod history;
#[path = "collectors/running.rs"]
mod running;
#[path = "support/tcp.rs"]
mod tcp;

use std::collections::BTreeMap;

use serde_json::Value;

use self::{
    broker::Broker,
    engine::Engine,
    history::{BEGIN, Both, History, said},
};

/// The page, and the table and views that it is about.
const PAGE: &str = include_str!("../../docs/fleet.md");
/// More questions, of which one is about fleets.
const QUESTIONS: &str = include_str!("../../docs/clickhouse/README.md");
const VIEWS: &str = include_str!("../../docs/clickhouse/kafka.sql");
const REBUILD: &str = include_str!("../../docs/clickhouse/rebuild.sql");
/// Lines that a consumer takes at once.
const BATCH: usize = 1000;

/// Statements of a page, in their order.
fn statements(page: &'static str) -> Vec<&'static str> {
    page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// `kafka.sql` before, of and behind the engine of its table.
fn views() -> [&'static str; 3] {
    let (columns, rest) = VIEWS.split_once("ENGINE = Kafka").unwrap();
    let (settings, views) = rest.split_once(";\n").unwrap();
    [columns, settings, views]
}

/// Has lines taken as the engine `Kafka` hands them over: a block at a time, with the formats that its table asks for.
fn consume(engine: &Engine, lines: &[String]) {
    let formats = views()[1].split(',').filter_map(|setting| setting.trim().split_once(" = "));
    let formats = formats.filter(|(name, _)| name.starts_with("input_") || name.starts_with("date_"));
    let formats: String = formats.map(|(name, value)| format!("&{name}={}", value.trim_matches('\''))).collect();
    for batch in lines.chunks(BATCH) {
        let path = format!("/?query=INSERT%20INTO%20sensor.queue%20FORMAT%20JSONEachRow{formats}");
        let reply = engine.post(&path, &(batch.join("\n") + "\n"));
        assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
    }
}

#[test]
fn kafka_to_clickhouse_counts_each_path_of_a_fleet_once() {
    let test = "kafka_to_clickhouse_counts_each_path_of_a_fleet_once";
    let Some(broker) = Broker::start(test) else { return };
    let Some(engine) = Engine::start(test) else { return };
    // Two routers of a pair see the same, and one of them an hour more; the third one sees something else.
    let [north, later, south] = [(BEGIN, Both::None), (BEGIN + 3600, Both::None), (BEGIN, Both::Some)]
        .map(|(begin, both)| History::at(begin, both));
    let exporter = format!("[[exporter]]\ntype = \"kafka\"\nendpoint = \"kafka://{}\"\n", broker.address());
    let also = later.folder.path().join("c.pcap");
    let runs: [(&History, &[&str]); 3] = [
        (&north, &["--sensor-id", "edge-1"]),
        (&north, &["--sensor-id", "edge-2", also.to_str().unwrap()]),
        (&south, &["--sensor-id", "edge-3"]),
    ];
    let mut printed: Vec<Value> = Vec::new();
    for (history, more) in runs {
        history.export(&exporter, more);
        printed.extend(history.records(more));
    }
    let lines = broker.read(printed.len());
    assert_eq!(lines.len(), printed.len());

    let [columns, settings, views] = views();
    // chdb has the engine and no threads for it: the table is made, and an error says that nothing reads it.
    let table = format!("{columns}ENGINE = Kafka{settings};\n").replace("EXISTS queue", "EXISTS sensor.of_kafka");
    let reply = engine.post("/", &table);
    assert!(reply.starts_with("HTTP/1.1 200") || reply.contains("Shutdown was called"), "{reply}");
    assert_eq!(engine.ask("SELECT engine FROM system.tables WHERE name = 'of_kafka';\n"), "Kafka");
    engine.ask(&format!("{columns}ENGINE = Null;\n{views}"));
    consume(&engine, &lines);
    let (had, rolled) = (engine.traffic(""), engine.rolled());
    assert_eq!(had, said(&printed));
    // Kafka gives a message twice now and then, in other company.
    consume(&engine, &lines[lines.len() / 3..lines.len() / 2]);
    assert_ne!(engine.traffic(""), had);
    assert_eq!(engine.traffic("FINAL"), had);
    assert_ne!(engine.rolled(), rolled);
    engine.ask(&REBUILD.replace("{month:UInt32}", "202311"));
    assert_eq!(engine.rolled(), rolled);

    // Of each path the first sensor that was there; the hour that only the second one has is its own.
    let [sensors, once, missed] = statements(PAGE)[..] else { panic!("other statements on the page") };
    engine.ask("USE sensor;\n");
    engine.ask(sensors);
    let expected = [&north, &later, &south].map(|history| billed(&history.records(&[])));
    let mut bytes = BTreeMap::<String, u64>::new();
    for (key, sum) in expected.iter().flatten() {
        *bytes.entry(key.clone()).or_default() += sum;
    }
    assert_eq!(rows(&engine.ask(once)), bytes);
    let hour = |hour: u32| format!("2023-11-14 {}:00:00", 22 + hour);
    let of = |sensor: u32, history: &History| format!("('edge-{sensor}',{})", history.matched[1]);
    let mut answered: Vec<String> = engine.ask(missed).lines().map(str::to_owned).collect();
    answered.sort();
    // In what order sensors of a row stand is nobody's promise.
    let both =
        [[1, 2], [2, 1]].map(|[one, two]| format!("north\t{}\t[{},{}]", hour(0), of(one, &north), of(two, &north)));
    assert!(both.contains(&answered[0]), "{answered:?}");
    assert_eq!(
        answered[1..],
        [format!("north\t{}\t[{}]", hour(1), of(2, &later)), format!("south\t{}\t[{}]", hour(0), of(3, &south))]
    );
    // Those of the other page can be asked, and its way to count once is the one it says.
    for question in statements(QUESTIONS) {
        let answer = engine.ask(question);
        if question.contains("max(seen)") {
            assert_eq!(rows(&answer), most(&printed));
        }
    }
}

/// Of each prefix and minute what the sensor had that saw the most, by prefix and direction.
fn most(records: &[Value]) -> BTreeMap<String, u64> {
    let mut seen = BTreeMap::<(String, String), BTreeMap<String, u64>>::new();
    for record in records.iter().filter(|record| record["record"] == "prefix") {
        let [start, prefix, direction, sensor] =
            ["start", "prefix", "direction", "sensor"].map(|name| record[name].as_str().unwrap());
        let minute = start[.."2023-11-14T22:13".len()].to_owned();
        let sensors = seen.entry((format!("{prefix}\t{direction}"), minute)).or_default();
        *sensors.entry(sensor.to_owned()).or_default() += record["bytes"].as_u64().unwrap();
    }
    let mut sums = BTreeMap::new();
    for ((about, _), sensors) in seen {
        *sums.entry(about).or_default() += sensors.into_values().max().unwrap();
    }
    sums
}

/// Rows of an answer, each a name and a sum, in the order of names.
fn rows(answer: &str) -> BTreeMap<String, u64> {
    let row = |line: &str| line.rsplit_once('\t').map(|(name, sum)| (name.to_owned(), sum.parse().unwrap()));
    answer.lines().map(|line| row(line).unwrap()).collect()
}

/// What prefixes of networks had, by network and direction.
fn billed(records: &[Value]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for record in records.iter().filter(|record| record["record"] == "prefix" && record["network"].is_string()) {
        let [network, direction] = ["network", "direction"].map(|name| record[name].as_str().unwrap());
        *sums.entry(format!("{network}\t{direction}")).or_default() += record["bytes"].as_u64().unwrap();
    }
    sums
}
