//! Answers of random records against those of somebody who goes through all of them for each question.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use jiff::Timestamp;
use proptest::prelude::*;
use sensor_ebpf::{
    abi::Direction,
    class::{Evidence, Family},
};

use super::{
    listened::measured,
    made::{Made, ZONES},
    sums,
};
use crate::{
    study::{Period, Study},
    summary::{Event, LedgerRecord, NetworkRecord, Summary},
};

/// Intervals of a period.
type Intervals<'a> = Vec<&'a Summary>;
/// Local date.
type Day = String;

fn inside<'a>(made: &'a Made, period: &Period) -> Intervals<'a> {
    made.all.iter().filter(|summary| period.time().contains(&summary.key.start)).collect()
}

fn day(period: &Period, at: Timestamp) -> Day {
    period.zone().to_datetime(at).date().to_string()
}

fn bytes(record: &NetworkRecord) -> i64 {
    record.count.bytes as i64 - record.moved.moved_bytes as i64
}

/// Bytes of records, by something of an interval and a record.
fn by<K: Ord>(intervals: &[&Summary], mut key: impl FnMut(&Summary, &NetworkRecord) -> K) -> BTreeMap<K, i64> {
    let rows = intervals.iter().flat_map(|summary| summary.networks.iter().map(|record| (*summary, record)));
    sums(rows.map(|(summary, record)| (key(summary, record), bytes(record))))
}

fn quotient(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

fn share(part: i64, whole: i64) -> f64 {
    quotient(part, whole).unwrap_or_default()
}

/// What could not be seen is the sum of what intervals say of it.
fn check_coverage(made: &Made, study: &Study) {
    let periods = [(&made.question.period, &study.coverage), (&made.question.baseline, &study.baseline_coverage)];
    for (period, coverage) in periods {
        let intervals = inside(made, period);
        let sides = || intervals.iter().flat_map(|summary| &summary.ledger);
        let reasons = |of: fn(&LedgerRecord) -> &BTreeMap<&'static str, u64>| {
            let mut sums: BTreeMap<String, u64> = BTreeMap::new();
            for (reason, packets) in sides().flat_map(of) {
                *sums.entry((*reason).to_owned()).or_default() += packets;
            }
            sums
        };
        let mut unparsed = reasons(|side| &side.unparsed);
        unparsed.insert("not_ip".to_owned(), 0);
        assert_eq!(coverage.seen_packets, sides().map(|side| side.seen_packets).sum::<u64>());
        assert_eq!(coverage.unparsed, unparsed);
        assert_eq!(coverage.lost, reasons(|side| &side.lost));
        assert_eq!(coverage.lost_packets, coverage.lost.values().sum::<u64>());
        let mut losses: BTreeMap<String, u64> = BTreeMap::new();
        for record in intervals.iter().flat_map(|summary| &summary.events) {
            if let Event::Loss { what, count } = &record.event {
                *losses.entry(what.clone()).or_default() += count;
            }
        }
        assert_eq!(coverage.losses, losses);
        let unattributed = || intervals.iter().flat_map(|summary| &summary.unattributed);
        assert_eq!(coverage.unattributed_packets, unattributed().map(|record| record.count.packets).sum::<u64>());
        assert_eq!(coverage.unattributed_bytes, unattributed().map(|record| record.count.bytes).sum::<u64>());
    }
}

