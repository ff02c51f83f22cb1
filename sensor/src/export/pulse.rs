//! Deadlines for deliveries that get on slowly.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::time::timeout_at;

/// When anything of a piece last got anywhere.
#[derive(Clone, Debug)]
pub(super) struct Pulse(Arc<Mutex<Instant>>);

impl Pulse {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Instant::now())))
    }

    /// Something did just now.
    pub(super) fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn last(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a delivery until nothing of it has got anywhere for `deadline`, and no longer than `longest` in all.
    pub(super) async fn watch<T>(
        &self,
        deadline: Duration,
        longest: Duration,
        delivery: impl Future<Output = T>,
    ) -> Option<T> {
        self.beat();
        let (mut delivery, end) = (pin!(delivery), Instant::now() + longest);
        loop {
            let until = (self.last() + deadline).min(end);
            if let Ok(done) = timeout_at(until.into(), &mut delivery).await {
                return Some(done);
            }
            if until == end || self.last() + deadline <= until {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;

    const STEP: Duration = Duration::from_millis(40);

    /// Gets on with each of so many steps, and then no more.
    async fn steps(pulse: &Pulse, count: u32) {
        for _ in 0..count {
            sleep(STEP).await;
            pulse.beat();
        }
        sleep(10 * STEP).await;
    }

    #[tokio::test]
    async fn whoever_gets_on_has_time() {
        let pulse = Pulse::new();
        assert_eq!(pulse.watch(20 * STEP, 200 * STEP, steps(&pulse, 30)).await, Some(()));
        let began = Instant::now();
        assert_eq!(pulse.watch(5 * STEP, 200 * STEP, steps(&pulse, 4)).await, None);
        assert!((9 * STEP..14 * STEP).contains(&began.elapsed()), "{:?}", began.elapsed());
        assert_eq!(pulse.watch(20 * STEP, 10 * STEP, steps(&pulse, 100)).await, None);
    }
}
