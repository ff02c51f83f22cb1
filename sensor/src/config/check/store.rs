//! Where years of records are kept, and how long.

use std::path::Path;

use super::Check;
use crate::{
    cidr::quote,
    config::{
        Age, MAX_AGE_DAYS, MIN_AGE_DAYS, MIN_HISTORY_DAYS, Retention, Store,
        raw::{RawStore, Text},
        store::FOLDER,
    },
};

impl Check<'_, '_> {
    /// The store of a sensor with that state folder. An age that is wrong leaves its default.
    pub(super) fn store(&mut self, raw: &RawStore, state_dir: &Path) -> Store {
        let default = state_dir.join(FOLDER);
        let path = self.folder("path", raw.path.as_ref(), default);
        let keep = Retention::DEFAULT;
        let retention = Retention {
            minutes: self.age("keep_minutes", raw.keep_minutes.as_ref(), MIN_AGE_DAYS, keep.minutes),
            quarters: self.age("keep_quarters", raw.keep_quarters.as_ref(), MIN_HISTORY_DAYS, keep.quarters),
            prefixes: self.age("keep_prefixes", raw.keep_prefixes.as_ref(), MIN_AGE_DAYS, keep.prefixes),
            sights: self.age("keep_sights", raw.keep_sights.as_ref(), MIN_HISTORY_DAYS, keep.sights),
            ledger: self.age("keep_ledger", raw.keep_ledger.as_ref(), MIN_AGE_DAYS, keep.ledger),
            events: self.age("keep_events", raw.keep_events.as_ref(), MIN_HISTORY_DAYS, keep.events),
        };
        // What is known of a time in minutes is known of it in quarters of an hour: a study looks for either by that.
        if retention.minutes.is_longer_than(retention.quarters)
            && let Some(text) = raw.keep_quarters.as_ref()
        {
            let message = format!(
                "keep_quarters is shorter than keep_minutes ({}); write as much or more, or keep minutes less long",
                retention.minutes
            );
            self.problems.add(&text.span(), message);
        }
        Store { path, retention }
    }

    fn age(&mut self, key: &str, text: Option<&Text>, least: u32, default: Age) -> Age {
        let Some(text) = text else { return default };
        let Some(age) = self.parse::<Age>(text) else { return default };
        if age.days().is_some_and(|days| !(least..=MAX_AGE_DAYS).contains(&days)) {
            let message = format!(
                "{key} {} is out of range; write one from \"{least}d\" to \"{MAX_AGE_DAYS}d\", or \"forever\"",
                quote(text.get_ref())
            );
            self.problems.add(&text.span(), message);
            return default;
        }
        age
    }
}
