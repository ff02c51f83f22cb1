//! Periods in which next to nothing is.

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::date, tz::TimeZone};
use sensor_ebpf::{abi::Direction, class::Class};

use super::{
    made::{Made, ZONES, study_of},
    question,
};
use crate::{
    report,
    store::tests::{NETWORK, history, interval},
    study::{Period, Question, Study},
    summary::{Count, Moved, NetworkRecord, Summary},
    testing::rng::Rng,
};

/// It can be told in all formats, and no figure is one of nothing by nothing.
fn can_be_told(study: &Study) {
    for text in [serde_json::to_string(study).unwrap(), report::markdown(study), report::html(study)] {
        assert!(!text.contains("NaN") && !text.contains("inf%") && !text.contains("inf "), "{text}");
    }
}

#[test]
fn a_network_of_one_packet() {
    let mut all = history(1, "2026-01-01T12:00:00Z", 1, 1);
    all[0].networks = vec![NetworkRecord {
        network: NETWORK.into(),
        direction: Direction::In,
        upstream: Some("a".into()),
        upstream_asn: None,
        class: Class::Unknown,
        family: Class::Unknown.family().name(),
        evidence: None,
        count: Count { packets: 1, bytes: 40, frame_bytes: 60 },
        moved: Moved::default(),
    }];
    (all[0].counterparts, all[0].services, all[0].class_hosts) = (vec![], vec![], vec![]);
    let question = question(&TimeZone::UTC, [(2026, 1, 1), (2026, 1, 2), (2025, 12, 1), (2025, 12, 2)]);
    let study = study_of(&question, &all);
    let volume = &study.volume;
    assert_eq!((volume.bytes, volume.packets, volume.in_bytes, volume.out_bytes), (40, 1, 40, 0));
    assert_eq!((volume.baseline_bytes, volume.growth_percent, volume.growth_rate_percent), (0, None, None));
    // One minute of one five minutes: that is the busiest, and 95 % of all had no more.
    let rate = Some(40.0 * 8.0 / 300.0);
    assert_eq!((volume.peak_bits_per_second, volume.percentile_95_bits_per_second), (rate, rate));
    let [upstream] = &*study.upstreams else { panic!("{:?}", study.upstreams) };
    assert_eq!((&*upstream.name, upstream.bytes, upstream.share), ("a", 40, 1.0));
    assert_eq!((study.hidden_share, study.baseline_hidden_share), (Some(0.0), None));
    assert_eq!(study.profile.hours.iter().filter(|bytes| **bytes != 0).count(), 1);
    // It says nothing of what lives there.
    assert_eq!((study.coverage.vantage, study.addresses.is_none(), study.services.is_none()), ("in", true, true));
    assert_eq!(study.coverage.measured_seconds, 60.0);
    can_be_told(&study);
}

#[test]
fn a_period_within_a_gap() {
    let mut all = history(1, "2026-01-01T00:00:00Z", 1440, 1);
    all.extend(history(2, "2026-01-20T00:00:00Z", 60, 2));
    let question = question(&TimeZone::UTC, [(2026, 1, 5), (2026, 1, 8), (2026, 1, 1), (2026, 1, 2)]);
    let study = study_of(&question, &all);
    assert_eq!((study.volume.bytes, study.volume.packets), (0, 0));
    assert!(study.volume.baseline_bytes > 0);
    let [gap] = &*study.coverage.gaps else { panic!("{:?}", study.coverage.gaps) };
    assert_eq!((gap.seconds, study.coverage.measured_seconds), (3.0 * 86_400.0, 0.0));
    assert_eq!((&*gap.from, &*gap.to), ("2026-01-05T00:00:00+00:00", "2026-01-08T00:00:00+00:00"));
    // Of nothing measured there is no figure, though there is one before.
    assert_eq!((study.hidden_share, study.profile.office_hours_share), (None, None));
    assert!(study.baseline_hidden_share.is_some());
    assert!(study.upstreams.iter().all(|row| row.bytes == 0 && row.share == 0.0));
    assert!(study.insufficient_data.contains_key("volume.peak"));
    can_be_told(&study);
}

#[test]
fn a_period_with_a_day_that_never_was() {
    // Samoa had no 30 December 2011.
    let zone = TimeZone::get("Pacific/Apia").unwrap();
    let (start, mut rng) = ("2011-11-25T00:00:00Z".parse::<Timestamp>().unwrap(), Rng::new(3));
    let hour = |number: u64| start + SignedDuration::from_hours(number as i64);
    let all: Vec<Summary> = (0..24 * 50).map(|number| interval(1, number, hour(number), &mut rng)).collect();
    let first = date(2011, 12, 18);
    let question = Question {
        period: Period::new(first, first + 21.days(), &zone).unwrap(),
        baseline: Period::new(first - 21.days(), first, &zone).unwrap(),
        ..question(&zone, [(2026, 1, 1), (2026, 1, 2), (2025, 1, 1), (2025, 1, 2)])
    };
    let study = study_of(&question, &all);
    assert_eq!((study.coverage.seconds, study.coverage.measured_seconds), (20.0 * 86_400.0, 20.0 * 86_400.0));
    // A day without a second is no day of three weeks.
    assert_eq!(study.volume.growth_rate_interval, None);
    let longer = Question { period: Period::new(first, first + 22.days(), &zone).unwrap(), ..question };
    let interval = study_of(&longer, &all).volume.growth_rate_interval.unwrap();
    assert!(interval.low.is_finite() && interval.high.is_finite(), "{interval:?}");
    can_be_told(&study);
}

#[test]
fn nothing_at_all() {
    for zone in 0..ZONES {
        let study = Made::new(zone, [0, 0], 1).study();
        assert_eq!((study.volume.bytes, study.volume.growth_percent, study.hidden_share), (0, None, None));
        assert_eq!((study.coverage.vantage, study.coverage.measured_seconds), ("none", 0.0));
        assert_eq!((study.upstreams, study.classes, study.upstream_shifts), (vec![], vec![], vec![]));
        assert_eq!(study.coverage.gaps.len(), 1);
    }
}
