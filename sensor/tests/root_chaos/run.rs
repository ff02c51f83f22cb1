//! The tests.

use std::{thread, time::Duration};

use jiff::Timestamp;
use sensor::testing::netns::LINK;

use crate::{
    check::{check, ticks},
    driver,
    root::is_root,
    server::{Manner, Server},
    site::Site,
    stage::{number, seed},
    traffic::Traffic,
};

/// Frames a second and direction: enough for every prefix in every interval, and few enough for agents to start beside them.
const RATE: u64 = 2_000;
/// How long things go wrong, in seconds, unless the environment says otherwise.
const DEFAULT_SECONDS: usize = 40;
/// How long a collector hangs whose neighbours are looked at: many intervals of a second.
const HANG: Duration = Duration::from_secs(8);
/// How late an interval may be at a collector that is well: less than two, on two CPUs that others use, too.
const LATEST: Duration = Duration::from_secs(2);

#[test]
fn whatever_fails_each_record_arrives() {
    if !is_root("whatever_fails_each_record_arrives") {
        return;
    }
    let seed = seed("whatever_fails_each_record_arrives");
    let limit = Duration::from_secs(number("SENSOR_CHAOS_SECONDS", DEFAULT_SECONDS) as u64);
    let mut site = Site::new("chaos", seed);
    let traffic = Traffic::start_at(RATE, &site.stage.wire, LINK, seed, &site.settings.table());
    site.wait_until_all_have(Timestamp::now());
    let done = driver::run(&mut site, seed, limit);
    site.heal();
    site.wait_until_all_have(Timestamp::now());
    for (name, (times, held)) in &done.faults {
        println!("{name}: {times} times, {held:?}");
    }
    let (lives, ended) = (site.lives, site.ended.len());
    let lines = site.messages.len();
    println!(
        "{lives} lives of the agent, {ended} of which it ended by itself, such as {:?}; {lines} lines of log",
        site.ended.first()
    );
    let lost = site.lost();
    assert!(lost.len() >= 2 && lost.iter().all(|line| line.ends_with(" 0")), "{lost:#?}");
    let truth = traffic.stop(&site.stage.wire);
    site.finish("TERM");
    let config = site.stage.configure(&site.settings);
    let run = site.stage.finish(&["detach", "--config", &config]);
    assert_eq!((run.status, run.stdout.as_str()), (Some(0), ""), "{run:?}");
    site.stage.assert_gone(&site.settings);
    check(&site, &truth);
    let (intervals, latest) = ticks(&site, &done.hangs);
    println!(
        "{intervals} intervals began and ended while a collector hung; the latest tick of them was {latest:?} late"
    );
    assert!(latest < LATEST, "{latest:?}");
}

/// A collector that hangs delays neither the tick nor another one.
#[test]
fn who_hangs_delays_nobody_else() {
    if !is_root("who_hangs_delays_nobody_else") {
        return;
    }
    let mut site = Site::new("hang", 1);
    let traffic = Traffic::start_at(RATE, &site.stage.wire, LINK, 1, &site.settings.table());
    let seen = |site: &Site, from, until| {
        [site.book.lock().unwrap().seen.delay(from, until), site.store.lock().unwrap().seen.delay(from, until)]
    };
    for (who, manner) in [
        ("nobody", Manner::Well),
        ("ipfix", Manner::Frozen),
        ("ipfix", Manner::Deaf),
        ("clickhouse", Manner::Frozen),
        ("clickhouse", Manner::Mute),
    ] {
        site.wait_until_all_have(Timestamp::now());
        let of = |name: &str, server: &Server| {
            if who == name {
                server.behave(manner)
            }
        };
        of("ipfix", &site.ipfix);
        of("clickhouse", &site.clickhouse);
        let from = Timestamp::now();
        thread::sleep(HANG);
        // Of the last one there may be no word yet.
        let until = Timestamp::now() - LATEST;
        let delays = seen(&site, from, until);
        println!("{who} {manner:?}: intervals and the longest delay at ipfix and clickhouse {delays:?}");
        for (name, (intervals, delay)) in ["ipfix", "clickhouse"].into_iter().zip(delays) {
            if name == who {
                assert!(intervals <= 1, "it does hang");
            } else {
                let due = (HANG - LATEST).as_secs() as usize;
                assert!(
                    intervals + 1 >= due && delay < LATEST,
                    "{name} while {who} is {manner:?}: {intervals}, {delay:?}"
                );
            }
        }
        site.heal();
    }
    site.wait_until_all_have(Timestamp::now());
    let truth = traffic.stop(&site.stage.wire);
    site.finish("TERM");
    let config = site.stage.configure(&site.settings);
    assert_eq!(site.stage.finish(&["detach", "--config", &config]).status, Some(0));
    check(&site, &truth);
}