fn check_volume(made: &Made, study: &Study) {
    let [period, baseline] = [&made.question.period, &made.question.baseline];
    let [now, before] = [period, baseline].map(|period| inside(made, period));
    let total = |intervals: &[&Summary]| by(intervals, |_, _| ()).into_values().sum::<i64>();
    let packets = |intervals: &[&Summary]| -> i64 {
        let records = intervals.iter().flat_map(|summary| &summary.networks);
        records.map(|record| record.count.packets as i64 - record.moved.moved_packets as i64).sum()
    };
    let volume = &study.volume;
    assert_eq!([volume.bytes, volume.baseline_bytes], [total(&now), total(&before)]);
    assert_eq!([volume.packets, volume.baseline_packets], [packets(&now), packets(&before)]);
    let ways = by(&now, |_, record| record.direction == Direction::In);
    let way = |is_in: bool| ways.get(&is_in).copied().unwrap_or_default();
    assert_eq!([volume.in_bytes, volume.out_bytes], [way(true), way(false)]);
    let mut days = BTreeMap::new();
    for (period, intervals) in [(period, &now), (baseline, &before)] {
        days.extend(by(intervals, |summary, _| day(period, summary.key.start)));
    }
    assert_eq!(volume.by_day, days);
    let seconds = [period, baseline].map(|period| measured(made, period));
    assert_eq!([study.coverage.measured_seconds, study.baseline_coverage.measured_seconds], seconds);
    let gaps: f64 = study.coverage.gaps.iter().map(|gap| gap.seconds).sum();
    assert_eq!(gaps, study.coverage.seconds - seconds[0]);
    let growth = |now: f64, before: f64| (before > 0.0).then(|| (now / before - 1.0) * 100.0);
    assert_eq!(volume.growth_percent, growth(total(&now) as f64, total(&before) as f64));
    let per_second = |bytes: i64, seconds: f64| if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
    let rates = [per_second(total(&now), seconds[0]), per_second(total(&before), seconds[1])];
    assert_eq!(volume.growth_rate_percent, growth(rates[0], rates[1]));
    // Each five minutes of the period, those without a byte as far as somebody listened.
    let busy = by(&now, |summary, _| summary.key.start.as_second() / 300);
    let silent = ((seconds[0] / 300.0) as usize).saturating_sub(busy.len());
    let rates: Vec<f64> =
        busy.values().copied().chain(std::iter::repeat_n(0, silent)).map(|bytes| bytes as f64 * 8.0 / 300.0).collect();
    if busy.is_empty() {
        assert_eq!((volume.peak_bits_per_second, volume.percentile_95_bits_per_second), (None, None));
        return;
    }
    assert_eq!(volume.peak_bits_per_second, rates.iter().copied().max_by(f64::total_cmp));
    let reaches = |rate: &f64| rates.iter().filter(|other| *other <= rate).count() * 100 >= rates.len() * 95;
    let least = rates.iter().copied().filter(reaches).min_by(f64::total_cmp);
    assert_eq!(volume.percentile_95_bits_per_second, least);
}

