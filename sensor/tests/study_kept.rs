//! What a study says of the made-up history before and after old records went: what does not depend on them is the same to the byte, and the rest is said to be gone.
#![expect(clippy::unwrap_used, reason = "whatever fails here is a failed test")]

#[path = "support/command.rs"]
mod command;

use std::{fs, path::Path};

use sensor::testing::history::{self, PERIODS, Version};
use serde_json::Value;

use self::command::{finish, sensor};

/// The history in a store that nothing has gone from, and how to ask about it.
struct Site {
    folder: tempfile::TempDir,
    days: [String; 8],
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        history::write(folder.path(), Version::V4).unwrap();
        let [before, now] = PERIODS.map(|period| period.days().map(|day| day.to_string()));
        let [[from, to], [baseline_from, baseline_to]] = [now, before];
        let days = [("from", from), ("to", to), ("baseline-from", baseline_from), ("baseline-to", baseline_to)];
        let days: Vec<String> = days.into_iter().flat_map(|(what, day)| [format!("--{what}"), day]).collect();
        let site = Self { folder, days: days.try_into().unwrap() };
        site.keep("keep_minutes = \"forever\"\nkeep_prefixes = \"forever\"");
        let captures = PERIODS.map(|period| site.path(period.name) + ".pcap");
        site.run(&["replay", "--engine", "native", "--store", &site.path("store")], &captures);
        site
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// From here on the configuration says so.
    fn keep(&self, ages: &str) {
        let path = self.path(history::FILES[0]);
        let config = fs::read_to_string(&path).unwrap();
        let config = config.split("[store]").next().unwrap();
        fs::write(path, format!("{config}[store]\npath = {:?}\n{ages}\n", self.path("store"))).unwrap();
    }

    fn run(&self, what: &[&str], more: &[String]) -> String {
        let run = finish(sensor(what).args(["--config", &self.path(history::FILES[0])]).args(more));
        assert_eq!((run.status, &*run.stderr), (Some(0), ""), "{what:?}");
        run.stdout
    }

    fn report(&self) -> Value {
        serde_json::from_str(&self.run(&["report", "--format", "json"], &self.days)).unwrap()
    }

    /// Rows that a vacuum removes.
    fn vacuum(&self) -> u64 {
        let told = self.run(&["store", "vacuum"], &[]);
        told.split(' ').next().unwrap().parse().unwrap()
    }
}

/// The facts but for those at some places.
fn without(report: &Value, places: &[&str]) -> Value {
    let mut report = report.clone();
    for place in places.iter().chain(&["/insufficient_data"]) {
        *report.pointer_mut(place).unwrap_or_else(|| panic!("{place}")) = Value::Null;
    }
    report
}

fn said(report: &Value) -> Vec<&str> {
    report["insufficient_data"].as_object().unwrap().keys().map(String::as_str).collect()
}

fn size(folder: &Path) -> u64 {
    fs::metadata(folder.join("store").join("store.sqlite")).unwrap().len()
}

#[test]
fn facts_that_do_not_depend_on_what_went_are_the_same() {
    const PEAK: [&str; 2] = ["/volume/peak_bits_per_second", "/volume/percentile_95_bits_per_second"];
    const FRAMES: [&str; 9] = [
        "seen_packets",
        "matched_packets",
        "other_packets",
        "unparsed",
        "degraded",
        "shed",
        "lost",
        "lost_packets",
        "losses",
    ];
    let site = Site::new();
    let (all, whole) = (site.report(), size(site.folder.path()));
    assert_eq!(said(&all), Vec::<&str>::new());
    assert_eq!(site.vacuum(), 0);
    // As short as they may be, but for what the week and the addresses are known by.
    site.keep("keep_minutes = \"7d\"\nkeep_prefixes = \"7d\"\nkeep_ledger = \"7d\"\nkeep_events = \"56d\"");
    assert!(site.vacuum() > 1000);
    assert!(size(site.folder.path()) < whole);
    let some = site.report();
    let frames = ["coverage", "baseline_coverage"].map(|of| FRAMES.map(|what| format!("/{of}/{what}")));
    let mut gone: Vec<&str> = frames.iter().flatten().map(String::as_str).chain(PEAK).collect();
    assert_eq!(without(&some, &gone), without(&all, &gone));
    assert_eq!(said(&some), ["baseline_coverage.packets", "coverage.packets", "volume.peak"]);
    assert!(all["volume"]["peak_bits_per_second"].as_f64().unwrap() > 0.0);
    assert_eq!(some["volume"]["peak_bits_per_second"], Value::Null);
    assert_eq!(site.vacuum(), 0);
    // The baseline is known by its days alone.
    site.keep("keep_minutes = \"7d\"\nkeep_prefixes = \"7d\"\nkeep_ledger = \"7d\"\nkeep_quarters = \"56d\"\nkeep_sights = \"56d\"");
    assert!(site.vacuum() > 1000);
    let days = site.report();
    let week = ["hours", "office_hours_share", "weekend_share"].map(|what| format!("/profile/baseline_{what}"));
    gone.extend(week.iter().map(String::as_str));
    gone.extend(["/addresses", "/services", "/baseline_coverage/one_way_share", "/baseline_coverage/asymmetric_share"]);
    assert_eq!(without(&days, &gone), without(&all, &gone));
    let expected =
        ["addresses", "baseline_coverage.packets", "baseline_profile", "coverage.packets", "services", "volume.peak"];
    assert_eq!(said(&days), expected);
    // Text and page say so, too.
    for format in ["md", "html"] {
        let text = site.run(&["report", "--format", format], &site.days);
        for what in [
            "quarters of an hour before",
            "minutes before",
            "what was seen at addresses before",
            "counters of frames before",
        ] {
            assert!(text.contains(what) && text.contains("not kept any more"), "{format}: {what}");
        }
    }
}
