//! A manifest that is written for as long as this test likes.

use std::{fs::File, io::Read as _, thread};

use sensor::{
    control::{Answer, ask},
    testing::netns::LINK,
};

use crate::{
    agent::{Agent, eventually},
    clogged,
    root::is_root,
    site::{PLAIN, Rest, Site},
    stage::names,
    table::Model,
};

/// More than a FIFO holds.
const PREFIXES: u32 = 12_000;

/// Ticks so far.
fn ticks(agent: &Agent) -> usize {
    agent.records().iter().filter(|record| record["record"] == "ledger" && record["direction"] == "rx").count()
}

/// Whether something could be read.
fn read(fifo: &mut File) -> bool {
    fifo.read(&mut [0; 4096]).is_ok_and(|read| read > 0)
}

#[test]
fn ticks_wait_for_no_manifest() {
    if !is_root("ticks_wait_for_no_manifest") {
        return;
    }
    let (site, model) = (Site::new("slowdisk"), Model::steady());
    site.write(&model.with_more(PREFIXES), PLAIN);
    let agent = site.started();
    let temporary = site.stage.state_dir().join("manifest-new");
    let receive = Rest { interfaces: &[(LINK.inside, "egress = false")], ..PLAIN };
    let made = |rest: Rest| rest.interfaces != PLAIN.interfaces;
    // Moved in, so that a failure ends the agent, and with it whoever waits for its answer.
    let agent = thread::scope(|scope| {
        let agent = agent;
        for rest in [PLAIN, receive] {
            clogged::make(&temporary);
            let mut fifo = clogged::open(&temporary);
            site.write(&model.with_more(PREFIXES - 2), rest);
            let (state_dir, request) = (site.stage.state_dir(), site.request());
            let answer = scope.spawn(move || ask(&state_dir, &request).unwrap());
            assert!(eventually(|| read(&mut fifo)), "a manifest is written: {:#?}", agent.messages());
            let before = ticks(&agent);
            assert!(eventually(|| ticks(&agent) > before + 2), "ticks wait: {:#?}", agent.messages());
            assert!(!answer.is_finished(), "it is still being written");
            while !answer.is_finished() {
                if !read(&mut fifo) {
                    thread::yield_now();
                }
            }
            // A FIFO is never on disk.
            let Answer::Refused { reason } = answer.join().unwrap() else { panic!("a FIFO is no file") };
            assert!(reason.contains("cannot write") && reason.contains("manifest-"), "{reason}");
            assert_eq!((site.manifests().len(), names(&site.stage.pins()).len()), (1, 2), "{:?}", site.manifests());
            let reloaded = site.reloaded();
            assert_eq!(reloaded.new_maps.is_some(), made(rest), "{reloaded:?}");
        }
        agent
    });
    assert!(eventually(|| site.manifests().len() == 1 && names(&site.stage.pins()).len() == 2));
    site.end(agent);
}
