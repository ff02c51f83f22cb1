//! How much is remembered of watched traffic, as a configuration says.

use jiff::SignedDuration;

use crate::{config, inspect, sights};

/// How much is remembered, and for how long firsts are no news.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Of flows that are looked into.
    pub inspect: inspect::Limits,
    /// Of what lives at watched addresses.
    pub sights: sights::Limits,
    /// See [`Sights::new`](crate::sights::Sights::new).
    pub learn: Option<SignedDuration>,
    /// What estimates are drawn with: any number that is not known outside; in a replay a fixed one.
    pub seed: u64,
}

impl Limits {
    /// Those of a configuration.
    pub fn new(limits: &config::Limits, report: &config::Report, seed: u64) -> Self {
        let activity_addresses = limits.max_activity_addresses as usize;
        Self {
            inspect: inspect::Limits { flows: limits.flows as usize, seed, ..inspect::Limits::default() },
            sights: sights::Limits { activity_addresses, ..sights::Limits::default() },
            learn: learn(report),
            seed,
        }
    }

    /// Keys of a configuration that say something else than what holds until the agent starts anew.
    pub fn waiting_for_next_start(&self, limits: &config::Limits) -> Vec<&'static str> {
        let other = [
            (limits.max_activity_addresses as usize != self.sights.activity_addresses, "max_activity_addresses"),
            (limits.flows as usize != self.inspect.flows, "flows (of those that the agent looks into)"),
        ];
        other.into_iter().filter(|(is_other, _)| *is_other).map(|(_, key)| key).collect()
    }
}

/// See [`Sights::new`](crate::sights::Sights::new).
pub(super) fn learn(report: &config::Report) -> Option<SignedDuration> {
    SignedDuration::try_from(report.learn.duration()).ok()
}
