//! Export periods, aligned to wall time.

use std::time::Duration;

use jiff::Timestamp;

/// A span of time, end excluded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// First moment.
    pub start: Timestamp,
    /// First moment after it.
    pub end: Timestamp,
}

impl Interval {
    /// The aligned interval of `length` that holds `moment`: its start is a whole multiple of `length` since the Unix epoch.
    pub fn holding(moment: Timestamp, length: Duration) -> Self {
        let length = i128::try_from(length.as_nanos()).unwrap_or(i128::MAX).max(1);
        let start = moment.as_nanosecond().div_euclid(length).saturating_mul(length);
        Self { start: at(start), end: at(start.saturating_add(length)) }
    }

    /// How long it is; zero where it ends before it starts.
    pub fn length(&self) -> Duration {
        self.end.duration_since(self.start).try_into().unwrap_or_default()
    }
}

/// The moment that many nanoseconds since the Unix epoch; beyond the calendar, its nearer end.
fn at(nanoseconds: i128) -> Timestamp {
    let end = if nanoseconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Duration = Duration::from_secs(10);

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn intervals_begin_on_whole_multiples() {
        let expected = Interval { start: time("2026-11-21T10:00:10Z"), end: time("2026-11-21T10:00:20Z") };
        for moment in ["2026-11-21T10:00:10Z", "2026-11-21T10:00:19.999999999Z"] {
            assert_eq!(Interval::holding(time(moment), TEN), expected);
        }
        assert_eq!(expected.length(), TEN);
        assert_eq!(Interval::holding(time("1969-12-31T23:59:59.5Z"), TEN).end, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_panic() {
        for moment in [Timestamp::MIN, Timestamp::MAX] {
            Interval::holding(moment, TEN);
            Interval::holding(moment, Duration::MAX);
        }
        let backwards = Interval { start: time("2026-01-01T00:00:01Z"), end: time("2026-01-01T00:00:00Z") };
        assert_eq!(backwards.length(), Duration::ZERO);
    }
}
