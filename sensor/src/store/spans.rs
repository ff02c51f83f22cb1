//! Which intervals of an epoch are there, and which time they cover. Pure.

use std::collections::BTreeMap;

use super::MICROSECONDS;
use crate::study::{QUARTER, SEAM, SILENCE};

/// Consecutive intervals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) last: u64,
    /// Microseconds since 1970.
    pub(super) start: i64,
    pub(super) end: i64,
    /// How long of it nothing was attached.
    pub(super) blind_ms: u64,
}

impl Run {
    /// For how many microseconds nothing but one sum is known, where the run begins with that sequence: it is an interval that is longer than the quarters of an
    /// hour over which it was spread.
    pub(super) const fn as_sum(&self, first: u64) -> i64 {
        let length = self.end - self.start;
        if first == self.last && length > QUARTER * MICROSECONDS { length } else { 0 }
    }
}

/// Intervals of an epoch, by the first sequence of each run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans(pub(super) BTreeMap<u64, Run>);

impl Spans {
    /// Whether an interval is among them.
    pub(super) fn has(&self, sequence: u64) -> bool {
        self.0.range(..=sequence).next_back().is_some_and(|(_, run)| run.last >= sequence)
    }

    /// Adds an interval that is not.
    pub(super) fn add(&mut self, sequence: u64, (start, end): (i64, i64), blind_ms: u64, is_live: bool) {
        let seam = if is_live { SEAM } else { SILENCE }.as_micros() as i64;
        let before = self.0.range_mut(..sequence).next_back();
        // What is known as a sum alone has a run of its own, or it would not be found again. A capture is told in the intervals that somebody wished for.
        let is_sum = |run: &Run, first: u64| is_live && run.as_sum(first) > 0;
        let alone = Run { last: sequence, start, end, blind_ms };
        if let Some((first, run)) = before
            && run.last + 1 == sequence
            && (0..=seam).contains(&(start - run.end))
            && (run.blind_ms > 0) == (blind_ms > 0)
            && !is_sum(run, *first)
            && !is_sum(&alone, sequence)
        {
            run.last = sequence;
            run.end = end;
            run.blind_ms += blind_ms;
            return;
        }
        self.0.insert(sequence, alone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn a_run_grows_until_something_is_missing() {
        let mut spans = Spans::default();
        for sequence in 0..3 {
            let start = sequence as i64 * 10 * SECOND;
            spans.add(sequence, (start, start + 10 * SECOND), 1, true);
        }
        // Two seconds without a sensor.
        spans.add(3, (32 * SECOND, 42 * SECOND), 0, true);
        // An interval that was lost.
        spans.add(5, (52 * SECOND, 62 * SECOND), 0, true);
        let runs: Vec<_> = spans.0.iter().map(|(first, run)| (*first, run.last, run.start, run.end)).collect();
        assert_eq!(runs, [(0, 2, 0, 30 * SECOND), (3, 3, 32 * SECOND, 42 * SECOND), (5, 5, 52 * SECOND, 62 * SECOND)]);
        assert_eq!(spans.0[&0].blind_ms, 3);
        let has: Vec<u64> = (0..8).filter(|sequence| spans.has(*sequence)).collect();
        assert_eq!(has, [0, 1, 2, 3, 5]);
    }

    #[test]
    fn what_is_known_as_a_sum_is_found_again() {
        let mut spans = Spans::default();
        let (minute, hour) = (60 * SECOND, 3600 * SECOND);
        let intervals = [
            (0, minute),
            (minute, 2 * minute),
            (2 * minute, hour),
            (hour, hour + minute),
            (hour + minute, hour + 2 * minute),
        ];
        for (sequence, interval) in intervals.into_iter().enumerate() {
            spans.add(sequence as u64, interval, 0, true);
        }
        let sums: Vec<_> = spans.0.iter().map(|(first, run)| (*first, run.last, run.as_sum(*first))).collect();
        assert_eq!(sums, [(0, 1, 0), (2, 2, hour - 2 * minute), (3, 4, 0)]);
    }

    #[test]
    fn blind_intervals_are_a_run_of_their_own() {
        let mut spans = Spans::default();
        for (sequence, blind) in [0, 0, 700, 10_000, 0].into_iter().enumerate() {
            let start = sequence as i64 * 10 * SECOND;
            spans.add(sequence as u64, (start, start + 10 * SECOND), blind, true);
        }
        let runs: Vec<_> = spans.0.iter().map(|(first, run)| (*first, run.last, run.blind_ms)).collect();
        assert_eq!(runs, [(0, 1, 0), (2, 3, 10_700), (4, 4, 0)]);
    }

    #[test]
    fn a_capture_may_be_silent_for_some_hours() {
        let mut spans = Spans::default();
        let silence = SILENCE.as_micros() as i64;
        spans.add(0, (0, 60 * SECOND), 0, false);
        spans.add(1, (60 * SECOND + silence, 120 * SECOND + silence), 0, false);
        spans.add(2, (120 * SECOND + 2 * silence + 1, 180 * SECOND + 2 * silence), 0, false);
        assert_eq!(spans.0.keys().copied().collect::<Vec<_>>(), [0, 2]);
    }
}
