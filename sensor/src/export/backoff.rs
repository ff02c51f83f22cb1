//! How long to wait before the next attempt.

use std::{
    hash::{BuildHasher as _, RandomState},
    time::Duration,
};

/// The first pause.
const FIRST: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);

/// Pauses that double, each drawn from its upper half: sensors that lost a collector together do not come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
    seed: RandomState,
}

impl Backoff {
    /// The pause after another failure.
    pub(super) fn next(&mut self) -> Duration {
        let most = FIRST.saturating_mul(1 << self.failures.min(16)).min(LONGEST);
        self.failures = self.failures.saturating_add(1);
        // As good as drawn: the keys of the hash are.
        let drawn = self.seed.hash_one(self.failures) >> 32;
        most / 2 + (most / 2).mul_f64(drawn as f64 / f64::from(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ() {
        let [mut one, mut other] = [Backoff::default(), Backoff::default()];
        let [one, other] = [&mut one, &mut other].map(|backoff| (0..40).map(|_| backoff.next()).collect::<Vec<_>>());
        assert_ne!(one, other);
        for (number, pause) in one.iter().enumerate() {
            let most = FIRST.saturating_mul(1 << number.min(16)).min(LONGEST);
            assert!((most / 2..=most).contains(pause), "{number}: {pause:?}");
        }
    }
}