fn check_parts(made: &Made, study: &Study) {
    let [period, baseline] = [&made.question.period, &made.question.baseline];
    let [now, before] = [period, baseline].map(|period| inside(made, period));
    let (whole, baseline_whole) = (study.volume.bytes, study.volume.baseline_bytes);
    let name = |record: &NetworkRecord| record.upstream.as_deref().unwrap_or("unknown").to_owned();
    let [upstreams, earlier] = [&now, &before].map(|intervals| by(intervals, |_, record| name(record)));
    let of = |sums: &BTreeMap<String, i64>, name: &str| sums.get(name).copied().unwrap_or_default();
    let names: BTreeSet<&String> = upstreams.keys().chain(earlier.keys()).collect();
    assert_eq!(study.upstreams.iter().map(|row| &row.name).collect::<BTreeSet<_>>(), names);
    for row in &study.upstreams {
        let (bytes, old) = (of(&upstreams, &row.name), of(&earlier, &row.name));
        assert_eq!((row.bytes, row.baseline_bytes), (bytes, Some(old)));
        assert_eq!((row.share, row.baseline_share), (share(bytes, whole), Some(share(old, baseline_whole))));
        let mut days = BTreeMap::new();
        for (period, intervals) in [(period, &now), (baseline, &before)] {
            let has = by(intervals, |_, record| name(record)).contains_key(&row.name);
            let all = by(intervals, |summary, _| day(period, summary.key.start));
            let its = by(intervals, |summary, record| (name(record), day(period, summary.key.start)));
            let of_day = |day: &Day| its.get(&(row.name.clone(), day.clone())).copied().unwrap_or_default();
            let shares = all.iter().filter(|(_, all)| has && **all > 0);
            days.extend(shares.map(|(day, all)| (day.clone(), of_day(day) as f64 / *all as f64)));
        }
        assert_eq!(row.share_by_day, days, "{}", row.name);
    }
    let [classes, earlier] = [&now, &before].map(|intervals| by(intervals, |_, record| record.class.name()));
    for row in &study.classes {
        let [bytes, old] = [&classes, &earlier].map(|sums| sums.get(row.class).copied().unwrap_or_default());
        assert_eq!((row.bytes, row.baseline_bytes), (bytes, old), "{}", row.class);
        let mut evidence = by(&now, |_, record| (record.class.name(), record.evidence.map_or("none", Evidence::name)));
        evidence.retain(|(class, _), bytes| *class == row.class && *bytes != 0);
        let evidence: BTreeMap<&str, i64> =
            evidence.into_iter().map(|((_, evidence), bytes)| (evidence, bytes)).collect();
        assert_eq!(row.evidence, evidence, "{}", row.class);
    }
    assert_eq!(study.classes.iter().map(|row| row.bytes).sum::<i64>(), whole);
    let hides = |record: &NetworkRecord| made.question.hidden.contains(&record.class);
    let mut days = BTreeMap::new();
    for (period, intervals, told, whole) in
        [(period, &now, study.hidden_share, whole), (baseline, &before, study.baseline_hidden_share, baseline_whole)]
    {
        let hidden = by(intervals, |_, record| hides(record));
        assert_eq!(told, quotient(hidden.get(&true).copied().unwrap_or_default(), whole));
        let all = by(intervals, |summary, _| day(period, summary.key.start));
        let hidden = by(intervals, |summary, record| (day(period, summary.key.start), hides(record)));
        let of_day = |day: &Day| hidden.get(&(day.clone(), true)).copied().unwrap_or_default();
        let shares = all.iter().filter(|(_, all)| **all > 0);
        days.extend(shares.map(|(day, all)| (day.clone(), of_day(day) as f64 / *all as f64)));
    }
    assert_eq!(study.hidden_by_day, days);
}

fn check_week(made: &Made, study: &Study) {
    let [period, baseline] = [&made.question.period, &made.question.baseline];
    let profile = &study.profile;
    let office = |hour: usize| hour / 24 < 5 && (8..18).contains(&(hour % 24));
    for (period, told, [in_office, weekend]) in [
        (period, &profile.hours, [profile.office_hours_share, profile.weekend_share]),
        (baseline, &profile.baseline_hours, [profile.baseline_office_hours_share, profile.baseline_weekend_share]),
    ] {
        // What the clock on the wall shows.
        let hour = |summary: &Summary| {
            let local = period.zone().to_datetime(summary.key.start);
            let day = usize::from(local.weekday().to_monday_zero_offset().unsigned_abs());
            day * 24 + usize::from(local.hour().unsigned_abs())
        };
        let hours = by(&inside(made, period), |summary, _| hour(summary));
        let hours: Vec<i64> = (0..168).map(|hour| hours.get(&hour).copied().unwrap_or_default()).collect();
        assert_eq!(*told, hours);
        let of = |is_in: &dyn Fn(usize) -> bool| -> i64 {
            hours.iter().enumerate().filter(|(hour, _)| is_in(*hour)).map(|(_, bytes)| bytes).sum()
        };
        let all = of(&|_| true);
        assert_eq!([in_office, weekend], [quotient(of(&office), all), quotient(of(&|hour| hour >= 120), all)]);
    }
}

/// Whether one direction alone was heard: on no day of the other one there are packets left.
fn is_one_way(period: &Period, intervals: &Intervals<'_>) -> bool {
    let mut ways: BTreeMap<(Day, bool), i64> = BTreeMap::new();
    for summary in intervals {
        for record in &summary.networks {
            let way = (day(period, summary.key.start), record.direction == Direction::In);
            *ways.entry(way).or_default() += record.count.packets as i64 - record.moved.moved_packets as i64;
        }
    }
    let ways: BTreeSet<bool> = ways.iter().filter(|(_, packets)| **packets > 0).map(|((_, way), _)| *way).collect();
    ways.len() == 1
}

