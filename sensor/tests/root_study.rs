//! A running sensor gives the study that a replay of the same frames gives, though its agent be killed on the way; and a history that others made, of which
//! the truth is known, is studied as it was.
//!
//! Each test has namespaces and a BPF file system of its own, which vanish with it.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]
#![expect(clippy::print_stdout, reason = "seeds, and why a test was skipped")]

#[path = "root_veth/agent.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod agent;
#[path = "root_study/border.rs"]
mod border;
#[path = "support/command.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod command;
#[path = "root_life/mount.rs"]
mod mount;
#[path = "support/root.rs"]
mod root;
#[path = "root_study/shared.rs"]
mod shared;
#[path = "support/border.rs"]
mod truth;

use std::fs;

use jiff::tz::TimeZone;
use sensor::testing::{
    history::{self, PERIODS, Version},
    rng::Rng,
};
use serde_json::Value;

use self::{
    border::{Border, Traffic},
    root::is_root,
    truth::{Truth, check_sums, column, texts, told},
};

/// By how much bytes of a class may be off: of the class, or of all bytes where that is more.
const CLASS: f64 = 0.02;
const ALL: f64 = 0.0002;

/// Where random moments begin: printed, and given back by `SENSOR_SEED`.
fn seed(test: &str) -> u64 {
    let drawn = u64::from(std::process::id());
    let seed = std::env::var("SENSOR_SEED").map_or(drawn, |text| text.parse().unwrap());
    println!("{test}: SENSOR_SEED={seed}");
    seed
}

/// A frame in the middle half.
fn somewhere(frames: usize, seed: u64) -> usize {
    frames / 4 + Rng::new(seed).below(frames / 2)
}

/// The later period of the history passes a sensor.
fn heard(test: &str, version: Version) {
    if !is_root(test) {
        return;
    }
    let seed = seed(test);
    let mut frames = Vec::new();
    history::each(version, |period, _, frame| {
        frames.extend((period.name == PERIODS[1].name).then(|| frame.to_vec()));
        Ok(())
    })
    .unwrap();
    let border = Border::new(if version == Version::V4 { "v4" } else { "v6" });
    fs::write(border.folder().join(history::FILES[1]), history::far_ends(version)).unwrap();
    border.configure(&history::sections(version));
    let killed_after = somewhere(frames.len(), seed);
    let zone = TimeZone::get("Asia/Kathmandu").unwrap();
    let report = border.listen(&Traffic { frames, killed_after, at_interval: false }, &zone);
    // What a replay says of it, as tests/study_versions.rs has it.
    let [_, truth] = Truth::both(version);
    check_sums(&report, &truth);
    // There is nothing before it: all of them are new.
    assert_eq!(texts(&report["addresses"]["newly_lit"]), truth.active.iter().map(told).collect());
    check_classes(&report, &truth);
}

/// Bytes of all classes, within what one kill may cost.
fn check_classes(report: &Value, truth: &Truth) {
    let (have, want) = (column(&report["classes"], "class", "bytes"), truth.of("class"));
    for (class, want) in want {
        let have = have.get(class).copied().unwrap_or(0);
        let slack = (CLASS * want as f64).max(ALL * truth.total() as f64);
        println!("{class}: {have} of {want} bytes");
        assert!((have - want).abs() as f64 <= slack, "{class}: {have} for {want}; {}", report["classes"]);
    }
}

#[test]
fn a_running_sensor_gives_the_study_of_a_replay() {
    heard("a_running_sensor_gives_the_study_of_a_replay", Version::V4);
}

#[test]
fn a_running_sensor_gives_the_study_of_a_replay_of_ipv6() {
    heard("a_running_sensor_gives_the_study_of_a_replay_of_ipv6", Version::V6);
}
