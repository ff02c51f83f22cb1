//! What of a period is there by steps, and what by day alone: steps may be kept less long.

use std::{collections::BTreeMap, ops::Range};

use anyhow::Result;

use super::{Coverage, DAY, Detail, Dimension, MINUTE, Part, Period, QUARTER, Records, Volume};

/// A period by steps of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps {
    step: i64,
    /// Its first days, where these are known by their sums alone.
    pub(super) days: Range<i64>,
    /// The rest, of which all steps are there.
    pub(super) seconds: Range<i64>,
    /// Whether the network exchanged anything on those days.
    has_lost: bool,
}

impl Steps {
    /// A period by minutes, or by quarters of an hour.
    pub(super) fn of(records: &dyn Records, network: &str, detail: Detail, period: &Period) -> Result<Self> {
        let step = if detail == Detail::Minutes { MINUTE } else { QUARTER };
        let (all, seconds) = (period.day_steps(), period.seconds());
        let oldest = records.since(network, detail)?.unwrap_or(i64::MAX);
        let sum =
            |step, range| -> Result<Volume> { Ok(volume(&records.sums(network, Dimension::Total, step, range)?)) };
        // Whatever began first: nothing is lost where steps are all that days have. A day need not be one piece of time, where clocks are set back over midnight.
        let first = if oldest <= seconds.start || sum(step, seconds.clone())? == sum(DAY, all.clone())? {
            all.start
        } else if oldest >= seconds.end {
            all.end
        } else {
            // Of the day that the oldest one is of, there may be others that are gone.
            let day = i64::from(period.day(oldest));
            let whole = day..day + 1;
            let time = period.begin(day)?..period.begin(day + 1)?;
            if sum(step, time)? == sum(DAY, whole)? { day } else { day + 1 }
        };
        let days = all.start..first;
        let has_lost = !days.is_empty() && !records.sums(network, Dimension::Total, DAY, days.clone())?.is_empty();
        let start = if days.is_empty() { seconds.start } else { period.begin(first)? };
        Ok(Self { step, days, seconds: start..seconds.end, has_lost })
    }

    /// What the network exchanged in the period by a dimension; a part may come twice: of days, and of steps.
    pub(super) fn sums(&self, records: &dyn Records, network: &str, dimension: Dimension) -> Result<Vec<Part>> {
        let mut parts = records.sums(network, dimension, self.step, self.seconds.clone())?;
        if self.has_lost {
            parts.extend(records.sums(network, dimension, DAY, self.days.clone())?);
        }
        Ok(parts)
    }

    /// Why what steps tell cannot be told of the period, if so.
    pub(super) fn why_not(&self, what: &str) -> Option<String> {
        let first = i32::try_from(self.days.end).unwrap_or(i32::MAX);
        self.has_lost.then(|| format!("{what} before {} are not kept any more", Period::date(first)))
    }
}

/// The sum of parts.
pub(super) fn volume(parts: &[Part]) -> Volume {
    let mut sum = Volume::default();
    parts.iter().for_each(|part| sum += part.volume);
    sum
}

/// Why nothing can be said of the addresses of a period, if what was seen at them is not kept any more.
pub(super) fn why_sights_are_gone(records: &dyn Records, network: &str, period: &Period) -> Result<Option<String>> {
    let days = period.day_steps();
    let first = records.since(network, Detail::Sights)?.unwrap_or(i64::MAX).clamp(days.start, days.end);
    let lost = days.start..first;
    if lost.is_empty() || records.sums(network, Dimension::Total, DAY, lost)?.is_empty() {
        return Ok(None);
    }
    let first = Period::date(i32::try_from(first)?);
    Ok(Some(format!("what was seen at addresses before {first} is not kept any more")))
}

/// Notes of periods of which counters of frames are gone.
pub(super) fn ledger(
    records: &dyn Records,
    periods: [(&'static str, &Period, &Coverage); 2],
    insufficient: &mut BTreeMap<&'static str, String>,
) -> Result<()> {
    let oldest = records.since("", Detail::Ledger)?.unwrap_or(i64::MAX);
    for (figure, period, coverage) in periods {
        // An interval counts in the step that it begins in.
        let first = coverage.first.map(|first| first.as_second().div_euclid(QUARTER) * QUARTER);
        if first.is_some_and(|first| first < oldest) {
            let end = period.seconds().end;
            let first = Period::date(period.day(oldest.min(end)));
            insufficient.insert(figure, format!("counters of frames before {first} are not kept any more"));
        }
    }
    Ok(())
}
