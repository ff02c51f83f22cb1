//! Names over time: ordinary ones of weeks, tunnels that are slow, and what is forgotten.

use super::*;

const HOUR: u32 = 60;
const DAY: u32 = 24 * HOUR;
const WEEK: u32 = 7 * DAY;
/// The flag of an answer, in the third byte.
const ANSWER: u8 = 0x80;

/// Whether any flow was taken for a tunnel's when, in each of so many minutes, these names were asked for and answered.
fn is_found(minutes: impl Iterator<Item = u32>, asked: impl Fn(u32) -> Vec<(String, u16)>) -> bool {
    let (mut names, mut found) = (Names::new(7), Found::new());
    for now in minutes {
        for (nth, (name, kind)) in (0..).zip(asked(now)) {
            let mut message = query(&name, kind);
            observe_at(&mut names, &mut found, now * 100 + nth, &message, End::Client, now);
            message[2] |= ANSWER;
            observe_at(&mut names, &mut found, now * 100 + nth, &message, End::Server, now);
        }
    }
    !found.is_empty()
}

/// A dozen such names, or more, within minutes are a tunnel; over weeks they are none.
#[test]
fn weeks_of_ordinary_names_are_no_tunnel() {
    // Hosts with texts and mail exchanges, hashes of a content network, somebody's test with a type that is not used.
    let texts = |now: u32| vec![(format!("textile{now}.example.com"), kind::TXT)];
    let mails = |now: u32| vec![(format!("station-{now}.example.co.uk"), kind::MX)];
    let long = |now: u32| vec![(format!("{}.{}.example.net", hex(now.into(), 40), hex(1, 30)), 1)];
    let hashes = |now: u32| vec![(format!("{}.cdn.example.net", hex(now.into(), 32)), 1)];
    let tests = |now: u32| vec![(format!("nullnull{now}.example.org"), kind::NULL)];
    type Asked<'a> = &'a dyn Fn(u32) -> Vec<(String, u16)>;
    let each: [(u32, Asked<'_>); 5] = [(12, &texts), (12, &mails), (12, &long), (2, &hashes), (HOUR, &tests)];
    for (step, asked) in each {
        assert!(!is_found((0..8 * WEEK).step_by(step as usize), asked), "{:?}", asked(0));
        assert!(is_found(0..150, asked), "{:?}", asked(0));
    }
}

/// Busy days, silent nights and weekends.
#[test]
fn busy_hours_do_not_add_up() {
    let office = (0..8 * WEEK).filter(|now| now % DAY / HOUR >= 9 && now % DAY / HOUR < 18 && now / DAY % 7 < 5);
    let asked = |now: u32| {
        // Eight in an hour and none in the next.
        let is_asked = now / HOUR % 2 == 0 && now % 8 == 0;
        is_asked.then(|| (format!("library{now}.example.com"), kind::TXT)).into_iter().collect()
    };
    assert!(!is_found(office, asked));
}

/// From which rate on a slow tunnel is found, and from which on not.
#[test]
fn slow_tunnels() {
    let kinds = [(kind::NULL, 20, 90), (kind::TXT, 4, 12), (1, 4, 12)];
    for (kind, found, missed) in kinds {
        let asked = |now: u32| vec![(format!("{}.{}.t.example.com", hex(now.into(), 50), hex(3, 20)), kind)];
        assert!(is_found((0..4 * HOUR).step_by(found), asked), "{kind}");
        assert!(!is_found((0..WEEK).step_by(missed), asked), "{kind}");
    }
    // What waits, with a question in forty seconds.
    let polls =
        |now: u32| (0..2).map(|nth| (format!("{}.www.example.com", hex((2 * now + nth).into(), 34)), 1)).collect();
    assert!(is_found(0..2 * HOUR, polls));
}

/// A tunnel that begins late in an hour of a domain's is one all the same.
#[test]
fn names_of_an_hour_count_together_wherever_it_begins() {
    for first in (0..3 * HOUR).step_by(7) {
        let asked = |now: u32| vec![(format!("{}.t.example.com", hex(now.into(), 20)), kind::TXT)];
        let minutes = [0].into_iter().chain((first..first + 56).step_by(3));
        assert!(is_found(minutes, asked), "{first}");
    }
}

/// Which of these flows, by number, are a tunnel's, after names of rare types in that many minutes, one of each flow.
fn flows_of(minutes: &[u32]) -> Vec<bool> {
    let (mut names, mut found) = (Names::default(), Found::new());
    for (flow, now) in (0..).zip(minutes) {
        let query = query(&format!("{}.t.example.com", hex(flow.into(), 20)), kind::NULL);
        observe_at(&mut names, &mut found, flow, &query, End::Client, *now);
    }
    (0..minutes.len()).map(|flow| found.contains_key(&FlowId::of(flow as u32))).collect()
}

#[test]
fn a_tunnel_is_one_for_a_day_after_it_last_was() {
    // The first flow asked long before; those behind it are the tunnel's.
    let asked = [0, 500, 501, 502, 503];
    assert_eq!(flows_of(&asked), [false, true, true, true, true]);
    // One name a day later is enough, two days later it is not.
    assert_eq!(flows_of(&[0, 1, 2, 3, STAYS])[4..], [true]);
    assert_eq!(flows_of(&[0, 1, 2, 3, 4 + STAYS])[4..], [false]);
    // Unless it went on: what is known is known for as long as it is a tunnel.
    let on: Vec<u32> = (0..200).flat_map(|day| [0, 1, 2, 3].map(|minute| day * 20 * HOUR + minute)).collect();
    assert!(flows_of(&on).iter().all(|is| *is));
    let after = on.last().unwrap() + STAYS + 1;
    assert_eq!(flows_of(&[&on[..], &[after]].concat()).last(), Some(&false));
}

#[test]
fn a_clock_that_is_set_back_keeps_nothing_for_longer() {
    assert_eq!(flows_of(&[50_000, 100, 101]), [true; 3]);
    assert_eq!(flows_of(&[50_000, 100, 100 + 2 * HOUR, 100 + 4 * HOUR]), [false; 4]);
}

#[test]
fn flows_of_hours_before_make_room() {
    let (mut names, mut found) = (Names::default(), Found::new());
    for flow in 0..10_000 {
        let query = query(&format!("host{flow}.example.com"), 1);
        observe_at(&mut names, &mut found, flow, &query, End::Client, flow);
        let kept = names.domains.values().map(Domain::parts).sum::<usize>();
        assert!(names.parts <= 2 * HOUR as usize && names.parts == kept);
    }
    assert_eq!(names.overflow(), 0);
}
