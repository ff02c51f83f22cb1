//! What is usual at an hour of the week. Pure.

use jiff::{Timestamp, tz::TimeZone};

use super::{DAY, WEEK};
use crate::config::Events;

/// Hours of a week.
const HOURS: usize = 168;
/// Fewest weeks that say what is usual.
const LEAST_WEEKS: u32 = 2;
/// What the median absolute deviation of normally distributed values is multiplied with, to be their standard deviation.
const NORMAL: f64 = 1.4826;

/// Hour of the week, from Monday's first, in a zone; and the second at which its day began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hour {
    pub(super) hour: usize,
    pub(super) day: i64,
}

impl Hour {
    /// That of a second.
    pub(super) fn of(second: i64, zone: &TimeZone) -> Option<Self> {
        let zoned = Timestamp::from_second(second).ok()?.to_zoned(zone.clone());
        let hour = zoned.weekday().to_monday_zero_offset() as usize * 24 + zoned.hour() as usize;
        Some(Self { hour, day: zoned.start_of_day().ok()?.timestamp().as_second() })
    }
}

/// What is usual on a day, from values of the weeks before it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Season {
    /// The day, by the second at which it begins.
    day: i64,
    usual: Vec<Option<f64>>,
    /// How far values usually are from that: what a standard deviation would be.
    spread: f64,
}

/// A value at the beginning of a quarter of an hour, with its hour.
pub(super) type Value = (i64, Hour, f64);

impl Season {
    /// What is usual on the day that begins at a second, by `values` in order; no deviation is taken to be less than `least`.
    pub(super) fn of(values: &[Value], day: i64, events: &Events, least: f64) -> Self {
        let weeks = i64::from(events.weeks);
        let from = values.partition_point(|(at, ..)| *at < day - weeks * WEEK - DAY);
        let to = values.partition_point(|(at, ..)| *at < day);
        let mut hours: Vec<Vec<(i64, f64)>> = vec![Vec::new(); HOURS];
        for (_, hour, value) in &values[from..to] {
            // Days of the zone, for an hour more or less of daylight saving is none of a week's.
            if let Some(of_hour) = hours.get_mut(hour.hour)
                && (day - hour.day) <= weeks * WEEK + DAY / 2
            {
                of_hour.push((hour.day, *value));
            }
        }
        let enough = (events.weeks / 2).max(LEAST_WEEKS) as usize;
        let usual: Vec<Option<f64>> = hours
            .iter()
            .map(|values| {
                let mut days: Vec<i64> = values.iter().map(|(day, _)| *day).collect();
                days.dedup();
                (days.len() >= enough).then(|| median(values.iter().map(|(_, value)| *value)))?
            })
            .collect();
        let off = hours.iter().zip(&usual).filter_map(|(values, usual)| Some((values, (*usual)?)));
        let off = off.flat_map(|(values, usual)| values.iter().map(move |(_, value)| (value - usual).abs()));
        let spread = median(off).map_or(least, |off| (NORMAL * off).max(least));
        Self { day, usual, spread }
    }

    /// Whether it is that day's.
    pub(super) fn is_of(&self, day: i64) -> bool {
        self.day == day
    }

    /// What is usual at an hour, where that is known.
    pub(super) fn usual(&self, hour: usize) -> Option<f64> {
        self.usual.get(hour).copied().flatten()
    }

    /// How far values usually are from what is usual.
    pub(super) fn spread(&self) -> f64 {
        self.spread
    }
}

/// The middle value; nothing of none.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = values.get(middle)?;
    Some(if values.len() % 2 == 1 { *upper } else { (values[middle - 1] + upper) / 2.0 })
}

/// Values whose season is looked up day by day.
#[derive(Debug)]
pub(super) struct Seasons<'a> {
    values: &'a [Value],
    events: &'a Events,
    least: f64,
    last: Option<Season>,
}

impl<'a> Seasons<'a> {
    pub(super) fn new(values: &'a [Value], events: &'a Events, least: f64) -> Self {
        Self { values, events, least, last: None }
    }

    /// The season of a day.
    pub(super) fn of(&mut self, day: i64) -> &Season {
        let known = self.last.take().filter(|season| season.is_of(day));
        self.last.insert(known.unwrap_or_else(|| Season::of(self.values, day, self.events, self.least)))
    }
}
