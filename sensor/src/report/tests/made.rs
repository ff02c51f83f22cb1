//! Studies made by hand.

use std::collections::BTreeMap;

use jiff::{civil::Date, tz::TimeZone};

use crate::study::{
    Addresses, ClassShare, Counterpart, Counterparts, Coverage, Gap, Interval, Period, Profile, Provenance,
    ServiceFact, Shift, Step, Study, Suspicious, Upstream, VolumeFact,
};

const HOURS: usize = 168;
/// Seconds of the eight days of each period.
const SECONDS: f64 = 8.0 * 86_400.0;

fn period(from: &str, to: &str) -> Period {
    let date = |text: &str| text.parse::<Date>().unwrap();
    Period::new(date(from), date(to), &TimeZone::get("Asia/Pyongyang").unwrap()).unwrap()
}

fn nothing() -> Suspicious {
    Suspicious {
        bytes: 0,
        baseline_bytes: Some(0),
        growth_percent: None,
        addresses: vec![],
        first_seen: None,
        step: None,
        by_day: BTreeMap::new(),
    }
}

/// A network that nothing is known of: it was not measured.
pub(super) fn empty() -> Study {
    let coverage = |seconds| {
        let mut coverage = Coverage::default();
        coverage.seconds = seconds;
        coverage.vantage = "none";
        coverage
    };
    Study {
        network: "empty".to_owned(),
        period: period("2019-04-01", "2019-04-09"),
        baseline: period("2017-04-03", "2017-04-11"),
        volume: VolumeFact {
            bytes: 0,
            packets: 0,
            in_bytes: 0,
            out_bytes: 0,
            baseline_bytes: 0,
            baseline_packets: 0,
            growth_percent: None,
            growth_rate_percent: None,
            growth_rate_interval: None,
            peak_bits_per_second: None,
            percentile_95_bits_per_second: None,
            by_day: BTreeMap::new(),
        },
        upstreams: vec![],
        upstream_shifts: vec![],
        profile: Profile {
            timezone: "Asia/Pyongyang".to_owned(),
            hours: vec![0; HOURS],
            baseline_hours: vec![0; HOURS],
            office_hours_share: None,
            weekend_share: None,
            baseline_office_hours_share: None,
            baseline_weekend_share: None,
        },
        addresses: Some(Addresses {
            active: 0,
            baseline_active: 0,
            newly_lit: vec![],
            newly_lit_prefixes: vec![],
            dark_now: 0,
            by_day: BTreeMap::new(),
            blocks: BTreeMap::new(),
            baseline_blocks: BTreeMap::new(),
            incomplete: false,
        }),
        services: Some(vec![]),
        classes: vec![],
        hidden_share: None,
        baseline_hidden_share: None,
        hidden_by_day: BTreeMap::new(),
        hidden_classes: vec![],
        mining: Some(nothing()),
        p2p: Some(nothing()),
        counterparts: Counterparts { country: vec![], asn: vec![], list: vec![] },
        coverage: coverage(SECONDS),
        baseline_coverage: coverage(SECONDS),
        insufficient_data: BTreeMap::new(),
        provenance: Provenance { sensor_version: "0.1.0", sensors: vec![] },
    }
}

/// One packet of 40 bytes in the period, and nothing before.
pub(super) fn one_packet() -> Study {
    let mut study = empty();
    (study.volume.bytes, study.volume.packets, study.volume.in_bytes) = (40, 1, 40);
    study.volume.by_day.insert("2019-04-01".to_owned(), 40);
    study.profile.hours[0] = 40;
    (study.profile.office_hours_share, study.profile.weekend_share) = (Some(0.0), Some(0.0));
    study.upstreams = vec![upstream("unknown", None, [40, 0], [1.0, 0.0])];
    study.classes = vec![class("unknown", "unknown", [40, 0], [1.0, 0.0], &[("none", 40)])];
    (study.hidden_share, study.coverage.measured_seconds, study.coverage.vantage) = (Some(0.0), 60.0, "in");
    study
}

