//! What a network does otherwise than it used to: events told from the weeks that a store has. Pure but for the records, which are asked for once a network.
//!
//! A quarter of an hour is compared with those of the same hour of the week, in the network's zone, of the weeks before: with their median, and with what
//! differences from such medians are usual (median absolute deviation; Rousseeuw and Croux, 1993). Nothing is remembered between two calls: what was an event
//! follows from the records alone, however often it is asked.

mod blind;
mod season;
mod shift;
#[cfg(test)]
mod tests;
mod turns;
mod volume;

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use anyhow::Result;
use jiff::{Timestamp, tz::TimeZone};

use self::season::Hour;
use crate::{
    config::{Events, Network},
    study::{Dimension, Part, QUARTER, Records, Span, Volume, covered},
    summary::{Event, EventRecord},
};

/// Microseconds of a second.
const SECOND: i64 = 1_000_000;
/// Seconds of a day.
const DAY: i64 = 86_400;
/// Seconds of a week.
const WEEK: i64 = 7 * DAY;
/// What is news is told up to so many seconds late: an agent that was not there for longer tells nothing of that time.
pub(crate) const LATE: i64 = DAY;
/// So many seconds before are looked at to know what had begun already, and since when.
const WARM: i64 = WEEK;
/// Of a quarter of an hour of which less was measured, nothing is said.
const LEAST_MEASURED: f64 = 0.8;

/// What events of a network are told from.
#[derive(Debug, Default)]
struct Past {
    /// Where each measured quarter of an hour is in its week.
    hours: BTreeMap<i64, Hour>,
    /// Measured seconds of each quarter of an hour, by its beginning.
    measured: BTreeMap<i64, f64>,
    /// What the network exchanged in them.
    total: BTreeMap<i64, Volume>,
    /// Bytes of each upstream in them.
    upstreams: BTreeMap<String, BTreeMap<i64, i64>>,
}

/// The events of a sensor, and of its networks, that are told in a time, `range`, of seconds since 1970: each at the end of a quarter of an hour. Those of the
/// sensor come first, then those of each network in order.
///
/// # Errors
/// Records cannot be read.
pub fn events(
    records: &dyn Records,
    sensor: &str,
    networks: &[Network],
    events: &Events,
    range: &Range<i64>,
) -> Result<Vec<EventRecord>> {
    let asked = asked(events, range);
    let spans = records.spans(time(&asked)?)?;
    let own: Vec<Span> = spans.iter().filter(|span| span.sensor == sensor).cloned().collect();
    let blind = blind::events(&own, i64::from(events.blind_seconds), range);
    let mut told: Vec<_> = blind.into_iter().map(|told| (None, told)).collect();
    for Network { name, timezone, .. } in networks {
        let of = |dimension| records.traffic(name.as_str(), dimension, QUARTER, asked.clone());
        let past = Past::of(&spans, of(Dimension::Total)?, of(Dimension::Upstream)?, &asked, timezone)?;
        let name: Arc<str> = name.as_str().into();
        told.extend(past.events(events, range).into_iter().map(|told| (Some(Arc::clone(&name)), told)));
    }
    let record = |(network, (at, event))| Ok(EventRecord { network, at: Timestamp::from_second(at)?, event });
    told.into_iter().map(record).collect()
}

/// What records are asked for, to tell events of a time.
fn asked(events: &Events, range: &Range<i64>) -> Range<i64> {
    // One day more: a season begins with a day of the network's zone.
    range.start - WARM - DAY - i64::from(events.weeks) * WEEK..range.end
}

fn time(range: &Range<i64>) -> Result<Range<Timestamp>> {
    Ok(Timestamp::from_second(range.start)?..Timestamp::from_second(range.end)?)
}

/// The quarters of an hour that are gone through for events of a time, by their beginnings.
fn quarters(range: &Range<i64>) -> impl Iterator<Item = i64> + use<> {
    ((range.start - WARM).div_euclid(QUARTER)..range.end.div_euclid(QUARTER)).map(|number| number * QUARTER)
}

impl Past {
    fn of(spans: &[Span], total: Vec<Part>, upstreams: Vec<Part>, asked: &Range<i64>, zone: &TimeZone) -> Result<Self> {
        let mut past = Self::default();
        for (from, to) in covered(spans, &time(asked)?) {
            let (from, to) = (from.as_microsecond(), to.as_microsecond());
            let mut at = from;
            while at < to {
                let quarter = at.div_euclid(QUARTER * SECOND) * QUARTER;
                let until = to.min((quarter + QUARTER) * SECOND);
                *past.measured.entry(quarter).or_default() += (until - at) as f64 / 1e6;
                at = until;
            }
        }
        past.measured.retain(|_, measured| *measured >= LEAST_MEASURED * QUARTER as f64);
        let hours = past.measured.keys().filter_map(|quarter| Some((*quarter, Hour::of(*quarter, zone)?)));
        past.hours = hours.collect();
        for part in total {
            *past.total.entry(part.start).or_default() += part.volume;
        }
        for part in upstreams {
            *past.upstreams.entry(part.name).or_default().entry(part.start).or_default() += part.volume.bytes();
        }
        Ok(past)
    }

    /// All events, with the second at which each is told, in order.
    fn events(&self, events: &Events, range: &Range<i64>) -> Vec<(i64, Event)> {
        let mut told = volume::events(self, events, range);
        told.extend(shift::events(self, events, range));
        told.sort_by_key(|(at, _)| *at);
        told
    }

    /// Bytes per measured second of a quarter of an hour, by what counts of them; nothing where too little was measured.
    fn rate(&self, quarter: i64, bytes: fn(&Volume) -> i64) -> Option<f64> {
        let measured = self.measured.get(&quarter)?;
        Some(self.total.get(&quarter).map_or(0, bytes).max(0) as f64 / measured)
    }
}
