//! Pages and texts of studies made by hand.

mod check;
mod made;

use std::collections::BTreeMap;

use self::{
    check::problems,
    made::{empty, full, one_packet},
};
use super::{html, markdown, words};
use crate::study::{Interval, Step, Study};

/// What is in names of whoever wants to get out of his place.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "]]></title></svg></style><script>",
    "| a | [b](javascript:1) `c` \n\n# d",
    "\u{202e}txet desrever\u{2066}",
    "שלום עולם",
];

/// The sentences of a section, joined.
fn said(study: &Study, section: &str) -> String {
    let sentences = words::sentences(study);
    let texts: Vec<String> =
        sentences.into_iter().filter(|said| said.section == section).map(|said| said.text).collect();
    texts.join(" ")
}

#[test]
fn growth_has_its_interval_or_says_why_not() {
    let mut study = full();
    assert_eq!(
        said(&study, "volume"),
        "Traffic per measured second grew by 300.0 % (95 % confidence interval +280.0 % to +330.0 %): 4.0 GB in 7.9 days \
         of measured time, before 1.0 GB in 8.0 days."
    );
    study.volume.growth_rate_interval = None;
    study.insufficient_data.insert("volume.growth_rate_interval", "fewer than 3 measured weeks".to_owned());
    assert!(said(&study, "volume").ends_with("cannot be said (insufficient data: fewer than 3 measured weeks)."));
    study.volume.growth_rate_percent = Some(-12.5);
    assert!(said(&study, "volume").starts_with("Traffic per measured second fell by 12.5 %"));
    study.volume.growth_rate_percent = Some(0.01);
    assert!(said(&study, "volume").starts_with("Traffic per measured second did not change"));
    study.volume.growth_rate_percent = None;
    assert!(said(&study, "volume").starts_with(
        "By how much traffic grew cannot be said (insufficient data: the baseline has no traffic): 4.0 GB in 7.9 days"
    ));
}

#[test]
fn upstreams_and_when_they_changed() {
    let mut study = full();
    assert_eq!(
        said(&study, "upstreams"),
        "east (AS64501) carries 45.0 % (before: 1.0 %) of all bytes; west (AS64500) carries 55.0 % (before: 99.0 %). On \
         2019-04-05 traffic moved from west to east: 40.0 % of all bytes since then."
    );
    study.upstream_shifts.clear();
    study.upstreams.truncate(1);
    assert_eq!(said(&study, "upstreams"), "west (AS64500) carries 55.0 % (before: 99.0 %) of all bytes.");
    study.upstreams.clear();
    assert!(said(&study, "upstreams").contains("insufficient data"));
}

#[test]
fn the_week_moves_or_stays() {
    let mut study = full();
    assert_eq!(
        said(&study, "week"),
        "Office hours (Monday to Friday 08:00 to 18:00, Asia/Pyongyang) hold 54.0 % (before: 19.0 %) of all bytes, Saturday \
         and Sunday 15.0 % (before: 44.0 %): use moved from the weekend to office hours."
    );
    study.profile.baseline_office_hours_share = Some(0.54);
    study.profile.baseline_weekend_share = Some(0.15);
    assert!(said(&study, "week").ends_with("the week is what it was."));
    study.profile.baseline_office_hours_share = Some(0.7);
    study.profile.baseline_weekend_share = Some(0.1);
    assert!(said(&study, "week").ends_with("use moved from office hours to the weekend."));
    study.profile.baseline_office_hours_share = None;
    assert!(said(&study, "week").contains("54.0 % (before: not known)"));
}

#[test]
fn addresses_and_services() {
    let mut study = full();
    assert_eq!(
        said(&study, "addresses"),
        "4 addresses had two-way traffic, 3 before. 2 of them are newly lit, and 192.0.2.0/24 was dark as a whole before; 1 \
         that answered before went dark."
    );
    assert_eq!(
        said(&study, "services"),
        "3 services answered from outside; 2 are new since the baseline: 1 × DNS and 1 × mail. The first of them, \
         198.51.100.2:53/udp (DNS), answered on 2019-04-02."
    );
    study.addresses.as_mut().unwrap().incomplete = true;
    assert!(said(&study, "addresses").starts_with("At least 4 addresses had two-way traffic, at least 3 before."));
    study.services.as_mut().unwrap().retain(|service| !service.new);
    assert_eq!(said(&study, "services"), "1 service answered from outside; none is new since the baseline.");
    study.addresses = None;
    study.services = None;
    let why = "only packets to the network were seen";
    study.insufficient_data = BTreeMap::from([("addresses", why.to_owned()), ("services", why.to_owned())]);
    for section in ["addresses", "services"] {
        assert!(said(&study, section).ends_with(&format!("cannot be said (insufficient data: {why}).")));
    }
    assert!(html(&study).matches(why).count() >= 6, "finding, section and table");
}

