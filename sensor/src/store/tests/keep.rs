//! What is kept how long, and what stays.

use serde_json::Value;

use super::*;
use crate::{
    config::{Age, Retention},
    store::keep::Cut,
    study::DAY,
    summary::{Event, EventRecord},
};

const ZONE: &str = "Asia/Kathmandu";
/// Each level for a time of its own.
pub(crate) const RETENTION: Retention = Retention {
    minutes: Age::days_of(7),
    quarters: Age::days_of(56),
    prefixes: Age::days_of(9),
    sights: Age::days_of(60),
    ledger: Age::days_of(11),
    events: Age::days_of(58),
};
pub(crate) const FOREVER: Retention = Retention { minutes: Age::FOREVER, prefixes: Age::FOREVER, ..Retention::DEFAULT };
const DAY_SECONDS: i64 = 86_400;

/// A minute of each hour of some days.
pub(crate) fn hours(start: &str, days: u64) -> Vec<Summary> {
    let mut rng = Rng::new(days);
    let start: Timestamp = start.parse().unwrap();
    let hour = |hour: u64| {
        let mut summary = interval(1, hour, start + jiff::SignedDuration::from_hours(hour as i64), &mut rng);
        let event = Event::NewlyLit { address: "192.0.2.7".parse().unwrap() };
        summary.events.push(EventRecord { network: Some(NETWORK.into()), at: summary.key.start, event });
        summary
    };
    (0..24 * days).map(hour).collect()
}

/// Takes intervals by rules, in a commit for each so many.
pub(crate) fn take_by(folder: &TempDir, summaries: &[Summary], retention: Retention) {
    let mut store = Store::open(folder.path(), &[network(ZONE)], false).unwrap();
    store.rules().replace(&[network(ZONE)], retention);
    for some in summaries.chunks(100) {
        some.iter().for_each(|summary| _ = store.append(summary).unwrap());
        store.commit().unwrap();
    }
}

/// Whether a row of an export is as young as rules want it, where the newest record is of that second.
fn is_kept(line: &str, newest: i64) -> bool {
    let row: Value = serde_json::from_str(line).unwrap();
    let number = |name: &str| row[name].as_i64().unwrap();
    let seconds = |age: Age| newest - i64::from(age.days().unwrap()) * DAY_SECONDS;
    let days = |age: Age| newest / DAY_SECONDS - i64::from(age.days().unwrap());
    match row["table"].as_str().unwrap() {
        "traffic" => match number("step") {
            MINUTE => number("start") >= seconds(RETENTION.minutes),
            DAY => true,
            _ => number("start") >= seconds(RETENTION.quarters),
        },
        "prefixes" => number("day") >= days(RETENTION.prefixes),
        "active" | "heard" | "services" | "class_hosts" => number("day") >= days(RETENTION.sights),
        "ledger" => number("start") >= seconds(RETENTION.ledger),
        "events" => number("at") >= seconds(RETENTION.events) * 1_000_000,
        "spans" | "systems" => true,
        other => panic!("nobody said how long {other} is kept"),
    }
}

#[test]
fn what_is_older_than_it_is_kept_goes_and_nothing_else() {
    let [all, some] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let summaries = hours("2026-01-01T03:00:00Z", 70);
    take_by(&all, &summaries, FOREVER);
    take_by(&some, &summaries, RETENTION);
    // With the first record of a day, and not by the wall clock: what became too old on the last day is there yet.
    let newest = summaries.last().unwrap().key.start.as_second() / 900 * 900;
    let expected: Vec<String> = content(&all).into_iter().filter(|line| is_kept(line, newest)).collect();
    let day_before = content(&all).into_iter().filter(|line| is_kept(line, newest - DAY_SECONDS)).count();
    let there = content(&some).len();
    assert!((expected.len()..=day_before).contains(&there), "{} {there} {day_before}", expected.len());
    let mut store = Store::open(some.path(), &[], false).unwrap();
    store.rules().replace(&[], RETENTION);
    assert_eq!(store.prune().unwrap(), there - expected.len());
    assert_eq!(store.vacuum().unwrap(), 0);
    assert_eq!(content(&some), expected);
    // Every level had something to lose.
    for what in ["\"step\":60,", "\"step\":900,", "prefixes", "active", "heard", "services", "ledger", "events"] {
        let count = |lines: &[String]| lines.iter().filter(|line| line.contains(what)).count();
        assert!((1..count(&content(&all))).contains(&count(&expected)), "{what}");
    }
    // Other rules hold with the next record of the same day.
    store.rules().replace(&[], Retention { minutes: Age::days_of(1), ..RETENTION });
    let next = interval(1, 24 * 70, summaries.last().unwrap().key.end, &mut Rng::new(9));
    store.append(&next).unwrap();
    store.commit().unwrap();
    let oldest = Archive::open(some.path()).unwrap().traffic(NETWORK, Dimension::Total, MINUTE, 0..i64::MAX).unwrap();
    assert!(oldest[0].start >= newest - DAY_SECONDS, "{oldest:?}");
}

#[test]
fn rows_go_a_few_at_a_time_the_oldest_first() {
    let folder = tempfile::tempdir().unwrap();
    take_by(&folder, &hours("2026-01-01T03:00:00Z", 10), FOREVER);
    let connection = Connection::open(folder.path().join(FILE)).unwrap();
    let retention = Retention { minutes: Age::days_of(3), ..FOREVER };
    let [cut] =
        <[Cut; 1]>::try_from(Vec::from(crate::store::keep::cuts_of(&connection, &retention, i64::MAX).unwrap()))
            .unwrap();
    let oldest = || Archive::open(folder.path()).unwrap().since(NETWORK, crate::study::Detail::Minutes).unwrap();
    let (mut before, mut removed) = (oldest(), 0);
    loop {
        let some = cut.some(&connection, 10).unwrap();
        removed += some;
        if some < 10 {
            break;
        }
        assert!(oldest() > before, "{before:?}");
        before = oldest();
    }
    // Hours without a record of a network have no row.
    assert!((100..=24 * 7).contains(&removed), "{removed}");
    assert_eq!(cut.some(&connection, 10).unwrap(), 0);
}
