//! How long somebody listened, by one who looks at every interval.

use jiff::{SignedDuration, Timestamp};

use super::made::Made;
use crate::{epoch::Epoch, study::Period, summary::Summary};

/// How long of a period somebody listened. Silence of up to six hours is none of a sensor, nor is a longer one where so little comes that it is no wonder.
pub(super) fn measured(made: &Made, period: &Period) -> f64 {
    let time = period.time();
    let inside = |from: Timestamp, to: Timestamp| {
        (to.min(time.end).as_second() - from.max(time.start).as_second()).max(0) as f64
    };
    // Intervals without such a silence: which replay, from when to when, how many.
    let mut runs: Vec<(Epoch, Timestamp, Timestamp, f64)> = Vec::new();
    for Summary { key, .. } in &made.all {
        match runs.last_mut() {
            Some((epoch, _, end, intervals))
                if *epoch == key.epoch && key.start.duration_since(*end) <= SignedDuration::from_hours(6) =>
            {
                (*end, *intervals) = (key.end, *intervals + 1.0);
            }
            _ => runs.push((key.epoch, key.start, key.end, 1.0)),
        }
    }
    let seconds = |(_, start, end, _): &(_, Timestamp, Timestamp, f64)| end.duration_since(*start).as_secs_f64();
    let length = inside(time.start, time.end);
    let mut joined: Vec<(Epoch, Timestamp, Timestamp, f64)> = Vec::new();
    for run in &runs {
        let of_it = runs.iter().filter(|other| other.0 == run.0);
        let intervals: f64 = of_it.map(|run| run.3 * inside(run.1, run.2) / seconds(run)).sum();
        let longest = length * (60.0 / intervals).min(1.0);
        match joined.last_mut() {
            Some((epoch, _, end, all))
                if *epoch == run.0 && intervals > 0.0 && run.1.duration_since(*end).as_secs_f64() <= longest =>
            {
                (*end, *all) = (run.2, *all + run.3);
            }
            _ => joined.push(*run),
        }
    }
    // One frame has to be the first, and one the last.
    let mut covered: Vec<(Timestamp, Timestamp)> = Vec::new();
    for run in joined.iter().filter(|run| inside(run.1, run.2) > 0.0) {
        let near = 12.0 * seconds(run) / run.3;
        let is_near = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64() <= near;
        let start = if is_near(time.start, run.1) { time.start } else { run.1 };
        let end = if is_near(run.2, time.end) { time.end } else { run.2 };
        let behind = covered.last().map_or(start, |(_, end)| start.max(*end));
        covered.push((behind, end.max(behind)));
    }
    covered.iter().map(|(start, end)| inside(*start, *end)).sum()
}
