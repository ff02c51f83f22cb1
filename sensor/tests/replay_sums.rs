//! Networks against prefixes and flows, on the shared captures: in every interval a network has what its prefixes have, and of every class what the flows
//! have that are of it.
#![expect(clippy::unwrap_used, reason = "a capture that cannot be read fails the test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use sensor::{
    cidr::Cidr,
    prefix::{PrefixSet, SetBuilder},
    replay::{EngineKind, Options, replay},
};
use serde_json::Value;

/// Packets without a flow are fragments and truncated headers; networks have them under this class.
const WITHOUT_FLOW: &str = "unknown";

type Sums = BTreeMap<String, i128>;

fn everything() -> PrefixSet {
    let mut builder = SetBuilder::default();
    builder.watch("all", ["0.0.0.0/0", "::/0"].map(|prefix| prefix.parse::<Cidr>().unwrap())).unwrap();
    builder.build().unwrap()
}

fn records(capture: &Path) -> Option<Vec<Value>> {
    let options =
        Options { flows: true, ..Options::new(vec![capture.to_path_buf()], EngineKind::Native, everything()) };
    let mut out = Vec::new();
    // What no engine reads is for the tests of bad input.
    replay(&options, &mut out).ok()?;
    Some(str::from_utf8(&out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

fn add(sums: &mut Sums, key: String, bytes: i128) {
    *sums.entry(key).or_default() += bytes;
}

/// Where networks differ from prefixes, and classes from flows.
fn differences(records: &[Value]) -> Vec<String> {
    let [mut prefixes, mut networks, mut classes, mut flows] = [const { Sums::new() }; 4];
    for record in records {
        let number = |name: &str| i128::from(record[name].as_u64().unwrap_or_default());
        let text = |name: &str| record[name].as_str().unwrap_or_default();
        let interval = || format!("interval {} {}", record["sequence"], text("direction"));
        let class = || format!("{} {}", text("class"), text("evidence"));
        match text("record") {
            "prefix" => add(&mut prefixes, interval(), number("bytes")),
            "network" => {
                let bytes = number("bytes") - number("moved_bytes");
                add(&mut networks, interval(), bytes);
                add(&mut classes, format!("{} {}", class(), text("direction")), bytes);
            }
            // Everything is watched: what a flow had, it had in both directions.
            "flow" => ["in", "out"].iter().for_each(|direction| {
                add(&mut flows, format!("{} {direction}", class()), number("bytes") + number("reverse_bytes"));
            }),
            _ => {}
        }
    }
    let compare = |one: &Sums, other: &Sums| -> Vec<String> {
        let of = |sums: &Sums, key: &String| sums.get(key).copied().unwrap_or_default();
        let keys = one.keys().chain(other.keys()).collect::<std::collections::BTreeSet<_>>();
        let different = keys.into_iter().filter(|key| !key.starts_with(WITHOUT_FLOW) && of(one, key) != of(other, key));
        different.map(|key| format!("{key}: {} and {}", of(one, key), of(other, key))).collect()
    };
    [compare(&prefixes, &networks), compare(&classes, &flows)].concat()
}

/// In these a flow's packets come from more neighbours within a second than are told apart: each packet has MACs of its own.
fn has_neighbours_without_end(records: &[Value]) -> bool {
    let lost = |record: &Value| record["shed"]["open_lost"].as_u64() > Some(0);
    records.iter().any(|record| record["record"] == "ledger" && lost(record))
}

#[test]
fn networks_have_what_their_prefixes_have_and_classes_what_their_flows_have() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/captures");
    let Ok(entries) = fs::read_dir(folder) else {
        println!(
            "SKIP networks_have_what_their_prefixes_have_and_classes_what_their_flows_have: ../shared/captures absent"
        );
        return;
    };
    let mut captures: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    captures.sort();
    let (mut read, mut lossy, mut different) = (0, 0, Vec::new());
    for capture in &captures {
        let Some(records) = records(capture) else { continue };
        if has_neighbours_without_end(&records) {
            lossy += 1;
            continue;
        }
        read += 1;
        let name = capture.file_name().unwrap().to_string_lossy();
        different.extend(differences(&records).into_iter().map(|difference| format!("{name}: {difference}")));
    }
    println!("{read} captures, and {lossy} in which flows have neighbours without end");
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(read > 1_000 && lossy <= 6, "{read} captures were compared, and {lossy} were not");
}
