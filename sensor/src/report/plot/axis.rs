//! Scales: round numbers, and days. Pure.

use crate::study::Period;

/// Steps between two lines of a scale, as multiples of a power of ten.
const STEPS: [f64; 4] = [1.0, 2.0, 2.5, 5.0];
/// Lines of a scale, but that of nothing.
const LINES: f64 = 4.0;
/// Days between two dates that are named.
const DAYS: [usize; 9] = [1, 2, 7, 14, 28, 56, 91, 182, 364];

/// Of more days than this only months are named.
const LONG: usize = 300;
/// Letters of "2019-".
const YEAR: usize = 5;
/// Letters of "2019-04".
const YEAR_AND_MONTH: usize = 7;

/// Round numbers from 0 up to what is not less than the greatest.
pub(super) fn lines(most: f64) -> Vec<f64> {
    let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
    let least = most / LINES;
    let power = 10_f64.powf(least.log10().floor());
    let round = STEPS.iter().map(|step| step * power).find(|step| *step >= least).unwrap_or(10.0 * power);
    let count = (most / round).ceil() as usize;
    (0..=count).map(|line| line as f64 * round).collect()
}

/// Which of some days are named, where each has so much room and a name takes so much: their places.
pub(super) fn named_days(days: usize, room: f64, name: f64) -> Vec<usize> {
    let fits = |step: &&usize| **step as f64 * room >= name;
    let step = DAYS
        .iter()
        .find(fits)
        .copied()
        .unwrap_or_else(|| ((name / room.max(f64::MIN_POSITIVE)).ceil() as usize).max(1));
    (0..days).step_by(step).collect()
}

/// What a date is called on an axis of so many days: month and day, or year and month where a day says nothing.
pub(super) fn name(date: &str, days: usize) -> &str {
    let part = if days > LONG { date.get(..YEAR_AND_MONTH) } else { date.get(YEAR..) };
    part.unwrap_or(date)
}

/// The dates of a period.
pub(super) fn dates(period: &Period) -> Vec<String> {
    period.days().map(Period::date).collect()
}

/// Where a moment, as reports write it, is between the ends of a period: 0 to 1.
pub(super) fn place(moment: &str, period: &Period) -> f64 {
    let Ok(at) = moment.parse::<jiff::Timestamp>() else { return 0.0 };
    let seconds = period.seconds();
    let length = (seconds.end - seconds.start).max(1) as f64;
    ((at.as_second() - seconds.start) as f64 / length).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_and_hold_the_greatest() {
        assert_eq!(lines(100.0), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(lines(7.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(lines(0.0), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(lines(f64::NAN).len(), 5);
        for most in [1e-9, 3.3, 999.0, 1e18, 0.2251] {
            let lines = lines(most);
            assert!(lines.last().unwrap() >= &(most * 0.999_999), "{most}: {lines:?}");
            assert!((3..=6).contains(&lines.len()), "{most}: {lines:?}");
        }
    }

    #[test]
    fn dates_are_short() {
        assert_eq!((name("2019-04-30", 300), name("2019-04-30", 301), name("", 1)), ("04-30", "2019-04", ""));
    }

    #[test]
    fn names_of_days_have_room() {
        assert_eq!(named_days(3, 100.0, 60.0), [0, 1, 2]);
        assert_eq!(named_days(15, 10.0, 60.0), [0, 7, 14]);
        assert_eq!(named_days(0, 10.0, 60.0), [0; 0]);
        assert!(named_days(100_000, 0.01, 60.0).len() < 20);
    }
}
