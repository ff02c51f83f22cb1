//! When in the week a network is busy, in its own zone.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use serde::Serialize;

use super::{Dimension, QUARTER, Records, kept::Steps, share};

/// Hours of a week.
const HOURS: usize = 168;
/// Office hours, Monday to Friday.
const OFFICE: std::ops::Range<i8> = 8..18;

/// Bytes by hour of the week. The first is Monday from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profile {
    /// The zone, by its name in the time zone database.
    pub timezone: String,
    /// Of the period, all weeks added; empty where that cannot be said.
    pub hours: Vec<i64>,
    /// Of the other one.
    pub baseline_hours: Vec<i64>,
    /// Share of Monday to Friday from 8 to 18.
    pub office_hours_share: Option<f64>,
    /// Share of Saturday and Sunday.
    pub weekend_share: Option<f64>,
    /// The former of the other period.
    pub baseline_office_hours_share: Option<f64>,
    /// The latter of the other period.
    pub baseline_weekend_share: Option<f64>,
}

impl Profile {
    pub(super) fn of(
        records: &dyn Records,
        network: &str,
        zone: &TimeZone,
        [steps, earlier]: [&Steps; 2],
        insufficient: &mut BTreeMap<&'static str, String>,
    ) -> Result<Self> {
        let mut hours = |figure, steps: &Steps| -> Result<Vec<i64>> {
            if let Some(why) = steps.why_not("quarters of an hour") {
                // A week of other weeks than the period's would pass for that of the period.
                insufficient.insert(figure, why);
                return Ok(vec![]);
            }
            let mut hours = vec![0; HOURS];
            for part in records.traffic(network, Dimension::Total, QUARTER, steps.seconds.clone())? {
                if let Some(sum) = hours.get_mut(hour_of_week(part.start, zone)) {
                    *sum += part.volume.bytes();
                }
            }
            Ok(hours)
        };
        let (hours, baseline_hours) = (hours("profile", steps)?, hours("baseline_profile", earlier)?);
        Ok(Self {
            timezone: zone.iana_name().unwrap_or("UTC").to_owned(),
            office_hours_share: share_of(&hours, is_office),
            weekend_share: share_of(&hours, is_weekend),
            baseline_office_hours_share: share_of(&baseline_hours, is_office),
            baseline_weekend_share: share_of(&baseline_hours, is_weekend),
            hours,
            baseline_hours,
        })
    }
}

/// The hour of the week in a zone. Where a clock is set in the middle of an hour, a step of a quarter belongs to the hour that the clock shows at its beginning.
fn hour_of_week(second: i64, zone: &TimeZone) -> usize {
    let at = zone.to_datetime(Timestamp::from_second(second).unwrap_or_default());
    let day = at.weekday().since(Weekday::Monday);
    usize::from(day.unsigned_abs()) * 24 + usize::from(at.hour().unsigned_abs())
}

fn is_office(hour: usize) -> bool {
    hour / 24 < 5 && OFFICE.contains(&((hour % 24) as i8))
}

const fn is_weekend(hour: usize) -> bool {
    hour / 24 >= 5
}

fn share_of(hours: &[i64], is_one: fn(usize) -> bool) -> Option<f64> {
    let part = hours.iter().enumerate().filter(|(hour, _)| is_one(*hour)).map(|(_, bytes)| bytes).sum();
    share(part, hours.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_changed_its_offset() {
        let zone = TimeZone::get("Asia/Pyongyang").unwrap();
        let hour = |text: &str| hour_of_week(text.parse::<Timestamp>().unwrap().as_second(), &zone);
        // 2017: +8:30. 2019: +9. Both are Mondays.
        assert_eq!(hour("2017-06-04T15:30:00Z"), 0);
        assert_eq!(hour("2017-06-04T15:15:00Z"), 167);
        assert_eq!(hour("2019-06-02T15:00:00Z"), 0);
        assert_eq!(hour("2019-06-08T14:59:59Z"), 143);
    }

    #[test]
    fn office_hours_and_weekends() {
        let office: Vec<usize> = (0..HOURS).filter(|hour| is_office(*hour)).collect();
        assert_eq!((office.len(), office[0], office[9], office[49]), (50, 8, 17, 113));
        assert_eq!((0..HOURS).filter(|hour| is_weekend(*hour)).collect::<Vec<_>>(), (120..168).collect::<Vec<_>>());
        assert_eq!(share_of(&[0; HOURS], is_office), None);
    }
}
