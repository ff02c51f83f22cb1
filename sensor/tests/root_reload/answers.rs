//! Who asks for a reload, and what they are told.

use std::{fs, io::Read as _, process::Command};

use sensor::testing::{netns::LINK, rng::Rng};

use crate::{
    agent::{Agent, eventually},
    bill::Bill,
    command::Run,
    refusal::{one_line, refused},
    root::is_root,
    site::{PLAIN, Rest, Site},
    stage::seed,
    table::Model,
    wire::{Sending, packets},
};

fn command(site: &Site) -> Run {
    let config = site.config();
    site.stage.finish(&["reload", "--config", config.to_str().unwrap()])
}

/// How many messages contain a text.
fn said(agent: &Agent, part: &str) -> usize {
    agent.messages().iter().filter(|line| line.contains(part)).count()
}

#[test]
fn the_command_says_what_changed() {
    if !is_root("the_command_says_what_changed") {
        return;
    }
    let (site, model) = (Site::new("command"), Model::steady());
    site.write(&model.with_more(20), PLAIN);
    let nobody = |site: &Site| {
        let parts = ["no agent runs that keeps its state in", "state", "sensor run --config FILE"];
        refused("no agent", &command(site), &parts);
    };
    nobody(&site);
    let mut agent = site.started();
    site.write(&model.with_more(5), PLAIN);
    let run = command(&site);
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""), "{run:?}");
    let lines: Vec<&str> = run.stdout.lines().collect();
    assert_eq!(lines[..2], ["prefixes: 0 added, 15 removed, 0 moved, 9 kept", "networks: 0 added, 0 removed, 1 kept"]);
    assert_eq!(lines[2], "table: generation 2, in place");
    assert!(lines.len() == 4 && lines[3].starts_with("time: read ") && lines[3].contains(" flip "), "{lines:?}");
    agent.wait_for_message("reloaded");
    assert_eq!(said(&agent, "reloaded"), 1);
    let is_said = || agent.messages().iter().any(|line| line.contains("generation=2") && line.contains("removed=15"));
    assert!(eventually(is_said), "{:#?}", agent.messages());
    // Once more: nothing changes, and no table is put in force for it.
    let run = command(&site);
    assert!(
        run.stdout.contains("0 added, 0 removed, 0 moved, 9 kept") && run.stdout.contains("generation 2"),
        "{run:?}"
    );
    // Another file, be it the same to the last byte, is not the agent's.
    let other = site.stage.folder().join("other.toml");
    fs::copy(site.config(), &other).unwrap();
    let run = site.stage.finish(&["reload", "--config", other.to_str().unwrap()]);
    refused("another file", &run, &["not reloaded", "the agent reads", "sensor.toml and no other file"]);
    fs::remove_file(&other).unwrap();
    std::os::unix::fs::symlink(site.config(), &other).unwrap();
    assert_eq!(site.stage.finish(&["reload", "--config", other.to_str().unwrap()]).status, Some(0), "the same file");
    // Gone as it is killed, the socket stays and nobody listens.
    site.stop(agent, "KILL");
    assert!(site.stage.state_dir().join("control").exists());
    nobody(&site);
    let agent = site.started();
    assert_eq!(command(&site).status, Some(0));
    site.end(agent);
}

/// What the command finds wrong does not reach the agent.
#[test]
fn the_command_checks_first() {
    if !is_root("the_command_checks_first") {
        return;
    }
    let (site, model) = (Site::new("first"), Model::steady());
    site.write(&model, PLAIN);
    let agent = site.started();
    let text = fs::read_to_string(site.config()).unwrap();
    fs::write(site.config(), text.replace("interval = \"1s\"", "interval = \"7s\"\nintervall = \"1s\"")).unwrap();
    let run = command(&site);
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    for part in ["sensor.toml", "\"6s\" or \"8s\"", "intervall"] {
        assert!(run.stderr.contains(part), "{part}: {run:?}");
    }
    fs::write(site.config(), &text).unwrap();
    fs::write(site.table(), "192.0.2.0/24\nnonsense\n").unwrap();
    let run = command(&site);
    refused("a table", &run, &["table.txt", "nonsense"]);
    one_line("a table", &run.stderr, &[]);
    assert_eq!(said(&agent, "reloaded"), 0);
    site.write(&model, PLAIN);
    site.end(agent);
}

