//! Answers against those that somebody would find who has all intervals before him.

mod edges;
mod listened;
mod made;
mod properties;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, civil::date, tz::TimeZone};
use sensor_ebpf::class::Class;

use super::*;
use crate::{
    store::{
        Archive, Store,
        tests::{
            NETWORK, history,
            keep::{FOREVER, RETENTION, hours, take_by},
            network,
        },
    },
    summary::Summary,
};

const HIDDEN: [Class; 1] = [Class::Tor];

fn question(zone: &TimeZone, days: [(i16, i8, i8); 4]) -> Question {
    let [from, to, baseline_from, baseline_to] = days.map(|(year, month, day)| date(year, month, day));
    Question {
        network: NETWORK.to_owned(),
        zone: zone.clone(),
        period: Period::new(from, to, zone).unwrap(),
        baseline: Period::new(baseline_from, baseline_to, zone).unwrap(),
        hidden: HIDDEN.to_vec(),
        upstreams: vec![],
    }
}

/// L3 bytes of each record of intervals that begin in a period.
fn records<'a>(all: &'a [Summary], period: &Period) -> Vec<(&'a Summary, &'a crate::summary::NetworkRecord, i64)> {
    let time = period.time();
    let inside = all.iter().filter(|summary| time.contains(&summary.key.start));
    let signed = |bytes: u64| i64::try_from(bytes).unwrap();
    inside
        .flat_map(|summary| summary.networks.iter().map(move |record| (summary, record)))
        .map(|(summary, record)| (summary, record, signed(record.count.bytes) - signed(record.moved.moved_bytes)))
        .collect()
}

fn sums<K: Ord>(rows: impl Iterator<Item = (K, i64)>) -> BTreeMap<K, i64> {
    let mut sums = BTreeMap::new();
    rows.for_each(|(key, bytes)| *sums.entry(key).or_default() += bytes);
    sums
}

#[test]
fn answers_are_what_all_intervals_add_up_to() {
    for (seed, name) in [(1, "Asia/Pyongyang"), (2, "Asia/Kathmandu"), (3, "America/St_Johns"), (4, "UTC")] {
        let zone = TimeZone::get(name).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut store = Store::open(folder.path(), &[network(name)], false).unwrap();
        // Over the night in which clocks of St. John's go forward, and another time.
        let mut all = history(1, "2026-03-06T10:00:00Z", 4000, seed);
        all.extend(history(2, "2026-01-06T10:00:00Z", 3000, seed + 100));
        all.iter().for_each(|summary| _ = store.append(summary).unwrap());
        store.commit().unwrap();
        let question = question(&zone, [(2026, 3, 7), (2026, 3, 9), (2026, 1, 7), (2026, 1, 8)]);
        let study = Study::of(&Archive::open(folder.path()).unwrap(), &question).unwrap();
        let [now, before] = [&question.period, &question.baseline].map(|period| records(&all, period));
        let total =
            |rows: &[(&Summary, &crate::summary::NetworkRecord, i64)]| rows.iter().map(|row| row.2).sum::<i64>();
        assert_eq!((study.volume.bytes, study.volume.baseline_bytes), (total(&now), total(&before)), "{name}");
        let packets: u64 = now.iter().map(|(_, record, _)| record.count.packets).sum();
        assert_eq!(study.volume.packets, packets as i64);
        let by_upstream = sums(now.iter().map(|(_, record, bytes)| (record.upstream.as_deref().unwrap(), *bytes)));
        let told = sums(study.upstreams.iter().map(|row| (&*row.name, row.bytes)));
        assert_eq!(told, by_upstream);
        let asn = |name: &str| study.upstreams.iter().find(|row| row.name == name).unwrap().asn;
        assert_eq!((asn("a"), asn("b")), (Some(64_500), None));
        let by_class = sums(now.iter().map(|(_, record, bytes)| (record.class.name(), *bytes)));
        assert_eq!(sums(study.classes.iter().map(|row| (row.class, row.bytes))), by_class);
        assert_eq!(study.hidden_share, Some(by_class["tor"] as f64 / total(&now) as f64));
        let hour = |at: Timestamp| {
            let local = zone.to_datetime(at);
            usize::from(local.weekday().to_monday_zero_offset().unsigned_abs()) * 24 + usize::from(local.hour() as u8)
        };
        let mut hours = vec![0; 168];
        now.iter().for_each(|(summary, _, bytes)| hours[hour(summary.key.start)] += bytes);
        assert_eq!(study.profile.hours, hours, "{name}");
        let active = |period: &Period| -> BTreeSet<_> {
            let time = period.time();
            let inside = all.iter().filter(|summary| time.contains(&summary.key.start));
            inside.flat_map(|summary| summary.hosts.iter().flat_map(|host| host.active.iter())).collect()
        };
        let [lit, old] = [&question.period, &question.baseline].map(active);
        let addresses = study.addresses.unwrap();
        // One /64 is active in both.
        assert_eq!(
            (addresses.active, addresses.baseline_active, addresses.dark_now),
            (lit.len() as u64 + 1, old.len() as u64 + 1, old.difference(&lit).count() as u64)
        );
        let newly: Vec<String> = lit.difference(&old).map(ToString::to_string).collect();
        assert_eq!(addresses.newly_lit, newly);
        assert!(addresses.newly_lit_prefixes.is_empty());
        assert_eq!(study.services.unwrap().len(), 1);
        assert!((study.coverage.measured_seconds - study.coverage.seconds).abs() < 1e-6, "{name}");
        assert_eq!(study.coverage.gaps, []);
    }
}

