//! A history that others made, and what they say is true of it.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use jiff::tz::TimeZone;
use sensor::capture::Capture;
use serde_json::Value;

use crate::{
    border::{Border, Traffic},
    root::is_root,
    seed, somewhere,
};

/// How large the history is, as a part of what it is by default, and where its numbers begin.
const SCALE: &str = "0.1";
const SEED: &str = "7";
/// No shorter frame is on an Ethernet, or can be sent.
const ETHERNET_LEN: usize = 14;
/// Facts that count each frame of a capture, those among them that cannot be sent.
const OF_ALL_FRAMES: [&str; 2] = ["coverage.seen_packets", "coverage.other_and_malformed_packets"];
/// Facts that depend on when frames came, or on an earlier period: a running sensor hears the later one alone, and in minutes.
const OF_A_CLOCK: [&str; 8] =
    ["period.", "baseline", "profile.", ".first_seen", "newly_lit", "services.new", "measured_seconds", "growth"];

/// The folder of the history's maker; none where it or Python is missing, which is said.
fn maker(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/study");
    let why = if !folder.join("check.py").exists() {
        format!("there is no {}", folder.display())
    } else if Command::new("python3").arg("--version").output().is_err() {
        "there is no python3".to_owned()
    } else {
        return Some(folder);
    };
    println!("SKIP {test}: {why}");
    None
}

fn python(script: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new("python3").arg(script).args(arguments).env_remove("RUST_LOG").output().unwrap();
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
    (output.status.code(), text)
}

/// Replayed by an engine, every fact is found.
fn replayed(test: &str, engine: &str) {
    let Some(folder) = maker(test) else { return };
    let sensor = env!("CARGO_BIN_EXE_sensor");
    let arguments = ["--sensor", sensor, "--scale", SCALE, "--seed", SEED, "--engine", engine, "--failed"];
    let (status, text) = python(&folder.join("check.py"), &arguments);
    assert_eq!(status, Some(0), "{text}");
    let last: Vec<&str> = text.lines().rfind(|line| line.contains("facts")).unwrap().split_whitespace().collect();
    let [good, "of", all, "facts", "within", "tolerance"] = last[..] else { panic!("{text}") };
    assert!(good == all && good.parse::<u32>().unwrap() > 100, "{text}");
}

#[test]
fn a_history_of_others_is_studied_by_the_twin() {
    replayed("a_history_of_others_is_studied_by_the_twin", "native");
}

#[test]
fn a_history_of_others_is_studied_by_the_kernel() {
    if is_root("a_history_of_others_is_studied_by_the_kernel") {
        replayed("a_history_of_others_is_studied_by_the_kernel", "kernel");
    }
}

/// What the files beside the captures say, as sections of a configuration; and the zone of the network.
fn sections(folder: &Path) -> (String, TimeZone) {
    let read = |name: &str| -> Value { serde_json::from_str(&fs::read_to_string(folder.join(name)).unwrap()).unwrap() };
    let (networks, upstreams) = (read("networks.json"), read("upstreams.json"));
    let [network] = &networks["networks"].as_array().unwrap()[..] else { panic!("{networks}") };
    let mut text = format!(
        "[[network]]\nname = {}\ntimezone = {}\nprefixes = {}\n",
        network["name"], network["timezone"], network["prefixes"]
    );
    for upstream in upstreams["upstreams"].as_array().unwrap() {
        let [name, asn, mac] = ["name", "asn", "mac"].map(|key| &upstream[key]);
        writeln!(text, "[[upstream]]\nname = {name}\nasn = {asn}\nmac = {mac}").unwrap();
        if let Some(vlan) = upstream["vlan"].as_u64() {
            writeln!(text, "vlan = {vlan}").unwrap();
        }
    }
    text += "[[counterpart]]\nkind = \"geo\"\nfile = \"counterparts.csv\"\n";
    for (name, class, file) in [("tor_relay", "tor", "tor_relays.csv"), ("mining_pool", "stratum", "mining_pools.csv")]
    {
        writeln!(text, "[[list]]\nname = {name:?}\nclass = {class:?}\nfile = {file:?}").unwrap();
    }
    writeln!(text, "[report]\nhidden_classes = {}\nlearn = \"0s\"", read("truth.json")["hidden_classes"]).unwrap();
    (text, TimeZone::get(network["timezone"].as_str().unwrap()).unwrap())
}

#[test]
fn a_history_of_others_is_heard() {
    const TEST: &str = "a_history_of_others_is_heard";
    if !is_root(TEST) {
        return;
    }
    let Some(maker) = maker(TEST) else { return };
    let seed = seed(TEST);
    let border = Border::new("shared");
    let folder = border.folder().to_str().unwrap();
    let path = |name: &str| border.folder().join(name).to_str().unwrap().to_owned();
    let (status, text) = python(&maker.join("history.py"), &["--out", folder, "--scale", SCALE, "--seed", SEED]);
    assert_eq!(status, Some(0), "{text}");
    let (sections, zone) = sections(border.folder());
    border.configure(&sections);
    let mut capture = Capture::open(Path::new(&path("current.pcap"))).unwrap();
    let (mut frames, mut unsent) = (Vec::new(), 0);
    while let Some(frame) = capture.next().unwrap() {
        if frame.data.len() < ETHERNET_LEN {
            unsent += 1;
        } else {
            frames.push(frame.data.to_vec());
        }
    }
    let killed_after = somewhere(frames.len(), seed);
    let report = border.listen(&Traffic { frames, killed_after, at_interval: true }, &zone);
    let [report_path, facts_path] = [path("report.json"), path("facts.json")];
    fs::write(&report_path, report.to_string()).unwrap();
    let (status, text) =
        python(&maker.join("compare.py"), &[&path("truth.json"), &report_path, "--failed", "--json", &facts_path]);
    assert_eq!(status, Some(0), "{text}");
    let facts: Value = serde_json::from_str(&fs::read_to_string(&facts_path).unwrap()).unwrap();
    let name = |fact: &&Value| fact["fact"].as_str().unwrap().to_owned();
    let all = facts["results"].as_array().unwrap().iter();
    let held: Vec<&Value> = all.filter(|fact| !OF_A_CLOCK.iter().any(|part| name(fact).contains(part))).collect();
    println!("{} facts", held.len());
    assert!(held.len() > 100, "{}", held.len());
    let is_right = |fact: &&&Value| match fact["ok"].as_bool() {
        Some(false) => OF_ALL_FRAMES.contains(&&*name(fact)) && fact["error"] == -unsent,
        is_right => is_right == Some(true),
    };
    let wrong: Vec<String> = held.iter().filter(|fact| !is_right(fact)).map(|fact| fact.to_string()).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
