//! Time in which a sensor saw nothing. Pure.

use std::ops::Range;

use jiff::Timestamp;

use super::{QUARTER, SECOND};
use crate::{
    study::Span,
    summary::{Event, Turn},
};

/// Time without counting: moments in microseconds, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Blind {
    since: i64,
    until: i64,
    blind: i64,
    /// It goes on where the records end.
    is_open: bool,
}

/// With the second at which each is told: the end of the quarter of an hour in which it became as long as `least` seconds, or in which it ended.
pub(super) fn events(spans: &[Span], least: i64, range: &Range<i64>) -> Vec<(i64, Event)> {
    let told_at = |moment: i64| (moment.div_euclid(QUARTER * SECOND) + 1) * QUARTER;
    let mut told = Vec::new();
    for blind in stretches(spans).into_iter().filter(|stretch| stretch.blind >= least * SECOND) {
        let Ok(since) = Timestamp::from_microsecond(blind.since) else { continue };
        let mut tell = |at: i64, state, micros: i64| {
            let seconds = (micros / SECOND).cast_unsigned();
            told.push((at, Event::SensorBlind { state, since, seconds }));
        };
        let (began, over) = (told_at(blind.since + least * SECOND), told_at(blind.until));
        if began < over || blind.is_open {
            tell(began, Turn::Began, least * SECOND);
        }
        if !blind.is_open {
            tell(over, Turn::Over, blind.blind);
        }
    }
    told.retain(|(at, _)| range.contains(at));
    told
}

/// All such time between the first record and the last, in order.
fn stretches(spans: &[Span]) -> Vec<Blind> {
    let mut stretches: Vec<Blind> = Vec::new();
    let mut add = |since: i64, until: i64, blind: i64| match stretches.last_mut() {
        Some(last) if last.until == since => (last.until, last.blind) = (until, last.blind + blind),
        _ => stretches.push(Blind { since, until, blind, is_open: false }),
    };
    let mut end: Option<i64> = None;
    for span in spans {
        let (start, until) = (span.start.as_microsecond(), span.end.as_microsecond());
        if let Some(end) = end.filter(|end| *end < start) {
            add(end, start, start - end);
        }
        if span.blind_ms > 0 {
            add(start, until, (span.blind_ms.cast_signed() * 1000).min(until - start));
        }
        end = Some(end.map_or(until, |end| end.max(until)));
    }
    if let Some(last) = stretches.last_mut() {
        last.is_open = Some(last.until) == end;
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: i64, end: i64, blind: u64) -> Span {
        let at = |second| Timestamp::from_second(second).unwrap();
        Span { sensor: "s".into(), start: at(start), end: at(end), blind_ms: blind * 1000, coarse_ms: 0, capture: None }
    }

    fn told(spans: &[Span]) -> Vec<(i64, Turn, i64, u64)> {
        let told = events(spans, 60, &(0..100_000)).into_iter().map(|(at, event)| {
            let Event::SensorBlind { state, since, seconds } = event else { panic!("{event:?}") };
            (at, state, since.as_second(), seconds)
        });
        told.collect()
    }

    #[test]
    fn gaps_and_blind_intervals_are_told_with_their_length() {
        // Nothing between 1000 and 3000; then blind for 30 s, which is no news.
        let spans = [span(0, 1000, 0), span(3000, 4000, 0), span(4000, 4100, 30), span(4100, 5000, 0)];
        assert_eq!(told(&spans), [(1800, Turn::Began, 1000, 60), (3600, Turn::Over, 1000, 2000)]);
        // Within one quarter of an hour: told once, at its end.
        assert_eq!(told(&[span(0, 100, 0), span(200, 900, 0)]), [(900, Turn::Over, 100, 100)]);
        // A gap and a blind interval after it are one.
        let spans = [span(0, 100, 0), span(140, 170, 30), span(170, 1000, 0)];
        assert_eq!(told(&spans), [(900, Turn::Over, 100, 70)]);
        // It goes on.
        assert_eq!(told(&[span(0, 1000, 0), span(1000, 1200, 200)]), [(1800, Turn::Began, 1000, 60)]);
        assert_eq!((told(&[]), told(&[span(5, 10, 0)])), (vec![], vec![]));
    }
}
