//! What traffic is made of: parts of a dimension in two periods.

use std::collections::BTreeMap;

use anyhow::Result;
use sensor_ebpf::class::{Class, Evidence};
use serde::Serialize;

use super::{DAY, Dimension, Period, QUARTER, Records, share};

/// One part, in both periods.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Share {
    /// Bytes in the period.
    pub bytes: i64,
    /// Their share of all.
    pub share: f64,
    /// Bytes in the other one.
    pub baseline_bytes: i64,
    /// Their share of all there.
    pub baseline_share: f64,
}

/// A class, in both periods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassShare {
    /// Its name.
    pub class: &'static str,
    /// What it has in common with others.
    pub family: &'static str,
    /// Bytes in the period.
    pub bytes: i64,
    /// Their share of all.
    pub share: f64,
    /// Bytes in the other one.
    pub baseline_bytes: i64,
    /// Their share of all there.
    pub baseline_share: f64,
    /// Bytes of the period by how sure the class is.
    pub evidence: BTreeMap<&'static str, i64>,
}

/// Steps of a dimension in a period: quarters of an hour, or days where there is nothing finer.
pub(super) fn steps(dimension: Dimension, period: &Period) -> (i64, std::ops::Range<i64>) {
    match dimension {
        Dimension::Total | Dimension::Upstream | Dimension::Class => (QUARTER, period.seconds()),
        Dimension::Country | Dimension::System | Dimension::List => {
            let days = period.days();
            (DAY, days.start.into()..days.end.into())
        }
    }
}

/// Bytes of each part, and of how sure it is.
fn bytes(
    records: &dyn Records,
    network: &str,
    dimension: Dimension,
    period: &Period,
) -> Result<BTreeMap<String, BTreeMap<Option<Evidence>, i64>>> {
    let (step, range) = steps(dimension, period);
    let mut sums: BTreeMap<String, BTreeMap<Option<Evidence>, i64>> = BTreeMap::new();
    for part in records.traffic(network, dimension, step, range)? {
        *sums.entry(part.name).or_default().entry(part.evidence).or_default() += part.volume.bytes();
    }
    Ok(sums)
}

/// All bytes of a network in a period.
pub(super) fn whole(records: &dyn Records, network: &str, period: &Period) -> Result<i64> {
    let parts = records.traffic(network, Dimension::Total, QUARTER, period.seconds())?;
    Ok(parts.iter().map(|part| part.volume.bytes()).sum())
}

/// The parts of a dimension, by name.
pub(super) fn shares(
    records: &dyn Records,
    network: &str,
    dimension: Dimension,
    (period, baseline): (&Period, &Period),
) -> Result<BTreeMap<String, Share>> {
    let wholes = [whole(records, network, period)?, whole(records, network, baseline)?];
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for (name, parts) in bytes(records, network, dimension, period)? {
        let row = shares.entry(name).or_default();
        row.bytes = parts.values().sum();
        row.share = share(row.bytes, wholes[0]).unwrap_or_default();
    }
    for (name, parts) in bytes(records, network, dimension, baseline)? {
        let row = shares.entry(name).or_default();
        row.baseline_bytes = parts.values().sum();
        row.baseline_share = share(row.baseline_bytes, wholes[1]).unwrap_or_default();
    }
    Ok(shares)
}

/// All classes, the largest first.
pub(super) fn classes(
    records: &dyn Records,
    network: &str,
    period: &Period,
    baseline: &Period,
) -> Result<Vec<ClassShare>> {
    let shares = shares(records, network, Dimension::Class, (period, baseline))?;
    let mut sure = bytes(records, network, Dimension::Class, period)?;
    let row = |(name, Share { bytes, share, baseline_bytes, baseline_share }): (String, Share)| {
        let class = class(&name);
        let evidence = sure.remove(&name).unwrap_or_default().into_iter().filter(|(_, bytes)| *bytes != 0);
        let evidence = evidence.map(|(evidence, bytes)| (evidence.map_or("none", Evidence::name), bytes)).collect();
        let family = class.family().name();
        ClassShare { class: class.name(), family, bytes, share, baseline_bytes, baseline_share, evidence }
    };
    let mut rows: Vec<ClassShare> = shares.into_iter().map(row).collect();
    rows.sort_by_key(|row| (std::cmp::Reverse(row.bytes), std::cmp::Reverse(row.baseline_bytes), row.class));
    Ok(rows)
}

/// A class by its name in records.
pub(super) fn class(name: &str) -> Class {
    Class::ALL.iter().copied().find(|class| class.name() == name).unwrap_or(Class::Unknown)
}

/// Bytes of some classes by day.
pub(super) fn classes_by_day(
    records: &dyn Records,
    network: &str,
    period: &Period,
    is_one: &dyn Fn(Class) -> bool,
) -> Result<BTreeMap<i32, i64>> {
    let days = period.days();
    let parts = records.traffic(network, Dimension::Class, DAY, days.start.into()..days.end.into())?;
    let mut sums = BTreeMap::new();
    for part in parts.iter().filter(|part| is_one(class(&part.name))) {
        *sums.entry(i32::try_from(part.start)?).or_default() += part.volume.bytes();
    }
    Ok(sums)
}

/// Share of classes that hide on each day of some periods that had traffic.
pub(super) fn hidden_by_day(
    records: &dyn Records,
    network: &str,
    hidden: &[Class],
    periods: [&Period; 2],
) -> Result<BTreeMap<String, f64>> {
    let mut shares = BTreeMap::new();
    for period in periods {
        let all = classes_by_day(records, network, period, &|_| true)?;
        let some = classes_by_day(records, network, period, &|class| hidden.contains(&class))?;
        for (day, whole) in all {
            if let Some(share) = share(some.get(&day).copied().unwrap_or_default(), whole) {
                shares.insert(Period::date(day), share);
            }
        }
    }
    Ok(shares)
}
