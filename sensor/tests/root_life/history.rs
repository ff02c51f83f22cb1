//! What a running sensor says beside the history in its store: told once, whatever becomes of the agent.

use std::{
    fmt::Write as _,
    fs, thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    agent::{Agent, DEADLINE},
    root::is_root,
    stage::{Settings, Stage},
};

const QUARTER: i64 = 900;
/// Quarters of an hour of nine weeks.
const PAST: i64 = 9 * 672;
/// Bytes of a quarter of an hour, as far as it is usual.
const USUAL: i64 = 90_000_000;

/// An export of a store: nine weeks that are all the same, but for a surge from 12 to 8 quarters of an hour ago, and half an hour, 20 quarters ago, in which
/// nothing was measured.
fn past(sensor: &str, now: i64) -> String {
    let begin = now - PAST * QUARTER;
    let gap = [now - 20 * QUARTER, now - 18 * QUARTER];
    let mut lines = String::new();
    let mut add = |table: &str, row: Value| {
        let mut row = row;
        for (key, value) in
            [("table", json!(table)), ("sensor", json!(sensor)), ("epoch", json!("past")), ("live", json!(1))]
        {
            row[key] = value;
        }
        writeln!(lines, "{row}").unwrap();
    };
    for (first, [start, end]) in [[begin, gap[0]], [gap[1], now]].into_iter().enumerate() {
        let micros = |second: i64| second * 1_000_000;
        add("spans", json!({"first": first, "last": first, "start": micros(start), "end": micros(end), "blind_ms": 0}));
    }
    for number in 0..PAST {
        let (start, ago) = (begin + number * QUARTER, PAST - number);
        if (gap[0]..gap[1]).contains(&start) {
            continue;
        }
        let bytes = if (9..=12).contains(&ago) { 5 * USUAL } else { USUAL };
        for dimension in [0, 1] {
            let row = json!({"network": "own", "dimension": dimension, "step": QUARTER, "start": start, "name": "", "evidence": 0,
                "in_packets": bytes / 1000, "in_bytes": bytes, "out_packets": 1, "out_bytes": 0});
            add("traffic", row);
        }
    }
    lines
}

fn events(records: &[Value]) -> Vec<Value> {
    let news = ["surge", "collapse", "upstream_shift", "sensor_blind"];
    records
        .iter()
        .filter(|record| record["record"] == "event" && news.iter().any(|news| record["event"] == *news))
        .cloned()
        .collect()
}

#[test]
fn what_was_unusual_is_told_once_over_a_kill() {
    if !is_root("what_was_unusual_is_told_once_over_a_kill") {
        return;
    }
    let stage = Stage::new("history");
    let settings = Settings::default();
    let (config, folder) = (stage.configure(&settings), stage.folder().join("store"));
    let place = folder.to_str().unwrap();
    // The store reaches up to now, as that of a sensor that was restarted does.
    let now = Timestamp::now().as_second().div_euclid(QUARTER) * QUARTER;
    let lines = stage.folder().join("past.jsonl");
    fs::write(&lines, past(settings.id, now)).unwrap();
    let imported = stage.finish(&["store", "import", "--store", place, lines.to_str().unwrap()]);
    assert_eq!(imported.status, Some(0), "{imported:?}");
    let start =
        || Agent::spawn(&mut stage.command(&["run", "--config", &config, "--format", "jsonl", "--store", place]));
    let intervals = |agent: &Agent| agent.records().iter().filter(|record| record["record"] == "ledger").count();
    let wait = |agent: &Agent, is_so: &dyn Fn(&Agent) -> bool| {
        let begin = Instant::now();
        while !is_so(agent) {
            assert!(begin.elapsed() < DEADLINE, "{:#?}", agent.messages());
            thread::sleep(Duration::from_millis(50));
        }
    };
    let agent = start();
    wait(&agent, &|agent| !events(&agent.records()).is_empty());
    // What it told is in the store before the next records.
    let before = intervals(&agent);
    wait(&agent, &|agent| intervals(agent) > before + 2);
    let told = events(&stage.stop(agent, "KILL").records);
    let agent = start();
    wait(&agent, &|agent| intervals(agent) > 10);
    let repeated = events(&stage.stop(agent, "TERM").records);
    assert!(repeated.iter().all(|event| told.contains(event)), "the journal's last interval alone: {repeated:#?}");
    let found: Vec<_> =
        told.iter().map(|event| [&event["event"], &event["state"], &event["at"], &event["since"]]).collect();
    let at = |ago: i64| json!(Timestamp::from_second(now - ago * QUARTER).unwrap());
    let names = |event: &str, state: &str| [json!(event), json!(state)];
    let expected = [
        (names("sensor_blind", "began"), at(19), at(20)),
        (names("sensor_blind", "over"), at(17), at(20)),
        (names("surge", "began"), at(10), at(12)),
        (names("surge", "over"), at(4), at(12)),
    ];
    let expected: Vec<_> = expected.iter().map(|([event, state], at, since)| [event, state, at, since]).collect();
    assert_eq!(found, expected);
    assert_eq!(told[0]["seconds"], 60);
    assert_eq!(told[1]["seconds"], 2 * QUARTER);
    assert_eq!((&told[2]["direction"], &told[2]["usual_bytes_per_second"]), (&json!("in"), &json!(USUAL / QUARTER)));
    stage.finish(&["detach", "--config", &config]);
}
