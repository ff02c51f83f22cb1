//! Another configuration at a start: other prefixes are counted on in the same epoch; with other interfaces counters begin under a new
//! one, and those before it are closed under their old names.

use std::{fs, process::Command, thread, time::Duration};

use sensor::testing::{
    netns::{LINK, Link},
    rng::Rng,
    truth::{Table, Tally},
};

use crate::{
    refusal,
    root::is_root,
    stage::{Settings, Stage, names, number, seed},
    traffic::Traffic,
};

const SECOND: Link = Link { inside: "ingress2", outside: "egress2" };
/// Prefixes of one configuration alone, apart from those that all have.
const ONE: &str = "203.0.113.0/24";
const OTHER: &str = "100.64.0.0/10";
/// A start takes about this long.
const START_MS: usize = 700;
/// From its first program to its first record.
const HALF_WAY_MS: usize = 40;

fn settings(interfaces: &[(&'static str, &'static str)], more: &'static str) -> Settings {
    Settings { interfaces: interfaces.to_vec(), more: vec![more], ..Settings::default() }
}

/// For the addresses of frames: in every configuration's prefixes.
fn all_prefixes() -> Table {
    Settings { more: vec![ONE, OTHER], ..Settings::default() }.table()
}

#[test]
fn other_interfaces_are_another_epoch_and_other_prefixes_are_not() {
    if !is_root("other_interfaces_are_another_epoch_and_other_prefixes_are_not") {
        return;
    }
    let seed = seed("change");
    let stage = Stage::with("change", &[LINK, SECOND]);
    let (link, table) = ((LINK.inside, ""), all_prefixes());
    let changes = [
        settings(&[link], ONE),
        settings(&[link], OTHER),
        settings(&[link, (SECOND.inside, "")], OTHER),
        settings(&[link, (SECOND.inside, "egress = false")], OTHER),
        settings(&[link], OTHER),
        settings(&[link, (SECOND.inside, "role = \"internal\"")], OTHER),
    ];
    let mut traffic: Option<Traffic> = None;
    let (mut second_rx, mut second_tx, mut second_billed) = (Tally::default(), Tally::default(), Tally::default());
    let mut before_second: Option<(u64, u64)> = None;
    for settings in &changes {
        let agent = stage.started(settings);
        let traffic = traffic.get_or_insert_with(|| Traffic::start(&stage.wire, LINK, seed, &table));
        traffic.wait(500);
        if let Some((_, lines)) = settings.interfaces.get(1) {
            let more = Traffic::start(&stage.wire, SECOND, seed + 7, &table);
            more.wait(500);
            let earlier = before_second.unwrap_or_default();
            let (truth, now) = more.stop_after(&stage.wire, earlier);
            before_second = Some(now);
            let (rx, tx) = (truth.rx.tally(&table), truth.tx.tally(&table));
            second_rx.add(&rx);
            if !lines.contains("egress = false") {
                second_tx.add(&tx);
            }
            if !lines.contains("internal") {
                second_billed.add(&rx);
                if !lines.contains("egress = false") {
                    second_billed.add(&tx);
                }
            }
        }
        stage.stop(agent, "TERM");
    }
    let truth = traffic.unwrap().stop(&stage.wire);
    stage.detach(changes.last().unwrap());
    let totals = stage.totals();
    assert_eq!(totals.epochs.len(), changes.len() - 1);
    let with = |prefix: &str| {
        let has = |sums: &&std::collections::BTreeMap<(String, String), _>| sums.keys().any(|(key, _)| key == prefix);
        totals.epochs.values().filter(has).count()
    };
    assert_eq!((with(ONE), with(OTHER)), (1, changes.len() - 1));
    totals.side(LINK.inside, "rx").check_seen(&truth.rx.tally(&table));
    totals.side(LINK.inside, "tx").check_seen(&truth.tx.tally(&table));
    totals.side(SECOND.inside, "rx").check_seen(&second_rx);
    totals.side(SECOND.inside, "tx").check_seen(&second_tx);
    let mut all = truth.tally(&table);
    all.add(&second_billed);
    totals.check_prefixes_but(&all, &[ONE, OTHER]);
}