#[test]
fn hangups_without_number_end_with_the_last_file() {
    if !is_root("hangups_without_number_end_with_the_last_file") {
        return;
    }
    let seed = seed("storm");
    let (site, mut rng) = (Site::new("storm"), Rng::new(seed));
    let first = Model::drawn(&mut rng);
    site.write(&first.with_more(300), PLAIN);
    let agent = site.started();
    let sending = Sending::new(&site.stage.wire);
    let mut last = first.clone();
    for round in 0..40 {
        last.change(&mut rng);
        site.write(&last, PLAIN);
        let many = format!("for i in 1 2 3 4 5 6 7 8 9 10; do kill -HUP {}; done", agent.id());
        assert!(Command::new("sh").args(["-c", &many]).status().unwrap().success());
        assert_eq!(agent.messages().iter().filter(|line| line.contains("ERROR")).count(), 0, "round {round}");
    }
    // Whatever was still asked for is behind this one, or joins it.
    site.reloaded();
    // What is asked for while another one is under way is one more behind it.
    for more in 1..=10 {
        for more in [10 * more, 10 * more + 7] {
            site.write(&last.with_more(more), PLAIN);
            agent.signal("HUP");
        }
        // Of the second alone, or of both.
        let found = || {
            agent.messages().iter().any(|line| {
                let number = |name: &str| line.split(name).nth(1)?.split(' ').next()?.parse::<u32>().ok();
                let total =
                    [" added=", " moved=", " kept="].map(|name| number(name).unwrap_or_default()).iter().sum::<u32>();
                line.contains("reloaded") && total == last.len() + 10 * more + 7
            })
        };
        assert!(eventually(found), "round {more}: {:#?}", agent.messages());
    }
    site.write(&last, PLAIN);
    site.reloaded();
    assert!(site.reloaded().prefixes.added + site.reloaded().prefixes.moved == 0);
    let hangups = said(&agent, "reloaded");
    let mut bill = Bill::new(packets(), first);
    bill.at_rest(0, last);
    sending.send(2_000);
    let sent = sending.sent();
    let (_, records) = site.end(agent);
    println!("400 hangups, {hangups} reloads");
    assert_eq!(Site::epochs(&records), 1);
    bill.check(sent, &records);
}

/// Without a file there is nothing to reload, and SIGHUP ends nothing.
#[test]
fn a_hangup_without_a_file_is_no_end() {
    if !is_root("a_hangup_without_a_file_is_no_end") {
        return;
    }
    let site = Site::new("nofile");
    let arguments = ["-i", LINK.inside, "--watch", "192.0.2.0/24"];
    let mut agent = Agent::started(&site.stage.wire, &arguments);
    agent.signal("HUP");
    agent.wait_for_message("there is nothing to reload without a configuration file");
    let before = agent.records().len();
    assert!(eventually(|| agent.records().len() > before), "it goes on");
    assert!(agent.stop("TERM").status.success());
}

#[test]
fn the_interval_may_change() {
    if !is_root("the_interval_may_change") {
        return;
    }
    let (site, model) = (Site::new("interval"), Model::steady());
    let hour = Rest { sensor: "interval = \"1h\"", ..PLAIN };
    site.write(&model, hour);
    let agent = site.start();
    let socket = site.stage.state_dir().join("control");
    assert!(eventually(|| socket.exists()));
    assert_eq!(agent.records().len(), 0);
    // New names begin with an interval: the one before ends with the reload.
    site.write(&model.with_more(2), hour);
    site.reloaded();
    assert!(eventually(|| agent.records().len() >= 2));
    site.write(&model, PLAIN);
    site.reloaded();
    // Within seconds, not within the hour.
    assert!(eventually(|| agent.records().len() >= 4), "{:?}", agent.messages());
    site.write(&model, hour);
    site.reloaded();
    site.end(agent);
}

/// The reader of standard output does not read: counting and reloading go on, and what was counted is told when somebody does.
#[test]
fn while_nobody_reads() {
    if !is_root("while_nobody_reads") {
        return;
    }
    let seed = seed("unread");
    let (site, mut rng) = (Site::new("unread"), Rng::new(seed));
    let mut model = Model::drawn(&mut rng);
    site.write(&model.with_more(300), PLAIN);
    site.stop(site.started(), "TERM");
    // A pipe that is full after some of them.
    let mut agent = site.unread();
    let mut stdout = agent.stdout.take().unwrap();
    let sending = Sending::new(&site.stage.wire);
    site.write(&model, PLAIN);
    site.reloaded();
    let mut bill = Bill::new(packets(), model.clone());
    let mut manifests = 0;
    for _ in 0..60 {
        sending.send(400);
        (0..6).for_each(|_| model.change(&mut rng));
        site.write(&model, PLAIN);
        site.reloaded();
        bill.at_rest(sending.sent(), model.clone());
        manifests = manifests.max(site.manifests().len());
    }
    sending.send(100);
    let sent = sending.sent();
    // Nothing was read so far: a pipe holds a part of it, the agent some more, and the rest is one long interval.
    println!("at most {manifests} manifests");
    // Of what is in the pipe and in the writer's queue; what waits behind is one interval.
    assert!(manifests < 25, "they are not kept for nothing: {manifests}");
    agent.stop("KILL");
    let mut written = Vec::new();
    stdout.read_to_end(&mut written).unwrap();
    site.keep_written(&written);
    let agent = site.started();
    let (_, records) = site.end(agent);
    bill.check(sent, &records);
}
