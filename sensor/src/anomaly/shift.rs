//! Upstream shifts: traffic that goes by way of other neighbours than is usual at that hour of the week. Pure.

use std::ops::Range;

use super::{
    Past, QUARTER, quarters,
    season::{Seasons, Value},
    turns::{Change, Side, changes},
};
use crate::{
    config::Events,
    study::{Volume, upstream_name},
    summary::{Event, Fraction},
};

/// Quarters of an hour that a share is told of: single ones have little traffic at night.
const HOUR: i64 = 4;
/// No deviation of a share is taken to be less.
const LEAST_SPREAD: f64 = 0.01;

/// How much more of all traffic than usual an upstream has, and whether that is news.
struct Won<'a> {
    name: &'a str,
    share: f64,
    is_news: bool,
}

/// With the second at which each is told.
pub(super) fn events(past: &Past, events: &Events, range: &Range<i64>) -> Vec<(i64, Event)> {
    // All that was measured of the hour that ends with a quarter; nothing of an hour with next to no traffic.
    let whole = |quarter: i64| {
        let hour = (0..HOUR).map(|back| quarter - back * QUARTER);
        let measured: Vec<i64> = hour.filter(|quarter| past.measured.contains_key(quarter)).collect();
        let bytes = measured.iter().filter_map(|quarter| past.total.get(quarter)).map(Volume::bytes).sum::<i64>();
        let seconds: f64 = measured.iter().filter_map(|quarter| past.measured.get(quarter)).sum();
        let is_enough = bytes > 0 && bytes as f64 >= f64::from(events.least_rate) * seconds;
        (is_enough && past.measured.contains_key(&quarter)).then_some((measured, bytes))
    };
    let wholes: Vec<_> = past.measured.keys().filter_map(|quarter| Some((*quarter, whole(*quarter)?))).collect();
    let values_of = |name: &str| -> Vec<Value> {
        let of_it = past.upstreams.get(name);
        let value = |(quarter, (measured, whole)): &(i64, (Vec<i64>, i64))| {
            let bytes: i64 = measured.iter().filter_map(|quarter| of_it?.get(quarter)).sum();
            Some((*quarter, *past.hours.get(quarter)?, bytes as f64 / *whole as f64))
        };
        wholes.iter().filter_map(value).collect()
    };
    let series: Vec<(&String, Vec<Value>)> = past.upstreams.keys().map(|name| (name, values_of(name))).collect();
    let mut seasons: Vec<_> =
        series.iter().map(|(name, values)| (*name, values, Seasons::new(values, events, LEAST_SPREAD))).collect();
    let mut won = |quarter: i64| -> Option<Vec<Won<'_>>> {
        let hour = past.hours.get(&quarter)?;
        let won = seasons.iter_mut().map(|(name, values, seasons)| {
            let place = values.binary_search_by_key(&quarter, |(at, ..)| *at).ok()?;
            let season = seasons.of(hour.day);
            let share = values[place].2 - season.usual(hour.hour)?;
            let is_far = share.abs() >= f64::from(events.deviations) * season.spread();
            let is_news = is_far && share.abs() >= f64::from(events.shift_percent) / 100.0;
            Some(Won { name, share, is_news })
        });
        won.collect::<Option<Vec<_>>>().filter(|won| !won.is_empty())
    };
    let side = |won: Vec<Won<'_>>| if won.iter().any(|won| won.is_news) { Side::More } else { Side::Usual };
    let sides: Vec<_> = quarters(range).map(|quarter| (quarter, won(quarter).map(side))).collect();
    let changes = changes(sides).into_iter().filter(|change| range.contains(&change.at()));
    let event = |change: Change| {
        let won = won(change.last)?;
        let most = won.iter().max_by(|a, b| a.share.total_cmp(&b.share))?;
        let least = won.iter().min_by(|a, b| a.share.total_cmp(&b.share))?;
        let event = Event::UpstreamShift {
            state: change.turn,
            since: change.since,
            from: upstream_name(least.name),
            to: upstream_name(most.name),
            share: Fraction::of(most.share),
        };
        Some((change.at(), event))
    };
    changes.filter_map(event).collect()
}
