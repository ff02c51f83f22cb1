//! What a store goes by, which may change while it is written to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::rows::Zones;
use crate::config::{Network, Retention};

/// What is in force.
#[derive(Debug)]
pub(super) struct InForce {
    /// In which zones days are told.
    pub(super) zones: Zones,
    /// How long what is kept.
    pub(super) retention: Retention,
}

/// What a store goes by: the zones of networks, and how long what is kept. A clone is the same rules, so that a reload reaches a store in another thread.
#[derive(Clone, Debug)]
pub struct Rules(Arc<Mutex<InForce>>);

impl Rules {
    pub(super) fn of(networks: &[Network], retention: Retention) -> Self {
        Self(Arc::new(Mutex::new(InForce { zones: Zones::of(networks), retention })))
    }

    /// From here on the store goes by these.
    pub fn replace(&self, networks: &[Network], retention: Retention) {
        *self.now() = InForce { zones: Zones::of(networks), retention };
    }

    pub(super) fn now(&self) -> MutexGuard<'_, InForce> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
