//! One agent for each instance and each state folder, and a BPF file system: whoever asks for more is told what to do.

use std::{fs, os::unix::fs::PermissionsExt as _};

use sensor::testing::netns::{LINK, Link};

use crate::{
    refusal::refused,
    root::is_root,
    stage::{Settings, Stage, names},
    traffic::Traffic,
};

const SECOND: Link = Link { inside: "ingress2", outside: "egress2" };

#[test]
fn a_second_agent_disturbs_nobody() {
    if !is_root("a_second_agent_disturbs_nobody") {
        return;
    }
    let (stage, settings) = (Stage::with("second", &[LINK, SECOND]), Settings::default());
    let agent = stage.started(&settings);
    let traffic = Traffic::start(&stage.wire, LINK, 1, &settings.table());
    let config = stage.configure(&settings);
    let holds = ["another agent holds instance \"edge.1\"", "stop it", "[sensor] id"];
    refused("the same instance", &stage.finish(&["run", "--config", &config, "--format", "jsonl"]), &holds);
    refused("detach", &stage.finish(&["detach", "--config", &config, "--format", "jsonl"]), &holds);
    let interfaces = vec![(SECOND.inside, "")];
    let config = stage.configure(&Settings { id: "other", interfaces, ..settings.clone() });
    let run = stage.finish(&["run", "--config", &config, "--format", "jsonl"]);
    refused("the same state folder", &run, &["another sensor (pid ", "uses", "another state_dir"]);
    assert_eq!(names(&stage.bpffs().join("sensor")).len(), 1, "nothing of the other one");
    assert!(!stage.wire.show(SECOND.inside).unwrap().contains("xdp"));
    traffic.wait(500);
    let truth = traffic.stop(&stage.wire);
    stage.stop(agent, "TERM");
    stage.detach(&settings);
    stage.check(&settings, &truth);
}

#[test]
fn without_a_bpf_file_system() {
    if !is_root("without_a_bpf_file_system") {
        return;
    }
    let (stage, settings) = (Stage::new("nobpf"), Settings::default());
    let text = fs::read_to_string(stage.configure(&settings)).unwrap();
    let (plain, missing) = (stage.folder().join("plain"), stage.folder().join("missing"));
    fs::create_dir(&plain).unwrap();
    let bpffs = stage.bpffs();
    let mount = |path: &std::path::Path| format!("mount -t bpf bpf {}`", path.display());
    let make = format!("`mkdir -p {} && ", missing.display());
    for (path, command) in [(&plain, format!("`{}", mount(&plain))), (&missing, make + &mount(&missing))] {
        let config = stage.folder().join("other.toml");
        fs::write(&config, text.replace(bpffs.to_str().unwrap(), path.to_str().unwrap())).unwrap();
        for what in ["run", "detach"] {
            let run = stage.finish(&[what, "--config", config.to_str().unwrap(), "--format", "jsonl"]);
            refused(what, &run, &[&command]);
        }
    }
    assert!(names(&plain).is_empty() && !missing.exists() && !stage.state_dir().exists());
    assert!(!stage.wire.show(LINK.inside).unwrap().contains("xdp"));
}

#[test]
fn pins_and_state_are_their_owners_alone() {
    if !is_root("pins_and_state_are_their_owners_alone") {
        return;
    }
    let (stage, settings) = (Stage::new("mode0700"), Settings::default());
    stage.stop(stage.started(&settings), "TERM");
    let mut folders = vec![stage.bpffs().join("sensor"), stage.pins(), stage.state_dir()];
    folders.extend(names(&stage.pins()).iter().map(|name| stage.pins().join(name)));
    assert_eq!(folders.len(), 5);
    for folder in folders {
        let mode = fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    }
    stage.detach(&settings);
}

/// A first start that fails takes everything back.
#[test]
fn a_start_that_fails_leaves_nothing() {
    if !is_root("a_start_that_fails_leaves_nothing") {
        return;
    }
    let stage = Stage::new("nothing");
    let settings = Settings { interfaces: vec![(LINK.inside, ""), ("absent0", "")], ..Settings::default() };
    let config = stage.configure(&settings);
    let run = stage.finish(&["run", "--config", &config, "--format", "jsonl"]);
    assert!(run.status == Some(1) && run.stderr.contains("no interface absent0"), "{run:?}");
    stage.assert_gone(&settings);
    fs::remove_file(stage.folder().join("table.txt")).unwrap();
    let run = stage.finish(&["run", "--config", &config, "--format", "jsonl"]);
    refused("a table that is missing", &run, &["table.txt"]);
    stage.assert_gone(&settings);
}
