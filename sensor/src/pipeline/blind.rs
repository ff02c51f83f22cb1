//! Time during which nothing was counted, and how long to wait before the next attempt to end it.

use std::time::{Duration, Instant};

/// Pause after the first attempt that failed; each further one doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause: attaching resets the queues of some network cards, which must not go on for ever.
const LONGEST_PAUSE: Duration = Duration::from_secs(8);

/// Time during which nothing was counted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Blind {
    pub(super) since: Option<Instant>,
    pub(super) before: Duration,
}

impl Blind {
    pub(super) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    pub(super) fn end(&mut self) {
        if let Some(since) = self.since.take() {
            self.before += since.elapsed();
        }
    }

    /// How long it has been, up to that moment.
    pub(super) fn total(&self, until: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| until.saturating_duration_since(since))
    }

    /// Begins anew where [`Blind::total`] ended: what lies between both calls belongs to the next interval.
    pub(super) fn restart(&mut self, from: Instant) {
        self.before = Duration::ZERO;
        self.since = self.since.map(|since| since.max(from));
    }
}

/// Attempts that fail are made ever more rarely.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Retry {
    pause: Option<Duration>,
    next: Option<Instant>,
}

impl Retry {
    /// Whether it is time for the next one.
    pub(super) fn is_due(self) -> bool {
        self.next.is_none_or(|next| next <= Instant::now())
    }

    /// Whether there was none yet that failed.
    pub(super) fn is_fresh(self) -> bool {
        self.pause.is_none()
    }

    /// After one that failed.
    #[must_use]
    pub(super) fn later(self) -> Self {
        let pause = self.pause.map_or(FIRST_PAUSE, |pause| (2 * pause).min(LONGEST_PAUSE));
        Self { pause: Some(pause), next: Some(Instant::now() + pause) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_become_rarer_up_to_a_bound() {
        let mut retry = Retry::default();
        assert!(retry.is_due() && retry.is_fresh());
        let mut pauses = Vec::new();
        for _ in 0..5 {
            retry = retry.later();
            assert!(!retry.is_due() && !retry.is_fresh());
            pauses.extend(retry.pause.map(|pause| pause.as_secs()));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 8]);
    }

    #[test]
    fn blind_time_adds_up_and_goes_on_over_intervals() {
        let (mut blind, now) = (Blind { since: None, before: Duration::from_secs(2) }, Instant::now());
        assert_eq!(blind.total(now), Duration::from_secs(2));
        blind.begin();
        blind.end();
        assert!(blind.since.is_none() && blind.total(now) >= Duration::from_secs(2));
        let after = |seconds| now + Duration::from_secs(seconds);
        blind = Blind { since: Some(now), before: Duration::ZERO };
        assert_eq!(blind.total(after(3)), Duration::from_secs(3));
        // However long it takes to write the interval down.
        blind.restart(after(3));
        assert_eq!(blind.total(after(7)), Duration::from_secs(4));
    }
}
