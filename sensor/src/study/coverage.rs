//! What of a period was measured, and what of it could not be seen.

use std::collections::BTreeMap;

use anyhow::Result;
use jiff::Timestamp;
use sensor_ebpf::abi::Unparsed;
use serde::Serialize;

use super::{DAY, Dimension, Heard, Method, Period, Records, Span, Volume, moment, silence};

/// A shorter gap is a restart, and not named.
const LEAST_GAP: f64 = 60.0;
/// Of that share of conversations or more with one half elsewhere, addresses and services say nothing.
const ASYMMETRIC: f64 = 0.9;
/// A day of which less was measured is left out where days are compared.
const LEAST_OF_DAY: f64 = 0.5;

/// Names of counters beside those of interfaces.
pub(crate) const UNATTRIBUTED_PACKETS: &str = "unattributed_packets";
pub(crate) const UNATTRIBUTED_BYTES: &str = "unattributed_bytes";

/// Deviations from the mean that hold 95 % of a normal distribution.
const NORMAL_95: f64 = 1.96;

/// Time without a measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gap {
    /// Beginning.
    pub from: String,
    /// End.
    pub to: String,
    /// Length.
    pub seconds: f64,
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Coverage {
    /// Seconds of the period.
    pub seconds: f64,
    /// Seconds of it in which at least one sensor was at work.
    pub measured_seconds: f64,
    /// Seconds of them that are known as sums alone: of intervals longer than a quarter of an hour, which are taken to have been even.
    pub coarse_seconds: f64,
    /// Time without one, a minute and longer.
    pub gaps: Vec<Gap>,
    /// Packets that are known to have passed a sensor by.
    pub lost_packets: u64,
    /// The same by reason.
    pub lost: BTreeMap<String, u64>,
    /// Frames that sensors saw.
    pub seen_packets: u64,
    /// Of them, packets of counted prefixes.
    pub matched_packets: u64,
    /// Of them, other IP packets.
    pub other_packets: u64,
    /// Of them, those without an IP header that could be counted, by reason.
    pub unparsed: BTreeMap<String, u64>,
    /// Packets counted with a reservation, by reason.
    pub degraded: BTreeMap<String, u64>,
    /// Watched packets that were counted and not looked into, by reason.
    pub shed: BTreeMap<String, u64>,
    /// What of watched traffic was not remembered or not told, and how often: addresses, services and classes may lack some.
    pub losses: BTreeMap<String, u64>,
    /// Packets of counted prefixes, each once for each of its ends, of which nobody can say any more whose they were: they are in no network.
    pub unattributed_packets: u64,
    /// Their bytes.
    pub unattributed_bytes: u64,
    /// Which directions were heard: `both`, `in`, `out`, or `none`.
    pub vantage: &'static str,
    /// Share of flows heard in one direction alone: scans nobody answers are among them.
    pub one_way_share: Option<f64>,
    /// Share of conversations of which the other direction runs elsewhere, as far as TCP tells: of flows heard in both directions, and of those in one that
    /// acknowledge what was not heard.
    pub asymmetric_share: Option<f64>,
    /// Who measured.
    pub sensors: Vec<String>,
    /// How what is known came to be: `counted`, or `flows 1:100` where routers told of flows and saw one packet of a hundred.
    pub methods: Vec<String>,
    /// By how much the number of packets may be wrong, in percent, with 95 % confidence, for want of those that routers did not look at.
    pub sampling_error_percent: Option<f64>,
    /// The first moment that a sensor was at work.
    #[serde(skip)]
    pub(super) first: Option<Timestamp>,
    /// Measured seconds of each day, by its number.
    #[serde(skip)]
    by_day: BTreeMap<i32, (f64, f64)>,
    /// Whether some of it is known from flows.
    #[serde(skip)]
    pub(super) has_flows: bool,
}