#[test]
fn a_gap_is_named_and_growth_is_per_measured_second() {
    let (zone, folder) = (TimeZone::UTC, tempfile::tempdir().unwrap());
    let mut store = Store::open(folder.path(), &[network("UTC")], false).unwrap();
    // A day of each, but in the middle of the second one nobody looked for ten hours.
    let mut all = history(1, "2026-01-01T00:00:00Z", 1440, 7);
    let mut second = history(2, "2026-01-02T00:00:00Z", 1440, 7);
    second.retain(|summary| {
        let minute = (summary.key.start.as_second() % 86_400) / 60;
        !(400..1000).contains(&minute)
    });
    all.extend(second);
    all.iter().for_each(|summary| _ = store.append(summary).unwrap());
    store.commit().unwrap();
    let question = question(&zone, [(2026, 1, 2), (2026, 1, 3), (2026, 1, 1), (2026, 1, 2)]);
    let study = Study::of(&Archive::open(folder.path()).unwrap(), &question).unwrap();
    let [gap] = &*study.coverage.gaps else { panic!("{:?}", study.coverage.gaps) };
    assert_eq!((&*gap.from, gap.seconds), ("2026-01-02T06:40:00+00:00", 36_000.0));
    assert_eq!(study.coverage.measured_seconds, 50_400.0);
    assert!(study.volume.growth_percent.unwrap() < -35.0, "{:?}", study.volume);
    assert!(study.volume.growth_rate_percent.unwrap().abs() < 10.0, "{:?}", study.volume);
    assert!(study.insufficient_data.contains_key("volume.growth_rate_interval"));
}

#[test]
fn one_direction_says_nothing_of_addresses() {
    let (zone, folder) = (TimeZone::UTC, tempfile::tempdir().unwrap());
    let mut store = Store::open(folder.path(), &[network("UTC")], false).unwrap();
    for mut summary in history(1, "2026-01-01T00:00:00Z", 2880, 8) {
        summary.networks.retain(|record| record.direction == sensor_ebpf::abi::Direction::In);
        store.append(&summary).unwrap();
    }
    store.commit().unwrap();
    let question = question(&zone, [(2026, 1, 2), (2026, 1, 3), (2026, 1, 1), (2026, 1, 2)]);
    let study = Study::of(&Archive::open(folder.path()).unwrap(), &question).unwrap();
    assert_eq!(study.coverage.vantage, "in");
    assert_eq!((study.addresses, study.services), (None, None));
    for what in ["addresses", "services"] {
        assert_eq!(study.insufficient_data[what], "only packets to the network were seen");
    }
}

