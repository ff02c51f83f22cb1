//! The fleet of `docs/fleet.md`: three sensors write to one topic, ClickHouse reads it as `kafka.sql` says, and the queries of the page answer what they
//! are there for.
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

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;

use self::{
    broker::Broker,
    engine::Engine,
    history::{BEGIN, Both, History, assert_same, part, said, total},
    running::within,
};

/// The page, and the table and views that it is about.
const PAGE: &str = include_str!("../../docs/fleet.md");
/// More questions, of which one is about fleets.
const QUESTIONS: &str = include_str!("../../docs/clickhouse/README.md");
const VIEWS: &str = include_str!("../../docs/clickhouse/kafka.sql");
const REBUILD: &str = include_str!("../../docs/clickhouse/rebuild.sql");
/// How long ClickHouse may take to be given a topic and to read it: this broker makes a group of consumers wait for half a minute.
const CONSUMER: Duration = Duration::from_secs(240);

/// Statements of a page, in their order.
fn statements(page: &'static str) -> Vec<&'static str> {
    page.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

/// Packets and bytes that minutes, or hours, of prefixes, networks and counterparts have where all of these records count.
fn summed(records: &[Value]) -> [[u64; 2]; 3] {
    let sums = said(records);
    let [prefix, network, moved, counterpart] =
        ["prefix", "network", "moved", "counterpart"].map(|kind| total(&part(&sums, kind)));
    [prefix, [network[0] - moved[0], network[1] - moved[1]], counterpart]
}

/// The same as the engine has it: by minute and by hour.
fn has_summed(engine: &Engine) -> [[[u64; 2]; 3]; 2] {
    let rolled: Vec<[u64; 2]> = engine
        .rolled()
        .iter()
        .map(|row| row.split('\t').map(|number| number.parse().unwrap()).collect::<Vec<u64>>())
        .map(|row| [row[0], row[1]])
        .collect();
    [0, 1].map(|of| [rolled[of], rolled[2 + of], rolled[4 + of]])
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
    engine.ask("USE sensor;\n");
    engine.ask(&VIEWS.replace("localhost:9092", &broker.address().to_string()));
    let ledgers = printed.iter().filter(|record| record["record"] == "ledger").count().to_string();
    within(CONSUMER, "ClickHouse has read the topic", || {
        has_summed(&engine) == [summed(&printed); 2] && engine.ask("SELECT count() FROM ledger;\n") == ledgers
    });
    let had = said(&printed);
    assert_same(&engine.traffic(""), &had);

    // A sensor sends again what it did not know to be there: raw tables have it once, sums twice until they are made anew.
    north.export(&exporter, &["--sensor-id", "edge-1"]);
    let twice = [printed.clone(), north.records(&["--sensor-id", "edge-1"])].concat();
    within(CONSUMER, "ClickHouse has read what came twice", || has_summed(&engine) == [summed(&twice); 2]);
    assert_same(&engine.traffic("FINAL"), &had);
    engine.ask(&REBUILD.replace("{month:UInt32}", "202311"));
    assert_eq!(has_summed(&engine), [summed(&printed); 2]);

    // Of each path the first sensor that was there; the hour that only the second one has is its own.
    let [sensors, once, missed] = statements(PAGE)[..] else { panic!("other statements on the page") };
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
