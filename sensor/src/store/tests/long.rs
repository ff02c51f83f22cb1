//! Intervals that are longer than a step.

use std::ops::Range;

use proptest::prelude::{ProptestConfig, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::{
    study::{DAY, Part, Period, QUARTER, Question, Study, Volume},
    summary::CounterpartRecord,
};

const ZONE: &str = "America/St_Johns";

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// One interval of some seconds.
fn one(time: Range<Timestamp>, seed: u64) -> Summary {
    let mut rng = Rng::new(seed);
    let mut summary = interval(1, 7, time.start, &mut rng);
    while summary.networks.is_empty() {
        summary = interval(1, 7, time.start, &mut rng);
    }
    summary.key.end = time.end;
    summary.ledger.iter_mut().for_each(|side| side.attached = Some(true));
    summary.counterparts.push(CounterpartRecord {
        network: NETWORK.into(),
        direction: Direction::In,
        country: Some(*b"CH"),
        asn: None,
        as_name: None,
        list: vec![],
        counterpart: None,
        count: Count { packets: 7, bytes: 1_000_003, frame_bytes: 0 },
    });
    summary
}

fn stored(summaries: &[Summary]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut store = Store::open(folder.path(), &[network(ZONE)], false).unwrap();
    summaries.iter().for_each(|summary| _ = store.append(summary).unwrap());
    store.commit().unwrap();
    folder
}

/// Sums of parts by what `key` makes of their beginnings.
fn sums(parts: Vec<Part>, key: impl Fn(i64) -> i64) -> BTreeMap<(i64, String), Volume> {
    let mut sums: BTreeMap<_, Volume> = BTreeMap::new();
    parts.into_iter().for_each(|part| *sums.entry((key(part.start), part.name)).or_default() += part.volume);
    sums.retain(|_, volume| *volume != Volume::default());
    sums
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn an_interval_is_in_all_levels_to_the_byte(
        start in 1_772_000_000_i64..1_775_000_000,
        seconds in prop_oneof![1_i64..61, 61_i64..4000, 4000_i64..400_000],
        seed in 0_u64..1000,
    ) {
        let summary = one(at(start)..at(start + seconds), seed);
        let folder = stored(&[summary.clone(), summary.clone()]);
        let archive = Archive::open(folder.path()).unwrap();
        let ask = |dimension, step| archive.traffic(NETWORK, dimension, step, i64::MIN..i64::MAX).unwrap();
        let zone = TimeZone::get(ZONE).unwrap();
        let day = |second: i64| i64::from(crate::study::day(at(second), &zone));
        for dimension in [Dimension::Total, Dimension::Upstream, Dimension::Class] {
            prop_assert_eq!(sums(ask(dimension, QUARTER), day), sums(ask(dimension, DAY), |day| day));
        }
        let quarters = sums(ask(Dimension::Total, QUARTER), |start| start);
        prop_assert_eq!(sums(ask(Dimension::Total, MINUTE), |start| start.div_euclid(QUARTER) * QUARTER), quarters);
        let whole: i64 = summary.networks.iter().map(|row| row.count.bytes as i64 - row.moved.moved_bytes as i64).sum();
        for (dimension, step, bytes) in
            [(Dimension::Total, MINUTE, whole), (Dimension::Class, DAY, whole), (Dimension::Country, DAY, 1_000_003)]
        {
            prop_assert_eq!(ask(dimension, step).iter().map(|part| part.volume.bytes()).sum::<i64>(), bytes);
        }
        let first = ask(Dimension::Total, MINUTE).first().map(|part| part.start);
        if seconds <= MINUTE {
            // As it always was: in the minute in which it began.
            prop_assert_eq!(ask(Dimension::Total, MINUTE).len(), 1);
            prop_assert_eq!(first, Some(start.div_euclid(MINUTE) * MINUTE));
        }
        let ledger = archive.ledger(at(start - QUARTER)..at(start + seconds)).unwrap();
        prop_assert_eq!(ledger["seen_packets"], 9);
    }
}

#[test]
fn days_without_an_agent_are_no_peak_and_no_surge() {
    // Three days in one interval, which nobody was there to end; an ordinary one before and behind it.
    let begin: Timestamp = "2026-03-02T10:30:30Z".parse().unwrap();
    let hours = jiff::SignedDuration::from_hours;
    let count = Count { packets: 72 * 3600, bytes: 72 * 3600 * 1000, frame_bytes: 0 };
    let mut long = one(begin..begin + hours(72), 1);
    long.networks.truncate(1);
    (long.networks[0].count, long.networks[0].moved) = (count, Moved::default());
    let mut before = interval(1, 6, begin - jiff::SignedDuration::from_secs(60), &mut Rng::new(1));
    before.networks.clear();
    before.ledger.iter_mut().for_each(|side| side.attached = Some(true));
    let mut behind = before.clone();
    (behind.key.sequence, behind.key.start, behind.key.end) =
        (8, long.key.end, long.key.end + hours(0) + (begin - before.key.start));
    let folder = stored(&[before, long, behind]);
    let zone = TimeZone::get(ZONE).unwrap();
    let date = jiff::civil::date;
    let period = |from: i8, to: i8| Period::new(date(2026, 3, from), date(2026, 3, to), &zone).unwrap();
    let question = Question {
        network: NETWORK.to_owned(),
        zone: zone.clone(),
        period: period(3, 5),
        baseline: period(1, 3),
        hidden: vec![],
        upstreams: vec![],
    };
    let study = Study::of(&Archive::open(folder.path()).unwrap(), &question).unwrap();
    assert_eq!(study.volume.bytes, 48 * 3600 * 1000);
    assert_eq!(study.volume.by_day["2026-03-03"], 24 * 3600 * 1000);
    assert_eq!(study.volume.peak_bits_per_second, Some(8000.0));
    assert_eq!(study.volume.percentile_95_bits_per_second, Some(8000.0));
    assert_eq!(study.profile.hours[24..72], [3_600_000; 48]);
    // What is known as a sum alone is said to be.
    assert_eq!((study.coverage.coarse_seconds, study.coverage.measured_seconds), (48.0 * 3600.0, 48.0 * 3600.0));
    assert!(study.baseline_coverage.coarse_seconds > 0.0 && study.coverage.gaps.is_empty());
}
