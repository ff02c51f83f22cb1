//! How far a figure is sure: the same from weeks drawn by chance (bootstrap; Efron, 1979). Pure.

use serde::Serialize;

use super::change::mean;
use crate::random::Shuffle;

/// Fewer blocks say nothing of what other blocks would have been.
pub(super) const LEAST_BLOCKS: usize = 3;
/// Draws.
const DRAWS: usize = 2000;
/// Their seed: the same records have the same answer.
const SEED: u64 = 0xb007;
/// Left out on each side of them, as a divisor: 2.5 %.
const TAIL: usize = 40;

/// Where a figure is, with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Growth in percent of the mean of some days over that of others, were the blocks of consecutive days others of the same kind. Nothing where there are too few.
pub(super) fn growth(now: &[f64], before: &[f64], block: usize) -> Option<Interval> {
    let blocks = |days: &[f64]| -> Vec<f64> { days.chunks_exact(block).map(mean).collect() };
    let (now, before) = (blocks(now), blocks(before));
    if now.len() < LEAST_BLOCKS || before.len() < LEAST_BLOCKS {
        return None;
    }
    let mut chance = Shuffle::new(SEED);
    let mut draw = |blocks: &[f64]| -> f64 {
        let drawn: Vec<f64> = blocks.iter().map(|_| blocks[chance.below(blocks.len())]).collect();
        mean(&drawn)
    };
    let mut figures: Vec<f64> = (0..DRAWS).filter_map(|_| super::growth(draw(&now), draw(&before))).collect();
    figures.sort_by(f64::total_cmp);
    let tail = figures.len() / TAIL;
    Some(Interval { low: *figures.get(tail)?, high: *figures.get(figures.len().checked_sub(tail + 1)?)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rng::Rng;

    #[test]
    fn the_true_growth_is_inside_and_more_weeks_are_surer() {
        let mut rng = Rng::new(5);
        let mut days = |weeks: usize, level: usize| -> Vec<f64> {
            (0..weeks * 7).map(|_| (level + rng.below(level / 5)) as f64).collect()
        };
        let (few, many) = ((days(4, 1000), days(4, 4000)), (days(40, 1000), days(40, 4000)));
        let few = growth(&few.1, &few.0, 7).unwrap();
        let many = growth(&many.1, &many.0, 7).unwrap();
        for interval in [few, many] {
            assert!(interval.low < 300.0 && 300.0 < interval.high, "{interval:?}");
        }
        assert!(many.high - many.low < few.high - few.low);
        assert_eq!(growth(&days(2, 1000), &days(40, 1000), 7), None);
    }

    #[test]
    fn weeks_that_are_all_the_same_leave_no_doubt() {
        let interval = growth(&[30.0; 21], &[10.0; 28], 7).unwrap();
        assert!((interval.low - 200.0).abs() < 1e-9 && (interval.high - 200.0).abs() < 1e-9);
    }
}
