//! What is known only as a sum over some time, told by the steps which that time covers. Pure.

use std::ops::Range;

use super::MICROSECONDS;
use crate::study::Volume;

/// A sum over a time, taken to have come evenly.
///
/// What had come until a moment depends on nothing but that moment, so that steps of any length agree: minutes add up to their quarter of an hour, these to
/// their day, and all steps to the sum, to the last packet and byte.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    volume: Volume,
    /// Microseconds since 1970.
    start: i64,
    /// Excluded.
    end: i64,
}

impl Spread {
    /// Over a time in microseconds since 1970; what has no length, or less, came at its beginning.
    pub(super) fn new(volume: Volume, time: Range<i64>) -> Self {
        Self { volume, start: time.start, end: time.end }
    }

    /// The steps of so many seconds that the time covers, the earliest first: their beginnings in seconds since 1970, and what came in each, perhaps nothing.
    pub(super) fn steps(self, seconds: i64) -> impl Iterator<Item = (i64, Volume)> {
        let beginning = |at: i64| at.div_euclid(MICROSECONDS).div_euclid(seconds) * seconds;
        let first = beginning(self.start);
        // The end is excluded: one that is a beginning begins a step in which nothing came.
        let last = beginning(self.end.saturating_sub(1).max(self.start));
        let mut before = Volume::default();
        (first..=last).step_by(usize::try_from(seconds).unwrap_or(1).max(1)).map(move |start| {
            let until = self.until((start + seconds).saturating_mul(MICROSECONDS));
            let here = Volume {
                in_packets: until.in_packets - before.in_packets,
                in_bytes: until.in_bytes - before.in_bytes,
                out_packets: until.out_packets - before.out_packets,
                out_bytes: until.out_bytes - before.out_bytes,
            };
            before = until;
            (start, here)
        })
    }

    /// What had come until a moment, rounded towards nothing.
    fn until(&self, at: i64) -> Volume {
        let length = i128::from(self.end) - i128::from(self.start);
        let passed = (i128::from(at) - i128::from(self.start)).max(0);
        // Of what is no more than it, a quotient with a whole of at most 64 bits has 64 bits.
        let part = |whole: i64| match passed {
            0 => 0,
            passed if passed >= length => whole,
            passed => (i128::from(whole) * passed / length) as i64,
        };
        Volume {
            in_packets: part(self.volume.in_packets),
            in_bytes: part(self.volume.in_bytes),
            out_packets: part(self.volume.out_packets),
            out_bytes: part(self.volume.out_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::study::{MINUTE, QUARTER};

    const SECOND: i64 = MICROSECONDS;

    fn bytes(in_bytes: i64) -> Volume {
        Volume { in_bytes, ..Volume::default() }
    }

    fn steps(volume: i64, time: Range<i64>, seconds: i64) -> Vec<(i64, i64)> {
        Spread::new(bytes(volume), time).steps(seconds).map(|(start, volume)| (start, volume.in_bytes)).collect()
    }

    #[test]
    fn what_is_in_one_step_stays_whole() {
        assert_eq!(steps(7, 60 * SECOND..120 * SECOND, MINUTE), [(60, 7)]);
        assert_eq!(steps(7, 61 * SECOND..62 * SECOND, MINUTE), [(60, 7)]);
        // Without a length, at a seam, and with an end before its beginning.
        for end in [60 * SECOND, 59 * SECOND] {
            assert_eq!(steps(7, 60 * SECOND..end, MINUTE), [(60, 7)]);
        }
    }

    #[test]
    fn what_covers_several_is_in_each_by_its_time() {
        // A quarter of a minute, a whole one, half of one.
        assert_eq!(steps(700, 45 * SECOND..150 * SECOND, MINUTE), [(0, 100), (60, 400), (120, 200)]);
        assert_eq!(steps(-700, 45 * SECOND..150 * SECOND, MINUTE), [(0, -100), (60, -400), (120, -200)]);
        // One packet is in one of them.
        assert_eq!(steps(1, 0..180 * SECOND, MINUTE), [(0, 0), (60, 0), (120, 1)]);
        // Before 1970 as after it.
        assert_eq!(steps(2, -60 * SECOND..60 * SECOND, MINUTE), [(-60, 1), (0, 1)]);
    }

    #[test]
    fn the_largest_volumes_and_the_outermost_moments_are_no_trouble() {
        assert_eq!(steps(i64::MAX, 0..120 * SECOND, MINUTE), [(0, i64::MAX / 2), (60, i64::MAX / 2 + 1)]);
        let outermost = i64::MAX - 90 * SECOND..i64::MAX;
        assert_eq!(steps(i64::MIN, outermost, MINUTE).iter().map(|(_, volume)| volume).sum::<i64>(), i64::MIN);
        assert_eq!(steps(5, i64::MIN..i64::MIN, MINUTE).iter().map(|(_, volume)| volume).sum::<i64>(), 5);
    }

    proptest! {
        #[test]
        fn minutes_add_up_to_quarters_and_these_to_the_sum(
            volume in -1_000_000_i64..1_000_000_000_000,
            start in -10_000_000_000_i64..10_000_000_000,
            length in 0_i64..20_000_000_000,
        ) {
            let time = start..start + length;
            let minutes = steps(volume, time.clone(), MINUTE);
            let quarters: BTreeMap<i64, i64> = steps(volume, time, QUARTER).into_iter().collect();
            let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
            for (start, bytes) in &minutes {
                prop_assert!(bytes.signum() * volume.signum() >= 0, "{bytes} of {volume}");
                *sums.entry(start.div_euclid(QUARTER) * QUARTER).or_default() += bytes;
            }
            prop_assert_eq!(&sums, &quarters);
            prop_assert_eq!(quarters.values().sum::<i64>(), volume);
            // No whole minute has a byte more than its part, or two less.
            let whole = volume as f64 * 60e6 / length.max(1) as f64;
            for (_, bytes) in minutes.iter().skip(1).rev().skip(1) {
                prop_assert!((*bytes as f64 - whole).abs() <= 1.0 + whole.abs() * 1e-9, "{bytes}, and not {whole}");
            }
        }
    }
}
