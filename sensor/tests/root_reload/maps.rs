//! Reloads that take new maps: the set outgrew the old ones, or the interfaces are others.

use std::{io::Read as _, process::Command, thread};

use sensor::{
    control::{Answer, ask},
    testing::{
        netns::{LINK, Link},
        rng::Rng,
    },
};

use serde_json::Value;

use crate::{
    agent::eventually,
    bill::Bill,
    root::is_root,
    site::{PLAIN, Rest, Site, time},
    stage::{names, number, seed},
    table::Model,
    wire::{Sending, packets},
};

const SECOND: Link = Link { inside: "ingress2", outside: "egress2" };
const BOTH: Rest = Rest { interfaces: &[(LINK.inside, ""), (SECOND.inside, "")], ..PLAIN };

/// Each other one doubles the prefixes.
const MOST_ROUNDS: usize = 12;

/// Prefixes in their thousands come and go under traffic: some fit, others do not.
#[test]
fn what_outgrows_its_maps_gets_others() {
    if !is_root("what_outgrows_its_maps_gets_others") {
        return;
    }
    let seed = seed("outgrow");
    let (site, mut rng) = (Site::new("outgrow"), Rng::new(seed));
    let mut model = Model::drawn(&mut rng);
    site.write(&model, PLAIN);
    let agent = site.started();
    let sending = Sending::new(&site.stage.wire);
    let mut bill = Bill::new(packets(), model.clone());
    sending.go();
    let mut made = 0;
    for round in 0..(number("SENSOR_RELOADS", 40) / 4).min(MOST_ROUNDS) {
        sending.wait(300);
        (0..4).for_each(|_| model.change(&mut rng));
        // Beyond any headroom, and with the next round a part of it.
        site.write(&model.with_more(if round % 2 == 0 { 3_000 << (round / 2) } else { 0 }), PLAIN);
        let asked = sending.sent();
        let reloaded = site.reloaded();
        bill.between(asked, sending.sent() + 1, model.clone());
        made += usize::from(reloaded.new_maps.is_some());
        assert_eq!(reloaded.new_maps.is_some(), round % 2 == 0, "{reloaded:?}");
    }
    sending.wait(300);
    sending.pause();
    // The old maps go once their last records were written.
    assert!(eventually(|| names(&site.stage.pins()).len() == 2 && site.manifests().len() == 1));
    let sent = sending.sent();
    let (_, records) = site.end(agent);
    assert_eq!(Site::epochs(&records), 1 + made);
    bill.check(sent, &records);
}

#[test]
fn interfaces_come_and_go() {
    if !is_root("interfaces_come_and_go") {
        return;
    }
    let site = Site::with("interfaces", &[LINK, SECOND]);
    let model = Model::steady();
    let second = |lines| Rest { interfaces: Box::leak(Box::new([(LINK.inside, ""), (SECOND.inside, lines)])), ..PLAIN };
    let generic = Rest { interfaces: &[(LINK.inside, "xdp = \"generic\"")], ..PLAIN };
    site.write(&model, PLAIN);
    let agent = site.started();
    let sending = Sending::new(&site.stage.wire);
    let bill = Bill::new(packets(), model.clone());
    sending.go();
    let has_program = |name: &str| site.stage.wire.show(name).unwrap().contains("prog/xdp");
    let cases = [
        BOTH,
        second("role = \"internal\""),
        second("egress = false"),
        second("mode = \"mirror\""),
        PLAIN,
        BOTH,
        PLAIN,
    ];
    for rest in cases {
        site.write(&model, rest);
        let reloaded = site.reloaded();
        assert!(reloaded.new_maps.is_some() && reloaded.prefixes.kept == 4, "{reloaded:?}");
        assert!(has_program(LINK.inside));
        assert_eq!(has_program(SECOND.inside), rest.interfaces.len() == 2, "{:?}", rest.interfaces);
        sending.wait(300);
    }
    sending.pause();
    // Another mode cannot be swapped: nothing is under way meanwhile.
    for (rest, shown) in [(generic, "xdpgeneric"), (PLAIN, "xdp ")] {
        site.write(&model, rest);
        assert!(site.reloaded().new_maps.is_some());
        assert!(site.stage.wire.show(LINK.inside).unwrap().contains(shown), "{shown}");
        sending.send(300);
    }
    let sent = sending.sent();
    let (ended, records) = site.end(agent);
    assert!(!ended.messages.iter().any(|line| line.contains("ERROR")), "{:#?}", ended.messages);
    assert_eq!(Site::epochs(&records), 10);
    // Where a program was not swapped but attached, a part of the first interval is missing: always where an interface is new, and
    // where its mode is another one.
    let first = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
    let second = [None, Some(1), Some(0), Some(0), Some(1), None, Some(1), None, None, None];
    assert_eq!(blind(&records, LINK.inside, "rx"), first.map(Some));
    check_joints(&records);
    assert_eq!(blind(&records, LINK.inside, "tx"), [Some(0); 10]);
    assert_eq!(blind(&records, SECOND.inside, "rx"), second);
    bill.check(sent, &records);
}

