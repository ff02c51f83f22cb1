//! Watched traffic over crashes and restarts: what it was is told of every byte, what is new is told once.

use std::collections::{BTreeMap, BTreeSet};

use sensor::testing::{
    netns::{LINK, within},
    socket::Sender,
    tcp::{self, End},
};
use serde_json::Value;

use crate::{
    agent::eventually,
    root::is_root,
    stage::{Settings, Stage},
};

const CLIENT: [u8; 4] = [203, 0, 113, 7];
const SSH: End = ([192, 0, 2, 10], 22);
const BANNERS: [&str; 2] = ["SSH-2.0-one\r\n", "SSH-2.0-two\r\n"];
const UPSTREAM: &str =
    "[[upstream]]\nname = \"transit\"\nasn = 64500\nmac = [\"02:00:00:00:00:02\"]\n[report]\nlearn = \"1s\"\n";

/// Sends a connection over the link, each frame from its side; the L3 bytes by whether the client sent them.
fn converse(stage: &Stage, client_port: u16) -> [u64; 2] {
    let mut outside = within(&stage.wire.peer, || Sender::open(LINK.outside)).unwrap();
    let mut inside = within(&stage.wire.sensor, || Sender::open(LINK.inside)).unwrap();
    let mut bytes = [0; 2];
    for sent in tcp::connection((CLIENT, client_port), SSH, BANNERS) {
        let sender = if sent.by_client { &mut outside } else { &mut inside };
        sender.send(&sent.frame).unwrap();
        bytes[usize::from(sent.by_client)] += sent.frame.len() as u64 - 14;
    }
    bytes
}

/// Records that were written again are taken for one.
fn unique(records: &[Value]) -> Vec<&Value> {
    let mut known = BTreeSet::new();
    records.iter().filter(|record| known.insert(record.to_string())).collect()
}

/// What the network had by direction, upstream, class and evidence.
fn billed(records: &[&Value]) -> BTreeMap<[String; 4], i128> {
    let mut sums = BTreeMap::new();
    for record in records.iter().filter(|record| record["record"] == "network") {
        let key =
            ["direction", "upstream", "class", "evidence"].map(|name| record[name].as_str().unwrap_or("").to_owned());
        let number = |name: &str| i128::from(record[name].as_u64().unwrap_or_default());
        *sums.entry(key).or_default() += number("bytes") - number("moved_bytes");
    }
    sums.retain(|_, bytes| *bytes != 0);
    sums
}

#[test]
fn what_is_new_is_told_once_and_every_byte_as_what_it_is() {
    if !is_root("what_is_new_is_told_once_and_every_byte_as_what_it_is") {
        return;
    }
    let stage = Stage::new("watched");
    let settings = Settings { text: UPSTREAM, ..Settings::default() };
    let mut sent = [0; 2];
    let mut talk = |port| converse(&stage, port).into_iter().zip(&mut sent).for_each(|(more, sum)| *sum += more);
    let mut all: Vec<Value> = Vec::new();
    for (turn, signal) in ["KILL", "TERM", "KILL"].into_iter().enumerate() {
        let agent = stage.started(&settings);
        // The time to learn ends with an interval.
        let ledgers = || agent.records().iter().filter(|record| record["record"] == "ledger").count();
        assert!(eventually(|| ledgers() >= 6), "{:#?}", agent.messages());
        talk(40_000 + turn as u16);
        let is_told = |record: &Value| record["record"] == "service" && record["class"] == "ssh";
        assert!(eventually(|| agent.records().iter().any(is_told)), "{:#?}", agent.records());
        all.extend(stage.stop(agent, signal).records);
    }
    all.extend(stage.detach(&settings));
    let records = unique(&all);
    let [out, into] = sent.map(i128::from);
    let row = |direction: &str| [direction, "transit", "ssh", "confirmed"].map(str::to_owned);
    assert_eq!(billed(&records), BTreeMap::from([(row("in"), into), (row("out"), out)]));
    let events = |name: &str| -> Vec<&&Value> {
        let is_it = |record: &&&Value| record["record"] == "event" && record["event"] == name;
        records.iter().filter(is_it).collect()
    };
    let [born, lit] = [events("service_born"), events("newly_lit")];
    assert_eq!((born.len(), lit.len()), (1, 1), "{born:?} {lit:?}");
    assert_eq!(
        (&born[0]["address"], &born[0]["port"], &born[0]["class"]),
        (&"192.0.2.10".into(), &22.into(), &"ssh".into())
    );
    assert_eq!(lit[0]["address"], "192.0.2.10");
    assert_eq!(events("upstream_new").len(), 0, "the only neighbour has a name");
    assert_eq!(events("loss").len(), 0);
}

/// What the network exchanged, by direction and country of the far end.
fn exchanged(records: &[&Value]) -> BTreeMap<[String; 2], i128> {
    let mut sums = BTreeMap::new();
    for record in records.iter().filter(|record| record["record"] == "counterpart") {
        let key = ["direction", "country"].map(|name| record[name].as_str().unwrap_or("").to_owned());
        *sums.entry(key).or_default() += i128::from(record["bytes"].as_u64().unwrap());
    }
    sums
}

/// Whatever becomes of agents, each packet is told by the table of counterparts that was in force when it was counted.
#[test]
fn far_ends_are_what_they_were_when_they_were_counted() {
    const COUNTERPARTS: &str = "[[counterpart]]\nfile = \"geo.csv\"\n";
    if !is_root("far_ends_are_what_they_were_when_they_were_counted") {
        return;
    }
    let stage = Stage::new("far");
    let settings = Settings { text: COUNTERPARTS, ..Settings::default() };
    let table = |row: &str| std::fs::write(stage.folder().join("geo.csv"), row).unwrap();
    let mut all: Vec<Value> = Vec::new();
    let mut sent = BTreeMap::new();
    for (turn, (row, country)) in
        [("203.0.113.0/24,DE,64500", "DE"), ("203.0.113.0/24,FR,64501", "FR"), ("203.0.113.7,DE,64500", "DE")]
            .into_iter()
            .enumerate()
    {
        table(row);
        let agent = stage.started(&settings);
        // Once while it runs, and once when it is killed; a flow that goes on is another country's then.
        for late in [false, true] {
            if late {
                assert!(eventually(|| agent.records().iter().any(|record| record["record"] == "counterpart")));
            }
            let [out, into] = converse(&stage, 40_000 + turn as u16 / 2).map(i128::from);
            for (direction, bytes) in [("out", out), ("in", into)] {
                *sent.entry([direction, country].map(str::to_owned)).or_default() += bytes;
            }
        }
        all.extend(stage.stop(agent, "KILL").records);
        let [out, into] = converse(&stage, 41_000).map(i128::from);
        for (direction, bytes) in [("out", out), ("in", into)] {
            *sent.entry([direction, country].map(str::to_owned)).or_default() += bytes;
        }
    }
    all.extend(stage.detach(&settings));
    let records = unique(&all);
    assert_eq!(exchanged(&records), sent);
    let total: i128 = billed(&records).values().sum();
    assert_eq!(total, sent.values().sum::<i128>());
}
