//! Killed at any moment of a reload: the next start goes on with the manifest in force, and what the file says is in force then.

use std::{thread, time::Duration};

use sensor::testing::rng::Rng;

use crate::{
    agent::eventually,
    bill::Bill,
    root::is_root,
    site::{PLAIN, Rest, Site},
    stage::{number, seed},
    table::Model,
    wire::{Sending, packets},
};

/// From the signal to the answer, and some more.
const RELOAD_MS: usize = 60;

/// Kills so many agents while they reload, under traffic or not.
fn killed(name: &str, running: bool, kills: usize) {
    let seed = seed(name);
    let (site, mut rng) = (Site::new(name), Rng::new(seed));
    let mut model = Model::drawn(&mut rng);
    // Intervals that end only with a reload, or by themselves in between.
    let rest = [PLAIN, Rest { sensor: "interval = \"1h\"", ..PLAIN }];
    site.write(&model.with_more(500), PLAIN);
    let mut agent = site.started();
    site.write(&model, PLAIN);
    site.reloaded();
    let sending = Sending::new(&site.stage.wire);
    let mut bill = Bill::new(packets(), model.clone());
    if running {
        sending.go();
    }
    for kill in 0..kills {
        sending.wait_or_send(running, 200);
        (0..=rng.below(8)).for_each(|_| model.change(&mut rng));
        site.write(&model, rest[kill % 2]);
        let asked = sending.sent();
        agent.signal("HUP");
        thread::sleep(Duration::from_micros(rng.below(RELOAD_MS * 1_000) as u64));
        site.stop(agent, "KILL");
        agent = site.start();
        // Whatever it found, it counts by the file from here on.
        assert!(eventually(|| site.try_reload().is_ok()), "{:#?}", agent.messages());
        if running {
            bill.between(asked, sending.sent() + 1, model.clone());
        } else {
            bill.at_rest(asked, model.clone());
        }
    }
    sending.wait_or_send(running, 200);
    sending.pause();
    assert!(eventually(|| site.manifests().len() == 1), "{:?}", site.manifests());
    let sent = sending.sent();
    let (ended, records) = site.end(agent);
    assert!(!ended.messages.iter().any(|line| line.contains("ERROR")), "{:#?}", ended.messages);
    assert_eq!(Site::epochs(&records), 1, "one life of the counters");
    bill.check(sent, &records);
}

#[test]
fn killed_while_reloading() {
    if is_root("killed_while_reloading") {
        killed("kill-rest", false, number("SENSOR_KILLS", 20));
    }
}

#[test]
fn killed_while_reloading_under_traffic() {
    if is_root("killed_while_reloading_under_traffic") {
        killed("kill-run", true, number("SENSOR_KILLS", 20));
    }
}
