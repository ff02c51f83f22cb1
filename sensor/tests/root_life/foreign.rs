//! Pins and files that are not what they should be: nothing is read through a type it does not have, and what was counted before is
//! `unattributed`.

use std::{fs, path::Path, thread};

use aya::maps::{Array, Map, MapData};
use sensor::testing::{netns::LINK, truth::Sum};
use sensor_ebpf::abi::ControlBlock;

use crate::{
    agent::eventually,
    root::is_root,
    stage::{Settings, Stage, names},
    traffic::Traffic,
};

/// What is known of counters whose maps, names or history were tampered with.
enum Known {
    /// Everything: the next agent goes on.
    Continued,
    /// Everything but the table.
    Names,
    /// How much was reported before.
    Reported,
    /// That they counted.
    Totals,
    /// Nothing: they cannot be read.
    Nothing,
}

/// Lets an agent report, lets its programs count on without it, tampers, and starts another one.
fn tampered(name: &str, known: &Known, tamper: impl Fn(&Stage, &Path)) {
    let (stage, settings) = (Stage::new(name), Settings::default());
    let table = settings.table();
    let agent = stage.started(&settings);
    let traffic = Traffic::start(&stage.wire, LINK, 1, &table);
    traffic.wait(300);
    let (reported, now) = traffic.stop_after(&stage.wire, (0, 0));
    stage.stop(agent, "TERM");
    let traffic = Traffic::start(&stage.wire, LINK, 2, &table);
    traffic.wait(300);
    let (unreported, now) = traffic.stop_after(&stage.wire, now);
    let old = names(&stage.pins()).into_iter().find(|name| name != "links").unwrap();
    tamper(&stage, &stage.pins().join(&old));

    let agent = stage.started(&settings);
    let continued = matches!(known, Known::Continued);
    let old_is_there = || names(&stage.pins()).contains(&old);
    assert!(eventually(|| old_is_there() == continued), "{name}: {:#?}", agent.messages());
    assert_eq!(names(&stage.pins()).len(), 2);
    let traffic = Traffic::start(&stage.wire, LINK, 3, &table);
    traffic.wait(300);
    let (later, _) = traffic.stop_after(&stage.wire, now);
    let ended = stage.stop(agent, "TERM");
    let says = |what: &str| ended.messages.iter().any(|line| line.contains(what));
    let lost = !continued && !matches!(known, Known::Names);
    assert_eq!(says("nobody knows what these counters mean"), lost, "{name}: {:#?}", ended.messages);
    stage.detach(&settings);

    let totals = stage.totals();
    let mut named = reported.tally(&table);
    named.add(&later.tally(&table));
    if !lost {
        named.add(&unreported.tally(&table));
    }
    totals.check_prefixes(&named);
    assert_eq!(totals.epochs.len(), if continued { 1 } else { 2 }, "{name}");
    let mut rest = unreported.tally(&table);
    match known {
        Known::Reported => {}
        Known::Totals => rest.add(&reported.tally(&table)),
        Known::Continued | Known::Names | Known::Nothing => return assert!(totals.unattributed.is_empty()),
    }
    for direction in ["in", "out"] {
        let counted = totals.unattributed.get(direction).copied().unwrap_or_default();
        assert_eq!(counted, rest.direction(direction), "{name} {direction}");
        assert_ne!(counted, Sum::default());
    }
}

#[test]
fn pins_that_are_not_what_they_should_be() {
    if !is_root("pins_that_are_not_what_they_should_be") {
        return;
    }
    thread::scope(|scope| {
        scope.spawn(|| tampered("abi", &Known::Reported, |_, set| another_abi_version(set)));
        scope.spawn(|| tampered("control", &Known::Reported, |_, set| put(set, "BLOCKS", "CONTROL")));
        scope.spawn(|| tampered("type", &Known::Reported, |_, set| put(set, "EXTERNAL", "LEDGER")));
        scope.spawn(|| tampered("entries", &Known::Reported, |_, set| put(set, "PREFIXES", "LEDGER")));
        scope.spawn(|| tampered("size", &Known::Nothing, |_, set| put(set, "NODES", "PREFIXES")));
        let link = |stage: &Stage, set: &Path| {
            let link = names(&stage.pins().join("links"))[0].clone();
            put(&stage.pins(), &format!("links/{link}"), &format!("{}/CONTROL", set.display()));
        };
        scope.spawn(move || tampered("link", &Known::Reported, link));
        // The table is lost; its counters and their names are not.
        scope.spawn(|| tampered("missing", &Known::Names, |_, set| fs::remove_file(set.join("NODES")).unwrap()));
    });
}

#[test]
fn files_that_are_not_what_they_should_be() {
    if !is_root("files_that_are_not_what_they_should_be") {
        return;
    }
    let journal = |stage: &Stage| stage.state_dir().join("journal");
    let manifest = |stage: &Stage, set: &Path| {
        stage.state_dir().join(format!("manifest-{}-1", set.file_name().unwrap().to_str().unwrap()))
    };
    thread::scope(|scope| {
        let no_manifest = move |stage: &Stage, set: &Path| fs::remove_file(manifest(stage, set)).unwrap();
        scope.spawn(move || tampered("nomanifest", &Known::Reported, no_manifest));
        let bad_manifest = move |stage: &Stage, set: &Path| flip(&manifest(stage, set), 60);
        scope.spawn(move || tampered("badmanifest", &Known::Reported, bad_manifest));
        let no_journal = move |stage: &Stage, _: &Path| fs::remove_file(journal(stage)).unwrap();
        scope.spawn(move || tampered("nojournal", &Known::Totals, no_journal));
        scope.spawn(move || tampered("badjournal", &Known::Totals, move |stage, _| flip(&journal(stage), 100)));
        let late = move |stage: &Stage, _: &Path| {
            let place = fs::metadata(journal(stage)).unwrap().len() * 2 / 3;
            flip(&journal(stage), place as usize);
        };
        scope.spawn(move || tampered("latejournal", &Known::Totals, late));
        scope.spawn(move || tampered("nonsense", &Known::Totals, move |stage, _| flip(&journal(stage), 0)));
        // An append that was interrupted had not been committed.
        scope.spawn(move || tampered("torn", &Known::Continued, move |stage, _| tear(&journal(stage))));
    });
}

/// The control block, and its word with the version.
type Control = [u64; size_of::<ControlBlock>() / size_of::<u64>()];
const VERSION: usize = 1;

/// Counts the version in the control block up.
fn another_abi_version(set: &Path) {
    let map = Map::Array(MapData::from_pin(set.join("CONTROL")).unwrap());
    let mut control = Array::<_, Control>::try_from(map).unwrap();
    let mut block = control.get(&0, 0).unwrap();
    block[VERSION] += 1;
    control.set(0, block, 0).unwrap();
}

/// Pins a map under the name of another one too.
fn put(set: &Path, map: &str, name: &str) {
    fs::hard_link(set.join(map), set.join("another")).unwrap();
    fs::rename(set.join("another"), set.join(name)).unwrap();
}

/// Turns over one bit of a file.
fn flip(path: &Path, place: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 4;
    fs::write(path, bytes).unwrap();
}

/// Appends the beginning of an entry.
fn tear(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    // A batch of 1,000 bytes of which 3 were written.
    bytes.extend([2, 232, 3, 0, 0, 1, 2, 3, 4, 5, 6, 7]);
    fs::write(path, bytes).unwrap();
}