impl Coverage {
    pub(super) fn of(records: &dyn Records, network: &str, period: &Period) -> Result<Self> {
        let time = period.time();
        let mut spans = silence::spans(records, &time)?;
        let first = spans.iter().map(|span| span.start.max(time.start)).min();
        spans.iter_mut().for_each(|span| silence::reach(span, &time));
        let blind: u64 = spans.iter().filter(|span| !span.is_blind()).map(|span| span.blind_ms).sum();
        let covered = merged(&spans, &time);
        let seconds = |from: Timestamp, to: Timestamp| (to.as_microsecond() - from.as_microsecond()) as f64 / 1e6;
        let measured: f64 = covered.iter().map(|(from, to)| seconds(*from, *to)).sum();
        let ends: Vec<Timestamp> = std::iter::once(time.start)
            .chain(covered.iter().flat_map(|(from, to)| [*from, *to]))
            .chain([time.end])
            .collect();
        let gaps = ends.chunks_exact(2).filter_map(|ends| {
            let gap = Gap {
                from: moment(ends[0], period.zone()),
                to: moment(ends[1], period.zone()),
                seconds: seconds(ends[0], ends[1]),
            };
            (gap.seconds >= LEAST_GAP).then_some(gap)
        });
        let mut by_day = BTreeMap::new();
        for number in period.days() {
            let date = jiff::civil::date(1970, 1, 1).checked_add(jiff::Span::new().days(number))?;
            let begin = date.to_zoned(period.zone().clone())?.timestamp();
            let end = date.tomorrow()?.to_zoned(period.zone().clone())?.timestamp();
            let inside = covered.iter().map(|(from, to)| seconds((*from).max(begin), (*to).min(end)).max(0.0));
            by_day.insert(number, (inside.sum(), seconds(begin, end)));
        }
        let ledger = records.ledger(time.clone())?;
        let methods = records.methods(network, period.day_steps())?;
        let count = |name: &str| ledger.get(name).copied().unwrap_or_default();
        let group = |name: &str| -> BTreeMap<String, u64> {
            let prefix = format!("{name}.");
            let of =
                ledger.iter().filter_map(|(counter, value)| Some((counter.strip_prefix(&prefix)?.to_owned(), *value)));
            of.collect()
        };
        let lost = group("lost");
        let mut unparsed = group("unparsed");
        // A sensor that saw frames would have told of such among them.
        unparsed.entry(Unparsed::NotIp.name().to_owned()).or_default();
        let days = period.days();
        let sides = records.traffic(network, Dimension::Total, DAY, period.day_steps())?;
        let has = |side: fn(&super::Volume) -> i64| sides.iter().any(|part| side(&part.volume) > 0);
        let vantage = match (has(|volume| volume.in_packets), has(|volume| volume.out_packets)) {
            (true, true) => "both",
            (true, false) => "in",
            (false, true) => "out",
            (false, false) => "none",
        };
        let Heard { flows, one_way_flows, asymmetric_flows, .. } = records.heard(network, days)?;
        let conversations = flows.saturating_sub(one_way_flows).saturating_add(asymmetric_flows);
        let mut sensors: Vec<String> = spans.iter().map(|span| span.sensor.clone()).collect();
        sensors.sort();
        sensors.dedup();
        Ok(Self {
            seconds: seconds(time.start, time.end),
            first,
            // The sum of nothing is -0.
            measured_seconds: (measured - blind as f64 / 1000.0).max(0.0) + 0.0,
            coarse_seconds: spans.iter().map(|span| coarse(span, &time)).sum::<f64>().min(measured) + 0.0,
            gaps: gaps.collect(),
            lost_packets: lost.values().fold(0, |sum, packets| sum.saturating_add(*packets)),
            lost,
            seen_packets: count("seen_packets"),
            matched_packets: count("matched_packets"),
            other_packets: count("other_packets"),
            unparsed,
            degraded: group("degraded"),
            shed: group("shed"),
            losses: group("loss"),
            unattributed_packets: count(UNATTRIBUTED_PACKETS),
            unattributed_bytes: count(UNATTRIBUTED_BYTES),
            vantage,
            one_way_share: (flows > 0).then(|| one_way_flows as f64 / flows as f64),
            asymmetric_share: (conversations > 0).then(|| asymmetric_flows as f64 / conversations as f64),
            sensors,
            methods: methods.keys().map(ToString::to_string).collect(),
            sampling_error_percent: sampling_error(&methods),
            by_day,
            has_flows: methods.keys().any(|method| *method != Method::Counted),
        })
    }

    /// Why nothing can be said of addresses and services, if so.
    pub(super) fn why_sights_are_insufficient(&self) -> Option<String> {
        match self.vantage {
            _ if self.has_flows => Some(format!("{} do not tell who answered", self.flows())),
            "in" => Some("only packets to the network were seen".to_owned()),
            "out" => Some("only packets from the network were seen".to_owned()),
            "none" => None,
            _ => self.asymmetric_share.filter(|share| *share >= ASYMMETRIC).map(|share| {
                format!("of {:.0} % of its conversations the other direction runs elsewhere", 100.0 * share)
            }),
        }
    }

    /// Why nothing can be said of what takes payload to be told, if so.
    pub(super) fn why_classes_are_insufficient(&self) -> Option<String> {
        self.has_flows.then(|| format!("{} tell classes by port alone", self.flows()))
    }

    /// Why nothing can be said of single minutes, if so.
    pub(super) fn why_minutes_are_insufficient(&self) -> Option<String> {
        self.has_flows.then(|| format!("{} tell how much in all, and not when", self.flows()))
    }

