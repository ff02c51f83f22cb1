//! By way of whom a network is reached, and when that changed.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::{
    Coverage, DAY, Dimension, Period, Records, Share, Systems,
    change::{Change, change},
    parts::{self, Whole},
    share, volume,
};

/// Of flows that name no upstream for a larger share of bytes, no share is told.
const MOST_UNNAMED: f64 = 0.1;
/// What neighbours are called that frames do not show.
const NOBODY: &str = "unknown";
/// A change of a share by less is not told.
const LEAST_SHIFT: f64 = 0.05;

/// An upstream, in both periods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Upstream {
    /// Its name, or what it was learned by.
    pub name: String,
    /// Its configured AS number.
    pub asn: Option<u32>,
    /// Bytes in the period.
    pub bytes: i64,
    /// Their share of all.
    pub share: f64,
    /// Bytes in the other one; nothing where that does not say which upstreams there were.
    pub baseline_bytes: Option<i64>,
    /// Their share of all there.
    pub baseline_share: Option<f64>,
    /// Its share of all bytes of each day with traffic, of both periods.
    pub share_by_day: BTreeMap<String, f64>,
}

impl Upstream {
    /// Whether it carried anything in either period.
    pub(crate) fn carried(&self) -> bool {
        self.bytes != 0 || self.baseline_bytes.is_some_and(|bytes| bytes != 0)
    }
}

/// A day from which on traffic took another way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Shift {
    /// First day of it.
    pub date: String,
    /// Who lost most of its share.
    pub from: String,
    /// Who won most.
    pub to: String,
    /// How much of all traffic the latter won.
    pub share: f64,
}

/// Shares of each upstream on each day with traffic, in order.
pub(super) type Days = BTreeMap<String, Vec<(i32, f64)>>;