#[test]
fn an_empty_period_has_no_figures_and_no_errors() {
    let (zone, folder) = (TimeZone::UTC, tempfile::tempdir().unwrap());
    let mut store = Store::open(folder.path(), &[network("UTC")], false).unwrap();
    let all = history(1, "2026-01-01T12:00:00Z", 1, 9);
    store.append(&all[0]).unwrap();
    store.commit().unwrap();
    let question = question(&zone, [(2026, 1, 1), (2026, 1, 2), (2025, 1, 1), (2025, 2, 1)]);
    let study = Study::of(&Archive::open(folder.path()).unwrap(), &question).unwrap();
    assert_eq!((study.volume.growth_percent, study.baseline_hidden_share), (None, None));
    assert_eq!((study.coverage.measured_seconds, study.baseline_coverage.measured_seconds), (60.0, 0.0));
    assert_eq!(study.baseline_coverage.gaps.len(), 1);
    let text = serde_json::to_string(&study).unwrap();
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
}

/// All facts of a study but for those that `gone` names.
fn facts(study: &Study, gone: &[&str]) -> serde_json::Value {
    let mut facts = serde_json::to_value(study).unwrap();
    for place in gone.iter().chain(&["/insufficient_data"]) {
        *facts.pointer_mut(place).unwrap() = serde_json::Value::Null;
    }
    facts
}

#[test]
fn what_is_not_kept_any_more_changes_no_figure_or_is_said_to_be_gone() {
    let zone = TimeZone::get("Asia/Kathmandu").unwrap();
    let [all, some] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    // Days end in the middle of an hour of UTC, and what is too old ends in the middle of a day.
    let summaries = hours("2026-01-01T03:00:00Z", 70);
    take_by(&all, &summaries, FOREVER);
    take_by(&some, &summaries, RETENTION);
    let study = |folder: &tempfile::TempDir, days| {
        Study::of(&Archive::open(folder.path()).unwrap(), &question(&zone, days)).unwrap()
    };
    const PEAK: [&str; 2] = ["/volume/peak_bits_per_second", "/volume/percentile_95_bits_per_second"];
    const WEEKS: [&str; 3] = ["hours", "office_hours_share", "weekend_share"];
    let of_week = |baseline: &str| WEEKS.map(|what| format!("/profile/{baseline}{what}"));
    let counters = |coverage: &str| {
        let names = [
            "seen_packets",
            "matched_packets",
            "other_packets",
            "unparsed",
            "degraded",
            "shed",
            "lost",
            "lost_packets",
        ];
        names.map(|name| format!("/{coverage}/{name}"))
    };
    // The last week and the first: of the latter there are days alone.
    let days = [(2026, 3, 6), (2026, 3, 12), (2026, 1, 2), (2026, 1, 9)];
    let (before, after) = (study(&all, days), study(&some, days));
    let gone = [&of_week("baseline_")[..], &counters("baseline_coverage")].concat();
    let mut gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    gone.extend(["/addresses", "/services", "/baseline_coverage/one_way_share", "/baseline_coverage/asymmetric_share"]);
    assert_eq!(facts(&after, &gone), facts(&before, &gone));
    assert!(before.insufficient_data.keys().all(|figure| *figure == "volume.growth_rate_interval"));
    let said: Vec<&str> = after.insufficient_data.keys().copied().collect();
    let expected =
        ["addresses", "baseline_coverage.packets", "baseline_profile", "services", "volume.growth_rate_interval"];
    assert_eq!(said, expected);
    assert_eq!((after.addresses, after.profile.baseline_hours.len()), (None, 0));
    // A period in which steps end, in the middle of a day.
    let days = [(2026, 1, 5), (2026, 2, 20), (2026, 2, 20), (2026, 3, 10)];
    let (before, after) = (study(&all, days), study(&some, days));
    let gone =
        [&of_week("")[..], &counters("coverage"), &counters("baseline_coverage"), &PEAK.map(String::from)].concat();
    let mut gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    gone.extend(["/addresses", "/services"]);
    assert_eq!(facts(&after, &gone), facts(&before, &gone));
    assert!(before.volume.peak_bits_per_second.is_some() && after.volume.peak_bits_per_second.is_none());
    let why = &after.insufficient_data["profile"];
    assert!(
        why.starts_with("quarters of an hour before 2026-01-1") && why.ends_with(" are not kept any more"),
        "{why}"
    );
    assert!(after.insufficient_data["volume.peak"].starts_with("minutes before 2026-02-20 "), "{after:?}");
    assert!(after.insufficient_data["coverage.packets"].contains("counters of frames before 2026-02-20"));
}