fn upstream(name: &str, asn: Option<u32>, bytes: [i64; 2], shares: [f64; 2]) -> Upstream {
    let share_by_day = BTreeMap::from([("2019-04-01".to_owned(), shares[0]), ("2017-04-03".to_owned(), shares[1])]);
    let ([bytes, baseline_bytes], [share, baseline_share]) = (bytes, shares);
    let (baseline_bytes, baseline_share) = (Some(baseline_bytes), Some(baseline_share));
    Upstream { name: name.to_owned(), asn, bytes, share, baseline_bytes, baseline_share, share_by_day }
}

fn class(
    class: &'static str,
    family: &'static str,
    [bytes, baseline_bytes]: [i64; 2],
    [share, baseline_share]: [f64; 2],
    evidence: &[(&'static str, i64)],
) -> ClassShare {
    let evidence = evidence.iter().copied().collect();
    ClassShare { class, family, bytes, share, baseline_bytes, baseline_share, evidence }
}

fn counterpart(
    name: &str,
    as_name: Option<&str>,
    [bytes, baseline_bytes]: [i64; 2],
    [share, baseline_share]: [f64; 2],
) -> Counterpart {
    let as_name = as_name.map(str::to_owned);
    Counterpart { name: name.to_owned(), as_name, bytes, share, baseline_bytes, baseline_share }
}

fn service(host: &str, port: u16, protocol: &'static str, class: &'static str, first: &str, new: bool) -> ServiceFact {
    ServiceFact {
        address: host.parse().unwrap(),
        port,
        protocol,
        class,
        evidence: Some("confirmed"),
        first_seen: format!("{first}T10:00:00+09:00"),
        last_seen: "2019-04-07T10:00:00+09:00".to_owned(),
        new,
        days: vec!["2019-04-02".to_owned(), "2019-04-07".to_owned()],
    }
}

/// A network of which everything is known.
pub(super) fn full() -> Study {
    let mut study = empty();
    study.network = "example".to_owned();
    study.volume = VolumeFact {
        bytes: 4_000_000_000,
        packets: 5_000_000,
        in_bytes: 3_000_000_000,
        out_bytes: 1_000_000_000,
        baseline_bytes: 1_000_000_000,
        baseline_packets: 1_500_000,
        growth_percent: Some(300.0),
        growth_rate_percent: Some(300.0),
        growth_rate_interval: Some(Interval { low: 280.0, high: 330.0 }),
        peak_bits_per_second: Some(1e6),
        percentile_95_bits_per_second: Some(5e5),
        by_day: days(|day| 125_000_000 * (4 * day + 1)),
    };
    study.upstreams = vec![
        upstream("west", Some(64_500), [2_200_000_000, 990_000_000], [0.55, 0.99]),
        upstream("east", Some(64_501), [1_800_000_000, 10_000_000], [0.45, 0.01]),
    ];
    let [date, from, to] = ["2019-04-05", "west", "east"].map(str::to_owned);
    study.upstream_shifts = vec![Shift { date, from, to, share: 0.4 }];
    for (place, hours) in study.profile.hours.iter_mut().zip(&mut study.profile.baseline_hours).enumerate() {
        (*hours.0, *hours.1) = (place as i64 * 1000, (168 - place as i64) * 100);
    }
    let profile = &mut study.profile;
    (profile.office_hours_share, profile.weekend_share) = (Some(0.54), Some(0.15));
    (profile.baseline_office_hours_share, profile.baseline_weekend_share) = (Some(0.19), Some(0.44));
    study.addresses = Some(Addresses {
        active: 4,
        baseline_active: 3,
        newly_lit: vec!["198.51.100.2".to_owned(), "192.0.2.1".to_owned()],
        newly_lit_prefixes: vec!["192.0.2.0/24".to_owned()],
        dark_now: 1,
        by_day: days(|day| day).into_iter().map(|(day, active)| (day, active as u64)).collect(),
        // .1, .2 and .9; a /24 that was dark; a /64.
        blocks: blocks(&[("198.51.100.0/24", "6040"), ("192.0.2.0/24", "40"), ("2001:db8::/64", "")]),
        // .1, .7 and .9.
        baseline_blocks: blocks(&[("198.51.100.0/24", "4140")]),
        incomplete: false,
    });
    study.services = Some(vec![
        service("198.51.100.1", 80, "tcp", "http", "2017-04-04", false),
        service("198.51.100.2", 53, "udp", "dns", "2019-04-02", true),
        service("2001:db8::1", 25, "tcp", "smtp", "2019-04-03", true),
    ]);
    study.classes = vec![
        class("tls", "web", [3_390_000_000, 950_000_000], [0.8475, 0.95], &[("confirmed", 3_390_000_000)]),
        class("stratum", "mining", [10_000_000, 1_000_000], [0.0025, 0.001], &[("payload", 10_000_000)]),
        class("openvpn", "vpn", [200_000_000, 8_000_000], [0.05, 0.008], &[("confirmed", 200_000_000)]),
        class("unknown", "unknown", [400_000_000, 41_000_000], [0.1, 0.041], &[("none", 400_000_000)]),
    ];
    study.hidden_classes = vec!["openvpn", "tor"];
    (study.hidden_share, study.baseline_hidden_share) = (Some(0.05), Some(0.008));
    study.hidden_by_day = days(|day| day).into_iter().map(|(day, part)| (day, part as f64 / 100.0)).collect();
    study.mining = Some(Suspicious {
        bytes: 10_000_000,
        baseline_bytes: Some(1_000_000),
        growth_percent: Some(900.0),
        addresses: vec!["198.51.100.9".parse().unwrap()],
        first_seen: Some("2017-04-04T12:00:00+08:30".to_owned()),
        step: Some(Step { date: "2019-04-06".to_owned(), ratio: Some(4.0) }),
        by_day: days(|day| day * 100_000),
    });
    study.counterparts.country = vec![
        counterpart("CN", None, [1_800_000_000, 600_000_000], [0.45, 0.6]),
        counterpart("IN", None, [1_200_000_000, 0], [0.3, 0.0]),
        counterpart("unknown", None, [1_000_000_000, 400_000_000], [0.25, 0.4]),
    ];
    study.counterparts.asn = vec![counterpart("AS64601", Some("Example"), [1_800_000_000, 600_000_000], [0.45, 0.6])];
    for coverage in [&mut study.coverage, &mut study.baseline_coverage] {
        (coverage.measured_seconds, coverage.vantage) = (SECONDS, "both");
        coverage.sensors = vec!["edge-1".to_owned()];
    }
    let coverage = &mut study.coverage;
    coverage.measured_seconds = SECONDS * 0.99;
    let [from, to] = ["2019-04-03T10:00:00+09:00", "2019-04-03T11:55:12+09:00"].map(str::to_owned);
    coverage.gaps = vec![Gap { from, to, seconds: 6912.0 }];
    (coverage.lost_packets, coverage.one_way_share) = (12, Some(0.6));
    coverage.degraded.insert("fragment".to_owned(), 7);
    coverage.shed.insert("rate".to_owned(), 3);
    study.provenance.sensors = vec!["edge-1".to_owned()];
    study
}

/// Of each day of both periods something.
fn days(of: fn(i64) -> i64) -> BTreeMap<String, i64> {
    let day = |month: &str, first: i64, place: i64| (format!("{month}-{:02}", first + place), of(place + 1));
    (0..8).flat_map(|place| [day("2017-04", 3, place), day("2019-04", 1, place)]).collect()
}

/// Bitmaps by their first digits.
fn blocks(blocks: &[(&str, &str)]) -> BTreeMap<String, String> {
    let digits = |digits: &str| if digits.is_empty() { String::new() } else { format!("{digits:0<64}") };
    blocks.iter().map(|(name, first)| ((*name).to_owned(), digits(first))).collect()
}
