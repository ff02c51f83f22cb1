//! Flow archives as the real nfdump writes them: a capture becomes nfcapd files, these become JSON and CSV, and what a store makes of either is the traffic
//! that was generated, and what nfdump itself adds up.
//!
//! The programs are in Debian's package nfdump. `cargo xtask test collectors` installs it; a test whose program is missing says so.
#![expect(clippy::unwrap_used, reason = "a program that does not start fails the test")]
#![expect(clippy::print_stdout, reason = "why a test was skipped")]

#[path = "support/command.rs"]
mod command;

use std::{fs, path::Path, process::Command};

use sensor::{
    capture::{LinkType, Timestamp, write::PcapWriter},
    testing::rng::Rng,
};
use serde_json::Value;
use tempfile::TempDir;

use self::command::{finish, sensor};

const CONFIG: &str = r#"[sensor]
id = "edge"
[[interface]]
name = "capture"
mode = "mirror"
[[network]]
name = "own"
timezone = "Asia/Kathmandu"
prefixes = ["192.0.2.0/24", "2001:db8:1::/48"]
[[upstream]]
name = "northern"
mac = "02:00:00:00:01:01"
[[upstream]]
name = "southern"
mac = "02:00:00:00:01:02"
[[counterpart]]
kind = "geo"
file = "far.csv"
"#;
const FAR: &str = "203.0.113.0/25,CH,64500,Alpine,isp\n203.0.113.128/25,JP,64501,Pacific,hosting\n2001:db8:2::/48,SE,64502,Baltic,isp\n";
/// What both networks are to nfdump.
const OWN: &str = "net 192.0.2.0/24 or {} net 2001:db8:1::/48";
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
const UPSTREAMS: [[u8; 6]; 2] = [[2, 0, 0, 0, 1, 1], [2, 0, 0, 0, 1, 2]];
/// 2019-01-01T00:00:00Z.
const BEGIN: u32 = 1_546_300_800;
const SECONDS: u32 = 3 * 3600;
/// Where nfdump is at home: it prints local times.
const ZONE: &str = "Asia/Tokyo";

/// Packets and bytes.
type Sum = [u64; 2];

/// What was generated: to the network and from it.
#[derive(Debug, Default, PartialEq)]
struct Truth {
    own: [Sum; 2],
    /// All of it, of others as well.
    all: Sum,
    /// Bytes by upstream.
    upstreams: [u64; 2],
}

/// Whether nfdump is there; says so if not.
fn has_nfdump(test: &str) -> bool {
    let is_there = ["nfpcapd", "nfdump"].iter().all(|program| Path::new("/usr/bin").join(program).exists());
    if !is_there {
        println!("SKIP {test}: no nfpcapd and nfdump here; install them with: cargo xtask test collectors");
    }
    is_there
}

/// An IP packet of a UDP or TCP flow with so many bytes of payload.
fn packet(is_v6: bool, protocol: u8, ends: [u8; 2], ports: [u16; 2], payload: usize) -> Vec<u8> {
    let mut upper: Vec<u8> = ports.into_iter().flat_map(u16::to_be_bytes).collect();
    if protocol == 6 {
        upper.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0x20, 0, 0, 0, 0, 0]);
    } else {
        upper.extend((8 + payload as u16).to_be_bytes());
        upper.extend([0, 0]);
    }
    upper.resize(upper.len() + payload, 7);
    let [from, to] = ends.map(|end| (end & 0x80 != 0, end & 0x7f));
    let mut packet = vec![];
    if is_v6 {
        packet.extend([0x60, 0, 0, 0]);
        packet.extend((upper.len() as u16).to_be_bytes());
        packet.extend([protocol, 64]);
        for (is_own, last) in [from, to] {
            packet.extend([0x20, 1, 0xd, 0xb8, 0, if is_own { 1 } else { 2 }, 0, 0, 0, 0, 0, 0, 0, 0, 0, last]);
        }
    } else {
        packet.extend([0x45, 0]);
        packet.extend((20 + upper.len() as u16).to_be_bytes());
        packet.extend([0, 1, 0, 0, 64, protocol, 0, 0]);
        for (is_own, last) in [from, to] {
            packet.extend(if is_own { [192, 0, 2, last] } else { [203, 0, 113, 2 * last] });
        }
    }
    packet.extend(upper);
    packet
}

/// Writes a capture of three hours.
fn capture(path: &Path) -> Truth {
    let (mut rng, mut truth) = (Rng::new(17), Truth::default());
    let mut writer = PcapWriter::new(fs::File::create(path).unwrap(), LinkType::Ethernet).unwrap();
    for second in 0..SECONDS {
        let (is_v6, protocol) = (rng.one_in(4), rng.pick(&[6, 17]));
        // One in ten has no end in the network.
        let [own, far] = [if rng.one_in(10) { 0 } else { 0x80 } + rng.below(8) as u8 + 1, rng.below(100) as u8 + 9];
        let (is_in, upstream) = (rng.one_in(3), usize::from(far % 3 == 0));
        let ports = [40_000 + u16::from(own), rng.pick(&[443, 53, 25, 5000])];
        let (ends, ports) = if is_in { ([far, own], [ports[1], ports[0]]) } else { ([own, far], ports) };
        let packet = packet(is_v6, protocol, ends, ports, rng.below(1300));
        let macs = if is_in { [ROUTER, UPSTREAMS[upstream]] } else { [UPSTREAMS[upstream], ROUTER] };
        let mut frame = macs.concat();
        frame.extend(if is_v6 { [0x86, 0xdd] } else { [8, 0] });
        frame.extend(&packet);
        let add = |sum: &mut Sum| (sum[0], sum[1]) = (sum[0] + 1, sum[1] + packet.len() as u64);
        add(&mut truth.all);
        if own >= 0x80 {
            add(&mut truth.own[usize::from(!is_in)]);
            truth.upstreams[upstream] += packet.len() as u64;
        }
        let at = Timestamp::from_parts(i64::from(BEGIN + second), 250_000_000);
        writer.write_frame(at, frame.len() as u32, &frame).unwrap();
    }
    truth
}

