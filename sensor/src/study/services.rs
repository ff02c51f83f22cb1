//! Which services of a network answered, which of them are new, and which are gone.

use std::{collections::BTreeSet, net::IpAddr};

use anyhow::Result;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Period, Records, Service, moment};
use crate::inspect::protocol::TCP;

/// A service that answered in the period, or in the other one and not since.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ServiceFact {
    /// Watched address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: &'static str,
    /// What it was found to be.
    pub class: &'static str,
    /// How sure that is; nothing of an unknown class.
    pub evidence: Option<&'static str>,
    /// Its first answer, as far as there are records.
    pub first_seen: String,
    /// Its last answer in the period.
    pub last_seen: String,
    /// It did not answer in the other period.
    pub new: bool,
    /// Days of the period on which it answered.
    pub days: Vec<String>,
}

type Key = (IpAddr, u16, u8);

const fn key(service: &Service) -> Key {
    (service.address, service.port, service.protocol)
}

/// The services of the period, by address and port.
pub(super) fn services(
    records: &dyn Records,
    network: &str,
    zone: &TimeZone,
    (period, baseline): (&Period, &Period),
) -> Result<Vec<ServiceFact>> {
    let before: BTreeSet<Key> = records.services(network, baseline.days())?.iter().map(key).collect();
    let mut now = records.services(network, period.days())?;
    now.sort_by_key(key);
    let fact = |service: Service| ServiceFact {
        new: !before.contains(&key(&service)),
        address: service.address,
        port: service.port,
        protocol: protocol(service.protocol),
        class: service.class.name(),
        evidence: service.evidence.map(sensor_ebpf::class::Evidence::name),
        first_seen: moment(service.first, zone),
        last_seen: moment(service.last, zone),
        days: service.days.iter().map(|day| Period::date(*day)).collect(),
    };
    Ok(now.into_iter().map(fact).collect())
}

const fn protocol(number: u8) -> &'static str {
    if number == TCP { "tcp" } else { "udp" }
}