#[test]
fn mining_is_told_with_its_step_and_whose_it_is() {
    let mut study = full();
    assert_eq!(
        said(&study, "mining"),
        "Mining traffic: 10.0 MB, 10.0 times the 1.0 MB of the baseline. On 2019-04-06 it stepped up to 4.0 times its daily \
         volume. All of it runs through ONE address, 198.51.100.9. It was first seen there on 2017-04-04."
    );
    assert_eq!(said(&study, "p2p"), "No peer-to-peer traffic was found in either period.");
    study.classes[1].evidence.insert("port", 1000);
    assert!(said(&study, "mining").contains("All of it that is more than a guess runs through ONE address"));
    assert!(
        said(&study, "mining").ends_with("1.0 kB of it are a guess by port, and no address is held to it for that.")
    );
    study.mining.as_mut().unwrap().step = Some(Step { date: "2019-04-03".to_owned(), ratio: None });
    study.mining.as_mut().unwrap().addresses.push("198.51.100.10".parse().unwrap());
    assert!(said(&study, "mining").contains("On 2019-04-03 it began."));
    assert!(said(&study, "mining").contains("through two addresses, 198.51.100.9 and 198.51.100.10."));
    study.addresses.as_mut().unwrap().incomplete = true;
    assert!(said(&study, "mining").contains("It was seen at 2 addresses or more."));
    study.mining.as_mut().unwrap().bytes = 0;
    assert_eq!(said(&study, "mining"), "Mining traffic is gone: none was found, 1.0 MB before.");
}

#[test]
fn nothing_is_new_against_a_baseline_that_was_not_measured() {
    let mut study = full();
    (study.baseline_coverage, study.volume.baseline_bytes) = (crate::study::Coverage::default(), 0);
    let why = "cannot be said (insufficient data: the baseline was not measured).";
    assert_eq!(said(&study, "addresses"), format!("4 addresses had two-way traffic. Which of them are new {why}"));
    assert_eq!(said(&study, "services"), format!("3 services answered from outside. Which of them are new {why}"));
    assert!(said(&study, "mining").starts_with("Mining traffic: 10.0 MB."));
    assert!(said(&study, "mining").ends_with(&format!("Whether that is more than before {why}")));
    assert!(
        said(&study, "country").starts_with("Largest countries of the far ends: CN with 45.0 % of all bytes and IN")
    );
    assert!(said(&study, "upstreams").starts_with("west (AS64500) carries 55.0 % (before: not known) and east"));
}

#[test]
fn counterparts_hidden_share_and_coverage() {
    let study = full();
    assert_eq!(said(&study, "hidden"), "Hidden traffic (openvpn and tor) makes up 5.0 % (before: 0.8 %) of all bytes.");
    assert_eq!(
        said(&study, "country"),
        "Largest countries of the far ends: CN with 45.0 % of all bytes (before: 60.0 %; bytes +200.0 %) and IN with 30.0 % \
         of all bytes (before: none). 25.0 % have far ends that no table knows."
    );
    assert!(said(&study, "list").starts_with("Far ends on lists: no far end of the period is in a table of them"));
    assert_eq!(
        said(&study, "coverage"),
        "99.0 % of the period (1 gap) and 100.0 % of the baseline (without a gap) were measured. 12 packets are known to be \
         lost."
    );
    let page = html(&study);
    for limit in [
        "60.0 % of the flows of the period were heard in one direction alone",
        "7 packets of the period were counted with a reservation",
        "3 watched packets of the period were counted and not looked into",
        "10.0 % of all bytes of the period are of no known class",
        "confirmed by both directions",
        "2019-04-03 10:00:00+09:00",
        "edge-1",
    ] {
        assert!(page.contains(limit), "{limit}");
    }
}

#[test]
fn pages_are_well_formed_and_every_link_has_its_end() {
    for (name, study) in [("full", full()), ("empty", empty()), ("one packet", one_packet())] {
        let page = html(&study);
        assert_eq!(problems(&page), Vec::<String>::new(), "{name}");
        for foreign in ["http://", "https://", "url(http", "@import", "<link", "<img", "<iframe"] {
            assert!(!page.contains(foreign), "{name}: {foreign}");
        }
        for sentence in words::sentences(&study) {
            assert!(page.contains(&format!("<section id=\"{}\"", sentence.section)), "{name}: {}", sentence.section);
            assert!(page.contains(&format!("id=\"table-{}\"", sentence.section)), "{name}: {}", sentence.section);
        }
    }
}