/// A folder with nfcapd files, and what is in them.
fn archive() -> (TempDir, Truth) {
    let folder = TempDir::new().unwrap();
    let truth = capture(&folder.path().join("a.pcap"));
    let files = folder.path().join("nfcapd");
    fs::create_dir(&files).unwrap();
    let mut nfpcapd = Command::new("nfpcapd");
    nfpcapd.arg("-r").arg(folder.path().join("a.pcap")).arg("-w").arg(&files).args(["-o", "fat"]);
    assert!(nfpcapd.output().unwrap().status.success());
    fs::write(folder.path().join("far.csv"), FAR).unwrap();
    fs::write(folder.path().join("sensor.toml"), CONFIG).unwrap();
    (folder, truth)
}

fn nfdump(folder: &TempDir, arguments: &[&str]) -> String {
    let mut nfdump = Command::new("nfdump");
    nfdump.arg("-R").arg(folder.path().join("nfcapd")).args(arguments).env("TZ", ZONE);
    String::from_utf8(nfdump.output().unwrap().stdout).unwrap()
}

/// What nfdump adds up of flows that a filter lets through.
fn added_up(folder: &TempDir, filter: &str) -> Sum {
    let text = nfdump(folder, &["-o", "csv", filter]);
    let numbers: Vec<u64> = text.lines().last().unwrap().split(',').map(|number| number.parse().unwrap()).collect();
    [numbers[2], numbers[1]]
}

/// Imports an export into a store of its own, and asks for a report.
fn report(folder: &TempDir, format: &str, sampling: &str) -> Value {
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (file, store) = (path(&format!("a.{format}")), path(&format!("{format}-{sampling}")));
    fs::write(&file, nfdump(folder, &["-o", format])).unwrap();
    let (config, flows) = (path("sensor.toml"), format!("nfdump-{format}"));
    let import = ["store", "import", "--store", &store, "--config", &config, "--flows", &flows, "--timezone", ZONE];
    let run = finish(&mut sensor(import.iter().chain(&["--sampling", sampling, &file])));
    assert_eq!((run.status, &*run.stderr), (Some(0), ""), "{run:?}");
    let ask = ["report", "--config", &config, "--store", &store, "--from", "2019-01-01", "--to", "2019-01-02"];
    let run = finish(&mut sensor(ask.iter().chain(&["--format", "json"])));
    assert_eq!(run.status, Some(0), "{run:?}");
    serde_json::from_str(&run.stdout).unwrap()
}

#[test]
fn both_formats_say_what_was_sent_and_what_nfdump_adds_up() {
    if !has_nfdump("both_formats_say_what_was_sent_and_what_nfdump_adds_up") {
        return;
    }
    let (folder, truth) = archive();
    let [to, from] = ["dst", "src"].map(|end| format!("{end} {}", OWN.replace("{}", end)));
    assert_eq!([added_up(&folder, &to), added_up(&folder, &from)], truth.own);
    assert_eq!(added_up(&folder, "any"), truth.all);
    let json = report(&folder, "json", "1");
    let volume = &json["volume"];
    let [[_, into], [_, out]] = truth.own;
    assert_eq!((&volume["in_bytes"], &volume["out_bytes"]), (&into.into(), &out.into()));
    assert_eq!(volume["packets"], truth.own[0][0] + truth.own[1][0]);
    let hours: u64 = json["profile"]["hours"].as_array().unwrap().iter().map(|hour| hour.as_u64().unwrap()).sum();
    assert_eq!(hours, into + out);
    let upstream = |name: &str| {
        let found = json["upstreams"].as_array().unwrap().iter().find(|row| row["name"] == name);
        found.map_or(0, |row| row["bytes"].as_u64().unwrap())
    };
    assert_eq!([upstream("northern"), upstream("southern")], truth.upstreams);
    let countries = json["counterparts"]["country"].as_array().unwrap();
    assert_eq!(countries.iter().map(|row| row["bytes"].as_u64().unwrap()).sum::<u64>(), into + out);
    assert_eq!(json["coverage"]["methods"], serde_json::json!(["flows 1:1"]));
    let measured = json["coverage"]["measured_seconds"].as_f64().unwrap();
    assert!((measured - f64::from(SECONDS)).abs() <= 2.0, "{measured}");
    assert_eq!(report(&folder, "csv", "1"), json);
    // One packet of ten would have been seen.
    let sampled = report(&folder, "csv", "10");
    assert_eq!(sampled["volume"]["bytes"], 10 * (into + out));
    assert!(sampled["coverage"]["sampling_error_percent"].as_f64().unwrap() > 0.0);
}