    /// Why frames and packets that were seen are not known, if so.
    pub(super) fn why_packets_are_insufficient(&self) -> Option<String> {
        self.has_flows.then(|| format!("{} have no counters of frames", self.flows()))
    }

    /// The flows that it is known from, in words.
    pub(super) fn flows(&self) -> String {
        let flows = self.methods.iter().filter(|method| **method != Method::Counted.name());
        flows.cloned().collect::<Vec<_>>().join(" and ")
    }

    /// Bytes per measured second of days of which enough was measured, from the first to the last.
    pub(super) fn rates(&self, bytes: &BTreeMap<i32, i64>) -> Vec<f64> {
        // A zone that changed sides of the date line has a day without a second.
        let is_enough = |(measured, whole): &(f64, f64)| *whole > 0.0 && *measured >= LEAST_OF_DAY * whole;
        let enough = self.by_day.iter().filter(|(_, day)| is_enough(day));
        enough.map(|(day, (measured, _))| bytes.get(day).copied().unwrap_or_default() as f64 / measured).collect()
    }
}

/// Seconds of a span within a time that are known as sums alone; of a span that is so in part, as large a part of what is within.
fn coarse(span: &Span, time: &std::ops::Range<Timestamp>) -> f64 {
    let seconds = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64().max(0.0);
    let whole = seconds(span.start, span.end);
    let inside = seconds(span.start.max(time.start), span.end.min(time.end));
    if whole > 0.0 { span.coarse_ms as f64 / 1000.0 * (inside / whole) } else { 0.0 }
}

/// By how much a number of packets may be wrong that was made of a sample, in percent, with 95 % confidence: each packet was in it or not by itself.
fn sampling_error(methods: &BTreeMap<Method, Volume>) -> Option<f64> {
    let packets = |volume: &Volume| volume.packets().max(0) as f64;
    let all: f64 = methods.values().map(packets).sum();
    let of = |(method, volume): (&Method, &Volume)| packets(volume) * f64::from(method.sampling() - 1);
    let variance: f64 = methods.iter().map(of).sum();
    (variance > 0.0).then(|| 100.0 * NORMAL_95 * variance.sqrt() / all)
}

/// Time that at least one span covers, within a time, in order; one in which next to nothing was measured is none.
pub(crate) fn merged(spans: &[Span], time: &std::ops::Range<Timestamp>) -> Vec<(Timestamp, Timestamp)> {
    let mut inside: Vec<(Timestamp, Timestamp)> = spans
        .iter()
        .filter(|span| !span.is_blind())
        .map(|span| (span.start.max(time.start), span.end.min(time.end)))
        .filter(|(from, to)| from < to)
        .collect();
    inside.sort();
    let mut merged: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (from, to) in inside {
        match merged.last_mut() {
            Some((_, end)) if from <= *end => *end = (*end).max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_several_sensors_are_one_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let span = |start, end| Span {
            sensor: "s".into(),
            start: at(start),
            end: at(end),
            blind_ms: 0,
            coarse_ms: 0,
            capture: None,
        };
        let spans = [span(50, 70), span(0, 10), span(5, 20), span(20, 30), span(60, 65), span(90, 200)];
        let time = at(3)..at(100);
        assert_eq!(merged(&spans, &time), [(at(3), at(30)), (at(50), at(70)), (at(90), at(100))]);
        // Blind for 90 % of it, or for less.
        for (blind_ms, seen) in [(18_000, vec![]), (17_999, vec![(at(50), at(70))])] {
            assert_eq!(merged(&[Span { blind_ms, ..span(50, 70) }], &time), seen);
        }
    }

    #[test]
    fn a_sample_is_as_sure_as_its_packets_are_many() {
        let volume = |packets| Volume { in_packets: packets, ..Volume::default() };
        let of = |parts: &[(Method, i64)]| {
            sampling_error(&parts.iter().map(|(method, packets)| (*method, volume(*packets))).collect())
        };
        assert_eq!(of(&[(Method::Counted, 1_000)]), None);
        assert_eq!(of(&[(Method::Flows(1), 1_000)]), None);
        // 10,000 packets of the sample: 1.96 %, and a little less, for one of a hundred was seen.
        let error = of(&[(Method::Flows(100), 1_000_000)]).unwrap();
        assert!((error - 1.96 * 0.99_f64.sqrt()).abs() < 1e-9, "{error}");
        // Half of it counted: half as wrong.
        let mixed = of(&[(Method::Counted, 1_000_000), (Method::Flows(100), 1_000_000)]).unwrap();
        assert!((mixed - error / 2.0).abs() < 1e-9, "{mixed}");
    }
}
