//! Periods in which next to nothing is.

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::date, tz::TimeZone};
use sensor_ebpf::{abi::Direction, class::Class};

use super::{
    made::{Made, ZONES, study_of},
    question, records,
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
fn what_is_not_there_is_told_as_nothing() {
    let all = history(1, "2026-01-01T00:00:00Z", 300, 1);
    let mut question = question(&TimeZone::UTC, [(2026, 1, 1), (2026, 1, 2), (2025, 12, 1), (2025, 12, 2)]);
    let names = |study: &Study| study.upstreams.iter().map(|row| (row.name.clone(), row.asn)).collect::<Vec<_>>();
    let before = names(&study_of(&question, &all));
    question.upstreams =
        vec![(before[0].0.clone(), Some(64_500)), ("idle".to_owned(), Some(64_501)), ("idler".to_owned(), None)];
    let study = study_of(&question, &all);
    let mut expected = before;
    expected[0].1 = Some(64_500);
    expected.extend([("idle".to_owned(), Some(64_501)), ("idler".to_owned(), None)]);
    assert_eq!(names(&study), expected);
    let idle = &study.upstreams[expected.len() - 2];
    assert_eq!((idle.bytes, idle.share, idle.baseline_bytes, idle.baseline_share), (0, 0.0, Some(0), Some(0.0)));
    can_be_told(&study);
    let of_nothing = study_of(&question, &history(1, "2026-03-01T00:00:00Z", 1, 1));
    assert_eq!(of_nothing.coverage.unparsed, [("not_ip".to_owned(), 0)].into());
}

#[test]
fn a_capture_of_a_day_measures_all_of_it() {
    let (start, mut rng) = ("2026-01-01T00:20:00Z".parse::<Timestamp>().unwrap(), Rng::new(3));
    let at = |number: u64| start + SignedDuration::from_mins(30 * number as i64);
    let all: Vec<Summary> = (0..47).map(|number| interval(1, number, at(number), &mut rng)).collect();
    let question = question(&TimeZone::UTC, [(2026, 1, 1), (2026, 1, 2), (2025, 12, 1), (2025, 12, 2)]);
    let study = study_of(&question, &all);
    assert_eq!((study.coverage.measured_seconds, &*study.coverage.gaps), (86_400.0, &[][..]));
    // Counters of frames begin with the first frame, and nothing of them is gone.
    assert!(!study.insufficient_data.contains_key("coverage.packets"), "{:?}", study.insufficient_data);
}

#[test]
fn a_night_in_which_clocks_go_back_over_midnight() {
    // In Newfoundland one minute past midnight became 23:01 of the day before: the first day is not one piece of time, and nothing was heard early on it.
    let all = history(1, "2003-10-25T04:00:00Z", 30 * 60, 1);
    let zone = TimeZone::get("America/St_Johns").unwrap();
    let question = question(&zone, [(2003, 10, 25), (2003, 10, 27), (2003, 10, 1), (2003, 10, 3)]);
    let study = study_of(&question, &all);
    let bytes: i64 = records(&all, &question.period).iter().map(|(_, _, bytes)| bytes).sum();
    assert_eq!((study.volume.bytes, study.profile.hours.iter().sum::<i64>()), (bytes, bytes));
    assert_eq!(study.volume.by_day.values().sum::<i64>(), bytes);
    assert!(!study.insufficient_data.contains_key("profile"), "{:?}", study.insufficient_data);
    can_be_told(&study);
}

#[test]
fn scans_that_nobody_answers_hide_no_address() {
    let mut all = history(1, "2026-01-01T00:00:00Z", 300, 1);
    let question = question(&TimeZone::UTC, [(2026, 1, 1), (2026, 1, 2), (2025, 12, 1), (2025, 12, 2)]);
    let mut study = |flows: u64, one_way_flows: u64, asymmetric_flows: u64| {
        for host in all.iter_mut().flat_map(|summary| &mut summary.hosts) {
            (host.flows, host.one_way_flows, host.asymmetric_flows) = (flows, one_way_flows, asymmetric_flows);
        }
        study_of(&question, &all)
    };
    let scanned = study(1000, 999, 0);
    assert!(scanned.addresses.is_some() && scanned.services.is_some());
    assert_eq!((scanned.coverage.one_way_share, scanned.coverage.asymmetric_share), (Some(0.999), Some(0.0)));
    // One of ten conversations is whole.
    let halved = study(100, 99, 9);
    assert_eq!((halved.addresses, halved.services, halved.coverage.asymmetric_share), (None, None, Some(0.9)));
    assert!(halved.insufficient_data["addresses"].contains("of 90 % of its conversations"));
    can_be_told(&study(100, 90, 10));
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
