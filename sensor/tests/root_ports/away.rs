//! What happens to an interface while no agent is there.

use std::time::{Duration, Instant};

use sensor::testing::netns::LINK;

use crate::{
    agent::eventually,
    books::Books,
    root::is_root,
    site::{Life, Site, pause, said, stop},
};

const FRAMES: u64 = 500;
const AWAY: Duration = Duration::from_millis(500);
/// The agent tells time by milliseconds, each interval rounded up.
const ROUNDING: Duration = Duration::from_millis(20);

#[test]
fn made_anew_while_no_agent_was_there() {
    if !is_root("made_anew_while_no_agent_was_there") {
        return;
    }
    for same_index in [false, true] {
        let site = Site::new("away");
        let agent = site.started(Life::Pinned);
        let mut received = site.receive(1, FRAMES);
        let before_stop = Instant::now();
        let mut records = stop(agent).records;
        // The programs go on counting: the next agent reports this.
        received.add(&site.receive(2, FRAMES));
        let index = site.index(LINK.inside);
        site.delete();
        site.create(same_index.then_some(index));
        assert_eq!(site.index(LINK.inside) == index, same_index);
        assert!(!site.is_attached(LINK.inside));
        let blind_from = Instant::now();
        site.receive(3, FRAMES);
        pause(AWAY);
        let agent = site.started(Life::Pinned);
        let (shortest, longest) = (blind_from.elapsed(), before_stop.elapsed());
        assert!(site.is_attached(LINK.inside));
        received.add(&site.receive(4, FRAMES));
        let sent = site.send(5, FRAMES);
        let ended = stop(agent);
        assert_eq!(said(&ended, "counting on in the maps of an earlier run"), 1, "{:#?}", ended.messages);
        records.extend(ended.records);
        let books = Books::of(&records);
        assert_eq!(books.ledger(LINK.inside, "rx").seen(), (received.seen.packets, received.seen.frame_bytes));
        assert_eq!(books.ledger(LINK.inside, "tx").seen().0, sent.seen.packets);
        let mut all = received.clone();
        all.add(&sent);
        books.check_prefixes(&all);
        let blind = Duration::from_millis(books.blind_ms(LINK.inside));
        println!(
            "blind {blind:?}, an upper bound of what was at least {AWAY:?}; {shortest:?} to {longest:?} to the first record"
        );
        assert!(blind >= AWAY && blind <= longest + ROUNDING, "{blind:?}");
    }
}

#[test]
fn an_interface_that_is_missing_at_the_start() {
    if !is_root("an_interface_that_is_missing_at_the_start") {
        return;
    }
    for life in [Life::AdHoc, Life::Pinned] {
        let site = Site::new("missing");
        site.delete();
        let ended = site.start(life).ended();
        assert!(!ended.status.success() && ended.records.is_empty(), "{:#?}", ended.messages);
        assert_eq!(ended.messages.len(), 1, "{:#?}", ended.messages);
        assert!(ended.messages[0].contains("no interface ingress: `ip link`"), "{:#?}", ended.messages);
        assert!(!site.keep.has_pins());
    }
    let site = Site::new("waited");
    let agent = site.started(Life::Pinned);
    let mut received = site.receive(6, FRAMES);
    let mut records = stop(agent).records;
    site.delete();
    // It has counted there before, so it goes on and waits.
    let agent = site.started(Life::Pinned);
    pause(AWAY);
    let created = Instant::now();
    site.create(None);
    site.attached(LINK.inside);
    println!("attached {:.0?} after creation", created.elapsed());
    received.add(&site.receive(7, FRAMES));
    assert!(eventually(|| agent
        .records()
        .last()
        .is_some_and(|record| record["attached"] == true || record["record"] != "ledger")));
    records.extend(stop(agent).records);
    let books = Books::of(&records);
    assert_eq!(books.ledger(LINK.inside, "rx").seen().0, received.seen.packets);
    books.check_prefixes(&received);
    assert!(books.blind_ms(LINK.inside) >= AWAY.as_millis() as u64);
    assert!(records.iter().any(|record| record["attached"] == false), "the ledger tells that nothing is attached");
}
