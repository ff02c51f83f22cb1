//! What was measured, and what could not be seen.

use std::collections::BTreeMap;

use super::{Sentence, why};
use crate::{
    report::text,
    study::{Coverage, Study},
};

/// Of less than that share of conversations nothing is said: a capture begins and ends within some.
const LEAST_ASYMMETRIC: f64 = 0.01;
/// What a method is called that has no limits of its own.
const COUNTED: &str = "counted";

/// How much of both periods was measured.
pub(super) fn coverage(study: &Study) -> Sentence {
    let (now, before) = (&study.coverage, &study.baseline_coverage);
    let gaps = |coverage: &Coverage| match coverage.gaps.len() {
        0 => "without a gap".to_owned(),
        some => text::count(some, "gap", "gaps"),
    };
    let lost = now.lost_packets.saturating_add(before.lost_packets);
    let is_kept = ["coverage.packets", "baseline_coverage.packets"].iter().all(|what| why(study, what).is_none());
    let lost = match lost {
        0 if !is_kept => "How many packets were lost cannot be said.".to_owned(),
        0 => "No packet is known to be lost.".to_owned(),
        some => format!("{} packets are known to be lost.", text::exact(some)),
    };
    let text = format!(
        "{} of the period ({}) and {} of the baseline ({}) were measured. {lost}",
        text::percent(part(now)),
        gaps(now),
        text::percent(part(before)),
        gaps(before),
    );
    let known = [methods(study), mixed(study), sampled(study)].into_iter().flatten();
    let text = std::iter::once(text).chain(known).collect::<Vec<_>>().join(" ");
    Sentence::new("coverage", text::percent(part(now)), text)
}

/// From what both periods are known, where that is not packets that a sensor counted.
fn methods(study: &Study) -> Option<String> {
    let of = |coverage: &Coverage| match &*coverage.methods {
        [] => "nothing".to_owned(),
        methods => text::list(&methods.iter().map(|method| of_method(method)).collect::<Vec<_>>()),
    };
    let (now, before) = (&study.coverage, &study.baseline_coverage);
    let is_counted = |coverage: &Coverage| coverage.methods.iter().all(|method| method == COUNTED);
    let is_all_counted = is_counted(now) && is_counted(before);
    (!is_all_counted).then(|| format!("The period is known from {}, the baseline from {}.", of(now), of(before)))
}

/// A method in words.
fn of_method(method: &str) -> String {
    if method == COUNTED { "counted packets".to_owned() } else { method.to_owned() }
}

/// That what is compared was measured in several ways.
pub(super) fn mixed(study: &Study) -> Option<String> {
    let methods = [&study.coverage.methods, &study.baseline_coverage.methods];
    let is_mixed = methods.iter().any(|methods| methods.len() > 1)
        || (methods.iter().all(|methods| !methods.is_empty()) && methods[0] != methods[1]);
    let why = "flows have the bytes of IP packets as routers report them, and differences may be those between methods";
    is_mixed.then(|| format!("Methods are mixed: {why}."))
}

/// How sure numbers of packets are that were made of samples.
pub(super) fn sampled(study: &Study) -> Option<String> {
    let periods = [("period", &study.coverage), ("baseline", &study.baseline_coverage)];
    let error = |(period, coverage): (&str, &Coverage)| {
        let error = text::percent(coverage.sampling_error_percent? / 100.0);
        Some(format!("the packets of the {period} are sure to ± {error} (95 % confidence)"))
    };
    let errors: Vec<String> = periods.into_iter().filter_map(error).collect();
    let said = || format!("By sampling alone, {}; bytes are less sure than that.", text::list(&errors));
    (!errors.is_empty()).then(said)
}

/// Share of a period that was measured.
pub(in crate::report) fn part(coverage: &Coverage) -> f64 {
    if coverage.seconds > 0.0 { coverage.measured_seconds / coverage.seconds } else { 0.0 }
}