/// All of them, the largest first, by the `days` of the periods that tell them: of the period, and perhaps of the other one. Those that are `configured` and
/// carried nothing stand at the end.
pub(super) fn upstreams<'a>(
    records: &dyn Records,
    network: &str,
    wholes: [Whole<'_>; 2],
    (days, earlier): (&Days, Option<&Days>),
    (systems, configured): (&Systems, impl Iterator<Item = &'a str>),
) -> Result<Vec<Upstream>> {
    let is_told = earlier.is_some();
    let shares_of = |name: &str| {
        let of_it = [earlier, Some(days)].into_iter().flatten().filter_map(|days| days.get(name)).flatten();
        of_it.map(|(day, share)| (Period::date(*day), *share)).collect()
    };
    let row = |(name, share): (String, Share)| Upstream {
        share_by_day: shares_of(&name),
        asn: systems.get(&name).map(|(asn, _)| *asn),
        name: called(&name),
        bytes: share.bytes,
        share: share.share,
        baseline_bytes: is_told.then_some(share.baseline_bytes),
        baseline_share: is_told.then_some(share.baseline_share),
    };
    let mut shares = parts::shares(records, network, Dimension::Upstream, wholes)?;
    shares.retain(|(_, share)| is_told || share.bytes != 0);
    for name in configured {
        if !shares.iter().any(|(other, _)| other == name) {
            shares.push((name.to_owned(), Share::default()));
        }
    }
    Ok(shares.into_iter().map(row).collect())
}

/// Why flows of a period do not tell by way of whom, if so.
pub(super) fn why_insufficient(
    records: &dyn Records,
    network: &str,
    period: &Period,
    coverage: &Coverage,
) -> Result<Option<String>> {
    if !coverage.has_flows {
        return Ok(None);
    }
    let (mut unnamed, mut all) = (0, 0);
    for part in records.sums(network, Dimension::Upstream, DAY, period.day_steps())? {
        all += part.volume.bytes();
        unnamed += if part.name.is_empty() { part.volume.bytes() } else { 0 };
    }
    let share = share(unnamed, all).unwrap_or_default();
    let why = || format!("{} name no upstream for {:.0} % of the bytes", coverage.flows(), 100.0 * share);
    Ok((share > MOST_UNNAMED).then(why))
}

/// What an upstream is called.
pub(crate) fn called(name: &str) -> String {
    if name.is_empty() { NOBODY.to_owned() } else { name.to_owned() }
}

/// Those of a period.
pub(super) fn days(records: &dyn Records, network: &str, period: &Period) -> Result<Days> {
    let mut whole = volume::by_day(records, network, period)?;
    whole.retain(|_, bytes| *bytes > 0);
    let mut bytes: BTreeMap<String, BTreeMap<i32, i64>> = BTreeMap::new();
    for part in records.traffic(network, Dimension::Upstream, DAY, period.day_steps())? {
        *bytes.entry(part.name).or_default().entry(i32::try_from(part.start)?).or_default() += part.volume.bytes();
    }
    let share = |days: &BTreeMap<i32, i64>, (day, whole): (&i32, &i64)| {
        (*day, days.get(day).copied().unwrap_or_default() as f64 / *whole as f64)
    };
    let shares = |days: BTreeMap<i32, i64>| whole.iter().map(|of_day| share(&days, of_day)).collect();
    Ok(bytes.into_iter().map(|(name, days)| (name, shares(days))).collect())
}

/// Days at which shares changed.
pub(super) fn shifts(shares: &Days) -> Vec<Shift> {
    let places: Vec<i32> = shares.values().next().into_iter().flatten().map(|(day, _)| *day).collect();
    let series = |days: &[(i32, f64)]| days.iter().map(|(_, share)| *share).collect();
    let names: Vec<(String, Vec<f64>)> = shares.iter().map(|(name, days)| (name.clone(), series(days))).collect();
    let shift =
        |(place, from, to, share): (usize, _, _, _)| Shift { date: Period::date(places[place]), from, to, share };
    within(&names, 0..places.len()).into_iter().map(shift).collect()
}

/// Changes in some days, the earliest first: the largest, and those on both sides of it.
fn within(names: &[(String, Vec<f64>)], days: std::ops::Range<usize>) -> Vec<(usize, String, String, f64)> {
    let size = |change: &Change| (change.after - change.before).abs();
    let changes = names.iter().filter_map(|(_, series)| change(&series[days.clone()]));
    let Some(largest) = changes.max_by(|a, b| size(a).total_cmp(&size(b))).filter(|change| size(change) >= LEAST_SHIFT)
    else {
        return vec![];
    };
    let place = days.start + largest.place;
    let won = |(_, series): &(String, Vec<f64>)| {
        super::change::mean(&series[place..days.end]) - super::change::mean(&series[days.start..place])
    };
    let by_won = |a: &&(String, Vec<f64>), b: &&(String, Vec<f64>)| won(a).total_cmp(&won(b));
    let (Some(from), Some(to)) = (names.iter().min_by(by_won), names.iter().max_by(by_won)) else { return vec![] };
    let here = (place, called(&from.0), called(&to.0), won(to));
    [within(names, days.start..place), vec![here], within(names, place..days.end)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shift_has_its_day_and_its_size() {
        let series = |of: fn(usize) -> f64| (0..60).map(|day| of(day) + (day * 7 % 5) as f64 / 1000.0).collect();
        let names = [
            ("a".to_owned(), series(|day| if day < 20 { 0.8 } else { 0.3 })),
            (
                "b".to_owned(),
                series(|day| {
                    if day < 20 {
                        0.2
                    } else if day < 45 {
                        0.7
                    } else {
                        0.1
                    }
                }),
            ),
            (String::new(), series(|day| if day < 45 { 0.0 } else { 0.6 })),
        ];
        let found: Vec<_> = within(&names, 0..60)
            .into_iter()
            .map(|(place, from, to, share)| (place, from, to, (share * 10.0).round() as i32))
            .collect();
        assert_eq!(found, [(20, "a".to_owned(), "b".to_owned(), 5), (45, "b".to_owned(), "unknown".to_owned(), 6)]);
        assert_eq!(within(&names, 0..18), []);
    }
}
