//! Whether nothing was heard because nobody spoke, or because nobody listened. Pure.
//!
//! A running sensor knows when it was at work. A capture does not say: long silence in it is a gap, unless so few frames came that such silence is no wonder.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use anyhow::Result;
use jiff::{SignedDuration, Timestamp};

use super::{Records, Span};

/// In a capture no frame for so long is taken for a gap, and not for silence, where frames are many.
pub(crate) const SILENCE: Duration = Duration::from_secs(6 * 3600);
/// Silence is no wonder up to so many times the mean distance of intervals with frames: were these even, one as long would come once in e^60 times; nights and
/// weekends have a tenth of the frames, and then it is once in e^6.
const DISTANCES: f64 = 60.0;
/// A capture that begins or ends within so many distances of a time was there from its beginning, or to its end: one frame has to be the first. Days begin at
/// night, with a tenth of the frames.
const DISTANCES_OF_ENDS: f64 = 12.0;

/// The spans of a time, those of a capture joined where the silence between them is no wonder in it: with what was recorded before and behind, too.
///
/// # Errors
/// They cannot be read.
pub(super) fn spans(records: &dyn Records, time: &Range<Timestamp>) -> Result<Vec<Span>> {
    // No silence is longer than the time itself.
    let length = time.end.duration_since(time.start);
    let around = time.start.checked_sub(length).unwrap_or(Timestamp::MIN)
        ..time.end.checked_add(length).unwrap_or(Timestamp::MAX);
    let mut spans = joined(records.spans(around)?, time);
    spans.retain(|span| span.start < time.end && span.end > time.start);
    Ok(spans)
}

fn joined(spans: Vec<Span>, time: &Range<Timestamp>) -> Vec<Span> {
    let mut intervals: BTreeMap<String, f64> = BTreeMap::new();
    for (span, capture) in spans.iter().filter_map(|span| Some((span, span.capture.as_ref()?))) {
        *intervals.entry(capture.epoch.clone()).or_default() += capture.intervals as f64 * part(span, time);
    }
    let mut joined: Vec<Span> = Vec::new();
    // The place of the last span of each capture.
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for span in spans {
        let epoch = span.capture.as_ref().map(|capture| capture.epoch.clone());
        let patience = epoch.as_ref().and_then(|epoch| patience(time, *intervals.get(epoch)?));
        let before = epoch.as_ref().and_then(|epoch| last.get(epoch).copied()).and_then(|place| joined.get_mut(place));
        match (before, patience) {
            (Some(before), Some(patience)) if span.start.duration_since(before.end) <= patience => {
                before.end = before.end.max(span.end);
                if let (Some(before), Some(more)) = (&mut before.capture, &span.capture) {
                    before.intervals = before.intervals.saturating_add(more.intervals);
                }
            }
            _ => {
                last.extend(epoch.map(|epoch| (epoch, joined.len())));
                joined.push(span);
            }
        }
    }
    joined
}

/// Has a capture begin or end with the time where it nearly does.
pub(super) fn reach(span: &mut Span, time: &Range<Timestamp>) {
    let Some(capture) = &span.capture else { return };
    let length = span.end.duration_since(span.start).as_secs_f64();
    let near = SignedDuration::from_secs_f64(DISTANCES_OF_ENDS * length / capture.intervals.max(1) as f64);
    if span.start.duration_since(time.start) <= near {
        span.start = span.start.min(time.start);
    }
    if time.end.duration_since(span.end) <= near {
        span.end = span.end.max(time.end);
    }
}

/// How long silence may be of so many intervals in a time; nothing of none.
fn patience(time: &Range<Timestamp>, intervals: f64) -> Option<SignedDuration> {
    let length = time.end.duration_since(time.start).as_secs_f64();
    (intervals > 0.0).then(|| SignedDuration::from_secs_f64(length * (DISTANCES / intervals).min(1.0)))
}

/// How much of a span lies within a time.
fn part(span: &Span, time: &Range<Timestamp>) -> f64 {
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64().max(0.0);
    let whole = seconds(span.start, span.end);
    if whole > 0.0 { seconds(span.start.max(time.start), span.end.min(time.end)) / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::study::Recorded;

    const HOUR: i64 = 3600;
    const WEEK: i64 = 168 * HOUR;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// A span of hours, with so many intervals of a capture.
    fn span(hours: Range<i64>, epoch: &str, intervals: u64) -> Span {
        Span {
            sensor: "s".into(),
            start: at(hours.start * HOUR),
            end: at(hours.end * HOUR),
            blind_ms: 0,
            coarse_ms: 0,
            capture: Some(Recorded { epoch: epoch.into(), intervals }),
        }
    }

    fn ends(spans: Vec<Span>) -> Vec<(i64, i64)> {
        let hours = |span: Span| (span.start.as_second() / HOUR, span.end.as_second() / HOUR);
        joined(spans, &(at(0)..at(WEEK))).into_iter().map(hours).collect()
    }

    #[test]
    fn two_days_without_a_frame_are_a_gap_where_frames_are_many() {
        let busy = || vec![span(0..60, "a", 3000), span(108..168, "a", 3000)];
        assert_eq!(ends(busy()), [(0, 60), (108, 168)]);
        // The same silence of somebody who says something twice a day.
        let quiet = |intervals| vec![span(0..60, "a", intervals), span(108..168, "a", intervals)];
        assert_eq!(ends(quiet(7)), [(0, 168)]);
        // Sixty distances of 168 hours / intervals are these 48 hours.
        assert_eq!(ends(quiet(105)), [(0, 168)]);
        assert_eq!(ends(quiet(106)).len(), 2);
    }

    #[test]
    fn one_frame_has_to_be_the_first() {
        let reached = |span: Span| {
            let mut span = span;
            reach(&mut span, &(at(0)..at(WEEK)));
            (span.start.as_second() / HOUR, span.end.as_second() / HOUR)
        };
        // One interval an hour, and two.
        assert_eq!(reached(span(12..156, "a", 144)), (0, 168));
        assert_eq!(reached(span(13..155, "a", 142)), (13, 155));
        assert_eq!(reached(span(7..162, "a", 310)), (7, 168));
        assert_eq!(reached(span(-5..180, "a", 185)), (-5, 180));
        assert_eq!(reached(Span { capture: None, ..span(1..167, "a", 1) }), (1, 167));
    }

    #[test]
    fn only_a_capture_is_silent() {
        let live = |hours| Span { capture: None, ..span(hours, "a", 1) };
        assert_eq!(ends(vec![live(0..60), live(61..168)]).len(), 2);
        // Of one recording the other's silence is none of its business.
        assert_eq!(ends(vec![span(0..50, "a", 1), span(40..60, "b", 1), span(70..90, "a", 1)]), [(0, 90), (40, 60)]);
    }

    #[test]
    fn what_is_outside_of_the_time_does_not_count() {
        // A year of noise, of which one day is within the week.
        let noise = span(-365 * 24 + 24..24, "a", 365 * 10);
        assert_eq!(ends(vec![noise, span(100..168, "a", 10)]), [(-365 * 24 + 24, 168)]);
        assert_eq!(joined(vec![], &(at(0)..at(0))), []);
        assert_eq!(ends(vec![span(200..300, "a", 5), span(400..500, "a", 5)]).len(), 2, "nothing is known of it");
    }
}
