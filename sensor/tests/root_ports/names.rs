//! The same interface under another name, down and up, in another namespace.

use std::{sync::atomic::AtomicBool, thread, time::Duration};

use sensor::testing::{netns::LINK, truth::Tally};

use crate::{
    books::Books,
    over::Over,
    root::is_root,
    site::{Life, Site, ip, is_attached, pause, said, stop},
};

const FRAMES: u64 = 500;
const FLAPS: usize = 100;
const FRAMES_PER_SECOND: u64 = 20_000;
/// Behind the moment at which it is noticed.
const AWAY: Duration = Duration::from_millis(600);

/// Ends the agent, and compares all it counted at the interface.
fn check(site: &Site, agent: crate::agent::Agent, received: &Tally, sent: &Tally) -> (crate::agent::Ended, Books) {
    let ended = stop(agent);
    let books = Books::of(&ended.records);
    for (side, truth) in [("rx", received), ("tx", sent)] {
        assert_eq!(books.ledger(LINK.inside, side).seen(), (truth.seen.packets, truth.seen.frame_bytes), "{side}");
    }
    let mut all = received.clone();
    all.add(sent);
    books.check_prefixes(&all);
    assert!(!books.networks.is_empty());
    assert_eq!(site.keep.has_pins(), site.is_attached(LINK.inside));
    (ended, books)
}

#[test]
fn a_renamed_interface_is_counted_on_until_another_bears_the_name() {
    if !is_root("a_renamed_interface_is_counted_on_until_another_bears_the_name") {
        return;
    }
    for life in [Life::AdHoc, Life::Pinned] {
        let site = Site::new("rename");
        let mut agent = site.started(life);
        let (mut received, mut sent) = (site.receive(1, FRAMES), site.send(2, FRAMES));
        let program = site.program(LINK.inside);
        site.ip("link set ingress name other");
        // Before there is another one of that name: of both at once only the latter is told.
        agent.wait_for_message("the interface was renamed");
        let renamed = sensor::testing::netns::Link { inside: "other", ..LINK };
        received.add(&site.receive_at(renamed, 3, FRAMES));
        assert_eq!(site.program("other"), program, "{life:?}");

        // Another one of that name: the sensor moves to it.
        let second = sensor::testing::netns::Link { inside: LINK.inside, outside: "egress2" };
        site.ip(&format!("link add ingress type veth peer name egress2 netns {}", site.wire.peer));
        site.ip("link set ingress addrgenmode none\nlink set ingress arp off up");
        ip(&site.wire.peer, "link set egress2 addrgenmode none\nlink set egress2 arp off up");
        let took = site.attached(LINK.inside);
        assert_eq!(site.program("other"), None, "{life:?}");
        received.add(&site.receive_at(second, 4, FRAMES));
        // Nobody looks at the other one now.
        site.receive_at(renamed, 5, FRAMES);

        site.ip("link delete ingress\nlink set other name ingress");
        let back = site.attached(LINK.inside);
        received.add(&site.receive(6, FRAMES));
        sent.add(&site.send(7, FRAMES));
        println!("{life:?}: moved after {took:?}, back after {back:?}");
        let (ended, books) = check(&site, agent, &received, &sent);
        assert_eq!(said(&ended, "the interface was renamed"), 1, "{:#?}", ended.messages);
        assert_eq!(books.ledger(LINK.inside, "rx").cell("unparsed"), received.unparsed.values().sum::<u64>());
        assert_eq!(site.program(LINK.inside).is_some(), life == Life::Pinned);
    }
}

#[test]
fn down_and_up_again_is_no_reason_to_attach_anew() {
    if !is_root("down_and_up_again_is_no_reason_to_attach_anew") {
        return;
    }
    for life in [Life::AdHoc, Life::Pinned] {
        let site = Site::new("flap");
        let agent = site.started(life);
        let program = site.program(LINK.inside);
        let before = site.received(LINK.inside);
        let over = AtomicBool::new(false);
        let sent = thread::scope(|scope| {
            let traffic = site.traffic(scope, (&over, 8, FRAMES_PER_SECOND));
            let end = Over(&over);
            for _ in 0..FLAPS {
                site.ip("link set ingress down\nlink set ingress up");
            }
            drop(end);
            traffic.join().unwrap().tally
        });
        // What arrives while it is down is dropped before anybody counts it: its own counters say how much was left.
        let last = site.receive(9, FRAMES);
        let received = site.received(LINK.inside) - before;
        assert_eq!(site.program(LINK.inside), program);
        let ended = stop(agent);
        let books = Books::of(&ended.records);
        let ledger = books.ledger(LINK.inside, "rx");
        // veth.c takes the program off a queue before its polling ends, and puts it on after that began: the frame in between is
        // given to no program. So the ledger differs from the interface's own count, which stands beside it, by that much.
        let passed_by = received - ledger.seen().0;
        assert!(passed_by <= FLAPS as u64, "{life:?}: {passed_by} frames passed the program by");
        assert_eq!(ledger.nic, Some(received));
        assert!(received > last.seen.packets && received <= sent.seen.packets + last.seen.packets);
        println!(
            "{life:?}: {FLAPS} times down and up, {} frames sent, {received} received, {passed_by} past the program",
            sent.seen.packets
        );
        assert_eq!(said(&ended, "attached, for"), 1, "{:#?}", ended.messages);
        // Of the time before the first attachment nothing is reported: the interval begins with it.
        assert_eq!((books.blind_ms(LINK.inside), ledger.without_nic), (0, 0));
    }
}

#[test]
fn an_interface_in_another_namespace_is_gone() {
    if !is_root("an_interface_in_another_namespace_is_gone") {
        return;
    }
    for life in [Life::AdHoc, Life::Pinned] {
        let site = Site::new("moved");
        let agent = site.started(life);
        let mut received = site.receive(10, FRAMES);
        let index = site.index(LINK.inside);
        let begin = std::time::Instant::now();
        site.ip(&format!("link set ingress netns {}", site.wire.peer));
        ip(&site.wire.peer, "link set ingress addrgenmode none\nlink set ingress arp off up");
        let elsewhere = || crate::agent::eventually(|| !is_attached(&site.wire.peer, LINK.inside));
        assert!(elsewhere(), "the program is at work in the other namespace");
        // Blind from the moment at which it noticed that, which is before this one.
        let noticed = begin.elapsed();
        pause(AWAY);
        let shortest = begin.elapsed() - noticed;
        ip(&site.wire.peer, &format!("link set ingress netns {}", site.wire.sensor));
        site.ip("link set ingress addrgenmode none\nlink set ingress arp off up");
        let took = site.attached(LINK.inside);
        let longest = begin.elapsed();
        received.add(&site.receive(11, FRAMES));
        let sent = site.send(12, FRAMES);
        let kept = site.index(LINK.inside) == index;
        let (ended, books) = check(&site, agent, &received, &sent);
        assert_eq!(said(&ended, "the interface went away"), 1, "{:#?}", ended.messages);
        let blind = Duration::from_millis(books.blind_ms(LINK.inside));
        println!(
            "{life:?}: noticed after {noticed:?}, back after {took:?}, index kept: {kept}, blind {blind:?} of {shortest:?} to \
             {longest:?}"
        );
        // The agent tells time by milliseconds, each interval rounded up.
        let rounding = Duration::from_millis(books.ledger(LINK.inside, "rx").blind);
        assert!(blind >= shortest && blind <= longest + rounding, "{blind:?}");
    }
}
