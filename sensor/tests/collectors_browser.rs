//! A real browser shows the page of a study: at the width of a desk and of a phone, light, dark and in print.
#![expect(clippy::unwrap_used, reason = "a browser that cannot be asked fails the test")]
#![expect(clippy::print_stdout, reason = "a test that was skipped says so")]

#[path = "collectors/browser.rs"]
mod browser;

use std::{collections::BTreeMap, fs, ops::Range};

use anyhow::Result;
use jiff::{Timestamp, civil::date, tz::TimeZone};
use sensor::{
    report,
    study::{
        ActiveBlock, ClassHost, DAY, Dimension, Heard, Part, Period, Question, Records, Service, Span, Study, Volume,
    },
};
use sensor_ebpf::class::{Class, Evidence};
use serde_json::json;

use self::browser::Browser;

const HOUR: i64 = 3600;
/// Names of upstreams, countries, systems and lists: some that want to get out of their place, some that need much room.
const NAMES: [&str; 6] = [
    "west",
    "<script>console.error('out')</script>",
    "\"'><img src=x onerror=console.error(1)>",
    "a name of a system that is so long that no line of a plot has room for all of it, and then some more",
    "\u{202e}שלום עולם שלום עולם שלום עולם שלום עולם שלום עולם",
    "網路研究中心網路研究中心網路研究中心網路研究中心網路研究中心網路研究中心網路研究中心網路研究中心網路研究中心",
];
/// What each figure of a section that is always there is called.
const FIGURES: [&str; 16] = [
    "volume",
    "upstreams",
    "upstream-1",
    "upstream-2",
    "upstream-3",
    "week",
    "addresses",
    "active",
    "services",
    "hidden",
    "classes",
    "mining",
    "p2p",
    "country",
    "asn",
    "list",
];

/// Traffic that is there each hour, by rule.
struct Made;

impl Made {
    /// Bytes of an hour: more by day than by night, and more each day.
    fn of_hour(second: i64) -> i64 {
        let (day, hour) = (second.div_euclid(24 * HOUR), second.rem_euclid(24 * HOUR) / HOUR);
        (1 + day % 60) * if (8..18).contains(&hour) { 5_000_000 } else { 400_000 }
    }

    fn names(dimension: Dimension) -> Vec<String> {
        let classes = [Class::Tls, Class::OpenVpn, Class::Stratum, Class::BitTorrent, Class::Dns, Class::Unknown];
        match dimension {
            Dimension::Total => vec![String::new()],
            Dimension::Class => classes.iter().map(|class| class.name().to_owned()).collect(),
            Dimension::Upstream | Dimension::Country | Dimension::System | Dimension::List => {
                NAMES.iter().map(|name| (*name).to_owned()).collect()
            }
        }
    }
}

impl Records for Made {
    fn networks(&self) -> Result<Vec<String>> {
        Ok(vec![NAMES[1].to_owned()])
    }

    fn days(&self, _: &str) -> Result<Option<(i32, i32)>> {
        Ok(Some((17_000, 18_500)))
    }

    fn traffic(&self, _: &str, dimension: Dimension, step: i64, range: Range<i64>) -> Result<Vec<Part>> {
        let names = Self::names(dimension);
        let hours = |day: i64| (0..24).map(move |hour| Self::of_hour((day * 24 + hour) * HOUR)).sum::<i64>();
        let steps: Vec<(i64, i64)> = if step == DAY {
            range.map(|day| (day, hours(day))).collect()
        } else {
            let first = range.start.div_euclid(HOUR)..range.end.div_euclid(HOUR);
            first.map(|hour| (hour * HOUR, Self::of_hour(hour * HOUR))).collect()
        };
        let part = |start: i64, bytes: i64, name: &String| Part {
            start,
            name: name.clone(),
            evidence: (dimension == Dimension::Class && name != "unknown").then_some(Evidence::Confirmed),
            volume: Volume { in_packets: 1, in_bytes: bytes / names.len() as i64, out_packets: 1, out_bytes: 40 },
        };
        Ok(steps.iter().flat_map(|(start, bytes)| names.iter().map(|name| part(*start, *bytes, name))).collect())
    }

    fn active(&self, _: &str, days: Range<i32>) -> Result<Vec<ActiveBlock>> {
        let row = |day: i32, block: u8| {
            let mut bits = [0x11; 32];
            bits[usize::from(day.unsigned_abs() as u8 % 32)] = 0xff;
            ActiveBlock { day, block: format!("198.51.{block}.0/24"), bits }
        };
        let blocks = |day: i32| (100..if day > 18_000 { 109 } else { 107 }).map(move |block| row(day, block));
        Ok(days.flat_map(blocks).collect())
    }

    fn heard(&self, _: &str, _: Range<i32>) -> Result<Heard> {
        Ok(Heard { flows: 10, one_way_flows: 4, asymmetric_flows: 0, incomplete: true })
    }

