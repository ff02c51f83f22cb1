//! Moments as archives write them.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// Numbers of seconds have fewer digits than this before the year 5138, numbers of milliseconds more since 1973.
const LEAST_MILLISECONDS: i64 = 100_000_000_000;
/// Characters of a date.
const DATE: usize = "2019-01-01".len();

/// Seconds since 1970 of "2019-01-01 00:00:05.250" in a zone, with `T` in the middle or a zone of its own at the end; or of a number of seconds or
/// milliseconds since 1970. Parts of a second are left out: some versions do not print them.
pub(super) fn seconds(text: &str, zone: &TimeZone) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        let whole: i64 = text.split('.').next()?.parse().ok()?;
        return Some(if whole >= LEAST_MILLISECONDS { whole / 1000 } else { whole });
    }
    // Behind the date, what is local has neither.
    let has_zone = text.get(DATE..)?.contains(['Z', 'z', '+', '-']);
    let moment: Timestamp = if has_zone {
        text.parse().ok()?
    } else {
        zone.to_ambiguous_timestamp(text.parse::<DateTime>().ok()?).compatible().ok()?
    };
    Some(moment.as_second())
}

/// Whole seconds of "12.345", or of "01:02:03.456" with days before it.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (days, time) = match text.split_once(['d', ' ']) {
        Some((days, time)) => (days.parse::<i64>().ok()?, time.trim_start()),
        None => (0, text),
    };
    let whole = time.split('.').next()?;
    let parts: Vec<i64> = whole
        .split(':')
        .map(|part| part.parse().ok().filter(|_| part.bytes().all(|byte| byte.is_ascii_digit())))
        .collect::<Option<_>>()?;
    let seconds = match *parts {
        [seconds] => seconds,
        [minutes, seconds] => minutes.checked_mul(60)?.checked_add(seconds)?,
        [hours, minutes, seconds] => {
            hours.checked_mul(3600)?.checked_add(minutes.checked_mul(60)?)?.checked_add(seconds)?
        }
        _ => return None,
    };
    days.checked_mul(86_400)?.checked_add(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_local_unless_they_say_otherwise() {
        let kathmandu = TimeZone::get("Asia/Kathmandu").unwrap();
        for (text, expected) in [
            ("2019-01-01 05:45:05", Some(1_546_300_805)),
            ("2019-01-01T05:45:05.999", Some(1_546_300_805)),
            ("2019-01-01T00:00:05Z", Some(1_546_300_805)),
            ("2019-01-01T01:00:05+01:00", Some(1_546_300_805)),
            ("1546300805", Some(1_546_300_805)),
            ("1546300805.999", Some(1_546_300_805)),
            ("1546300805999", Some(1_546_300_805)),
            ("0000-00-00 00:00:00.000", None),
            ("", None),
            (".", None),
            ("now", None),
            ("-5", None),
            ("NaN", None),
            ("99999999999999999999", None),
            ("2019-02-30 00:00:00", None),
        ] {
            assert_eq!(seconds(text, &kathmandu), expected, "{text:?}");
        }
    }

    #[test]
    fn durations_are_seconds_or_hours() {
        for (text, expected) in [
            ("0.000", Some(0)),
            ("330.999", Some(330)),
            ("00:05:30.000", Some(330)),
            ("01:00:00.000", Some(3600)),
            ("2d 00:00:01.000", Some(172_801)),
            ("1 00:00:01", Some(86_401)),
            ("", None),
            ("-1.000", None),
            ("NaN", None),
            ("1:2:3:4", None),
            ("9223372036854775807:00:00", None),
        ] {
            assert_eq!(duration(text), expected, "{text:?}");
        }
    }
}
