//! `sensor detach`: the last records, and nothing left.

use std::{fs, path::Path, process::Command};

use aya::{
    maps::{Array, Map, MapData},
    programs::{SchedClassifier, TcAttachType},
};
use sensor::{
    bpf::{InstanceDir, Kernel},
    prefix::SetBuilder,
    testing::netns::{LINK, within},
};

use crate::{
    root::is_root,
    stage::{Settings, Stage, names},
    traffic::Traffic,
};

/// The counters of a set, and what its CPUs have still to add.
struct Maps {
    prefixes: Array<MapData, [u64; 4]>,
    pending: Array<MapData, [u32; 16]>,
}

impl Maps {
    fn open(set: &Path) -> Self {
        let map = |name| Map::Array(MapData::from_pin(set.join(name)).unwrap());
        Self { prefixes: map("PREFIXES").try_into().unwrap(), pending: map("PENDING").try_into().unwrap() }
    }

    /// Packets in all rows. No program runs any more.
    fn packets(&self) -> u64 {
        let counted: u64 = self.prefixes.iter().map(|row| row.unwrap()[0]).sum();
        let left = self.pending.iter().map(|line| {
            let [turn, _, source, destination, packets, ..] = line.unwrap();
            assert_eq!(turn % 2, 0, "taken");
            u64::from(packets) * [source, destination].into_iter().filter(|row| *row != 0).count() as u64
        });
        counted + left.sum::<u64>()
    }
}

/// Nothing is counted any more that is not in the last records: the maps are looked at once more after it, by somebody who held them.
#[test]
fn under_traffic_nothing_is_counted_behind_the_last_record() {
    if !is_root("under_traffic_nothing_is_counted_behind_the_last_record") {
        return;
    }
    let (stage, settings) = (Stage::new("last"), Settings::default());
    for round in 0..5 {
        stage.stop(stage.started(&settings), "TERM");
        let set = names(&stage.pins()).into_iter().find(|name| name != "links").unwrap();
        let maps = Maps::open(&stage.pins().join(&set));
        let traffic = Traffic::start_at(0, &stage.wire, LINK, round, &settings.table());
        traffic.wait(300);
        stage.detach(&settings);
        traffic.wait(300);
        let totals = stage.totals();
        let recorded: u64 = totals.epochs[&set].values().map(|sum| sum.packets).sum();
        assert!(recorded > 0);
        assert_eq!(maps.packets(), recorded, "counted, and recorded");
        traffic.give_up();
    }
}

/// Removing a pin alone does not where somebody still holds the link, or only some time later.
#[test]
fn a_removed_link_is_detached_at_once() {
    if !is_root("a_removed_link_is_detached_at_once") {
        return;
    }
    let stage = Stage::new("atonce");
    let set = SetBuilder::default().build().unwrap();
    let mut kernel = Kernel::load(&set, &set.trie().unwrap(), 1).unwrap();
    let pins = InstanceDir::open(&stage.bpffs(), "atonce").unwrap();
    let pin = pins.link(LINK.inside, "egress");
    within(&stage.wire.sensor, || {
        let attached =
            || Ok::<_, anyhow::Error>(SchedClassifier::query_tcx(LINK.inside, TcAttachType::Egress)?.1.len());
        for held in [true, false] {
            let attachment = kernel.instance(0)?.attach_egress_pinned(LINK.inside, Some(&pin))?;
            let attachment = held.then_some(attachment);
            assert_eq!(attached()?, 1, "by the pin, if nobody holds it");
            pins.remove_link(&pin)?;
            assert_eq!(attached()?, 0, "held: {held}");
            drop(attachment);
        }
        Ok(())
    })
    .unwrap();
}

/// Coming and going, the programs cost no packet: the interfaces' own counters say so.
#[test]
fn attaching_and_detaching_drops_nothing() {
    if !is_root("attaching_and_detaching_drops_nothing") {
        return;
    }
    let (stage, settings) = (Stage::new("drops"), Settings::default());
    let traffic = Traffic::start(&stage.wire, LINK, 1, &settings.table());
    for _ in 0..5 {
        let mut agent = stage.start(&settings);
        agent.wait_for_message("attached");
        stage.stop(agent, "TERM");
        stage.detach(&settings);
    }
    traffic.stop(&stage.wire);
}

#[test]
fn twice_in_a_row_and_then_a_new_start() {
    if !is_root("twice_in_a_row_and_then_a_new_start") {
        return;
    }
    let (stage, settings) = (Stage::new("twice"), Settings::default());
    assert!(stage.detach(&settings).is_empty(), "there never was an agent");
    let agent = stage.started(&settings);
    let mut traffic = Traffic::start(&stage.wire, LINK, 1, &settings.table());
    traffic.wait(500);
    stage.stop(agent, "KILL");
    traffic.wait(500);
    let mut before = (0, 0);
    for epoch in 1..=2 {
        let (truth, now) = traffic.stop_after(&stage.wire, before);
        before = now;
        stage.detach(&settings);
        assert!(stage.detach(&settings).is_empty());
        let mut left = names(&stage.state_dir());
        // What lives at watched addresses stays known, of an agent that had the time to write it.
        left.retain(|name| name != "known");
        assert_eq!(left, ["journal", "lock"]);
        let totals = stage.totals();
        assert_eq!(totals.epochs.len(), epoch);
        if epoch == 1 {
            stage.check(&settings, &truth);
        }
        stage.stop(stage.started(&settings), "TERM");
        traffic = Traffic::start(&stage.wire, LINK, 2, &settings.table());
        traffic.wait(100);
    }
    traffic.give_up();
    stage.detach(&settings);
}

#[test]
fn without_a_configuration_and_without_the_interface() {
    if !is_root("without_a_configuration_and_without_the_interface") {
        return;
    }
    let (stage, settings) = (Stage::new("gone"), Settings::default());
    stage.stop(stage.started(&settings), "TERM");
    let traffic = Traffic::start(&stage.wire, LINK, 1, &settings.table());
    traffic.wait(500);
    let truth = traffic.stop(&stage.wire);
    let gone = Command::new("ip").args(["-n", &stage.wire.sensor, "link", "delete", LINK.inside]).status().unwrap();
    assert!(gone.success());
    fs::remove_file(stage.folder().join("sensor.toml")).unwrap();
    let (state_dir, bpffs) = (stage.state_dir(), stage.bpffs());
    let run = stage.finish(&[
        "detach",
        "--sensor-id",
        settings.id,
        "--state-dir",
        state_dir.to_str().unwrap(),
        "--bpffs",
        bpffs.to_str().unwrap(),
        "--format",
        "jsonl",
    ]);
    assert_eq!(run.status, Some(0), "{run:?}");
    stage.keep(&run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>());
    stage.assert_gone(&settings);
    stage.check(&settings, &truth);
}
