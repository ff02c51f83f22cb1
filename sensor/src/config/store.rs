//! `[store]`: where years of records are kept, and how long what of them.

use std::{fmt, path::PathBuf, str::FromStr};

use jiff::SignedDuration;

use super::{ValueError, values::in_days};
use crate::cidr::quote;

/// Longest age that is told in days; what is to stay longer stays forever.
pub const MAX_AGE_DAYS: u32 = 36_500;
/// Shortest age of what no comparison with earlier weeks needs.
pub const MIN_AGE_DAYS: u32 = 1;
/// Shortest age of what weeks are compared by: a study draws them, and events look back, over eight weeks.
pub const MIN_HISTORY_DAYS: u32 = 56;
/// The folder of a store in the state folder.
pub(super) const FOLDER: &str = "store";
/// The word for what is never removed.
const FOREVER: &str = "forever";
const DAY_SECONDS: i64 = 24 * 3600;

/// Where records are kept, and how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its folder, absolute.
    pub path: PathBuf,
    /// How long what.
    pub retention: Retention,
}

/// How long each level is kept. Sums by day are always kept: volume, growth, and the shares of upstreams, classes and far ends come from them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Totals by the minute, which the peak and the 95th percentile come from.
    pub minutes: Age,
    /// Total, upstreams and classes by the quarter of an hour, which the hours of the week come from. No shorter than minutes.
    pub quarters: Age,
    /// Counted prefixes by day.
    pub prefixes: Age,
    /// Active addresses, services, hosts of suspicious classes.
    pub sights: Age,
    /// Counters of frames.
    pub ledger: Age,
    /// What happened.
    pub events: Age,
}

impl Retention {
    /// What holds unless a configuration says otherwise: what takes the most room for its use goes after a year and a month, so that a year can always be
    /// compared with the same days of the one before.
    pub const DEFAULT: Self = Self {
        minutes: Age::days_of(400),
        quarters: Age::FOREVER,
        prefixes: Age::days_of(400),
        sights: Age::FOREVER,
        ledger: Age::FOREVER,
        events: Age::FOREVER,
    };

    /// All of them, each under its key in the configuration less `keep_`.
    pub const fn all(&self) -> [(&'static str, Age); 6] {
        let Self { minutes, quarters, prefixes, sights, ledger, events } = *self;
        [
            ("minutes", minutes),
            ("quarters", quarters),
            ("prefixes", prefixes),
            ("sights", sights),
            ("ledger", ledger),
            ("events", events),
        ]
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// How old records become: whole days of 24 hours before the newest record, or any age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Age(Option<u32>);

impl Age {
    /// Nothing is removed.
    pub const FOREVER: Self = Self(None);

    /// So many days.
    #[must_use]
    pub const fn days_of(days: u32) -> Self {
        Self(Some(days))
    }

    /// Days; `None`: any age.
    #[must_use]
    pub const fn days(self) -> Option<u32> {
        self.0
    }

    /// Whether what is kept so long outlives what is kept `other`.
    #[must_use]
    pub fn is_longer_than(self, other: Self) -> bool {
        self.0.unwrap_or(u32::MAX) > other.0.unwrap_or(u32::MAX)
    }
}

impl FromStr for Age {
    type Err = ValueError;

    /// Reads a duration in whole days, such as `400d` or `8w`, or `forever`.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text == FOREVER {
            return Ok(Self::FOREVER);
        }
        let whole = |duration: &SignedDuration| {
            duration.subsec_nanos() == 0 && duration.as_secs() >= 0 && duration.as_secs() % DAY_SECONDS == 0
        };
        let days = in_days(text).filter(whole).map(|duration| duration.as_secs() / DAY_SECONDS);
        let Some(days) = days else {
            return Err(ValueError::new(format!(
                "{} is no age in whole days; write a number and a unit, such as \"400d\" or \"8w\", or \"{FOREVER}\"",
                quote(text)
            )));
        };
        Ok(Self(Some(u32::try_from(days).unwrap_or(u32::MAX))))
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(1) => write!(f, "1 day"),
            Some(days) => write!(f, "{days} days"),
            None => f.write_str(FOREVER),
        }
    }
}
