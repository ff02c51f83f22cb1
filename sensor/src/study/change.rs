//! Where a series of days changes its level, if it does. Pure.

use crate::random::Shuffle;

/// Least days on each side of a change.
const LEAST: usize = 5;
/// Orders of the same days that are tried by chance.
const ORDERS: u32 = 999;
/// A change that so many of them or fewer have as well is none of chance.
const CHANCE: u32 = 9;
/// Their seed: the same days have the same answer.
const SEED: u64 = 0x5eed;

/// A change of level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Change {
    /// The first of the new level.
    pub(super) place: usize,
    /// Mean before.
    pub(super) before: f64,
    /// Mean from there on.
    pub(super) after: f64,
}

/// The change at which the means of both sides differ most for what the spread is (the largest CUSUM), where it is more than shuffled days have:
/// a permutation test with a probability of one in a hundred to be wrong.
pub(super) fn change(series: &[f64]) -> Option<Change> {
    let (place, most) = largest(series)?;
    let mut shuffled = series.to_vec();
    let mut shuffle = Shuffle::new(SEED);
    let mut as_large = 0;
    for _ in 0..ORDERS {
        shuffle.shuffle(&mut shuffled);
        as_large += u32::from(largest(&shuffled).is_some_and(|(_, other)| other >= most));
    }
    if as_large > CHANCE {
        return None;
    }
    Some(Change { place, before: mean(&series[..place]), after: mean(&series[place..]) })
}

/// The place with the largest CUSUM, and how large it is, weighted so that no place is preferred.
fn largest(series: &[f64]) -> Option<(usize, f64)> {
    let (len, all) = (series.len() as f64, mean(series));
    let mut sum = 0.0;
    let mut best: Option<(usize, f64)> = None;
    for (place, value) in series.iter().enumerate() {
        if place >= LEAST && place + LEAST <= series.len() {
            let weight = (place as f64 * (len - place as f64)).sqrt();
            let size = f64::abs(sum) / weight;
            if best.is_none_or(|(_, most)| size > most) {
                best = Some((place, size));
            }
        }
        sum += value - all;
    }
    best.filter(|(_, size)| *size > 0.0)
}

/// The mean of values; of none, 0.
pub(super) fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng::Rng;

    #[test]
    fn a_step_is_found_where_it_is_and_its_size() {
        for step in [7, 20, 41] {
            let mut rng = Rng::new(step as u64);
            let level = |day: usize| if day < step { 10.0 } else { 30.0 };
            let series: Vec<f64> = (0..49).map(|day| level(day) + rng.below(100) as f64 / 25.0).collect();
            let change = change(&series).unwrap();
            assert_eq!(change.place, step);
            assert!((change.after / change.before - 30.0 / 10.0).abs() < 0.7, "{change:?}");
        }
    }

    #[test]
    fn noise_a_week_and_few_days_are_no_change() {
        let mut found = 0;
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let series: Vec<f64> = (0..49).map(|_| rng.below(1000) as f64).collect();
            found += u32::from(change(&series).is_some());
        }
        assert!(found <= 5, "{found} of 100");
        let weeks: Vec<f64> = (0..49).map(|day| if day % 7 < 5 { 10.0 } else { 2.0 }).collect();
        assert_eq!(change(&weeks), None);
        assert_eq!(change(&[1.0, 1.0, 1.0, 9.0, 9.0, 9.0]), None);
        assert_eq!((change(&[3.0; 40]), change(&[])), (None, None));
    }
}
