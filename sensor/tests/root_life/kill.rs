//! Killed and swapped, again and again, under traffic both ways.

use std::{thread, time::Duration};

use sensor::testing::{netns::LINK, rng::Rng};

use crate::{
    root::is_root,
    stage::{Settings, Stage, number, seed},
    traffic::Traffic,
};

/// Longest life of an agent that is killed; a start takes a good part of it, an interval a second.
const LIFE_MS: usize = 1_600;
/// A start that is killed: every step from the journal to the last swapped program.
const START_MS: usize = 700;

/// Kills so many agents at random moments; all frames are in the records.
fn survives(name: &str, settings: &Settings, kills: usize, longest_ms: usize) {
    let seed = seed(name);
    let stage = Stage::new(name);
    let mut rng = Rng::new(seed);
    stage.stop(stage.started(settings), "TERM");
    let traffic = Traffic::start(&stage.wire, LINK, seed, &settings.table());
    for _ in 0..kills {
        let agent = stage.start(settings);
        thread::sleep(Duration::from_millis(rng.below(longest_ms) as u64));
        stage.stop(agent, "KILL");
    }
    traffic.wait(1);
    let truth = traffic.stop(&stage.wire);
    stage.detach(settings);
    let totals = stage.check(settings, &truth);
    assert_eq!(totals.epochs.len(), 1, "one life of the counters");
}

#[test]
fn killed_at_any_moment() {
    if is_root("killed_at_any_moment") {
        survives("kill", &Settings::default(), number("SENSOR_KILLS", 20), LIFE_MS);
    }
}

#[test]
fn killed_while_starting() {
    if is_root("killed_while_starting") {
        survives("start", &Settings::default(), number("SENSOR_KILLS", 20), START_MS);
    }
}

#[test]
fn killed_without_egress() {
    if is_root("killed_without_egress") {
        let settings = Settings { interfaces: vec![(LINK.inside, "egress = false")], ..Settings::default() };
        survives("rx", &settings, number("SENSOR_KILLS", 20) / 4, LIFE_MS);
    }
}

#[test]
fn killed_in_generic_mode() {
    if is_root("killed_in_generic_mode") {
        let settings = Settings { interfaces: vec![(LINK.inside, "xdp = \"generic\"")], ..Settings::default() };
        survives("generic", &settings, number("SENSOR_KILLS", 20) / 4, LIFE_MS);
    }
}

/// Before anything was ever counted: whatever a start leaves, the next one goes on from there.
#[test]
fn killed_before_the_first_record() {
    if !is_root("killed_before_the_first_record") {
        return;
    }
    let seed = seed("first");
    let (stage, settings, mut rng) = (Stage::new("first"), Settings::default(), Rng::new(seed));
    for _ in 0..number("SENSOR_KILLS", 20) {
        let agent = stage.start(&settings);
        thread::sleep(Duration::from_millis(rng.below(START_MS / 2) as u64));
        stage.stop(agent, "KILL");
    }
    let agent = stage.started(&settings);
    let traffic = Traffic::start(&stage.wire, LINK, seed, &settings.table());
    traffic.wait(1_000);
    let truth = traffic.stop(&stage.wire);
    stage.stop(agent, "TERM");
    stage.detach(&settings);
    stage.check(&settings, &truth);
}

#[test]
fn swapped_under_traffic() {
    if !is_root("swapped_under_traffic") {
        return;
    }
    let seed = seed("swap");
    let (stage, settings) = (Stage::new("swap"), Settings::default());
    stage.stop(stage.started(&settings), "TERM");
    let traffic = Traffic::start(&stage.wire, LINK, seed, &settings.table());
    for _ in 0..number("SENSOR_SWAPS", 20) {
        let mut agent = stage.start(&settings);
        agent.wait_for_message("swapped the program");
        stage.stop(agent, "TERM");
    }
    let truth = traffic.stop(&stage.wire);
    stage.detach(&settings);
    let totals = stage.check(&settings, &truth);
    assert_eq!((totals.epochs.len(), totals.repeated), (1, 0), "one life of the counters, and nothing written again");
}