fn check_sights(made: &Made, study: &Study) {
    let [period, baseline] = [&made.question.period, &made.question.baseline];
    let [now, before] = [period, baseline].map(|period| inside(made, period));
    // An address of IPv4, or a /64; and the block it is in.
    let active = |summary: &Summary| -> BTreeSet<(String, String)> {
        let hosts = summary.hosts.iter();
        let v4 = hosts.clone().flat_map(|host| host.active.iter()).map(|address| {
            let [a, b, c, _] = address.octets();
            (address.to_string(), format!("{a}.{b}.{c}.0/24"))
        });
        let v6 = hosts.flat_map(|host| &host.active_prefixes).map(|prefix| (prefix.to_string(), prefix.to_string()));
        v4.chain(v6).collect()
    };
    let [lit, old]: [BTreeSet<_>; 2] =
        [&now, &before].map(|intervals| intervals.iter().flat_map(|summary| active(summary)).collect());
    if [(&made.question.period, &now), (&made.question.baseline, &before)]
        .iter()
        .any(|(period, of)| is_one_way(period, of))
    {
        assert_eq!((&study.addresses, &study.services), (&None, &None));
        return;
    }
    let told = study.addresses.as_ref().unwrap();
    assert_eq!((told.active, told.baseline_active), (lit.len() as u64, old.len() as u64));
    let newly: BTreeSet<&String> = lit.difference(&old).map(|(address, _)| address).collect();
    assert_eq!((told.newly_lit.len(), told.newly_lit.iter().collect()), (newly.len(), newly));
    assert_eq!(told.dark_now, old.difference(&lit).count() as u64);
    let blocks = |lit: &BTreeSet<(String, String)>| lit.iter().map(|(_, block)| block.clone()).collect::<BTreeSet<_>>();
    let prefixes: BTreeSet<String> = blocks(&lit).difference(&blocks(&old)).cloned().collect();
    assert_eq!(told.newly_lit_prefixes.iter().cloned().collect::<BTreeSet<_>>(), prefixes);
    let mut days: BTreeMap<Day, BTreeSet<_>> = BTreeMap::new();
    for (period, intervals) in [(period, &now), (baseline, &before)] {
        for summary in intervals {
            days.entry(day(period, summary.key.start)).or_default().extend(active(summary));
        }
    }
    days.retain(|_, lit| !lit.is_empty());
    let days: BTreeMap<Day, u64> = days.into_iter().map(|(day, lit)| (day, lit.len() as u64)).collect();
    assert_eq!(told.by_day, days);

    let key = |record: &crate::summary::ServiceRecord| (record.address, record.port, record.protocol);
    let old: BTreeSet<_> = before.iter().flat_map(|summary| &summary.services).map(key).collect();
    let mut services: BTreeMap<(IpAddr, u16, u8), Vec<&crate::summary::ServiceRecord>> = BTreeMap::new();
    now.iter()
        .flat_map(|summary| &summary.services)
        .for_each(|record| services.entry(key(record)).or_default().push(record));
    let told = study.services.as_ref().unwrap();
    assert_eq!(told.len(), services.len());
    for (service, (key, records)) in told.iter().zip(&services) {
        let protocol = if key.2 == 6 { "tcp" } else { "udp" };
        assert_eq!((service.address, service.port, service.protocol), (key.0, key.1, protocol));
        assert_eq!(service.new, !old.contains(key));
        let class = records.iter().rev().map(|record| record.class.name()).find(|class| *class != "unknown");
        assert_eq!(service.class, class.unwrap_or("unknown"));
        let first = records.iter().map(|record| record.first).min().unwrap();
        let last = records.iter().map(|record| record.last).max().unwrap();
        // Moments are told in seconds.
        let told = [&service.first_seen, &service.last_seen].map(|text| text.parse::<Timestamp>().unwrap().as_second());
        assert_eq!(told, [first, last].map(|moment| moment.as_second()));
        let days: BTreeSet<Day> = records.iter().map(|record| day(period, record.last)).collect();
        assert_eq!(service.days.iter().cloned().collect::<BTreeSet<_>>(), days);
    }
}

