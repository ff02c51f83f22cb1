//! Made-up networks: what is news in them, and what is not.

use super::*;
use crate::{
    summary::{Turn, Unusual},
    testing::rng::Rng,
};

/// Monday, 2026-03-02.
const MONDAY: i64 = 1_772_409_600;
/// Weeks before the one that is watched; clocks go forward in them, in Berlin.
const WEEKS: i64 = 8;
const MEGABYTE: f64 = 1e6;

/// A made-up network: days and weekends, growth, chance, and two upstreams.
struct World {
    rng: Rng,
    spans: Vec<Span>,
    total: Vec<Part>,
    upstreams: Vec<Part>,
}

fn part(start: i64, name: &str, bytes: f64) -> Part {
    let volume = Volume { in_bytes: (bytes * 0.8) as i64, out_bytes: (bytes * 0.2) as i64, ..Volume::default() };
    Part { start, name: name.to_owned(), evidence: None, volume }
}

impl World {
    /// What happens in it: how many times the traffic that would be, and the share of upstream "a", by the quarter of an hour.
    fn new(seed: u64, times: impl Fn(i64) -> f64, share: impl Fn(i64) -> f64) -> Self {
        let mut world = Self { rng: Rng::new(seed), spans: vec![], total: vec![], upstreams: vec![] };
        for number in 0..(WEEKS + 1) * WEEK / QUARTER {
            let start = MONDAY + number * QUARTER;
            let (day, hour) = (number / 96 % 7, number % 96 / 4);
            let chance = 0.8 + world.rng.below(400) as f64 / 1000.0;
            let weekend = if day < 5 { 1.0 } else { 0.4 };
            let rate = (1.0 + 4.0 * (hour as f64 / 24.0 * std::f64::consts::PI).sin())
                * weekend
                * (1.0 + number as f64 / 20_000.0);
            let bytes = rate * chance * times(number) * MEGABYTE * QUARTER as f64;
            let share = (share(number) + world.rng.below(40) as f64 / 1000.0).min(1.0);
            world.total.push(part(start, "", bytes));
            world.upstreams.push(part(start, "a", bytes * share));
            world.upstreams.push(part(start, "b", bytes * (1.0 - share)));
        }
        world.spans.push(span(MONDAY, MONDAY + (WEEKS + 1) * WEEK));
        world
    }

    /// Nothing was measured in these quarters of an hour.
    fn without(mut self, quarters: Range<i64>) -> Self {
        let time = MONDAY + quarters.start * QUARTER..MONDAY + quarters.end * QUARTER;
        for parts in [&mut self.total, &mut self.upstreams] {
            parts.retain(|part| !time.contains(&part.start));
        }
        let end = self.spans.pop().unwrap().end.as_second();
        self.spans.extend([span(MONDAY, time.start), span(time.end, end)]);
        self
    }

    /// Events told in some quarters of an hour.
    fn told(&self, quarters: Range<i64>) -> Vec<(i64, Event)> {
        self.told_by(&Events::default(), quarters)
    }

    fn told_by(&self, events: &Events, quarters: Range<i64>) -> Vec<(i64, Event)> {
        let range = MONDAY + quarters.start * QUARTER + 1..MONDAY + quarters.end * QUARTER + 1;
        let asked = asked(events, &range);
        let inside = |parts: &[Part]| parts.iter().filter(|part| asked.contains(&part.start)).cloned().collect();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let past = Past::of(&self.spans, inside(&self.total), inside(&self.upstreams), &asked, &zone).unwrap();
        let told = past.events(events, &range).into_iter();
        told.map(|(at, event)| ((at - MONDAY) / QUARTER, event)).collect()
    }
}

fn span(start: i64, end: i64) -> Span {
    let at = |second| Timestamp::from_second(second).unwrap();
    Span { sensor: "s".into(), start: at(start), end: at(end), blind_ms: 0, coarse_ms: 0, capture: None }
}

/// The first quarter of an hour of the watched week.
const WATCHED: i64 = WEEKS * 672;

