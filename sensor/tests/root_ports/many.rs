//! Thirty interfaces: how long they take, at the start and when all of them come at once.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use sensor::testing::netns::{LINK, Link};

use crate::{
    agent::{Agent, eventually, within},
    books::Books,
    root::is_root,
    site::{Life, Site, ip, said, stop},
};

const INTERFACES: usize = 30;
const FRAMES: u64 = 50;
/// On a machine that has nothing else to do both are far shorter; `docs/testing.md` has figures. What they cost is known by the
/// processor time of loading and attaching all of them, whoever else wants the processors: that of one, so many times, and some.
const START: Duration = Duration::from_secs(150);
const ALL_ATTACHED: Duration = Duration::from_secs(10);
const MORE_THAN_ONE_EACH: f64 = 1.5;

fn pairs(site: &Site, names: &[String]) {
    let mut inside = String::new();
    for name in names {
        let _ = writeln!(inside, "link add {name} type veth peer name p{name} netns {}", site.wire.peer);
        let _ = writeln!(inside, "link set {name} addrgenmode none\nlink set {name} arp off up");
    }
    site.ip(&inside);
    let outside = |name: &String| format!("link set p{name} addrgenmode none\nlink set p{name} arp off up\n");
    ip(&site.wire.peer, &names.iter().map(outside).collect::<String>());
}

/// Processor time of a process and its threads (proc_pid_stat(5), fields 14 and 15, in hundredths of a second).
fn processor_time(agent: &Agent) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", agent.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    Duration::from_millis(10 * fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>())
}

/// What the start of an agent on so many interfaces takes.
fn start_of(life: Life, interfaces: usize) -> Duration {
    let names: Vec<String> = (0..interfaces).map(|number| format!("o{number}")).collect();
    let site = Site::with("few", &[LINK], &names.iter().map(String::as_str).collect::<Vec<_>>());
    pairs(&site, &names);
    let agent = site.start(life);
    assert!(within(START, || names.iter().all(|name| site.is_attached(name))), "{:#?}", agent.stop("KILL").messages);
    let processor = processor_time(&agent);
    stop(agent);
    processor
}

#[test]
fn many_at_once() {
    if !is_root("many_at_once") {
        return;
    }
    for life in [Life::AdHoc, Life::Pinned] {
        let one = start_of(life, 1);
        let names: Vec<String> = (0..INTERFACES).map(|number| format!("w{number}")).collect();
        let site = Site::with("many", &[LINK], &names.iter().map(String::as_str).collect::<Vec<_>>());
        pairs(&site, &names);
        let all = || names.iter().all(|name| site.is_attached(name));

        let begin = Instant::now();
        let agent = site.start(life);
        assert!(within(START, all), "{:#?}", agent.stop("KILL").messages);
        let (start, processor) = (begin.elapsed(), processor_time(&agent));
        // The first interval has begun once there is a record.
        assert!(eventually(|| !agent.records().is_empty()));

        site.ip(&names.iter().map(|name| format!("link delete {name}\n")).collect::<String>());
        let created = Instant::now();
        pairs(&site, &names);
        let made = created.elapsed();
        assert!(eventually(all), "{:#?}", agent.stop("KILL").messages);
        let attached = created.elapsed();
        println!(
            "{life:?}: {INTERFACES} interfaces attached {start:.1?} after the start, {processor:.1?} of processor time"
        );
        println!("{life:?}: all made anew within {made:.1?}, all attached {attached:.1?} after the first was");

        for (seed, name) in (50..).zip(&names) {
            let outside: &'static str = format!("p{name}").leak();
            let link = Link { inside: name.clone().leak(), outside };
            let received = site.receive_at(link, seed, FRAMES);
            assert_eq!(received.seen.packets, FRAMES);
        }
        let ended = stop(agent);
        let books = Books::of(&ended.records);
        for name in &names {
            assert_eq!(books.ledger(name, "rx").seen().0, FRAMES, "{name}");
            assert!(books.blind_ms(name) > 0, "{name}");
        }
        assert_eq!(said(&ended, "attached, for"), 2 * INTERFACES, "{:#?}", ended.messages);
        let share = processor.as_secs_f64() / INTERFACES as f64 / one.as_secs_f64();
        assert!(share < MORE_THAN_ONE_EACH, "{share:.2} of what one interface alone takes, {one:.2?}");
        assert!(attached - made < ALL_ATTACHED);
    }
}