#[test]
fn killed_while_handing_over() {
    if !is_root("killed_while_handing_over") {
        return;
    }
    let seed = seed("handover");
    let stage = Stage::with("handover", &[LINK, SECOND]);
    let (link, mut rng, table) = ((LINK.inside, ""), Rng::new(seed), all_prefixes());
    let sides = [settings(&[link], ONE), settings(&[(SECOND.inside, ""), link], OTHER)];
    stage.stop(stage.started(&sides[0]), "TERM");
    let traffic = Traffic::start(&stage.wire, LINK, seed, &table);
    for round in 0..number("SENSOR_KILLS", 20) / 2 {
        let mut agent = stage.start(&sides[(round + 1) % 2]);
        // Every other one in the middle: when the first program is in its place, and the next is not.
        let longest = if rng.one_in(2) {
            agent.wait_for_message(" for frames of ");
            HALF_WAY_MS
        } else {
            START_MS
        };
        thread::sleep(Duration::from_millis(rng.below(longest) as u64));
        stage.stop(agent, "KILL");
    }
    // However few got so far.
    sides.iter().rev().for_each(|side| drop(stage.stop(stage.started(side), "TERM")));
    traffic.wait(1);
    let truth = traffic.stop(&stage.wire);
    stage.detach(&sides[0]);
    let totals = stage.totals();
    totals.side(LINK.inside, "rx").check_seen(&truth.rx.tally(&table));
    totals.side(LINK.inside, "tx").check_seen(&truth.tx.tally(&table));
    totals.check_prefixes_but(&truth.tally(&table), &[ONE, OTHER]);
    println!("{} epochs, {} records written again", totals.epochs.len(), totals.repeated);
    assert!(totals.epochs.len() > 1 && totals.unattributed.is_empty());
}

/// A program of another mode cannot be swapped in: the old one has to go first.
#[test]
fn another_mode() {
    if !is_root("another_mode") {
        return;
    }
    let stage = Stage::new("mode");
    let link = |lines| settings(&[(LINK.inside, lines)], ONE);
    for (lines, shown) in [("", "xdp"), ("xdp = \"generic\"", "xdpgeneric"), ("mode = \"mirror\"", "xdp"), ("", "xdp")]
    {
        let agent = stage.started(&link(lines));
        let says = stage.wire.show(LINK.inside).unwrap();
        assert!(says.split_whitespace().any(|word| word == shown), "{lines}: {says}");
        stage.stop(agent, "TERM");
        let pins = if lines.contains("mirror") { 1 } else { 2 };
        assert_eq!(names(&stage.pins().join("links")).len(), pins);
    }
    stage.detach(&link(""));
}

/// The old set goes while the agent runs, once its last records were written.
#[test]
fn the_old_counters_go_soon() {
    if !is_root("the_old_counters_go_soon") {
        return;
    }
    let stage = Stage::new("soon");
    stage.stop(stage.started(&settings(&[(LINK.inside, "")], ONE)), "TERM");
    let agent = stage.started(&settings(&[(LINK.inside, "egress = false")], OTHER));
    assert!(crate::agent::eventually(|| names(&stage.pins()).len() == 2), "{:?}", names(&stage.pins()));
    let manifests = || names(&stage.state_dir()).iter().filter(|name| name.starts_with("manifest-")).count();
    assert!(crate::agent::eventually(|| manifests() == 1));
    stage.stop(agent, "TERM");
    stage.detach(&Settings::default());
}

/// Makes the BPF file system read-only, or writable again.
fn remount(stage: &Stage, how: &str) {
    assert!(Command::new("mount").args(["-o", how]).arg(stage.bpffs()).status().unwrap().success());
}

/// Pins that cannot be opened say nothing of what is behind them: they stay, and the programs go on.
#[test]
fn what_cannot_be_opened_is_not_removed() {
    if !is_root("what_cannot_be_opened_is_not_removed") {
        return;
    }
    let stage = Stage::new("open");
    let (one, other) = (settings(&[(LINK.inside, "")], ONE), settings(&[(LINK.inside, "")], OTHER));
    stage.stop(stage.started(&one), "TERM");
    let traffic = Traffic::start(&stage.wire, LINK, 1, &one.table());
    let before = names(&stage.pins());
    remount(&stage, "remount,ro");
    let config = stage.configure(&other);
    let run = stage.finish(&["run", "--config", &config, "--format", "jsonl"]);
    refusal::refused(
        "a read-only file system",
        &run,
        &["cannot open the pinned map", "CONTROL", "Read-only file system"],
    );
    remount(&stage, "remount,rw");
    assert_eq!(names(&stage.pins()), before);
    stage.stop(stage.started(&other), "TERM");
    let truth = traffic.stop(&stage.wire);
    stage.detach(&other);
    stage.totals().check_prefixes_but(&truth.tally(&one.table()), &[ONE, OTHER]);
}

/// However often a start fails half way, the one that can is not in its way.
#[test]
fn starts_that_fail_are_no_burden() {
    if !is_root("starts_that_fail_are_no_burden") {
        return;
    }
    let (stage, settings) = (Stage::new("fail"), Settings::default());
    fs::create_dir_all(stage.pins().join("links")).unwrap();
    remount(&stage, "remount,ro");
    let config = stage.configure(&settings);
    for _ in 0..12 {
        let run = stage.finish(&["run", "--config", &config, "--format", "jsonl"]);
        assert!(run.status == Some(1) && run.stderr.contains("Read-only file system"), "{run:?}");
    }
    remount(&stage, "remount,rw");
    assert!(!names(&stage.state_dir()).iter().any(|name| name.starts_with("manifest-")));
    stage.stop(stage.started(&settings), "TERM");
    stage.detach(&settings);
}
