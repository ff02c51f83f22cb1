//! Traffic of a family that is worth a question: how much, since when, from which addresses.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::Result;
use jiff::Timestamp;
use sensor_ebpf::class::{Class, Evidence, Family};
use serde::Serialize;

use super::{Period, Question, Records, change::change, growth, moment, parts::ClassDays};

/// Of one family, in both periods.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Suspicious {
    /// Bytes in the period.
    pub bytes: i64,
    /// Bytes in the other one; nothing where that cannot be said.
    pub baseline_bytes: Option<i64>,
    /// Growth, in percent.
    pub growth_percent: Option<f64>,
    /// Watched addresses with more than a guess by port in the period.
    pub addresses: Vec<IpAddr>,
    /// Their first flow ever, as far as there are records.
    pub first_seen: Option<String>,
    /// Where its volume changed within the period.
    pub step: Option<Step>,
    /// Bytes by day of both periods.
    pub by_day: BTreeMap<String, i64>,
}

/// A day from which on there was more, or less.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The day.
    pub date: String,
    /// Daily bytes from there on, as a multiple of those before; nothing where there were none.
    pub ratio: Option<f64>,
}

impl Suspicious {
    /// By the days of the period, and of the other one where classes are told there.
    pub(super) fn of(
        records: &dyn Records,
        question: &Question,
        family: Family,
        (now, before): (&ClassDays, Option<&ClassDays>),
    ) -> Result<Self> {
        let Question { network, zone, period, .. } = question;
        let (now, before) = (of_family(now, family), before.map(|days| of_family(days, family)));
        let bytes: i64 = now.values().sum();
        let baseline_bytes: Option<i64> = before.as_ref().map(|days| days.values().sum());
        let mut hosts = records.class_hosts(network, period.days())?;
        hosts.retain(|host| {
            host.class.family() == family && host.evidence.is_some_and(|evidence| evidence > Evidence::Port)
        });
        let mut addresses: Vec<IpAddr> = hosts.iter().map(|host| host.address).collect();
        addresses.sort();
        addresses.dedup();
        let first: Option<Timestamp> = hosts.iter().map(|host| host.first).min();
        // A day without it is one of nothing.
        let series: Vec<f64> = period.days().map(|day| now.get(&day).copied().unwrap_or_default() as f64).collect();
        let step = change(&series).filter(|_| bytes > 0).map(|change| Step {
            date: Period::date(period.days().start + change.place as i32),
            ratio: (change.before > 0.0).then(|| change.after / change.before),
        });
        Ok(Self {
            bytes,
            baseline_bytes,
            growth_percent: baseline_bytes.and_then(|before| growth(bytes as f64, before as f64)),
            addresses,
            first_seen: first.map(|first| moment(first, zone)),
            step,
            by_day: before.iter().flatten().chain(&now).map(|(day, bytes)| (Period::date(*day), *bytes)).collect(),
        })
    }
}

/// Bytes of a family on each day that it had some.
fn of_family(days: &ClassDays, family: Family) -> BTreeMap<i32, i64> {
    let sum = |classes: &BTreeMap<Class, i64>| -> Option<i64> {
        let mut of_it = classes.iter().filter(|(class, _)| class.family() == family).map(|(_, bytes)| bytes).peekable();
        of_it.peek()?;
        Some(of_it.sum())
    };
    days.iter().filter_map(|(day, classes)| Some((*day, sum(classes)?))).collect()
}