fn check_suspicious(made: &Made, study: &Study) {
    let [period, baseline] = [&made.question.period, &made.question.baseline];
    for (family, told) in [(Family::Mining, &study.mining), (Family::P2p, &study.p2p)] {
        let mut days = BTreeMap::new();
        let mut totals = [0; 2];
        for (total, period) in totals.iter_mut().zip([period, baseline]) {
            let mut rows = by(&inside(made, period), |summary, record| {
                (day(period, summary.key.start), record.class.family() == family)
            });
            rows.retain(|(_, is_of_it), _| *is_of_it);
            *total = rows.values().sum();
            days.extend(rows.into_iter().map(|((day, _), bytes)| (day, bytes)));
        }
        let told = told.as_ref().unwrap();
        assert_eq!((told.bytes, told.baseline_bytes), (totals[0], Some(totals[1])));
        assert_eq!(told.by_day, days);
        // What a day ends with of a host: flows that turned out to be something else are off.
        let mut hosts = BTreeMap::new();
        for record in inside(made, period).iter().flat_map(|summary| &summary.class_hosts) {
            if record.family == family && record.evidence > Evidence::Port {
                let place = (record.address, record.class.name(), record.evidence.name(), day(period, record.last));
                hosts.insert(place, (record.flows, record.first));
            }
        }
        hosts.retain(|_, (flows, _)| *flows > 0);
        let addresses: BTreeSet<IpAddr> = hosts.keys().map(|(address, ..)| *address).collect();
        assert_eq!(told.addresses, Vec::from_iter(addresses));
        let first = hosts.values().map(|(_, first)| first.as_second()).min();
        assert_eq!(told.first_seen.as_ref().map(|text| text.parse::<Timestamp>().unwrap().as_second()), first);
    }
}

fn check_counterparts(made: &Made, study: &Study) {
    let names = |record: &crate::summary::CounterpartRecord| -> [Vec<String>; 3] {
        let unknown = || "unknown".to_owned();
        let country = record.country.map_or_else(unknown, |letters| String::from_utf8(letters.to_vec()).unwrap());
        let system = record.asn.map_or_else(unknown, |asn| format!("AS{asn}"));
        [vec![country], vec![system], record.list.iter().map(ToString::to_string).collect()]
    };
    let tables = [&study.counterparts.country, &study.counterparts.asn, &study.counterparts.list];
    for (place, told) in tables.into_iter().enumerate() {
        let of = |period: &Period| {
            let records = inside(made, period).into_iter().flat_map(|summary| &summary.counterparts);
            sums(records.flat_map(|record| {
                names(record)[place].clone().into_iter().map(|name| (name, record.count.bytes as i64))
            }))
        };
        let [now, before] = [of(&made.question.period), of(&made.question.baseline)];
        let all: BTreeSet<&String> = now.keys().chain(before.keys()).collect();
        assert_eq!(told.iter().map(|row| &row.name).collect::<BTreeSet<_>>(), all);
        for row in told {
            let [bytes, old] = [&now, &before].map(|sums| sums.get(&row.name).copied().unwrap_or_default());
            assert_eq!((row.bytes, row.baseline_bytes), (bytes, old), "{}", row.name);
            let shares = (share(bytes, study.volume.bytes), share(old, study.volume.baseline_bytes));
            assert_eq!((row.share, row.baseline_share), shares, "{}", row.name);
            let name = row.name.strip_prefix("AS").map(|asn| format!("System {asn}"));
            assert_eq!(row.as_name, name);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn random_records_are_answered_as_by_hand(
        zone in 0..ZONES,
        intervals in (0..300_usize, 0..300_usize),
        seed in any::<u64>(),
    ) {
        let made = Made::new(zone, [intervals.0, intervals.1], seed);
        let study = made.study();
        check_coverage(&made, &study);
    check_volume(&made, &study);
        check_parts(&made, &study);
        check_week(&made, &study);
        check_sights(&made, &study);
        check_suspicious(&made, &study);
        check_counterparts(&made, &study);
    }
}
