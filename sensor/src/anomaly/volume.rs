//! Surges and collapses: far more or far less than is usual at that hour of the week, in one direction. Pure.

use std::ops::Range;

use sensor_ebpf::abi::Direction;

use super::{
    Past, quarters,
    season::{Hour, Seasons, Value},
    turns::{Change, Side, changes},
};
use crate::{
    config::Events,
    study::Volume,
    summary::{Event, Unusual},
};

/// No deviation of the logarithm of a rate is taken to be less: a network that is the same to the byte each week may differ by 10 % all the same.
const LEAST_SPREAD: f64 = 0.02;

/// With the second at which each is told.
pub(super) fn events(past: &Past, events: &Events, range: &Range<i64>) -> Vec<(i64, Event)> {
    let directions = [
        (Direction::In, (|volume: &Volume| volume.in_bytes) as fn(&Volume) -> i64),
        (Direction::Out, |volume: &Volume| volume.out_bytes),
    ];
    directions.into_iter().flat_map(|(direction, bytes)| of(past, events, range, (direction, bytes))).collect()
}

fn of(
    past: &Past,
    events: &Events,
    range: &Range<i64>,
    (direction, bytes): (Direction, fn(&Volume) -> i64),
) -> Vec<(i64, Event)> {
    // Logarithms, for traffic varies by factors; of what is far below the least rate nothing is made.
    let least = f64::from(events.least_rate.max(1));
    let scaled = |rate: f64| (rate + least).ln();
    let value = |(quarter, hour): (&i64, &Hour)| Some((*quarter, *hour, scaled(past.rate(*quarter, bytes)?)));
    let values: Vec<Value> = past.hours.iter().filter_map(value).collect();
    let mut seasons = Seasons::new(&values, events, LEAST_SPREAD);
    let mut usual = |quarter: i64| {
        let hour = past.hours.get(&quarter)?;
        let season = seasons.of(hour.day);
        Some((season.usual(hour.hour)?, season.spread()))
    };
    let mut side = |quarter: i64| {
        let rate = past.rate(quarter, bytes)?;
        let (usual, spread) = usual(quarter)?;
        let is_far = (scaled(rate) - usual).abs() >= f64::from(events.deviations) * spread;
        let usual = usual.exp() - least;
        let times = |percent: u32| usual * f64::from(percent) / 100.0;
        Some(if is_far && rate - usual >= least && rate >= times(events.surge_percent) {
            Side::More
        } else if is_far && usual - rate >= least && rate <= times(events.collapse_percent) {
            Side::Less
        } else {
            Side::Usual
        })
    };
    let sides: Vec<_> = quarters(range).map(|quarter| (quarter, side(quarter))).collect();
    let changes = changes(sides).into_iter().filter(|change| range.contains(&change.at()));
    let event = |change: Change| {
        let usual = usual(change.quarter)?.0.exp() - least;
        let what = Unusual {
            direction,
            state: change.turn,
            since: change.since,
            bytes_per_second: past.rate(change.quarter, bytes)?.round() as u64,
            usual_bytes_per_second: usual.max(0.0).round() as u64,
        };
        let is_more = change.side == Side::More;
        Some((change.at(), if is_more { Event::Surge(what) } else { Event::Collapse(what) }))
    };
    changes.filter_map(event).collect()
}
