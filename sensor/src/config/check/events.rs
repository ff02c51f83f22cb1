//! What is news beside the history of a network.

use super::Check;
use crate::config::{
    Events, Store,
    events::{MAX_BLIND, MAX_EVENT_NUMBER, MAX_EVENT_WEEKS, MAX_LEAST_RATE, MIN_EVENT_WEEKS},
    raw::{Number, RawEvents},
};

impl Check<'_, '_> {
    /// The thresholds; one that is wrong leaves its default.
    pub(super) fn events(&mut self, raw: &RawEvents) -> Events {
        let mut events = Events::default();
        let mut set = |value: &mut u32, what, number: &Option<Number>, least, most| {
            let number = number.as_ref().and_then(|number| self.number(what, number, least, most));
            *value = number.unwrap_or(*value);
        };
        set(&mut events.weeks, "weeks", &raw.weeks, MIN_EVENT_WEEKS, MAX_EVENT_WEEKS);
        set(&mut events.surge_percent, "surge_percent", &raw.surge_percent, 101, MAX_EVENT_NUMBER);
        set(&mut events.collapse_percent, "collapse_percent", &raw.collapse_percent, 0, 99);
        set(&mut events.shift_percent, "shift_percent", &raw.shift_percent, 1, 100);
        set(&mut events.deviations, "deviations", &raw.deviations, 1, MAX_EVENT_NUMBER);
        set(&mut events.least_rate, "least_rate", &raw.least_rate, 0, MAX_LEAST_RATE);
        set(&mut events.blind_seconds, "blind_seconds", &raw.blind_seconds, 1, MAX_BLIND);
        events
    }
    /// A store keeps the weeks that are compared with.
    pub(super) fn weeks(&mut self, raw: &RawEvents, events: &Events, store: Option<&Store>) {
        let kept = store.and_then(|store| store.retention.quarters.days());
        if let (Some(number), Some(days)) = (&raw.weeks, kept)
            && days < events.weeks * 7
        {
            let message = format!(
                "weeks cannot be {}, for keep_quarters is {days} days; keep {}d or more, or compare with fewer weeks",
                events.weeks,
                events.weeks * 7
            );
            self.problems.add(&number.span(), message);
        }
    }
}
