//! What the numbers say, in sentences. Each names the section that has its numbers; what cannot be said is said to be so.

mod hosts;
mod limits;
mod shape;
mod suspicious;

use super::text;
use crate::study::{Interval, Study};

/// What is said in place of a figure that is missing.
pub(super) const INSUFFICIENT: &str = "insufficient data";
/// A share that changed by less than this is not called a change.
const LEAST_CHANGE: f64 = 0.01;

/// A finding.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sentence {
    /// The section with its numbers.
    pub(super) section: &'static str,
    /// The number it is about, in short.
    pub(super) figure: String,
    /// The sentence, or several.
    pub(super) text: String,
}

impl Sentence {
    fn new(section: &'static str, figure: impl Into<String>, text: impl Into<String>) -> Self {
        Self { section, figure: figure.into(), text: text.into() }
    }

    /// That something cannot be said, and why.
    fn missing(section: &'static str, what: &str, why: &str) -> Self {
        Self::new(section, "not known", format!("{what} cannot be said ({INSUFFICIENT}: {why})."))
    }
}

/// The headline sentences, in the order of their sections.
pub(super) fn sentences(study: &Study) -> Vec<Sentence> {
    let mut sentences = vec![volume(study)];
    sentences.extend(shape::upstreams(study));
    sentences.push(shape::week(study));
    sentences.push(hosts::addresses(study));
    sentences.push(hosts::services(study));
    sentences.push(shape::hidden(study));
    sentences.push(suspicious::mining(study));
    sentences.push(suspicious::p2p(study));
    sentences.extend(shape::counterparts(study));
    sentences.push(limits::coverage(study));
    sentences
}

/// Share of a period that was measured.
pub(super) use limits::part;
/// Names with what belongs to them.
pub(super) use shape::{counterpart, label};

/// What could not be seen, in sentences of their own.
pub(super) fn limits(study: &Study) -> Vec<String> {
    limits::limits(study)
}

/// How much, and how much more than before.
fn volume(study: &Study) -> Sentence {
    let volume = &study.volume;
    let sums = format!(
        "{} in {} of measured time, before {} in {}",
        text::bytes(volume.bytes),
        text::duration(study.coverage.measured_seconds),
        text::bytes(volume.baseline_bytes),
        text::duration(study.baseline_coverage.measured_seconds),
    );
    let Some(growth) = volume.growth_rate_percent else {
        let what = if study.baseline_coverage.measured_seconds > 0.0 {
            "the baseline has no traffic"
        } else {
            "the baseline was not measured"
        };
        let missing = format!("By how much traffic grew cannot be said ({INSUFFICIENT}: {what})");
        return Sentence::new("volume", text::bytes(volume.bytes), format!("{missing}: {sums}."));
    };
    let changed = match growth {
        _ if growth.abs() < 0.05 => "Traffic per measured second did not change".to_owned(),
        _ if growth > 0.0 => format!("Traffic per measured second grew by {}", text::percent(growth / 100.0)),
        _ => format!("Traffic per measured second fell by {}", text::percent(-growth / 100.0)),
    };
    let sure = match volume.growth_rate_interval {
        Some(Interval { low, high }) => {
            format!(" (95 % confidence interval {} to {})", text::growth(low), text::growth(high))
        }
        None => String::new(),
    };
    let unsure = match study.insufficient_data.get("volume.growth_rate_interval") {
        Some(why) if volume.growth_rate_interval.is_none() => {
            format!(" How sure this is cannot be said ({INSUFFICIENT}: {why}).")
        }
        _ => String::new(),
    };
    let said = std::iter::once(format!("{changed}{sure}: {sums}.{unsure}"));
    let limits = [limits::mixed(study), limits::sampled(study)].into_iter().flatten();
    let text = said.chain(limits).collect::<Vec<_>>().join(" ");
    Sentence::new("volume", text::growth(growth), text)
}

/// Nothing of the baseline was measured: nothing can be said to be new, or more.
fn is_without_baseline(study: &Study) -> bool {
    study.baseline_coverage.measured_seconds <= 0.0
}

/// The end of a sentence about what would be compared with a baseline that was not measured.
fn without_baseline(what: &str) -> String {
    format!("{what} cannot be said ({INSUFFICIENT}: the baseline was not measured).")
}

/// "12.0 % (before: 3.4 %)", of shares that may be unknown.
fn now_and_before_or_unknown(now: Option<f64>, before: Option<f64>) -> String {
    format!("{} (before: {})", text::percent_or_unknown(now), text::percent_or_unknown(before))
}

/// "45.0 % now, 1.0 % before" as a figure.
fn arrow(before: f64, now: f64) -> String {
    format!("{} → {}", text::percent(before), text::percent(now))
}

/// Why a figure cannot be said, if so.
fn why<'a>(study: &'a Study, figure: &str) -> Option<&'a str> {
    study.insufficient_data.get(figure).map(String::as_str)
}

/// Growth of bytes in words: "+120.0 %", "new", "gone".
pub(super) fn growth_of(bytes: i64, baseline_bytes: i64) -> String {
    match (bytes > 0, baseline_bytes > 0) {
        (true, true) => text::growth((bytes as f64 / baseline_bytes as f64 - 1.0) * 100.0),
        (true, false) => "new".to_owned(),
        (false, true) => "gone".to_owned(),
        (false, false) => "none".to_owned(),
    }
}