fn state(event: &Event) -> (&'static str, Turn, Option<i64>) {
    let number = |since: Option<Timestamp>| since.map(|since| (since.as_second() - MONDAY) / QUARTER);
    let (Event::Surge(Unusual { state, since, .. })
    | Event::Collapse(Unusual { state, since, .. })
    | Event::UpstreamShift { state, since, .. }) = event
    else {
        panic!("{event:?}")
    };
    (event.name(), *state, number(*since))
}

#[test]
fn a_network_that_goes_on_as_before_is_no_news() {
    for seed in 0..10 {
        let world = World::new(seed, |_| 1.0, |_| 0.7);
        assert_eq!(world.told(WATCHED..WATCHED + 672), [], "seed {seed}");
    }
    let world = World::new(1, |_| 0.0, |_| 0.7);
    assert_eq!(world.told(WATCHED..WATCHED + 672), [], "nor is one without traffic");
}

#[test]
fn a_surge_and_a_collapse_are_told_once_in_each_direction() {
    let (surge, collapse) = (WATCHED + 100, WATCHED + 300);
    let times = |number| match number - WATCHED {
        100..110 => 6.0,
        300..400 => 0.1,
        _ => 1.0,
    };
    let told = World::new(3, times, |_| 0.7).told(WATCHED..WATCHED + 672);
    let found: Vec<_> = told.iter().map(|(at, event)| (*at, state(event))).collect();
    let expected = [
        (surge + 2, ("surge", Turn::Began, Some(surge))),
        (surge + 14, ("surge", Turn::Over, Some(surge))),
        (collapse + 2, ("collapse", Turn::Began, Some(collapse))),
        (collapse + 104, ("collapse", Turn::Over, Some(collapse))),
    ];
    assert_eq!(found, expected.into_iter().flat_map(|event| [event; 2]).collect::<Vec<_>>());
    let begins = |(_, event): &(i64, Event)| {
        if let Event::Surge(unusual) = event { Some(unusual.clone()) } else { None }
            .filter(|unusual| unusual.state == Turn::Began)
    };
    let directions: Vec<Unusual> = told.iter().filter_map(begins).collect();
    assert_ne!(directions[0].direction, directions[1].direction);
    for unusual in directions {
        let times = unusual.bytes_per_second as f64 / unusual.usual_bytes_per_second as f64;
        assert!((4.0..8.0).contains(&times), "{unusual:?}");
    }
}

#[test]
fn where_traffic_is_wild_or_next_to_none_a_factor_alone_is_no_news() {
    // Up to seven times as much or as little as usual, by chance.
    let wild =
        World::new(9, |number| (f64::from(number.unsigned_abs() as u32 * 7919 % 1000) / 250.0 - 2.0).exp(), |_| 0.7);
    let week = WATCHED..WATCHED + 672;
    assert_eq!(wild.told(week.clone()), []);
    assert!(!wild.told_by(&Events { deviations: 1, ..Events::default() }, week.clone()).is_empty());
    let tiny = World::new(9, |number| if number < WATCHED + 100 { 1e-6 } else { 1e-5 }, |_| 0.7);
    assert_eq!(tiny.told(week.clone()), []);
    assert!(!tiny.told_by(&Events { least_rate: 0, ..Events::default() }, week).is_empty());
}

#[test]
fn a_shift_names_who_lost_and_who_won_and_how_much() {
    let world = World::new(4, |_| 1.0, |number| if number < WATCHED + 200 { 0.7 } else { 0.3 });
    let told = world.told(WATCHED..WATCHED + 672);
    let [(at, Event::UpstreamShift { state: Turn::Began, since: Some(_), from, to, share })] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((&**from, &**to), ("a", "b"));
    // The hour before counts: half of it is enough for a shift of 40 points.
    assert!((WATCHED + 202..=WATCHED + 205).contains(at), "{at}");
    assert!((0.2..0.45).contains(&share.value()), "{share:?}");
    let back =
        World::new(4, |_| 1.0, |number| if (WATCHED + 200..WATCHED + 300).contains(&number) { 0.3 } else { 0.7 });
    let told = back.told(WATCHED..WATCHED + 672);
    let turns: Vec<_> = told.iter().map(|(_, event)| state(event).1).collect();
    assert_eq!(turns, [Turn::Began, Turn::Over]);
    let Event::UpstreamShift { share, .. } = &told[1].1 else { panic!("{told:?}") };
    assert!(share.value() > 0.1, "{share:?}");
}

