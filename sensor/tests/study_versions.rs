//! The study of a network does not depend on the version of IP: the same history with addresses of either has the same facts, and all of them are those
//! that its frames add up to.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]

#[path = "support/border.rs"]
mod border;
#[path = "support/command.rs"]
mod command;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    thread,
};

use sensor::testing::history::{self, PERIODS, Version};
use serde_json::Value;

use self::{
    border::{Truth, assert_share, check_sums, column, texts, told},
    command::{finish, sensor},
};

/// The day on which traffic takes another way and mining grows, by how the history is made.
const HALF: &str = "2025-09-15";
const WEEKEND: usize = 5 * 24;

/// Replays the history into a store, and reports on it.
fn report(folder: &Path, version: Version) -> Value {
    history::write(folder, version).unwrap();
    let path = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let [config, store] = [path(history::FILES[0]), path("store")];
    let captures = PERIODS.map(|period| path(period.name) + ".pcap");
    let kept = ["--config", &config, "--store", &store];
    // The longest interval that tells the busiest five minutes.
    let run = finish(sensor(["replay", "--engine", "native", "--interval", "5m"]).args(kept).args(captures));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    let [before, now] = PERIODS.map(|period| period.days().map(|day| day.to_string()));
    let days = ["--from", &now[0], "--to", &now[1], "--baseline-from", &before[0], "--baseline-to", &before[1]];
    let run = finish(sensor(["report", "--format", "json"]).args(kept).args(days));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    serde_json::from_str(&run.stdout).unwrap()
}

/// Numbers by day of both periods.
fn by_day(what: &Value) -> BTreeMap<&str, i64> {
    what.as_object().unwrap().iter().map(|(day, number)| (&**day, number.as_i64().unwrap())).collect()
}

/// Everything that is made of bytes.
fn check_bytes(report: &Value, [before, now]: &[Truth; 2]) {
    check_sums(report, now);
    let volume = &report["volume"];
    let sums = ["baseline_bytes", "baseline_packets"].map(|key| volume[key].as_i64().unwrap());
    assert_eq!(sums, [before.total(), before.packets()]);
    let growth = (now.total() as f64 / before.total() as f64 - 1.0) * 100.0;
    assert!((volume["growth_percent"].as_f64().unwrap() - growth).abs() < 1e-6);
    let days: BTreeMap<&str, i64> = [before.of("day"), now.of("day")].into_iter().flatten().collect();
    assert_eq!(by_day(&volume["by_day"]), days);
    let peak = now.of("five").into_values().max().unwrap() as f64 * 8.0 / 300.0;
    assert!((volume["peak_bits_per_second"].as_f64().unwrap() - peak).abs() < 1e-6);
    for (key, truth) in [("hours", now), ("baseline_hours", before)] {
        let want = truth.of("hour");
        let want: Vec<i64> = (0..168).map(|hour| want.get(&*format!("{hour:03}")).copied().unwrap_or(0)).collect();
        let have: Vec<i64> = serde_json::from_value(report["profile"][key].clone()).unwrap();
        assert_eq!(have, want, "{key}");
        let prefix = key.trim_end_matches("hours");
        let weekend = want[WEEKEND..].iter().sum();
        assert_share(&report["profile"][format!("{prefix}weekend_share")], weekend, truth.total(), key);
    }
    for (what, key, truth) in [("bytes", "", now), ("baseline_bytes", "baseline_", before)] {
        assert_eq!(column(&report["classes"], "class", what), truth.of("class"), "{what}");
        assert_eq!(column(&report["upstreams"], "name", what), truth.of("upstream"), "{what}");
        for kind in ["country", "asn", "list"] {
            assert_eq!(column(&report["counterparts"][kind], "name", what), truth.of(kind), "{kind} {what}");
        }
        let hidden = truth.bytes("class/wireguard");
        assert_share(&report[format!("{key}hidden_share")], hidden, truth.total(), "hidden");
        assert_eq!(report["mining"][what].as_i64().unwrap(), truth.bytes("class/stratum"));
    }
    let truth_of = |day: &str| if now.of("day").contains_key(day) { now } else { before };
    for (day, share) in report["hidden_by_day"].as_object().unwrap() {
        let truth = truth_of(day);
        assert_share(
            share,
            truth.bytes(&format!("class day/wireguard/{day}")),
            truth.bytes(&format!("day/{day}")),
            day,
        );
    }
    for row in report["upstreams"].as_array().unwrap() {
        for (day, share) in row["share_by_day"].as_object().unwrap() {
            let (truth, name) = (truth_of(day), row["name"].as_str().unwrap());
            let part = truth.bytes(&format!("upstream day/{name}/{day}"));
            assert_share(share, part, truth.bytes(&format!("day/{day}")), day);
        }
    }
    for (day, bytes) in by_day(&report["mining"]["by_day"]) {
        assert_eq!(bytes, truth_of(day).bytes(&format!("class day/stratum/{day}")), "{day}");
    }
}

