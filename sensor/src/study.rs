//! The study of a watched network: what it exchanged in a period, compared with another one, and how sure that is. Pure but for the records, which are
//! asked for one question at a time.

mod addresses;
mod change;
mod counterparts;
mod coverage;
mod kept;
mod parts;
mod period;
mod profile;
mod records;
mod resample;
mod services;
mod silence;
mod suspicious;
#[cfg(test)]
mod tests;
mod upstreams;
mod volume;

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::{Timestamp, tz::TimeZone};
use sensor_ebpf::class::{Class, Family};
use serde::Serialize;

use self::{kept::Steps, parts::Whole};

pub use self::{
    addresses::Addresses,
    counterparts::{Counterpart, Counterparts},
    coverage::{Coverage, Gap},
    parts::{ClassShare, Share},
    period::Period,
    profile::Profile,
    records::{
        ActiveBlock, ClassHost, DAY, Detail, Dimension, Heard, MINUTE, Method, Part, QUARTER, Recorded, Records,
        Service, Span, Systems, Volume, day,
    },
    resample::Interval,
    services::ServiceFact,
    suspicious::{Step, Suspicious},
    upstreams::{Shift, Upstream},
    volume::VolumeFact,
};
pub(crate) use self::{
    coverage::{UNATTRIBUTED_BYTES, UNATTRIBUTED_PACKETS, merged as covered},
    records::{SEAM, class, is_marked, mark},
    silence::SILENCE,
    upstreams::called as upstream_name,
};

/// What cannot be said of a baseline whose classes are guesses.
const BASELINE_CLASSES: [&str; 3] = ["baseline_hidden_share", "baseline_mining", "baseline_p2p"];

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// Which network.
    pub network: String,
    /// The zone of its days and hours.
    pub zone: TimeZone,
    /// The period that is studied.
    pub period: Period,
    /// The one that it is compared with.
    pub baseline: Period,
    /// Classes that count as hidden.
    pub hidden: Vec<Class>,
    /// Upstreams that are told of where they carried nothing, too: names and numbers.
    pub upstreams: Vec<(String, Option<u32>)>,
}

/// The answers. Bytes are L3 bytes in both directions; a share is of all bytes of the network in its period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Study {
    /// Which network.
    pub network: String,
    /// The period that is studied.
    pub period: Period,
    /// The one that it is compared with.
    pub baseline: Period,
    /// How much.
    pub volume: VolumeFact,
    /// By way of whom.
    pub upstreams: Vec<Upstream>,
    /// When that changed.
    pub upstream_shifts: Vec<Shift>,
    /// When in the week.
    pub profile: Profile,
    /// From which addresses; nothing where that cannot be said.
    pub addresses: Option<Addresses>,
    /// Which services answered; nothing where that cannot be said.
    pub services: Option<Vec<ServiceFact>>,
    /// As what.
    pub classes: Vec<ClassShare>,
    /// Share of the classes that hide.
    pub hidden_share: Option<f64>,
    /// The same of the other period.
    pub baseline_hidden_share: Option<f64>,
    /// The same, by day of both periods: day and share.
    pub hidden_by_day: BTreeMap<String, f64>,
    /// Classes that hide.
    pub hidden_classes: Vec<&'static str>,
    /// Work for mining pools; nothing where that cannot be said.
    pub mining: Option<Suspicious>,
    /// Networks of equals; nothing where that cannot be said.
    pub p2p: Option<Suspicious>,
    /// With whom.
    pub counterparts: Counterparts,
    /// What was measured, and what could not be seen.
    pub coverage: Coverage,
    /// The same of the other period.
    pub baseline_coverage: Coverage,
    /// What cannot be said, and why.
    pub insufficient_data: BTreeMap<&'static str, String>,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// Where the numbers come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Provenance {
    /// Version of the sensor that answered.
    pub sensor_version: &'static str,
    /// Sensors that measured in either period.
    pub sensors: Vec<String>,
}

