//! What dumpcap (Wireshark) had no room for is lost to a replay, and told as such: what was counted and what was lost is all that was sent.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]

#[path = "support/command.rs"]
mod command;
#[path = "support/root.rs"]
mod root;
#[path = "collectors/running.rs"]
mod running;

use std::{
    env, fs,
    process::{Command, Stdio},
};

use sensor::testing::{
    netns::{LINK, Wire, within},
    socket::Sender,
};
use serde_json::Value;

use self::{
    command::{finish, sensor},
    root::is_root,
    running::eventually,
};

/// Some ten times what the smallest buffer has room for.
const FRAMES: u64 = 20_000;
/// Bytes of the IPv4 packet in each.
const PACKET: u16 = 1000;

fn frame() -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend(PACKET.to_be_bytes());
    frame.extend([0, 0, 0, 0, 64, 17, 0, 0, 203, 0, 113, 5, 192, 0, 2, 1]);
    frame.resize(14 + usize::from(PACKET), 0);
    frame
}

fn signal(process: u32, name: &str) {
    assert!(Command::new("kill").args(["-s", name, &process.to_string()]).status().unwrap().success());
}

#[test]
fn what_dumpcap_dropped_is_told_as_lost() {
    const NAME: &str = "what_dumpcap_dropped_is_told_as_lost";
    if !is_root(NAME) {
        return;
    }
    if env::var_os("SENSOR_COLLECTORS").is_none() || Command::new("dumpcap").arg("-v").output().is_err() {
        println!("SKIP {NAME}: no dumpcap; run: cargo xtask test collectors");
        return;
    }
    let wire = Wire::new("dumpcap", &[LINK], 1500).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lost.pcapng");
    let mut recorder = Command::new("ip")
        .args(["netns", "exec", &wire.sensor, "dumpcap", "-q", "-B", "1", "-i", LINK.inside, "-w"])
        .arg(&path)
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // The file is begun once it listens.
    eventually("dumpcap listens", || fs::metadata(&path).is_ok_and(|file| file.len() > 0));
    let mut sender = within(&wire.peer, || Sender::open(LINK.outside)).unwrap();
    signal(recorder.id(), "STOP");
    (0..FRAMES).for_each(|_| sender.send(&frame()).unwrap());
    signal(recorder.id(), "CONT");
    let mut size = 0;
    eventually("dumpcap has written what it had", || {
        let before = std::mem::replace(&mut size, fs::metadata(&path).unwrap().len());
        std::thread::sleep(std::time::Duration::from_millis(500));
        before == size && size > 100_000
    });
    signal(recorder.id(), "INT");
    assert!(recorder.wait().unwrap().success());
    let fixed = ["replay", "--engine", "native", "--watch", "192.0.2.0/24", "--format", "jsonl", "--interval", "1h"];
    let run = finish(sensor(fixed).arg(&path));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let records: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let sum = |pointer: &str| -> u64 {
        let ledgers = records.iter().filter(|record| record["record"] == "ledger");
        ledgers.filter_map(|ledger| ledger.pointer(pointer)?.as_u64()).sum()
    };
    let (seen, lost) = (sum("/seen_packets"), sum("/lost/if_drop") + sum("/lost/os_drop"));
    assert!(seen > 0 && lost > seen, "{seen} seen, {lost} lost");
    assert_eq!(seen + lost, FRAMES);
}
