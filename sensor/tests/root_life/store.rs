//! A store that a running sensor writes has everything once, whatever becomes of the agent.

use std::{collections::BTreeMap, path::Path, thread, time::Duration};

use sensor::testing::{netns::LINK, rng::Rng};
use serde_json::Value;

use crate::{
    agent::Agent,
    root::is_root,
    stage::{Settings, Stage, number, seed},
    traffic::Traffic,
};

/// A part of the life of an agent that is killed.
const LIFE_MS: usize = 2_000;

/// Packets and bytes by prefix and direction.
type Sums = BTreeMap<[String; 2], [u64; 2]>;

/// What records say, those that were written again taken for one.
fn of_records(records: &[Value]) -> Sums {
    let mut texts: Vec<String> = records.iter().map(Value::to_string).collect();
    texts.sort();
    texts.dedup();
    let mut sums = Sums::new();
    for record in texts.iter().map(|text| serde_json::from_str::<Value>(text).unwrap()) {
        if record["record"] == "prefix" {
            let key = ["prefix", "direction"].map(|name| record[name].as_str().unwrap().to_owned());
            let sum = sums.entry(key).or_default();
            sum[0] += record["packets"].as_u64().unwrap();
            sum[1] += record["bytes"].as_u64().unwrap();
        }
    }
    sums
}

/// What a store says.
fn of_store(stage: &Stage, folder: &Path) -> Sums {
    let run = stage.finish(&["store", "export", "--store", folder.to_str().unwrap()]);
    assert_eq!(run.status, Some(0), "{run:?}");
    let mut sums = Sums::new();
    for row in run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        if row["table"] == "prefixes" {
            for direction in ["in", "out"] {
                let number = |what: &str| row[format!("{direction}_{what}")].as_u64().unwrap();
                let sum = sums.entry([row["prefix"].as_str().unwrap().to_owned(), direction.to_owned()]).or_default();
                sum[0] += number("packets");
                sum[1] += number("bytes");
            }
        }
    }
    sums.retain(|_, sum| *sum != [0, 0]);
    sums
}

#[test]
fn a_store_has_everything_once_over_kills() {
    if !is_root("a_store_has_everything_once_over_kills") {
        return;
    }
    let seed = seed("store");
    let stage = Stage::new("store");
    let (settings, folder) = (Settings::default(), stage.folder().join("store"));
    let config = stage.configure(&settings);
    let place = folder.to_str().unwrap();
    let spawn =
        || Agent::spawn(&mut stage.command(&["run", "--config", &config, "--format", "jsonl", "--store", place]));
    let mut rng = Rng::new(seed);
    let mut agent = spawn();
    agent.wait_for_message("attached");
    let traffic = Traffic::start(&stage.wire, LINK, seed, &settings.table());
    for _ in 0..number("SENSOR_KILLS", 20) / 2 {
        thread::sleep(Duration::from_millis(rng.below(LIFE_MS) as u64));
        stage.stop(agent, "KILL");
        agent = spawn();
    }
    traffic.wait(1);
    let truth = traffic.stop(&stage.wire);
    agent.wait_for_record();
    stage.stop(agent, "TERM");
    let run = stage.finish(&["detach", "--config", &config, "--format", "jsonl", "--store", place]);
    assert_eq!(run.status, Some(0), "{run:?}");
    let last: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    stage.keep(&last);
    stage.assert_gone(&settings);
    stage.check(&settings, &truth);
    assert_eq!(of_store(&stage, &folder), of_records(&stage.records()));
}