/// A part of a whole; nothing of nothing.
fn share(part: i64, whole: i64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// How much more than before, in percent; nothing where there was nothing.
fn growth(now: f64, before: f64) -> Option<f64> {
    (before > 0.0).then(|| (now / before - 1.0) * 100.0)
}

impl Study {
    /// Answers a question.
    ///
    /// # Errors
    /// Records cannot be read.
    pub fn of(records: &dyn Records, question: &Question) -> Result<Self> {
        let Question { network, zone, period, baseline, hidden, upstreams: configured } = question;
        let coverage = Coverage::of(records, network, period)?;
        let baseline_coverage = Coverage::of(records, network, baseline)?;
        let mut insufficient_data = BTreeMap::new();
        let figures =
            [("coverage.packets", period, &coverage), ("baseline_coverage.packets", baseline, &baseline_coverage)];
        kept::ledger(records, figures, &mut insufficient_data)?;
        for (figure, _, coverage) in figures {
            insufficient_data.extend(coverage.why_packets_are_insufficient().map(|why| (figure, why)));
        }
        let steps = |period| Steps::of(records, network, Detail::Quarters, period);
        let (steps, earlier_steps) = (steps(period)?, steps(baseline)?);
        let volume = VolumeFact::of(
            records,
            network,
            (period, &coverage, &steps),
            (baseline, &baseline_coverage, &earlier_steps),
            &mut insufficient_data,
        )?;
        let gone = |period| kept::why_sights_are_gone(records, network, period);
        let (gone, earlier_gone) = (gone(period)?, gone(baseline)?);
        if let Some(why) = &gone {
            insufficient_data.insert("suspicious.addresses", why.clone());
        }
        let blind = coverage.why_sights_are_insufficient().or_else(|| baseline_coverage.why_sights_are_insufficient());
        let blind = blind.or(gone).or(earlier_gone);
        let (addresses, services) = match blind {
            None => (
                Some(Addresses::of(records, network, period, baseline)?),
                Some(services::services(records, network, zone, (period, baseline))?),
            ),
            Some(why) => {
                insufficient_data.insert("addresses", why.clone());
                insufficient_data.insert("services", why);
                (None, None)
            }
        };
        let wholes = [
            Whole { period, steps: &steps, bytes: volume.bytes },
            Whole { period: baseline, steps: &earlier_steps, bytes: volume.baseline_bytes },
        ];
        let classes = parts::classes(records, network, wholes)?;
        let of_hidden = |bytes: fn(&ClassShare) -> i64| -> i64 {
            let hides = |row: &&ClassShare| hidden.iter().any(|class| class.name() == row.class);
            classes.iter().filter(hides).map(bytes).sum()
        };
        let class_days = |period| parts::class_days(records, network, period);
        let is_told = [&coverage, &baseline_coverage].map(|coverage| !coverage.has_flows);
        let class_days = [class_days(period)?, class_days(baseline)?];
        let [now, before] = [0, 1].map(|place: usize| is_told[place].then_some(&class_days[place]));
        let suspicious = |family| now.map(|now| Suspicious::of(records, question, family, (now, before))).transpose();
        for (coverage, figures) in
            [(&coverage, ["hidden_share", "mining", "p2p"]), (&baseline_coverage, BASELINE_CLASSES)]
        {
            if let Some(why) = coverage.why_classes_are_insufficient() {
                insufficient_data.extend(figures.map(|figure| (figure, why.clone())));
            }
        }
        let mut systems = records.systems()?;
        for (name, asn) in configured {
            if let Some(asn) = asn {
                systems.entry(name.clone()).or_insert((*asn, None));
            }
        }
        let why = |period, coverage| upstreams::why_insufficient(records, network, period, coverage);
        let whys = [why(period, &coverage)?, why(baseline, &baseline_coverage)?];
        let upstream_days = |place: usize, period| -> Result<Option<upstreams::Days>> {
            whys[place].is_none().then(|| upstreams::days(records, network, period)).transpose()
        };
        let (upstream_days, earlier) = (upstream_days(0, period)?, upstream_days(1, baseline)?);
        let upstreams = match &upstream_days {
            Some(days) => {
                let idle = configured.iter().map(|(name, _)| &**name);
                upstreams::upstreams(records, network, wholes, (days, earlier.as_ref()), (&systems, idle))?
            }
            None => vec![],
        };
        let figures = ["upstreams", "baseline_upstreams"];
        insufficient_data.extend(figures.into_iter().zip(whys).filter_map(|(figure, why)| Some((figure, why?))));
        let mut sensors: Vec<String> = coverage.sensors.iter().chain(&baseline_coverage.sensors).cloned().collect();
        sensors.sort();
        sensors.dedup();
        Ok(Self {
            network: network.clone(),
            period: period.clone(),
            baseline: baseline.clone(),
            hidden_share: share(of_hidden(|row| row.bytes), volume.bytes).filter(|_| is_told[0]),
            baseline_hidden_share: share(of_hidden(|row| row.baseline_bytes), volume.baseline_bytes)
                .filter(|_| is_told[1]),
            hidden_by_day: parts::hidden_by_day([before, now], hidden),
            hidden_classes: hidden.iter().map(|class| class.name()).collect(),
            upstream_shifts: upstream_days.as_ref().map(upstreams::shifts).unwrap_or_default(),
            profile: Profile::of(records, network, zone, [&steps, &earlier_steps], &mut insufficient_data)?,
            mining: suspicious(Family::Mining)?,
            p2p: suspicious(Family::P2p)?,
            counterparts: Counterparts::of(records, network, wholes, &systems)?,
            provenance: Provenance { sensor_version: env!("CARGO_PKG_VERSION"), sensors },
            volume,
            upstreams,
            addresses,
            services,
            classes,
            coverage,
            baseline_coverage,
            insufficient_data,
        })
    }
}

/// A moment in a zone, as reports show it.
fn moment(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}