/// Each epoch begins within the last interval of the one before: with the swap, which is behind the last tick in the old maps.
fn check_joints(records: &[Value]) {
    let ledgers: Vec<&Value> = records.iter().filter(|record| record["record"] == "ledger").collect();
    let mut intervals: Vec<[&Value; 2]> = Vec::new();
    for record in ledgers {
        match intervals.last_mut() {
            Some([_, last]) if last["epoch"] == record["epoch"] => *last = record,
            _ => intervals.push([record, record]),
        }
    }
    for (old, new) in intervals.iter().zip(&intervals[1..]) {
        let (last, first) = (old[1], new[0]);
        assert!(time(last, "start") <= time(first, "start"), "{last}\n{first}");
        assert!(time(first, "start") <= time(last, "end"), "{last}\n{first}");
    }
}

/// For each epoch whether something is missing at that side of an interface in its first interval, and never more than there was.
fn blind(records: &[Value], interface: &str, side: &str) -> Vec<Option<u64>> {
    let mut epochs: Vec<&Value> = records.iter().map(|record| &record["epoch"]).collect();
    epochs.dedup();
    let first = |epoch: &&Value| {
        let ours =
            |record: &&Value| record["record"] == "ledger" && record["sequence"] == 0 && record["epoch"] == **epoch;
        let of = |record: &&Value| record["interface"] == interface && record["direction"] == side;
        let record = records.iter().find(|record| ours(record) && of(record))?;
        // A tick that was due during a hand-over reads behind the end that it names, before the next one.
        let ours = |record: &&Value| record["epoch"] == **epoch && record["sequence"].as_u64() <= Some(1);
        let read =
            records.iter().filter(|record| ours(record) && of(record)).map(|record| time(record, "end")).max()?;
        let length = read.duration_since(time(record, "start")).as_millis();
        let blind = record["blind_ms"].as_u64().unwrap();
        assert!(i128::from(blind) <= length + 1, "{record}");
        Some(u64::from(blind > 0))
    };
    epochs.iter().map(first).collect()
}

/// The first interface is swapped already when the second turns out to be taken: it is swapped back, and nothing is lost.
#[test]
fn what_fails_half_way_is_taken_back() {
    if !is_root("what_fails_half_way_is_taken_back") {
        return;
    }
    let site = Site::with("back", &[LINK, SECOND]);
    let model = Model::steady();
    // Somebody else's program: that of another sensor, which ends with its process.
    let arguments = ["run", "-i", SECOND.inside, "--watch", "192.0.2.0/24", "--format", "jsonl"];
    let mut other = crate::agent::Agent::spawn(&mut site.stage.command(&arguments));
    other.wait_for_message("attached");
    site.write(&model, PLAIN);
    let mut agent = site.started();
    let sending = Sending::new(&site.stage.wire);
    let bill = Bill::new(packets(), model.clone());
    sending.go();
    for _ in 0..number("SENSOR_RELOADS", 40) / 8 {
        sending.wait(300);
        site.write(&model, BOTH);
        let reason = site.refused();
        assert!(
            reason.contains("another XDP program is attached to ingress2") && reason.contains("back in place"),
            "{reason}"
        );
        // What the new maps had counted by then goes out, and they go.
        assert!(eventually(|| names(&site.stage.pins()).len() == 2 && site.manifests().len() == 1));
        sending.wait(300);
        // In place all the same, in the old maps.
        site.write(&model.with_more(3), PLAIN);
        assert_eq!(site.reloaded().new_maps, None);
        site.write(&model, PLAIN);
        assert_eq!(site.reloaded().prefixes.removed, 3);
    }
    drop(other);
    site.write(&model, BOTH);
    let found = eventually(|| matches!(site.reload(), Answer::Reloaded(_)));
    assert!(found, "{:#?}", agent.messages());
    agent.wait_for_message("new maps: other interfaces");
    sending.wait(300);
    sending.pause();
    assert!(eventually(|| names(&site.stage.pins()).len() == 2 && site.manifests().len() == 1));
    let sent = sending.sent();
    let (_, records) = site.end(agent);
    bill.check(sent, &records);
}

