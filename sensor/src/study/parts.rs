//! What traffic is made of: parts of a dimension in two periods.

use std::{cmp::Reverse, collections::BTreeMap};

use anyhow::Result;
use sensor_ebpf::class::{Class, Evidence};
use serde::Serialize;

use super::{DAY, Dimension, Period, Records, class, kept::Steps, share};

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

/// A period, and what the network had in it in all.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) period: &'a Period,
    pub(super) steps: &'a Steps,
    pub(super) bytes: i64,
}

/// Bytes of each part, and of how sure it is: by quarters of an hour, or by days where nothing finer is kept.
fn bytes(
    records: &dyn Records,
    network: &str,
    dimension: Dimension,
    Whole { period, steps, .. }: Whole<'_>,
) -> Result<BTreeMap<String, BTreeMap<Option<Evidence>, i64>>> {
    let parts = match dimension {
        Dimension::Total | Dimension::Upstream | Dimension::Class => steps.sums(records, network, dimension)?,
        Dimension::Country | Dimension::System | Dimension::List => {
            records.sums(network, dimension, DAY, period.day_steps())?
        }
    };
    let mut sums: BTreeMap<String, BTreeMap<Option<Evidence>, i64>> = BTreeMap::new();
    for part in parts {
        *sums.entry(part.name).or_default().entry(part.evidence).or_default() += part.volume.bytes();
    }
    Ok(sums)
}

/// The parts of a dimension in the period and the other one, the largest first.
pub(super) fn shares(
    records: &dyn Records,
    network: &str,
    dimension: Dimension,
    [now, before]: [Whole<'_>; 2],
) -> Result<Vec<(String, Share)>> {
    let sums = |whole| -> Result<BTreeMap<String, i64>> {
        let parts = bytes(records, network, dimension, whole)?.into_iter();
        Ok(parts.map(|(name, parts)| (name, parts.values().sum())).collect())
    };
    Ok(compared([(sums(now)?, now.bytes), (sums(before)?, before.bytes)]))
}

/// Parts of two periods side by side, with what these had in all; the largest first.
fn compared([(now, whole), (before, baseline_whole)]: [(BTreeMap<String, i64>, i64); 2]) -> Vec<(String, Share)> {
    let mut shares: BTreeMap<String, Share> = BTreeMap::new();
    for (name, bytes) in now {
        let row = shares.entry(name).or_default();
        (row.bytes, row.share) = (bytes, share(bytes, whole).unwrap_or_default());
    }
    for (name, bytes) in before {
        let row = shares.entry(name).or_default();
        (row.baseline_bytes, row.baseline_share) = (bytes, share(bytes, baseline_whole).unwrap_or_default());
    }
    let mut shares = Vec::from_iter(shares);
    // What is as large stays in the order of names.
    shares.sort_by_key(|(_, share)| Reverse((share.bytes, share.baseline_bytes)));
    shares
}

/// All classes in the period and the other one, the largest first.
pub(super) fn classes(records: &dyn Records, network: &str, [now, before]: [Whole<'_>; 2]) -> Result<Vec<ClassShare>> {
    let of = |whole| bytes(records, network, Dimension::Class, whole);
    let (mut sure, earlier) = (of(now)?, of(before)?);
    let sum = |(name, parts): (&String, &BTreeMap<_, i64>)| (name.clone(), parts.values().sum());
    let sums = |parts: &BTreeMap<String, BTreeMap<_, i64>>| parts.iter().map(sum).collect();
    let shares = compared([(sums(&sure), now.bytes), (sums(&earlier), before.bytes)]);
    let row = |(name, Share { bytes, share, baseline_bytes, baseline_share }): (String, Share)| {
        let class = class(&name);
        let evidence = sure.remove(&name).unwrap_or_default().into_iter().filter(|(_, bytes)| *bytes != 0);
        let evidence = evidence.map(|(evidence, bytes)| (evidence.map_or("none", Evidence::name), bytes)).collect();
        let family = class.family().name();
        ClassShare { class: class.name(), family, bytes, share, baseline_bytes, baseline_share, evidence }
    };
    Ok(shares.into_iter().map(row).collect())
}

/// Bytes of each class on each day with traffic.
pub(super) type ClassDays = BTreeMap<i32, BTreeMap<Class, i64>>;

/// Those of a period.
pub(super) fn class_days(records: &dyn Records, network: &str, period: &Period) -> Result<ClassDays> {
    let mut days = ClassDays::new();
    for part in records.traffic(network, Dimension::Class, DAY, period.day_steps())? {
        let classes = days.entry(i32::try_from(part.start)?).or_default();
        *classes.entry(class(&part.name)).or_default() += part.volume.bytes();
    }
    Ok(days)
}

/// Share of classes that hide on each day that had traffic, of the periods that tell it.
pub(super) fn hidden_by_day(periods: [Option<&ClassDays>; 2], hidden: &[Class]) -> BTreeMap<String, f64> {
    let share_of = |(day, classes): (&i32, &BTreeMap<Class, i64>)| {
        let hides = classes.iter().filter(|(class, _)| hidden.contains(class)).map(|(_, bytes)| bytes);
        Some((Period::date(*day), share(hides.sum(), classes.values().sum())?))
    };
    periods.into_iter().flatten().flatten().filter_map(share_of).collect()
}
