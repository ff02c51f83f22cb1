//! Killed at any moment of a reload: the next start goes on with the manifest in force, and what the file says is in force then.

use std::{thread, time::Duration};

use sensor::testing::{netns::LINK, rng::Rng};

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
/// The same where programs are loaded.
const HAND_OVER_MS: usize = 700;
/// Intervals that end by themselves, or only with a reload.
const IN_PLACE: [Rest; 2] = [PLAIN, Rest { sensor: "interval = \"1h\"", ..PLAIN }];
/// What one counts, the other does not: each takes new maps.
const NEW_MAPS: [Rest; 2] = [Rest { interfaces: &[(LINK.inside, "egress = false")], ..PLAIN }, PLAIN];

/// Kills so many agents while they go from one to the other, under traffic or not, within so long a time; returns the lives of the
/// counters.
fn killed(name: &str, running: bool, rest: [Rest; 2], longest_ms: usize) -> usize {
    let kills = number("SENSOR_KILLS", 20);
    let seed = seed(name);
    let (site, mut rng) = (Site::new(name), Rng::new(seed));
    let mut model = Model::drawn(&mut rng);
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
        thread::sleep(Duration::from_micros(rng.below(longest_ms * 1_000) as u64));
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
    bill.check(sent, &records);
    Site::epochs(&records)
}

#[test]
fn killed_while_reloading() {
    if is_root("killed_while_reloading") {
        assert_eq!(killed("kill-rest", false, IN_PLACE, RELOAD_MS), 1, "one life of the counters");
    }
}

#[test]
fn killed_while_reloading_under_traffic() {
    if is_root("killed_while_reloading_under_traffic") {
        assert_eq!(killed("kill-run", true, IN_PLACE, RELOAD_MS), 1, "one life of the counters");
    }
}

#[test]
fn killed_while_handing_over_to_new_maps() {
    if is_root("killed_while_handing_over_to_new_maps") {
        let epochs = killed("kill-new", false, NEW_MAPS, HAND_OVER_MS);
        assert!(epochs > 1);
        println!("{epochs} epochs");
    }
}