#[test]
fn what_was_not_measured_is_neither_a_collapse_nor_its_end() {
    let world = World::new(5, |_| 1.0, |_| 0.7).without(WATCHED + 100..WATCHED + 292);
    assert_eq!(world.told(WATCHED..WATCHED + 672), []);
    let times = |number| if number < WATCHED + 90 { 1.0 } else { 8.0 };
    let world = World::new(5, times, |_| 0.7).without(WATCHED + 100..WATCHED + 292);
    let told = world.told(WATCHED..WATCHED + 672);
    assert_eq!(
        told.iter().map(|(at, event)| (*at, state(event).1)).collect::<Vec<_>>(),
        [(WATCHED + 92, Turn::Began); 2]
    );
}

#[test]
fn a_sensor_that_was_blind_saw_no_collapse() {
    let times = |number| if (WATCHED + 100..WATCHED + 108).contains(&number) { 0.0 } else { 1.0 };
    let mut world = World::new(8, times, |_| 0.7);
    let time = MONDAY + (WATCHED + 100) * QUARTER..MONDAY + (WATCHED + 108) * QUARTER;
    assert_eq!(world.told(WATCHED..WATCHED + 200).len(), 4, "two collapses begin and end");
    let end = world.spans[0].end.as_second();
    let blind = Span { blind_ms: (8 * QUARTER * 1000) as u64, ..span(time.start, time.end) };
    world.spans = vec![span(MONDAY, time.start), blind, span(time.end, end)];
    assert_eq!(world.told(WATCHED..WATCHED + 200), []);
}

#[test]
fn too_short_a_past_says_nothing() {
    let times = |number| if number < WATCHED + 100 { 1.0 } else { 8.0 };
    let mut world = World::new(6, times, |_| 0.7);
    // Two weeks and a half before.
    let from = MONDAY + WATCHED * QUARTER - 2 * WEEK - WEEK / 2;
    world.spans = vec![span(from, MONDAY + (WEEKS + 1) * WEEK)];
    assert_eq!(world.told(WATCHED..WATCHED + 672), []);
}

#[test]
fn asked_every_quarter_of_an_hour_or_once_the_answer_is_the_same() {
    let times = |number: i64| if (WATCHED + 20..WATCHED + 27).contains(&number) { 5.0 } else { 1.0 };
    let share = |number: i64| if (WATCHED + 22..WATCHED + 28).contains(&number) { 0.1 } else { 0.7 };
    let world = World::new(7, times, share).without(WATCHED + 24..WATCHED + 25);
    let once = world.told(WATCHED + 18..WATCHED + 38);
    assert_eq!(once.len(), 2 * 2 + 2, "{once:?}");
    let each: Vec<_> = (WATCHED + 18..WATCHED + 38).flat_map(|number| world.told(number..number + 1)).collect();
    assert_eq!(each, once);
    let halves = [world.told(WATCHED + 18..WATCHED + 23), world.told(WATCHED + 23..WATCHED + 38)].concat();
    assert_eq!(halves, once);
}

#[test]
fn a_quarter_of_an_hour_says_nothing_unless_most_of_it_was_measured() {
    let spans = [span(0, 900 + 719), span(1800, 1800 + 720), span(2700, 3600)];
    let past = Past::of(&spans, vec![part(900, "", 1e6)], vec![], &(0..7200), &TimeZone::UTC).unwrap();
    assert_eq!(past.measured.keys().copied().collect::<Vec<_>>(), [0, 1800, 2700]);
    assert_eq!(past.rate(900, Volume::bytes), None);
    assert_eq!(past.rate(1800, Volume::bytes), Some(0.0));
}
