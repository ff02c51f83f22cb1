//! By way of whom, when in the week, how hidden, and with whom.

use super::{INSUFFICIENT, LEAST_CHANGE, Sentence, arrow, growth_of, now_and_before_or_unknown, why};
use crate::{
    report::text,
    study::{Counterpart, Study, Upstream},
};

/// So many of the largest are named.
const LARGEST: usize = 3;
/// What counterparts are called of which nothing is known.
const UNKNOWN: &str = "unknown";

/// The upstream that won most and the one that lost most, and when.
pub(super) fn upstreams(study: &Study) -> Vec<Sentence> {
    if let Some(why) = why(study, "upstreams") {
        return vec![Sentence::missing("upstreams", "Which upstreams carried the traffic", why)];
    }
    let carriers: Vec<&Upstream> = study.upstreams.iter().filter(|upstream| upstream.carried()).collect();
    let won = |upstream: &Upstream| upstream.share - upstream.baseline_share.unwrap_or_default();
    let by_won = |a: &&Upstream, b: &&Upstream| won(a).total_cmp(&won(b));
    let (Some(most), Some(least)) = (carriers.iter().copied().max_by(by_won), carriers.iter().copied().min_by(by_won))
    else {
        return vec![Sentence::missing("upstreams", "Which upstreams carried the traffic", "none was seen")];
    };
    let said = |upstream: &&Upstream| {
        let before = upstream.baseline_share.filter(|_| study.volume.baseline_bytes > 0);
        format!("{} carries {}", label(upstream), now_and_before_or_unknown(Some(upstream.share), before))
    };
    let first = if let Some(why) = why(study, "baseline_upstreams") {
        let all: Vec<String> = carriers.iter().take(LARGEST).map(said).collect();
        let text = format!(
            "{} of all bytes; what they carried before cannot be said ({INSUFFICIENT}: {why}).",
            text::list(&all)
        );
        Sentence::new("upstreams", text::percent(carriers[0].share), text)
    } else if most.name == least.name {
        let figure = text::percent(most.share);
        Sentence::new("upstreams", figure, format!("{} of all bytes.", said(&most)))
    } else if study.volume.baseline_bytes <= 0 {
        let all: Vec<String> = carriers.iter().take(LARGEST).map(said).collect();
        Sentence::new("upstreams", text::percent(carriers[0].share), format!("{} of all bytes.", text::list(&all)))
    } else if won(most) < LEAST_CHANGE {
        let largest = carriers[0];
        let all: Vec<String> = carriers.iter().take(LARGEST).map(said).collect();
        let text = format!("Upstream shares are what they were: {} of all bytes.", text::list(&all));
        Sentence::new("upstreams", text::percent(largest.share), text)
    } else {
        let text = format!("{} of all bytes; {}.", said(&most), said(&least));
        Sentence::new("upstreams", arrow(most.baseline_share.unwrap_or_default(), most.share), text)
    };
    let shifts = study.upstream_shifts.iter().map(|shift| {
        let (from, to) = (text::name(&shift.from), text::name(&shift.to));
        let how_much = text::percent(shift.share);
        let text = format!("On {} traffic moved from {from} to {to}: {how_much} of all bytes since then.", shift.date);
        Sentence::new("upstreams", shift.date.clone(), text)
    });
    std::iter::once(first).chain(shifts).collect()
}

/// An upstream with its number.
pub(in crate::report) fn label(upstream: &Upstream) -> String {
    let name = text::name(&upstream.name);
    upstream.asn.map_or_else(|| name.clone(), |asn| format!("{name} (AS{asn})"))
}