/// The last records of old counters are only written while the next maps are being made: the old ones go then, and only they.
#[test]
fn old_maps_go_while_others_are_made() {
    if !is_root("old_maps_go_while_others_are_made") {
        return;
    }
    let seed = seed("meanwhile");
    let (site, mut rng) = (Site::new("meanwhile"), Rng::new(seed));
    let mut model = Model::drawn(&mut rng);
    let receive = Rest { interfaces: &[(LINK.inside, "egress = false")], ..PLAIN };
    site.write(&model, PLAIN);
    let mut agent = site.unread();
    let mut stdout = agent.stdout.take().unwrap();
    let sending = Sending::new(&site.stage.wire);
    let mut bill = Bill::new(packets(), model.clone());
    // Until the pipe is full, and some more wait for it.
    for _ in 0..20 {
        sending.send(400);
        (0..6).for_each(|_| model.change(&mut rng));
        site.write(&model, PLAIN);
        site.reloaded();
        bill.at_rest(sending.sent(), model.clone());
    }
    site.write(&model, receive);
    assert!(site.reloaded().new_maps.is_some());
    sending.send(400);
    site.write(&model, PLAIN);
    let sets = || names(&site.stage.pins()).len();
    assert_eq!(sets(), 3, "two sets of maps, and the links");
    let mut written = Vec::new();
    // Moved in, so that a failure ends the agent, and with it whoever reads its records.
    thread::scope(|scope| {
        let mut agent = agent;
        let folders = site.stage.pins();
        let (state_dir, request) = (site.stage.state_dir(), site.request());
        let answer = scope.spawn(move || ask(&state_dir, &request).unwrap());
        assert!(eventually(|| names(&folders).len() == 4), "a third is made");
        scope.spawn(|| stdout.read_to_end(&mut written).unwrap());
        assert!(matches!(answer.join().unwrap(), Answer::Reloaded(reloaded) if reloaded.new_maps.is_some()));
        sending.send(400);
        assert!(eventually(|| sets() == 2), "{:?}", names(&site.stage.pins()));
        agent.stop("TERM");
    });
    let sent = sending.sent();
    site.keep_written(&written);
    let agent = site.started();
    let (_, records) = site.end(agent);
    assert_eq!(Site::epochs(&records), 3);
    bill.check(sent, &records);
}

/// An interface that is gone already keeps no reload from being done; one that bears another name does.
#[test]
fn interfaces_that_are_not_where_they_were() {
    if !is_root("interfaces_that_are_not_where_they_were") {
        return;
    }
    let site = Site::with("moved", &[LINK, SECOND]);
    let model = Model::steady();
    site.write(&model, BOTH);
    let mut agent = site.started();
    let ip = |arguments: &[&str]| {
        let status = Command::new("ip").args(["-n", &site.stage.wire.sensor]).args(arguments).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    ip(&["link", "set", SECOND.inside, "name", "elsewhere"]);
    agent.wait_for_message("the interface was renamed");
    let more = Rest { interfaces: &[(LINK.inside, "egress = false"), (SECOND.inside, "")], ..PLAIN };
    site.write(&model, more);
    assert!(site.refused().contains("ingress2 is called elsewhere now"));
    ip(&["link", "delete", "elsewhere"]);
    agent.wait_for_message("the interface went away");
    assert!(site.reloaded().new_maps.is_some());
    site.write(&model.with_more(2), more);
    assert_eq!(site.reloaded().new_maps, None);
    site.end(agent);
}