/// What changed within the period, and how much of it.
fn check_changes(report: &Value) {
    let [shift] = &report["upstream_shifts"].as_array().unwrap()[..] else { panic!("{}", report["upstream_shifts"]) };
    assert_eq!([&shift["date"], &shift["from"], &shift["to"]], [HALF, "northern", "southern"]);
    let rows = report["upstreams"].as_array().unwrap();
    let won = rows.iter().find(|row| row["name"] == shift["to"]).unwrap()["share_by_day"].as_object().unwrap();
    let [first, _] = PERIODS[1].days();
    let inside = won.iter().filter(|(day, _)| **day >= first.to_string());
    let (after, before): (Vec<_>, Vec<_>) = inside.partition(|(day, _)| &***day >= HALF);
    let mean = |days: &[(&String, &Value)]| {
        days.iter().map(|(_, share)| share.as_f64().unwrap()).sum::<f64>() / days.len() as f64
    };
    assert!((shift["share"].as_f64().unwrap() - (mean(&after) - mean(&before))).abs() < 1e-9);
    let step = &report["mining"]["step"];
    // From one conversation a day to eight of the same.
    assert_eq!((step["date"].as_str(), step["ratio"].as_f64()), (Some(HALF), Some(8.0)));
}

/// What there is at watched addresses.
fn check_sights(report: &Value, [before, now]: &[Truth; 2], version: Version) {
    let addresses = &report["addresses"];
    assert_eq!(addresses["baseline_active"], before.active.len());
    let gone = before.active.difference(&now.active).count();
    assert_eq!(addresses["dark_now"], gone);
    assert_eq!(addresses["incomplete"], false);
    let lit: BTreeSet<String> = now.active.difference(&before.active).map(told).collect();
    assert_eq!(texts(&addresses["newly_lit"]), lit);
    // Prefixes are /24s of IPv4, of which one was dark, and again /64s of IPv6, each with its one address.
    let prefixes = texts(&addresses["newly_lit_prefixes"]);
    match version {
        Version::V4 => assert_eq!(prefixes, BTreeSet::from(["198.51.100.0/24".to_owned()])),
        Version::V6 => assert_eq!(prefixes, texts(&addresses["newly_lit"])),
    }
    // So are blocks: a bitmap of a /24, and none of a /64.
    let blocks = addresses["blocks"].as_object().unwrap();
    let bits = blocks.values().flat_map(|bits| bits.as_str().unwrap().chars()).map(|digit| {
        let digit = digit.to_digit(16).unwrap();
        digit.count_ones() as usize
    });
    match version {
        Version::V4 => assert_eq!((blocks.len(), bits.sum::<usize>()), (2, now.active.len())),
        Version::V6 => assert_eq!((blocks.len(), bits.sum::<usize>()), (now.active.len(), 0)),
    }
    for service in report["services"].as_array().unwrap() {
        let key = |name: &str| service[name].as_str().unwrap();
        let port = service["port"].as_u64().unwrap() as u16;
        let known = now.services.iter().find(|((address, at, protocol, class), _)| {
            (address.to_string(), *at, *protocol, *class)
                == (key("address").into(), port, key("protocol"), key("class"))
        });
        let seen: jiff::Timestamp = key("first_seen").parse().unwrap();
        assert_eq!(seen, *known.unwrap().1, "{service}");
        assert_eq!(service["new"], true);
        assert_eq!(service["days"].as_array().unwrap().len(), 28, "{service}");
    }
    let miner = version.address([192, 0, 2, 19].into());
    assert_eq!(report["mining"]["addresses"], serde_json::json!([miner]));
}

#[test]
fn a_history_has_the_same_facts_in_either_version_of_ip() {
    let folder = tempfile::tempdir().unwrap();
    let [v4, v6] = [("v4", Version::V4), ("v6", Version::V6)].map(|(name, version)| {
        let folder = folder.path().join(name);
        thread::spawn(move || report(&folder, version))
    });
    let [v4, v6] = [v4, v6].map(|thread| thread.join().unwrap());
    for (report, version) in [(&v4, Version::V4), (&v6, Version::V6)] {
        let truth = Truth::both(version);
        check_bytes(report, &truth);
        check_changes(report);
        check_sights(report, &truth, version);
    }
    // What has neither bytes nor addresses in it is the same to the letter.
    for key in [
        "network",
        "period",
        "baseline",
        "hidden_classes",
        "p2p",
        "coverage",
        "baseline_coverage",
        "insufficient_data",
        "provenance",
    ] {
        assert_eq!(v4[key], v6[key], "{key}");
    }
    let packets = |report: &Value, key: &str| report["volume"][key].as_i64().unwrap();
    for (bytes, key) in [("bytes", "packets"), ("baseline_bytes", "baseline_packets")] {
        assert_eq!(packets(&v6, bytes), packets(&v4, bytes) + 20 * packets(&v4, key), "{bytes}");
    }
    for (part, key) in [("profile", "timezone"), ("addresses", "by_day"), ("mining", "first_seen")] {
        assert_eq!(v4[part][key], v6[part][key], "{part} {key}");
    }
}