/// Office hours and weekends.
pub(super) fn week(study: &Study) -> Sentence {
    let profile = &study.profile;
    let (Some(office), Some(weekend)) = (profile.office_hours_share, profile.weekend_share) else {
        let why = study.insufficient_data.get("profile").map_or("the period has no traffic", String::as_str);
        return Sentence::missing("week", "When in the week the network is busy", why);
    };
    let shares = format!(
        "Office hours (Monday to Friday 08:00 to 18:00, {}) hold {} of all bytes, Saturday and Sunday {}",
        text::name(&profile.timezone),
        now_and_before_or_unknown(Some(office), profile.baseline_office_hours_share),
        now_and_before_or_unknown(Some(weekend), profile.baseline_weekend_share),
    );
    let (Some(office_before), Some(weekend_before)) =
        (profile.baseline_office_hours_share, profile.baseline_weekend_share)
    else {
        return Sentence::new("week", text::percent(office), format!("{shares}."));
    };
    let (to_office, to_weekend) = (office - office_before, weekend - weekend_before);
    let moved = if to_office >= LEAST_CHANGE && to_weekend <= -LEAST_CHANGE {
        ": use moved from the weekend to office hours"
    } else if to_office <= -LEAST_CHANGE && to_weekend >= LEAST_CHANGE {
        ": use moved from office hours to the weekend"
    } else if to_office.abs() < LEAST_CHANGE && to_weekend.abs() < LEAST_CHANGE {
        ": the week is what it was"
    } else {
        ""
    };
    Sentence::new("week", arrow(office_before, office), format!("{shares}{moved}."))
}

/// The share that hides.
pub(super) fn hidden(study: &Study) -> Sentence {
    let classes = if study.hidden_classes.is_empty() {
        "no class is configured to count as hidden".to_owned()
    } else {
        text::list(&study.hidden_classes.iter().map(|class| (*class).to_owned()).collect::<Vec<_>>())
    };
    let Some(now) = study.hidden_share else {
        let why = why(study, "hidden_share").unwrap_or("the period has no traffic");
        return Sentence::missing("hidden", "Which share of traffic is hidden", why);
    };
    let before = why(study, "baseline_hidden_share")
        .map_or_else(String::new, |why| format!(" What it was before cannot be said ({INSUFFICIENT}: {why})."));
    let text = format!(
        "Hidden traffic ({classes}) makes up {} of all bytes.{before}",
        now_and_before_or_unknown(Some(now), study.baseline_hidden_share)
    );
    let figure = study.baseline_hidden_share.map_or_else(|| text::percent(now), |before| arrow(before, now));
    Sentence::new("hidden", figure, text)
}

/// The largest countries, systems and lists.
pub(super) fn counterparts(study: &Study) -> Vec<Sentence> {
    let counterparts = &study.counterparts;
    [
        of(study, "country", "Largest countries of the far ends", &counterparts.country),
        of(study, "asn", "Largest autonomous systems of the far ends", &counterparts.asn),
        of(study, "list", "Far ends on lists", &counterparts.list),
    ]
    .into()
}

/// A counterpart with what it is called.
pub(in crate::report) fn counterpart(row: &Counterpart) -> String {
    let name = text::name(&row.name);
    row.as_name.as_ref().map_or_else(|| name.clone(), |called| format!("{name} {}", text::name(called)))
}

fn of(study: &Study, section: &'static str, what: &str, rows: &[Counterpart]) -> Sentence {
    let known: Vec<&Counterpart> = rows.iter().filter(|row| row.name != UNKNOWN && row.bytes > 0).collect();
    let Some(first) = known.first() else {
        let why = format!("no far end of the period is in a table of them ({INSUFFICIENT})");
        return Sentence::new(section, "none", format!("{what}: {why}."));
    };
    let said: Vec<String> = known
        .iter()
        .take(LARGEST)
        .map(|row| {
            let (now, before) = (text::percent(row.share), text::percent(row.baseline_share));
            match &*growth_of(row.bytes, row.baseline_bytes) {
                _ if study.volume.baseline_bytes <= 0 => format!("{} with {now} of all bytes", counterpart(row)),
                "new" => format!("{} with {now} of all bytes (before: none)", counterpart(row)),
                growth => format!("{} with {now} of all bytes (before: {before}; bytes {growth})", counterpart(row)),
            }
        })
        .collect();
    let unknown: f64 = rows.iter().filter(|row| row.name == UNKNOWN).map(|row| row.share).sum();
    let unknown = if unknown > 0.0 {
        format!(" {} have far ends that no table knows.", text::percent(unknown))
    } else {
        String::new()
    };
    let figure = format!("{} {}", text::name(&first.name), text::percent(first.share));
    Sentence::new(section, figure, format!("{what}: {}.{unknown}", text::list(&said)))
}
