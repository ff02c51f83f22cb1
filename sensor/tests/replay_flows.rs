//! `sensor replay --flows`: a record for each watched flow, its class, and counts that add up to what was counted.
#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

#[path = "support/command.rs"]
mod command;

use std::{fs, path::Path};

use sensor::{
    capture::{LinkType, Timestamp, write::PcapWriter},
    testing::tcp::{CLIENT_MAC, End, SERVER_MAC, connection, segment},
};
use serde_json::Value;
use tempfile::TempDir;

use self::command::{finish, sensor};

const CLIENT: End = ([192, 0, 2, 1], 40_000);
const SERVER: End = ([198, 51, 100, 2], 2222);

fn records(capture: &Path, more: &[&str]) -> Vec<Value> {
    let fixed =
        ["replay", capture.to_str().unwrap(), "--engine", "native", "--format", "jsonl", "--watch", "192.0.2.0/24"];
    let run = finish(&mut sensor(fixed.iter().chain(more)));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn watched_flows_have_a_record_each_and_others_none() {
    let folder = TempDir::new().unwrap();
    let capture = folder.path().join("flows.pcap");
    let banners = ["SSH-2.0-one\r\n", "SSH-2.0-two\r\n"];
    let unwatched = ([203, 0, 113, 1], 50_000);
    let silent = (CLIENT.0, 40_001);
    let mut frames = connection(CLIENT, SERVER, banners);
    frames.extend(connection(unwatched, SERVER, banners));
    let mut frames: Vec<Vec<u8>> = frames.into_iter().map(|sent| sent.frame).collect();
    frames.push(segment([SERVER_MAC, CLIENT_MAC], [silent, SERVER], 1, 2, &[]));
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    for frame in &frames {
        writer.write_frame(Timestamp::from_parts(100, 0), frame.len() as u32, frame).unwrap();
    }
    fs::write(&capture, writer.into_inner()).unwrap();

    let all = records(&capture, &["--flows"]);
    let flows: Vec<&Value> = all.iter().filter(|record| record["record"] == "flow").collect();
    assert_eq!(flows.len(), 2, "{flows:?}");
    let found = |place: usize, keys: &[&str]| keys.iter().map(|key| flows[place][key].clone()).collect::<Vec<_>>();
    let ends = ["protocol", "src", "src_port", "dst", "dst_port"];
    assert_eq!(
        found(0, &ends),
        [6.into(), "192.0.2.1".into(), 40_000.into(), "198.51.100.2".into(), Value::from(2222)]
    );
    assert_eq!(found(0, &["class", "family", "evidence"]), ["ssh", "remote", "confirmed"]);
    assert_eq!(found(1, &["class", "src_port"]), [Value::from("unknown"), 40_001.into()]);
    assert!(flows[1].get("evidence").is_none());
    // All of the watched prefix's traffic is in flows.
    let sum = |keys: [&str; 2]| flows.iter().flat_map(|flow| keys.map(|key| flow[key].as_u64().unwrap())).sum::<u64>();
    let prefixes = |key: &str| {
        let of_prefixes = all.iter().filter(|record| record["record"] == "prefix");
        of_prefixes.map(|record| record[key].as_u64().unwrap()).sum::<u64>()
    };
    assert_eq!(sum(["packets", "reverse_packets"]), prefixes("packets"));
    assert_eq!(sum(["bytes", "reverse_bytes"]), prefixes("bytes"));

    let without = records(&capture, &[]);
    assert!(without.iter().all(|record| record["record"] != "flow"));
    let others =
        |records: &[Value]| records.iter().filter(|record| record["record"] != "flow").cloned().collect::<Vec<_>>();
    assert_eq!(others(&all), others(&without), "flows change nothing else");
}
