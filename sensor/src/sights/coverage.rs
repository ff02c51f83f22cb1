//! For how long was looked: before that is long enough, what is seen first may always have been there.

use jiff::{SignedDuration, Timestamp};

/// Longest time between two ends of intervals that counts as measured; no interval is longer.
const MAX_SPAN: SignedDuration = SignedDuration::from_hours(1);

/// The time that was measured, of this history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coverage {
    learn: Option<SignedDuration>,
    measured: SignedDuration,
    /// The end of the interval before, or the first packet.
    since: Option<Timestamp>,
}

impl Coverage {
    /// `learn`: how long firsts are `initial`; `None`: always. `measured` so far.
    pub(super) fn new(learn: Option<SignedDuration>, measured: SignedDuration) -> Self {
        Self { learn, measured, since: None }
    }

    /// Learns for that long from now on, of which what was measured so far is a part.
    pub(super) fn learn_for(&mut self, learn: Option<SignedDuration>) {
        self.learn = learn;
    }

    /// A packet was seen.
    pub(super) fn see(&mut self, at: Timestamp) {
        self.since.get_or_insert(at);
    }

    /// An interval ended. A gap counts as the longest interval at most, a clock that was set back not at all.
    pub(super) fn end(&mut self, now: Timestamp) {
        let span = self.since.map_or(SignedDuration::ZERO, |since| now.duration_since(since));
        self.measured = self.measured.saturating_add(span.clamp(SignedDuration::ZERO, MAX_SPAN));
        self.since = Some(now);
    }

    /// Whether what is seen first may always have been there.
    pub(super) fn is_learning(&self) -> bool {
        self.learn.is_none_or(|learn| self.measured < learn)
    }

    pub(super) fn measured(&self) -> SignedDuration {
        self.measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_measured_time_is_learned_in() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        let mut coverage = Coverage::new(Some(SignedDuration::from_secs(4000)), SignedDuration::ZERO);
        coverage.see(at(100));
        coverage.end(at(110));
        coverage.see(at(115));
        coverage.end(at(120));
        assert_eq!(coverage.measured(), SignedDuration::from_secs(20));
        // Set back, and two years without packets.
        coverage.end(at(60));
        coverage.end(at(63_072_000));
        assert_eq!(coverage.measured(), SignedDuration::from_secs(3620));
        assert!(coverage.is_learning());
        coverage.end(at(63_072_380));
        assert!(!coverage.is_learning());
        assert!(!Coverage::new(Some(SignedDuration::ZERO), SignedDuration::ZERO).is_learning());
        assert!(Coverage::new(None, SignedDuration::MAX).is_learning());
    }
}
