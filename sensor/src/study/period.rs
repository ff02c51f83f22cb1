//! Days in the zone of a network.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{day, moment};

/// Whole days of a network's zone, the end excluded.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    zone: TimeZone,
    from: Timestamp,
    to: Timestamp,
}

impl Period {
    /// From one day to before another.
    ///
    /// # Errors
    /// The second is not later.
    pub fn new(from: Date, to: Date, zone: &TimeZone) -> Result<Self> {
        if from >= to {
            bail!("from {from} to {to} is no period: the second date is the first day after it; give a later one");
        }
        let begin = |date: Date| -> Result<Timestamp> {
            let zoned = date.to_zoned(zone.clone());
            Ok(zoned.with_context(|| format!("{date} is out of range; give a date between 1970 and 9999"))?.timestamp())
        };
        Ok(Self { zone: zone.clone(), from: begin(from)?, to: begin(to)? })
    }

    /// Its moments.
    pub const fn time(&self) -> Range<Timestamp> {
        self.from..self.to
    }

    /// Its seconds since 1970.
    pub fn seconds(&self) -> Range<i64> {
        self.from.as_second()..self.to.as_second()
    }

    /// Numbers of its days.
    pub fn days(&self) -> Range<i32> {
        day(self.from, &self.zone)..day(self.to, &self.zone)
    }

    /// The same as beginnings of steps of a day.
    pub fn day_steps(&self) -> Range<i64> {
        let days = self.days();
        days.start.into()..days.end.into()
    }

    /// The number of the day that holds a second.
    pub(super) fn day(&self, second: i64) -> i32 {
        day(Timestamp::from_second(second).unwrap_or_default(), &self.zone)
    }

    /// The second at which the day with a number begins.
    pub(super) fn begin(&self, number: i64) -> Result<i64> {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().try_days(number)?)?;
        Ok(date.to_zoned(self.zone.clone())?.timestamp().as_second())
    }

    /// The date of a number of a day.
    pub fn date(number: i32) -> String {
        let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(number));
        date.map_or_else(|_| number.to_string(), |date| date.to_string())
    }

    /// Its first day.
    pub fn first(&self) -> String {
        Self::date(self.days().start)
    }

    /// Its last day.
    pub fn last(&self) -> String {
        Self::date(self.days().end - 1)
    }

    /// The zone that its days are told in.
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("from", &moment(self.from, &self.zone))?;
        map.serialize_entry("to", &moment(self.to, &self.zone))?;
        map.end()
    }
}
