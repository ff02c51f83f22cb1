//! How much a network exchanged, and how much more than before.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use super::{
    Coverage, DAY, Detail, Dimension, Interval, MINUTE, Period, Records, growth,
    kept::{self, Steps},
    resample,
};

/// Seconds of the steps of which peak and percentile are told, as transit is billed.
const BILLED: i64 = 300;
/// Days of a block that is drawn as a whole: what a week has of its own is no chance.
const WEEK: usize = 7;

/// How much.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VolumeFact {
    /// Bytes in both directions.
    pub bytes: i64,
    /// Packets in both directions.
    pub packets: i64,
    /// Bytes to the network.
    pub in_bytes: i64,
    /// Bytes from the network.
    pub out_bytes: i64,
    /// Bytes of the other period.
    pub baseline_bytes: i64,
    /// Packets of the other period.
    pub baseline_packets: i64,
    /// Growth of plain sums, in percent.
    pub growth_percent: Option<f64>,
    /// Growth per measured second, in percent.
    pub growth_rate_percent: Option<f64>,
    /// Where the latter is with 95 % confidence, were the weeks others.
    pub growth_rate_interval: Option<Interval>,
    /// Most bits per second over five minutes, in both directions.
    pub peak_bits_per_second: Option<f64>,
    /// 95 % of all measured five minutes had no more.
    pub percentile_95_bits_per_second: Option<f64>,
    /// Bytes by day, of both periods.
    pub by_day: BTreeMap<String, i64>,
}

impl VolumeFact {
    pub(super) fn of(
        records: &dyn Records,
        network: &str,
        (period, coverage, steps): (&Period, &Coverage, &Steps),
        (baseline, baseline_coverage, earlier_steps): (&Period, &Coverage, &Steps),
        insufficient: &mut BTreeMap<&'static str, String>,
    ) -> Result<Self> {
        let sums =
            |steps: &Steps| Ok::<_, anyhow::Error>(kept::volume(&steps.sums(records, network, Dimension::Total)?));
        let (whole, earlier) = (sums(steps)?, sums(earlier_steps)?);
        let (bytes, baseline_bytes) = (whole.bytes(), earlier.bytes());
        let days = [by_day(records, network, period)?, by_day(records, network, baseline)?];
        let rates = [coverage.rates(&days[0]), baseline_coverage.rates(&days[1])];
        let growth_rate_interval = resample::growth(&rates[0], &rates[1], WEEK);
        if growth_rate_interval.is_none() {
            let least = resample::LEAST_BLOCKS;
            let why = format!("fewer than {least} measured weeks in one of the periods");
            insufficient.insert("volume.growth_rate_interval", why);
        }
        let minutes = Steps::of(records, network, Detail::Minutes, period)?;
        let mut billed = five_minutes(records, network, &minutes)?;
        if let Some(why) = coverage.why_minutes_are_insufficient().or_else(|| minutes.why_not("minutes")) {
            // Of a part of the period neither would be that of the period.
            billed.clear();
            insufficient.insert("volume.peak", why);
        } else if billed.is_empty() {
            insufficient.insert("volume.peak", "the period has no traffic".to_owned());
        }
        // Measured minutes in which nothing came count as nothing.
        let steps = (coverage.measured_seconds / BILLED as f64) as usize;
        billed.resize(billed.len().max(if billed.is_empty() { 0 } else { steps }), 0);
        billed.sort_unstable();
        let rate = |bytes: i64| bytes as f64 * 8.0 / BILLED as f64;
        let percentile = (billed.len() * 95).div_ceil(100).checked_sub(1).and_then(|place| billed.get(place));
        let per_second = |bytes: i64, seconds: f64| if seconds > 0.0 { bytes as f64 / seconds } else { 0.0 };
        Ok(Self {
            bytes,
            packets: whole.packets(),
            in_bytes: whole.in_bytes,
            out_bytes: whole.out_bytes,
            baseline_bytes,
            baseline_packets: earlier.packets(),
            growth_percent: growth(bytes as f64, baseline_bytes as f64),
            growth_rate_percent: growth(
                per_second(bytes, coverage.measured_seconds),
                per_second(baseline_bytes, baseline_coverage.measured_seconds),
            ),
            growth_rate_interval,
            peak_bits_per_second: billed.last().copied().map(rate),
            percentile_95_bits_per_second: percentile.copied().map(rate),
            by_day: days.iter().flatten().map(|(day, bytes)| (Period::date(*day), *bytes)).collect(),
        })
    }
}

/// Bytes of each day with traffic.
pub(super) fn by_day(records: &dyn Records, network: &str, period: &Period) -> Result<BTreeMap<i32, i64>> {
    let parts = records.traffic(network, Dimension::Total, DAY, period.day_steps())?;
    parts.iter().map(|part| Ok((i32::try_from(part.start)?, part.volume.bytes()))).collect()
}

/// Bytes of each five minutes with traffic.
fn five_minutes(records: &dyn Records, network: &str, minutes: &Steps) -> Result<Vec<i64>> {
    let mut sums: BTreeMap<i64, i64> = BTreeMap::new();
    for part in records.traffic(network, Dimension::Total, MINUTE, minutes.seconds.clone())? {
        *sums.entry(part.start.div_euclid(BILLED)).or_default() += part.volume.bytes();
    }
    Ok(sums.into_values().collect())
}
