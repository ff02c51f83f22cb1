//! Plots as SVG that stands in a page. Colours come from its style sheet; each thing differs by its shape or pattern, too.
//!
//! Text is placed so that none can lie on another: a label has a line or a column of its own, as wide as its letters may be.

mod axis;
mod bars;
pub(super) mod block;
mod days;
mod services;
mod week;

use maud::{Markup, html};

use crate::study::Study;

/// So many of the largest parts are drawn.
const MOST_BARS: usize = 10;
/// So many blocks of addresses are drawn.
const MOST_BLOCKS: usize = 64;
/// So many services are drawn.
const MOST_SERVICES: usize = 60;

/// A figure of a section.
pub(super) struct Plot {
    /// Where links lead, behind `figure-`.
    pub(super) id: &'static str,
    /// What it shows.
    pub(super) caption: String,
    /// Its drawings, in reading order.
    pub(super) drawings: Vec<Markup>,
    /// What marks mean.
    pub(super) legend: Vec<(Mark, String)>,
}

/// What is marked the same way in all plots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Of the studied period.
    Period,
    /// Of the baseline.
    Baseline,
    /// Not in the baseline.
    New,
    /// In the baseline alone.
    Gone,
    /// Not measured.
    Gap,
    /// The day of a change.
    Change,
    /// Office hours.
    Office,
}

/// A drawing, and what it says to who cannot see it.
struct Drawing<'a> {
    /// Unique in the page.
    id: &'a str,
    title: &'a str,
    description: &'a str,
    width: f64,
    height: f64,
    /// It is not shown narrower: its text would be too small.
    least: f64,
}

impl Drawing<'_> {
    fn draw(&self, body: &Markup) -> Markup {
        let (width, height) = (number(self.width), number(self.height));
        let (title, description) = (format!("{}-title", self.id), format!("{}-desc", self.id));
        let style = format!("max-width:{width}px;min-width:{}px", number(self.least.min(self.width)));
        html! {
            svg viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) style=(style) role="img"
                aria-labelledby=(format!("{title} {description}")) {
                title id=(title) { (self.title) }
                desc id=(description) { (self.description) }
                (body)
            }
        }
    }
}

/// A length in a drawing. What is no number has no place and is put at 0.
fn number(value: f64) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// The plots of a section.
pub(super) fn plots(section: &str, study: &Study) -> Vec<Plot> {
    let plots = match section {
        "volume" => vec![days::volume(study)],
        "upstreams" => {
            std::iter::once(bars::upstreams(study)).chain(days::upstreams(study).into_iter().map(Some)).collect()
        }
        "week" => vec![week::week(study)],
        "addresses" => vec![block::addresses(study), days::addresses(study)],
        "services" => vec![services::services(study)],
        "hidden" => vec![days::hidden(study), bars::classes(study)],
        "mining" => vec![days::suspicious("mining", "Mining", study, study.mining.as_ref())],
        "p2p" => vec![days::suspicious("p2p", "Peer-to-peer", study, study.p2p.as_ref())],
        "country" => vec![bars::counterparts("country", "country", &study.counterparts.country)],
        "asn" => vec![bars::counterparts("asn", "autonomous system", &study.counterparts.asn)],
        "list" => vec![bars::counterparts("list", "list", &study.counterparts.list)],
        _ => vec![],
    };
    plots.into_iter().flatten().collect()
}

/// Patterns that drawings are filled with; once in a page.
pub(super) fn patterns() -> Markup {
    html! {
        svg.patterns width="0" height="0" aria-hidden="true" focusable="false" {
            defs {
                pattern #hatch-baseline width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                    rect.baseline-ground width="5" height="5" {}
                    rect.baseline-line width="2.4" height="5" {}
                }
                pattern #hatch-gap width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)" {
                    rect.gap-line width="1.5" height="6" {}
                }
            }
        }
    }
}

/// A mark beside its meaning.
pub(super) fn swatch(mark: Mark) -> Markup {
    html! {
        svg.swatch viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false" {
            @match mark {
                Mark::Period => rect.period x="1" y="3" width="14" height="10" {},
                Mark::Baseline => rect.baseline x="1" y="3" width="14" height="10" {},
                Mark::New => path.new d="M8 1L15 8L8 15L1 8Z" {},
                Mark::Gone => path.gone d="M3 3L13 13M13 3L3 13" {},
                Mark::Gap => rect.gap x="1" y="1" width="14" height="14" {},
                Mark::Change => path.change d="M8 15V7M3 1H13L8 8Z" {},
                Mark::Office => rect.office x="1" y="3" width="14" height="10" {},
            }
        }
    }
}

/// The marks of both periods.
fn both_periods(study: &Study) -> Vec<(Mark, String)> {
    let of = |name: &str, period: &crate::study::Period| format!("{name}, {} to {}", period.first(), period.last());
    vec![(Mark::Baseline, of("Baseline", &study.baseline)), (Mark::Period, of("Period", &study.period))]
}

/// How many were left out.
fn rest(drawn: usize, all: usize, what: &str) -> String {
    if all > drawn { format!(" The {drawn} {what} of {all}; all are in the table.") } else { String::new() }
}
