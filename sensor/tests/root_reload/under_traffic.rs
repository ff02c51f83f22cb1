//! Random changes, one after the other, while packets run and while they do not.

use std::time::{Duration, Instant};

use sensor::testing::rng::Rng;

use crate::{
    agent::eventually,
    bill::Bill,
    root::is_root,
    site::{PLAIN, Site},
    stage::{number, seed},
    table::Model,
    wire::{Sending, packets},
};

/// Packets between two reloads.
const PACKETS: u64 = 150;
/// Prefixes that the maps are made for, besides those that are counted.
const ROOM: u32 = 500;

/// So many reloads; returns how many packets were under way around one of their prefix, and how many maps there were.
fn reloads(name: &str, running: bool, reloads: usize) -> (u64, usize) {
    let seed = seed(name);
    let (site, mut rng) = (Site::new(name), Rng::new(seed));
    let mut model = Model::drawn(&mut rng);
    // Room for all that is to come.
    site.write(&model.with_more(ROOM), PLAIN);
    let agent = site.started();
    site.write(&model, PLAIN);
    assert_eq!(site.reloaded().prefixes.removed, u64::from(ROOM));
    let sending = Sending::new(&site.stage.wire);
    let mut bill = Bill::new(packets(), model.clone());
    if running {
        sending.go();
    }
    let (mut longest, began) = (Duration::ZERO, Instant::now());
    for _ in 0..reloads {
        sending.wait_or_send(running, PACKETS);
        (0..=rng.below(12)).for_each(|_| model.change(&mut rng));
        site.write(&model, PLAIN);
        let (asked, at) = (sending.sent(), Instant::now());
        let reloaded = site.reloaded();
        longest = longest.max(at.elapsed());
        let answered = sending.sent();
        assert_eq!(reloaded.new_maps, None);
        if running {
            bill.between(asked, answered + 1, model.clone());
        } else {
            bill.at_rest(answered, model.clone());
        }
    }
    println!("{name}: {reloads} reloads in {:?}, the longest took {longest:?}", began.elapsed());
    sending.wait_or_send(running, PACKETS);
    sending.pause();
    assert!(eventually(|| site.manifests().len() == 1), "{:?}", site.manifests());
    let sent = sending.sent();
    let (ended, records) = site.end(agent);
    assert!(!ended.messages.iter().any(|line| line.contains("ERROR")), "{:#?}", ended.messages);
    let uncertain = bill.uncertain();
    bill.check(sent, &records);
    (uncertain, Site::epochs(&records))
}

#[test]
fn under_traffic_nothing_is_lost_doubled_or_booked_wrongly() {
    if !is_root("under_traffic_nothing_is_lost_doubled_or_booked_wrongly") {
        return;
    }
    let (uncertain, epochs) = reloads("running", true, number("SENSOR_RELOADS", 40));
    assert!(uncertain > 0, "nothing was under way");
    assert_eq!(epochs, 1, "one life of the counters");
}

/// Ids whose counts were exported twice mean something else: maps for one table hold any number of others, one after the other.
#[test]
fn ids_are_used_again() {
    if !is_root("ids_are_used_again") {
        return;
    }
    const MANY: u32 = 2_000;
    let (site, model) = (Site::new("again"), Model::steady());
    site.write(&model.with_more_from(0, MANY), PLAIN);
    let agent = site.started();
    let sending = Sending::new(&site.stage.wire);
    let bill = Bill::new(packets(), model.clone());
    sending.go();
    for round in 1..=number("SENSOR_RELOADS", 40) as u32 / 4 {
        // A part of them each time: with those that are retired there is room for two such, and not for ten.
        site.write(&model.with_more_from(round * MANY / 4, MANY), PLAIN);
        let reloaded = site.reloaded();
        assert_eq!((reloaded.new_maps, reloaded.prefixes.added), (None, u64::from(MANY / 4)), "round {round}");
        sending.wait(50);
    }
    sending.pause();
    let sent = sending.sent();
    let (_, records) = site.end(agent);
    assert_eq!(Site::epochs(&records), 1);
    bill.check(sent, &records);
}

#[test]
fn between_packets_every_sum_is_exact() {
    if !is_root("between_packets_every_sum_is_exact") {
        return;
    }
    let (uncertain, epochs) = reloads("at-rest", false, number("SENSOR_RELOADS", 40));
    assert_eq!((uncertain, epochs), (0, 1));
}
