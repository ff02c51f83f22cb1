//! What was measured, what is missing, and where it comes from.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cell, Section, Table, number, seconds, share};
use crate::{
    report::{text, words},
    study::{Coverage, Study},
};

pub(super) fn coverage(study: &Study) -> Section {
    let periods = [("Period", &study.coverage), ("Baseline", &study.baseline_coverage)];
    let mut notes = words::limits(study);
    let missing = |(what, why): (&&str, &String)| format!("{}: {} ({why}).", self::what(what), words::INSUFFICIENT);
    notes.extend(study.insufficient_data.iter().map(missing));
    let names = |names: &[String]| {
        if names.is_empty() {
            return "none".to_owned();
        }
        names.iter().map(|name| text::whole_name(name)).collect::<Vec<_>>().join(", ")
    };
    let provenance = &study.provenance;
    let origin =
        [("Version of the sensor", provenance.sensor_version.to_owned()), ("Sensors", names(&provenance.sensors))];
    let gaps = periods.iter().flat_map(|(period, coverage)| {
        coverage.gaps.iter().map(|gap| {
            vec![(*period).into(), text::moment(&gap.from).into(), text::moment(&gap.to).into(), seconds(gap.seconds)]
        })
    });
    let gaps: Vec<Vec<Cell>> = gaps.collect();
    let mut tables = vec![Table {
        id: "coverage",
        caption: "What was measured".to_owned(),
        head: vec!["Figure", "Period", "Baseline"],
        rows: rows(periods.map(|(_, coverage)| coverage)),
        brief: true,
    }];
    if gaps.is_empty() {
        notes.push("No gap of a minute or longer.".to_owned());
    } else {
        tables.push(Table {
            id: "gaps",
            caption: "Gaps of a minute and longer".to_owned(),
            head: vec!["In", "From", "To", "Length"],
            rows: gaps,
            brief: true,
        });
    }
    tables.push(Table {
        id: "provenance",
        caption: "Where the numbers come from".to_owned(),
        head: vec!["What", "Which"],
        rows: origin.map(|(what, which)| vec![what.into(), which.into()]).into(),
        brief: true,
    });
    Section { id: "coverage", title: "Coverage and limits", notes, tables }
}

/// What a figure that is missing is called.
fn what(figure: &str) -> &str {
    match figure {
        "volume.growth_rate_interval" => "Confidence interval of the growth",
        "volume.peak" => "Peak and 95th percentile",
        "profile" => "Hours of the week",
        "baseline_profile" => "Hours of the week in the baseline",
        "coverage.packets" => "Frames and packets that were seen",
        "baseline_coverage.packets" => "Frames and packets that were seen in the baseline",
        "suspicious.addresses" => "Addresses with mining and peer-to-peer",
        "addresses" => "Active addresses",
        "services" => "Services",
        "upstreams" => "Upstreams of the period",
        "baseline_upstreams" => "Upstreams of the baseline",
        "hidden_share" => "Hidden share of the period",
        "baseline_hidden_share" => "Hidden share of the baseline",
        "mining" => "Mining in the period",
        "baseline_mining" => "Mining in the baseline",
        "p2p" => "Peer-to-peer in the period",
        "baseline_p2p" => "Peer-to-peer in the baseline",
        other => other,
    }
}

/// Counters of a kind, by reason.
type Group = fn(&Coverage) -> &BTreeMap<String, u64>;

fn rows(periods: [&Coverage; 2]) -> Vec<Vec<Cell>> {
    let row = |what: &str, of: &dyn Fn(&Coverage) -> Cell| vec![what.into(), of(periods[0]), of(periods[1])];
    let mut rows = vec![
        row("Length", &|coverage| seconds(coverage.seconds)),
        row("Measured", &|coverage| seconds(coverage.measured_seconds)),
        row("Known as sums of more than 15 minutes", &|coverage| seconds(coverage.coarse_seconds)),
        row("Measured share", &|coverage| share(words::part(coverage))),
        row("Known from", &|coverage| coverage.methods.join(", ").into()),
        row("Error of packets by sampling (95 % confidence)", &|coverage| {
            coverage.sampling_error_percent.map_or_else(super::blank, |error| share(error / 100.0))
        }),
        row("Directions heard", &|coverage| coverage.vantage.into()),
        row("Flows heard in one direction alone", &|coverage| share(coverage.one_way_share)),
        row("Conversations with the other direction elsewhere", &|coverage| share(coverage.asymmetric_share)),
        row("Frames seen", &|coverage| number(coverage.seen_packets)),
        row("Packets of counted prefixes", &|coverage| number(coverage.matched_packets)),
        row("Other IP packets", &|coverage| number(coverage.other_packets)),
        row("Packets that nobody can attribute any more", &|coverage| number(coverage.unattributed_packets)),
        row("Packets known to be lost", &|coverage| number(coverage.lost_packets)),
    ];
    let groups: [(&str, Group); 5] = [
        ("Not remembered or told", |coverage| &coverage.losses),
        ("Lost", |coverage| &coverage.lost),
        ("Without a countable IP header", |coverage| &coverage.unparsed),
        ("Counted with a reservation", |coverage| &coverage.degraded),
        ("Counted and not looked into", |coverage| &coverage.shed),
    ];
    for (what, group) in groups {
        let reasons: BTreeSet<&String> = periods.iter().flat_map(|coverage| group(coverage).keys()).collect();
        rows.extend(reasons.into_iter().map(|reason| {
            let what = format!("{what}: {}", text::whole_name(&reason.replace('_', " ")));
            row(&what, &|coverage| number(group(coverage).get(reason).copied().unwrap_or_default()))
        }));
    }
    rows
}
