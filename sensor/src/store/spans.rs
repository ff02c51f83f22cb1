//! Which intervals of an epoch are there, and which time they cover. Pure.

use std::collections::BTreeMap;

use crate::study::{SEAM, SILENCE};

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
        if let Some((_, run)) = before
            && run.last + 1 == sequence
            && (0..=seam).contains(&(start - run.end))
            && (run.blind_ms > 0) == (blind_ms > 0)
        {
            run.last = sequence;
            run.end = end;
            run.blind_ms += blind_ms;
            return;
        }
        self.0.insert(sequence, Run { last: sequence, start, end, blind_ms });
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
    fn a_capture_may_be_silent_for_some_hours() {
        let mut spans = Spans::default();
        let silence = SILENCE.as_micros() as i64;
        spans.add(0, (0, 60 * SECOND), 0, false);
        spans.add(1, (60 * SECOND + silence, 120 * SECOND + silence), 0, false);
        spans.add(2, (120 * SECOND + 2 * silence + 1, 180 * SECOND + 2 * silence), 0, false);
        assert_eq!(spans.0.keys().copied().collect::<Vec<_>>(), [0, 2]);
    }
}
