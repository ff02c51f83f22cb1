//! Captures that are more than one file of one kind: pipes, and interfaces that cannot be read beside some that can.
#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

#[path = "support/command.rs"]
mod command;
#[path = "support/pcap.rs"]
mod pcap;

use std::{fs, path::Path, process::Command, thread};

use sensor::capture::{
    Drops, LinkType, Timestamp,
    write::{ByteOrder, InterfaceOptions, PcapngWriter},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::{
    command::{Run, finish, sensor},
    pcap::{Sent, ipv4},
};

fn replay(capture: &Path) -> Run {
    let fixed = ["replay", "--engine", "native", "--format", "jsonl"].map(Path::new);
    finish(&mut sensor(fixed.iter().chain(&[capture])))
}

fn ledgers(run: &Run) -> Vec<Value> {
    assert_eq!(run.status, Some(0), "{run:?}");
    let records = run.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    records.filter(|record| record["record"] == "ledger").collect()
}

fn packet() -> Sent {
    ipv4(10, [192, 0, 2, 1], [198, 51, 100, 2], 40)
}

#[test]
fn a_named_pipe_is_a_capture() {
    let folder = TempDir::new().unwrap();
    let (file, pipe) = (folder.path().join("file"), folder.path().join("pipe"));
    fs::write(&file, pcap::bytes(&[packet(), packet()])).unwrap();
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (from, to) = (file.clone(), pipe.clone());
    let feeder = thread::spawn(move || fs::write(to, fs::read(from).unwrap()).unwrap());
    let piped = replay(&pipe);
    feeder.join().unwrap();
    assert_eq!(ledgers(&piped)[0]["seen_packets"], 2);
    assert_eq!(piped.stdout, replay(&file).stdout, "the same bytes are the same history");
}

#[test]
fn frames_of_an_unknown_link_type_are_in_the_ledger_beside_others() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("mixed.pcapng");
    let mut writer = PcapngWriter::new(Vec::new(), ByteOrder::Little).unwrap();
    let usb = writer.add_interface(InterfaceOptions::new(LinkType::from(189))).unwrap();
    let ethernet = writer.add_interface(InterfaceOptions::new(LinkType::Ethernet)).unwrap();
    let frame = packet().frame;
    for interface in [usb, ethernet, usb, usb, ethernet] {
        writer.write_frame(interface, Timestamp::EPOCH, frame.len() as u32, &frame).unwrap();
    }
    fs::write(&path, writer.into_inner()).unwrap();
    let run = replay(&path);
    let ledger = &ledgers(&run)[0];
    assert_eq!((&ledger["seen_packets"], &ledger["matched_packets"]), (&5.into(), &2.into()));
    assert_eq!(ledger["unparsed"]["not_ip"], 3);
    assert_eq!(run.stderr.matches("USB_LINUX count as not_ip").count(), 1, "{}", run.stderr);
}

#[test]
fn a_capture_of_unknown_link_types_alone_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("usb.pcapng");
    let mut writer = PcapngWriter::new(Vec::new(), ByteOrder::Little).unwrap();
    let usb = writer.add_interface(InterfaceOptions::new(LinkType::from(189))).unwrap();
    writer.write_frame(usb, Timestamp::EPOCH, 60, &[0; 60]).unwrap();
    fs::write(&path, writer.into_inner()).unwrap();
    let run = replay(&path);
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    assert!(run.stderr.lines().last().unwrap().contains("link type USB_LINUX is not supported"), "{}", run.stderr);
}

#[test]
fn what_a_capture_lost_is_in_the_ledger_of_an_interval() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("lost.pcapng");
    let mut writer = PcapngWriter::new(Vec::new(), ByteOrder::Little).unwrap();
    let ethernet = writer.add_interface(InterfaceOptions::new(LinkType::Ethernet)).unwrap();
    let frame = packet().frame;
    for (second, interface, system) in [(1, 2, 0), (2, 5, 1), (11, 5, 1), (21, 5, 9)] {
        writer.write_frame(ethernet, Timestamp::from_parts(second, 0), frame.len() as u32, &frame).unwrap();
        writer.write_drops(ethernet, Drops { interface, system }).unwrap();
    }
    fs::write(&path, writer.into_inner()).unwrap();
    let fixed = ["replay", "--engine", "native", "--interval", "10s", "--format"];
    let run = |format| finish(sensor(fixed).arg(format).arg(&path));
    let lost: Vec<Value> = ledgers(&run("jsonl")).iter().map(|ledger| ledger["lost"].clone()).collect();
    // With the frame that follows it, or with the last.
    assert_eq!(lost, [json!({"if_drop": 2}), json!({"if_drop": 3, "os_drop": 1}), json!({"os_drop": 8})]);
    let table = run("table").stdout;
    assert!(table.contains("; lost before they could be seen: 8 os_drop"), "{table}");
}

#[test]
fn frames_that_come_hours_too_late_are_said_to() {
    let folder = TempDir::new().unwrap();
    for (seconds, is_said) in [([10_000, 6_410], false), ([10_000, 6_399], true)] {
        let path = folder.path().join("late.pcap");
        let frames = seconds.map(|second| Sent { second, ..packet() });
        fs::write(&path, pcap::bytes(&frames)).unwrap();
        let run = finish(sensor(["replay", "--engine", "native", "--interval", "10s", "--format", "jsonl"]).arg(&path));
        assert_eq!(ledgers(&run)[0]["seen_packets"], 2);
        assert_eq!(
            run.stderr.contains("older than others before them count with these; sort them"),
            is_said,
            "{run:?}"
        );
    }
}
