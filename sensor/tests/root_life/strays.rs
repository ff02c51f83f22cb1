//! Files of the state folder that nobody wants any more, and one that is wanted and cannot be read.

use std::fs;

use sensor::testing::netns::LINK;

use crate::{
    agent::eventually,
    refusal::refused,
    root::is_root,
    stage::{Settings, Stage, names},
    traffic::Traffic,
};

/// The set of maps that is pinned.
fn set(stage: &Stage) -> String {
    names(&stage.pins()).into_iter().find(|name| name != "links").unwrap()
}

#[test]
fn strays_stop_no_start() {
    if !is_root("strays_stop_no_start") {
        return;
    }
    let (stage, settings) = (Stage::new("strays"), Settings::default());
    stage.stop(stage.started(&settings), "TERM");
    let (old, state) = (set(&stage), stage.state_dir());
    // Two that cannot be read, of an epoch that is not there and of the one that is.
    let unreadable = [format!("manifest-{}-1", "aa".repeat(16)), format!("manifest-{old}-77")];
    unreadable.iter().for_each(|name| fs::create_dir(state.join(name)).unwrap());
    let foreign = format!("manifest-{}-2", "cc".repeat(16));
    fs::write(state.join(&foreign), "of somebody else").unwrap();
    // Of versions before generations: of an epoch that is gone, and of one that such a version may want to go on with.
    let [gone, there] = ["bb".repeat(16), old.clone()].map(|epoch| format!("manifest-{epoch}"));
    [&gone, &there].iter().for_each(|name| fs::write(state.join(name), "sensor manifest 1\n").unwrap());

    let agent = stage.started(&settings);
    let left = || names(&state).into_iter().filter(|name| name.starts_with("manifest-")).collect::<Vec<_>>();
    let mut kept = vec![unreadable[0].clone(), there, format!("manifest-{old}-1"), unreadable[1].clone()];
    kept.sort();
    assert!(eventually(|| left() == kept), "{:?}", left());
    let before = agent.records().len();
    assert!(eventually(|| agent.records().len() > before));
    let ended = stage.stop(agent, "TERM");
    for name in &unreadable {
        let told = ended.messages.iter().filter(|line| line.contains(name.as_str())).collect::<Vec<_>>();
        assert!(told.len() == 1 && told[0].contains("remove it by hand"), "{:#?}", ended.messages);
    }

    // New maps: what was there is cleared first.
    let other = Settings { interfaces: vec![(LINK.inside, "egress = false")], ..settings.clone() };
    let agent = stage.started(&other);
    let mut kept = vec![unreadable[0].clone(), format!("manifest-{}-1", set_but(&stage, &old)), unreadable[1].clone()];
    kept.sort();
    assert!(eventually(|| left() == kept), "{:?}", left());
    stage.stop(agent, "TERM");
    stage.detach(&other);
    let mut kept = unreadable.to_vec();
    kept.sort();
    assert_eq!(left(), kept);
}

/// The set of maps that is pinned besides that one.
fn set_but(stage: &Stage, old: &str) -> String {
    names(&stage.pins()).into_iter().find(|name| name != "links" && name != old).unwrap()
}

#[test]
fn a_manifest_that_is_needed_is_waited_for() {
    if !is_root("a_manifest_that_is_needed_is_waited_for") {
        return;
    }
    let (stage, settings) = (Stage::new("needed"), Settings::default());
    let agent = stage.started(&settings);
    let traffic = Traffic::start(&stage.wire, LINK, 1, &settings.table());
    traffic.wait(300);
    stage.stop(agent, "TERM");
    let manifest = stage.state_dir().join(format!("manifest-{}-1", set(&stage)));
    let aside = stage.folder().join("aside");
    fs::rename(&manifest, &aside).unwrap();
    fs::create_dir(&manifest).unwrap();
    let config = stage.configure(&settings);
    // First the one that ends by itself where it is not refused.
    for what in ["detach", "run"] {
        let run = stage.finish(&[what, "--config", &config, "--format", "jsonl"]);
        refused(what, &run, &[manifest.to_str().unwrap(), "make that file readable, or remove it", "Is a directory"]);
    }
    fs::remove_dir(&manifest).unwrap();
    fs::rename(&aside, &manifest).unwrap();
    let agent = stage.started(&settings);
    let truth = traffic.stop(&stage.wire);
    stage.stop(agent, "TERM");
    stage.detach(&settings);
    assert_eq!(stage.check(&settings, &truth).epochs.len(), 1);
}
