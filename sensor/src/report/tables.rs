//! The exact numbers, in sections and tables; pages and text are made of the same ones.

mod coverage;
mod hosts;
mod traffic;

use super::{text, words};
use crate::study::{Share, Study};

/// What belongs to one question.
pub(super) struct Section {
    /// Where links lead.
    pub(super) id: &'static str,
    /// Its heading.
    pub(super) title: &'static str,
    /// What is to be said besides the findings.
    pub(super) notes: Vec<String>,
    /// Its numbers.
    pub(super) tables: Vec<Table>,
}

/// Numbers.
pub(super) struct Table {
    /// Where links lead, behind `table-`.
    pub(super) id: &'static str,
    /// What they are.
    pub(super) caption: String,
    /// Columns.
    pub(super) head: Vec<&'static str>,
    /// Rows, each as long as there are columns.
    pub(super) rows: Vec<Vec<Cell>>,
    /// It is told in a ticket, too.
    pub(super) brief: bool,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cell {
    /// As it is shown.
    pub(super) text: String,
    /// What a number is sorted by.
    pub(super) value: Option<f64>,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { text, value: None }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

/// A whole number.
fn number(number: impl Into<i128>) -> Cell {
    let number = number.into();
    Cell { text: text::exact(number), value: Some(number as f64) }
}

/// A share.
fn share(share: impl Into<Option<f64>>) -> Cell {
    let share = share.into().filter(|share| share.is_finite());
    share.map_or_else(unknown, |share| Cell { text: format!("{:.3} %", 100.0 * share), value: Some(share) })
}

/// A difference of shares.
fn points(difference: f64) -> Cell {
    Cell { text: text::points(difference), value: Some(difference) }
}

/// Growth in percent.
fn growth(percent: Option<f64>) -> Cell {
    percent.map_or_else(unknown, |percent| Cell { text: text::growth(percent), value: Some(percent) })
}

/// Bits per second.
fn rate(rate: Option<f64>) -> Cell {
    rate.map_or_else(unknown, |rate| Cell { text: text::bits(rate), value: Some(rate) })
}

/// Seconds, and what that is.
fn seconds(seconds: f64) -> Cell {
    Cell { text: format!("{} s ({})", text::exact(seconds as i128), text::duration(seconds)), value: Some(seconds) }
}

/// A figure that is missing.
fn unknown() -> Cell {
    words::INSUFFICIENT.into()
}

/// How many blank cells an absent figure leaves.
fn blank() -> Cell {
    "–".into()
}

/// Columns that tables of parts have in common.
const SHARES: [&str; 6] = ["Bytes", "Share", "Bytes before", "Share before", "Change of share", "Growth of bytes"];

/// Their cells, of what the baseline may not tell.
fn shares_now(of: &Share, is_told_before: bool) -> Vec<Cell> {
    if is_told_before {
        return shares(of);
    }
    vec![number(of.bytes), share(of.share), unknown(), unknown(), unknown(), unknown()]
}

/// Their cells.
fn shares(of: &Share) -> Vec<Cell> {
    let grown = match words::growth_of(of.bytes, of.baseline_bytes) {
        text if of.baseline_bytes > 0 => Cell { text, value: Some(of.bytes as f64 / of.baseline_bytes as f64 - 1.0) },
        text => text.into(),
    };
    vec![
        number(of.bytes),
        share(of.share),
        number(of.baseline_bytes),
        share(of.baseline_share),
        points(of.share - of.baseline_share),
        grown,
    ]
}

/// All sections, in the order of a report.
pub(super) fn sections(study: &Study) -> Vec<Section> {
    vec![
        traffic::volume(study),
        traffic::upstreams(study),
        traffic::week(study),
        hosts::addresses(study),
        hosts::services(study),
        traffic::hidden(study),
        traffic::suspicious("mining", "Mining", study.mining.as_ref()),
        traffic::suspicious("p2p", "Peer-to-peer", study.p2p.as_ref()),
        traffic::counterparts("country", "Counterparts: countries", "Country", &study.counterparts.country),
        traffic::counterparts("asn", "Counterparts: autonomous systems", "System", &study.counterparts.asn),
        traffic::counterparts("list", "Counterparts: lists", "List", &study.counterparts.list),
        coverage::coverage(study),
        traffic::days(study),
    ]
}
