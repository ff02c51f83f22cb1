//! Pins that somebody removes while the agent runs.

use std::fs;

use sensor::testing::netns::LINK;

use crate::{
    agent::{Agent, eventually},
    root::is_root,
    stage::{Settings, Stage, names},
    traffic::Traffic,
};

/// What was said of removed pins.
fn said(agent: &Agent) -> Vec<String> {
    agent.messages().into_iter().filter(|line| line.contains("somebody removed the pin")).collect()
}

#[test]
fn a_removed_pin_is_told_once() {
    if !is_root("a_removed_pin_is_told_once") {
        return;
    }
    let (stage, settings) = (Stage::new("pins"), Settings::default());
    let mut agent = stage.started(&settings);
    let traffic = Traffic::start(&stage.wire, LINK, 1, &settings.table());
    let old = names(&stage.pins()).into_iter().find(|name| name != "links").unwrap();
    let [set, links] = [old.as_str(), "links"].map(|name| stage.pins().join(name));
    let link = names(&links).into_iter().find(|name| name.contains("inline")).unwrap();
    fs::remove_file(links.join(&link)).unwrap();
    agent.wait_for_message(&format!("somebody removed the pin {}:", links.join(&link).display()));
    fs::remove_file(set.join("PREFIXES")).unwrap();
    agent.wait_for_message(&format!("somebody removed the pin {}:", set.join("PREFIXES").display()));
    // Some looks later, with nothing else to be said, it still counts.
    let ticks = || agent.records().iter().filter(|record| record["record"] == "ledger").count();
    let before = ticks();
    assert!(eventually(|| ticks() > before + 6));
    let all = said(&agent);
    assert!(all.len() == 2 && all.iter().all(|line| line.contains("ERROR") && line.contains("restart it")), "{all:#?}");
    let truth = traffic.stop(&stage.wire);
    stage.stop(agent, "TERM");
    // As it advised.
    let agent = stage.started(&settings);
    assert!(eventually(|| !set.exists() && names(&links).contains(&link)), "{:?}", names(&stage.pins()));
    assert!(said(&agent).is_empty());
    stage.stop(agent, "TERM");
    stage.detach(&settings);
    stage.check(&settings, &truth);
}