#[test]
fn marks_are_where_they_belong() {
    let (page, text) = (html(&full()), markdown(&full()));
    // .1, .2 and .9 now; .1, .7 and .9 before. Squares of 8 px begin at 2, 20.
    assert!(text.contains("| 198.51.100.0/24 | 3 | 3 | 1 | 1 | no |"));
    assert!(text.contains("| 192.0.2.0/24 | 1 | 0 | 1 | 0 | yes |"));
    assert!(text.contains("| 2001:db8::/64 | 1 | 0 | 1 | 0 | no |"));
    assert!(page.contains("<path class=\"new\" d=\"M18 20m4 0l4 4l-4 4l-4 -4z\">"));
    assert!(page.contains("<path class=\"gone\" d=\"M58 20m1.5 1.5l5 5m0 -5l-5 5\">"));
    // The fifth of eight days that are 362 px from 62 on.
    assert!(page.contains("<path class=\"change\" d=\"M243 192V38m-5 -10h10l-5 8z\"><title>change on 2019-04-05"));
    // The greater of two shares is as long as a bar may be, the other in proportion.
    for (share, width) in [("99.0 % before", "330"), ("55.0 % now", "183.78")] {
        let at = page.find(share).unwrap();
        assert!(page[..at].rfind(&format!("width=\"{width}\"")).is_some_and(|from| at - from < 200), "{share}");
    }
    // Sunday at 23 has most bytes of the period: the square of its hour is 16 px in the last of 24 columns and 7 rows.
    assert!(page.contains("<title>Sun 23:00: 1.2 %</title>"));
}

#[test]
fn nothing_is_no_number_and_nothing_is_drawn_of_nothing() {
    let mut odd = full();
    odd.volume.growth_rate_percent = Some(f64::INFINITY);
    odd.volume.growth_rate_interval = Some(Interval { low: f64::NAN, high: f64::INFINITY });
    odd.upstreams[0].share = f64::NAN;
    odd.counterparts.country[0].baseline_share = f64::INFINITY;
    odd.coverage.seconds = 0.0;
    for (name, study) in [("odd", odd), ("empty", empty()), ("one packet", one_packet())] {
        let page = html(&study);
        for attribute in ["=\"NaN", "=\"inf", "=\"-inf"] {
            assert!(!page.contains(attribute), "{name}: {attribute}");
        }
        let drawings = page.split("<svg").skip(1).filter_map(|rest| rest.split("</svg>").next());
        for word in drawings.flat_map(|drawing| drawing.split(|c: char| !c.is_ascii_alphanumeric())) {
            assert!(!["NaN", "inf"].contains(&word), "{name}");
        }
    }
    assert!(!html(&empty()).contains("<figure"), "an empty network has nothing to draw");
    assert!(html(&one_packet()).contains("id=\"figure-volume\""));
    assert!(said(&empty(), "week").contains("insufficient data"));
    assert!(said(&empty(), "volume").contains("insufficient data: the baseline was not measured"));
}

#[test]
fn hostile_names_stay_in_their_place() {
    let (mut study, clean) = (full(), full());
    let long = "x".repeat(5000);
    for hostile in HOSTILE.into_iter().chain([long.as_str()]) {
        study.network = hostile.to_owned();
        study.upstreams[0].name = hostile.to_owned();
        study.upstream_shifts[0].from = hostile.to_owned();
        study.counterparts.country[0].name = hostile.to_owned();
        study.counterparts.asn[0].as_name = Some(hostile.to_owned());
        study.provenance.sensors = vec![hostile.to_owned()];
        study.profile.timezone = hostile.to_owned();
        study.coverage.unparsed.insert(hostile.to_owned(), 1);
        let page = html(&study);
        assert_eq!(problems(&page), Vec::<String>::new(), "{hostile:.40}");
        for tag in ["<script", "<img", "<title", "<section", "<svg"] {
            assert_eq!(page.matches(tag).count(), html(&clean).matches(tag).count(), "{hostile:.40}: {tag}");
        }
        assert!(!page.contains(['\u{202e}', '\u{2066}']), "{hostile:.40}");
        let text = markdown(&study);
        assert!(!text.contains("<script") && !text.contains("<img") && !text.contains("\n# d"), "{hostile:.40}");
        assert_eq!(text.matches("\n#").count(), markdown(&clean).matches("\n#").count(), "{hostile:.40}");
        study.coverage.unparsed.remove(hostile);
    }
}

#[test]
fn text_has_the_same_sentences_and_tables_of_one_width() {
    let study = full();
    let text = markdown(&study);
    for sentence in words::sentences(&study) {
        let plain = text.replace('\\', "");
        assert!(plain.contains(&sentence.text), "{}", sentence.text);
    }
    assert!(text.contains("| Bytes | 4,000,000,000 | 1,000,000,000 | +300.0 % |"));
    for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let columns: Vec<usize> = table.lines().map(|line| line.replace("\\|", "").matches('|').count()).collect();
        assert!(columns.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
    }
}
