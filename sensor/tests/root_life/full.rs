//! Nowhere to write: a full disk, a reader that does not read, a reader that is gone.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use sensor::testing::netns::LINK;

use crate::{
    agent::eventually,
    ballast::{fill, free},
    clogged::Clogged,
    mount::Mount,
    root::is_root,
    stage::{Settings, Stage},
    traffic::Traffic,
};

#[test]
fn a_full_disk_makes_intervals_longer() {
    if !is_root("a_full_disk_makes_intervals_longer") {
        return;
    }
    let (stage, settings) = (Stage::new("full"), Settings::default());
    let _small = Mount::new("tmpfs", "size=1m,mode=0700", &stage.state_dir());
    let mut agent = stage.started(&settings);
    let traffic = Traffic::start(&stage.wire, LINK, 1, &settings.table());
    fill(&stage.state_dir());
    agent.wait_for_message("the next interval will hold this one too");
    // One that starts now goes on as well.
    stage.stop(agent, "KILL");
    let mut agent = stage.start(&settings);
    agent.wait_for_message("the next interval will hold this one too");
    let before = agent.records().len();
    free(&stage.state_dir());
    assert!(eventually(|| agent.records().len() > before), "{:#?}", agent.messages());
    let truth = traffic.stop(&stage.wire);
    stage.stop(agent, "TERM");
    stage.detach(&settings);
    let totals = stage.check(&settings, &truth);
    assert_eq!(totals.epochs.len(), 1);
}

#[test]
fn a_start_on_a_full_disk_says_so() {
    if !is_root("a_start_on_a_full_disk_says_so") {
        return;
    }
    let (stage, settings) = (Stage::new("fullstart"), Settings::default());
    let _small = Mount::new("tmpfs", "size=1m,mode=0700", &stage.state_dir());
    fill(&stage.state_dir());
    let config = stage.configure(&settings);
    let run = stage.finish(&["run", "--config", &config, "--format", "jsonl"]);
    assert!(run.status == Some(1) && run.stderr.contains("free disk space"), "{run:?}");
    stage.assert_gone(&settings);
    free(&stage.state_dir());
    stage.stop(stage.started(&settings), "TERM");
    stage.detach(&settings);
}

/// Kills or stops an agent whose records nobody takes; the next one writes them.
fn nobody_reads(name: &str, signal: &str, gone: bool) {
    if !is_root(name) {
        return;
    }
    let (stage, settings) = (Stage::new(name), Settings::default());
    stage.stop(stage.started(&settings), "TERM");
    let traffic = Traffic::start(&stage.wire, LINK, 1, &settings.table());
    let journal = || fs::metadata(stage.state_dir().join("journal")).unwrap().len();
    let before = journal();
    let (end, stdout) = Clogged::new(stage.folder());
    let config = stage.configure(&settings);
    let mut command = stage.command(&["run", "--config", &config, "--format", "jsonl"]);
    command.stdout(if gone { closed_pipe() } else { stdout });
    if gone {
        let run = command.stderr(Stdio::piped()).spawn().and_then(Child::wait_with_output).unwrap();
        let message = String::from_utf8(run.stderr).unwrap();
        assert_eq!(run.status.code(), Some(1), "whoever looks after it is to know: {message}");
        for part in ["no record is lost", "standard output", "cannot write the records: Broken pipe"] {
            assert!(message.contains(part), "{part}: {message}");
        }
    } else {
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        // Some intervals are committed, and none is written.
        assert!(eventually(|| journal() > before + 1500), "{}", journal());
        let kill = format!("kill -{signal} {}", child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        child.wait().unwrap();
    }
    assert!(journal() > before);
    drop(end);
    let agent = stage.started(&settings);
    let truth = traffic.stop(&stage.wire);
    stage.stop(agent, "TERM");
    stage.detach(&settings);
    let totals = stage.check(&settings, &truth);
    assert_eq!(totals.epochs.len(), 1);
}

/// Standard output whose reader is gone.
fn closed_pipe() -> Stdio {
    let mut reader = Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let writer = reader.stdin.take().unwrap();
    reader.wait().unwrap();
    writer.into()
}

#[test]
fn killed_while_nobody_reads() {
    nobody_reads("blocked", "KILL", false);
}

#[test]
fn stopped_while_nobody_reads() {
    nobody_reads("stopped", "TERM", false);
}

#[test]
fn the_reader_is_gone() {
    nobody_reads("closed", "TERM", true);
}

/// Without a file it is a measurement: `sensor run -i eth0 | head` is no failure, and leaves nothing.
#[test]
fn whoever_measures_has_seen_enough() {
    if !is_root("whoever_measures_has_seen_enough") {
        return;
    }
    let (stage, settings) = (Stage::new("enough"), Settings::default());
    let mut command = stage.command(&["run", "-i", LINK.inside, "--watch", "192.0.2.0/24", "--interval", "1s"]);
    assert!(command.stdout(closed_pipe()).stderr(Stdio::null()).status().unwrap().success());
    stage.assert_gone(&settings);
}