/// What could not be seen.
pub(super) fn limits(study: &Study) -> Vec<String> {
    let periods = [("period", &study.coverage), ("baseline", &study.baseline_coverage)];
    let mut said = Vec::new();
    for (period, coverage) in periods {
        said.extend(of(period, coverage));
    }
    let unknown: f64 = study.classes.iter().filter(|row| row.class == "unknown").map(|row| row.share).sum();
    let (mut evidence, mut whole) = (BTreeMap::new(), 0);
    for (sure, bytes) in study.classes.iter().filter(|row| row.class != "unknown").flat_map(|row| &row.evidence) {
        *evidence.entry(*sure).or_insert(0) += *bytes;
        whole += *bytes;
    }
    said.push(format!("{} of all bytes of the period are of no known class.", text::percent(unknown)));
    if whole > 0 {
        let mix =
            |(sure, bytes): (&&str, &i64)| format!("{} {}", text::percent(*bytes as f64 / whole as f64), words(sure));
        let mix: Vec<String> = evidence.iter().rev().map(mix).collect();
        said.push(format!("The classes of the rest are sure to different degrees, by bytes: {}.", text::list(&mix)));
    }
    said
}

/// Evidence in words.
pub(in crate::report) fn words(evidence: &str) -> String {
    match evidence {
        "confirmed" => "confirmed by both directions".to_owned(),
        "payload" => "by payload of one direction".to_owned(),
        "list" => "by an address on a list".to_owned(),
        "port" => "guessed by port".to_owned(),
        other => format!("with evidence {other}"),
    }
}

fn of(period: &str, coverage: &Coverage) -> Vec<String> {
    let mut said = Vec::new();
    if coverage.sampling_error_percent.is_some() {
        said.push(format!(
            "In the {period} routers looked at some packets of many: what is `new` or `gone` against it may have been there, unseen."
        ));
    }
    if coverage.methods.len() > 1 {
        said.push(format!("Within the {period} methods change: a step or shift may be that change."));
    }
    match coverage.vantage {
        "both" => {}
        "in" => said.push(format!("In the {period} only packets to the network were seen.")),
        "out" => said.push(format!("In the {period} only packets from the network were seen.")),
        _ => said.push(format!("In the {period} no packet of the network was seen.")),
    }
    if let Some(share) = coverage.one_way_share {
        let share = text::percent(share);
        said.push(format!("{share} of the flows of the {period} were heard in one direction alone; scans nobody answers are among them."));
    }
    if let Some(share) = coverage.asymmetric_share.filter(|share| *share >= LEAST_ASYMMETRIC) {
        let share = text::percent(share);
        said.push(format!("Of {share} of the conversations of the {period} the other direction runs elsewhere: addresses and services may be missing."));
    }
    if coverage.coarse_seconds > 0.0 {
        let time = text::duration(coverage.coarse_seconds);
        said.push(format!("Of {time} of the {period} nothing but sums is known: they were taken to have come evenly, which hides peaks."));
    }
    if !coverage.losses.is_empty() {
        let all: Vec<String> = coverage
            .losses
            .iter()
            .map(|(what, count)| format!("{} ({})", text::name(what), text::exact(*count)))
            .collect();
        said.push(format!(
            "Not remembered or told in the {period}: {}. Addresses, services and classes may lack some.",
            text::list(&all)
        ));
    }
    let sum = |counters: &BTreeMap<String, u64>| counters.values().fold(0_u64, |sum, more| sum.saturating_add(*more));
    let told = [
        (sum(&coverage.degraded), "packets of the {} were counted with a reservation"),
        (sum(&coverage.shed), "watched packets of the {} were counted and not looked into, to save time"),
        (sum(&coverage.unparsed), "frames of the {} had no IP header that could be counted"),
        (
            coverage.unattributed_packets,
            "packets of the {} were counted and cannot be attributed any more: names were lost",
        ),
        (coverage.lost_packets, "packets of the {} are known to have passed the sensor by"),
    ];
    for (number, what) in told.into_iter().filter(|(number, _)| *number > 0) {
        said.push(format!("{} {}.", text::exact(number), what.replace("{}", period)));
    }
    said
}