    fn services(&self, _: &str, days: Range<i32>) -> Result<Vec<Service>> {
        let hosts = ["198.51.100.1", "2001:db8:1111:2222:3333:4444:5555:6666"];
        let service = |(place, host): (usize, &&str)| Service {
            address: host.parse().unwrap(),
            port: 65_000 + place as u16,
            protocol: 6,
            class: Class::EncryptedDns,
            evidence: Some(Evidence::Confirmed),
            first: Timestamp::UNIX_EPOCH,
            last: Timestamp::UNIX_EPOCH,
            days: days.clone().step_by(place + 1).collect(),
        };
        let seen = if days.start > 18_000 { 2 } else { 1 };
        Ok(hosts.iter().take(seen).enumerate().map(service).collect())
    }

    fn class_hosts(&self, _: &str, _: Range<i32>) -> Result<Vec<ClassHost>> {
        let (address, at) = ("198.51.100.9".parse()?, Timestamp::UNIX_EPOCH);
        Ok(vec![ClassHost { class: Class::Stratum, evidence: Some(Evidence::Payload), address, first: at, last: at }])
    }

    fn spans(&self, time: Range<Timestamp>) -> Result<Vec<Span>> {
        let day = jiff::SignedDuration::from_hours(24);
        let (start, end) = (time.start.checked_add(day * 2)?, time.end.checked_sub(day)?);
        Ok(vec![Span { sensor: NAMES[1].to_owned(), start, end, blind_ms: 0, coarse_ms: 0, capture: None }])
    }

    fn ledger(&self, _: Range<Timestamp>) -> Result<BTreeMap<String, u64>> {
        Ok(BTreeMap::from([("seen_packets".to_owned(), 100), (format!("unparsed.{}", NAMES[2]), 3)]))
    }

    fn systems(&self) -> Result<BTreeMap<String, (u32, Option<String>)>> {
        Ok(NAMES.iter().map(|name| ((*name).to_owned(), (64_500, Some(NAMES[3].to_owned())))).collect())
    }
}

/// The page of a study of so many days, and as many of a baseline two years before.
fn page(days: i32) -> String {
    let zone = TimeZone::get("Asia/Pyongyang").unwrap();
    let period = |first: jiff::civil::Date| {
        Period::new(first, first.checked_add(jiff::Span::new().days(days)).unwrap(), &zone).unwrap()
    };
    let question = Question {
        network: NAMES[1].to_owned(),
        period: period(date(2020, 1, 6)),
        baseline: period(date(2018, 1, 1)),
        zone: zone.clone(),
        hidden: vec![Class::OpenVpn, Class::Tor],
        upstreams: vec![],
    };
    report::html(&Study::of(&Made, &question).unwrap())
}

#[test]
fn every_figure_is_there_and_no_text_lies_on_another_at_any_width_light_dark_and_in_print() {
    let Some(mut browser) = Browser::start("every_figure_is_there") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("study.html");
    let address = format!("file://{}", file.display());
    // A sheet of A4 within its margins has 690 px.
    for (days, width, media, scheme) in [
        (1, 1280, "", "light"),
        (500, 1280, "", "light"),
        (500, 360, "", "light"),
        (35, 1280, "", "light"),
        (35, 360, "", "light"),
        (35, 1280, "", "dark"),
        (35, 360, "", "dark"),
        (35, 690, "print", "dark"),
    ] {
        fs::write(&file, page(days)).unwrap();
        browser.show(&address, width, media, scheme);
        let found = browser.evaluate(include_str!("collectors/page.js"));
        assert_eq!(found["problems"], json!([]), "{days} days, {width} px, {media} {scheme}");
        let figures = found["figures"].as_array().unwrap();
        for figure in FIGURES {
            assert!(figures.contains(&json!(format!("figure-{figure}"))), "{figure}: {figures:?}");
        }
        assert!(found["buttons"].as_u64().unwrap() > 20, "tables can be sorted: {found}");
        assert_eq!(browser.complaints, Vec::<String>::new(), "{days} days, {width} px, {media} {scheme}");
    }
    let print = browser.call("Page.printToPDF", json!({ "preferCSSPageSize": true, "printBackground": true }));
    let print = print["data"].as_str().unwrap();
    // "%PDF-1." in base64.
    assert!(print.starts_with("JVBERi0x") && print.len() > 50_000, "{} letters", print.len());
}

#[test]
fn tables_are_sorted_by_number_both_ways() {
    let Some(mut browser) = Browser::start("tables_are_sorted_by_number_both_ways") else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("study.html");
    let row = |name: &str, bytes: &str, value: &str| {
        format!("<tr><th scope=\"row\">{name}</th><td class=\"number\" data-value=\"{value}\">{bytes}</td></tr>")
    };
    // The page's own script and policy, around a table whose order is known.
    let page = page(35);
    let (before, after) = (page.split_once("<body>").unwrap().0, page.rsplit_once("</footer>").unwrap().1);
    let rows = [row("b", "9", "9"), row("a", "1,000", "1000"), row("c", "10", "10")].concat();
    let table = format!(
        "<table id=\"table-country\"><thead><tr><th>Country</th><th class=\"number\">Bytes</th></tr></thead><tbody>{rows}</tbody></table>"
    );
    fs::write(&file, format!("{before}<body>{table}{after}")).unwrap();
    browser.show(&format!("file://{}", file.display()), 1280, "", "light");
    let found = browser.evaluate(include_str!("collectors/sort.js"));
    assert_eq!(found, json!(["b", "descending a", "ascending b"]));
    assert_eq!(browser.complaints, Vec::<String>::new());
}
