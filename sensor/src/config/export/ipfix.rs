//! IPFIX exporters.

use std::str::FromStr;

use super::{Host, Tls};
use crate::{cidr::quote, config::ValueError};

/// Largest UDP message unless the configuration says otherwise: what an Ethernet frame holds beside IPv6 and UDP headers and a tunnel's.
pub const DEFAULT_MTU: u32 = 1400;
/// Least of that: the longest record, its template and headers must fit. RFC 7011, section 10.3.3, counts on 512 where the path is not known.
pub const MIN_MTU: u32 = 512;
/// Most of that: what an IPv4 datagram holds.
pub const MAX_MTU: u32 = 65_507;
/// Private enterprise number of the sensor's own information elements unless the configuration says otherwise: the one for examples (RFC 5612).
pub const DEFAULT_ENTERPRISE: u32 = 32_473;
/// Largest first observation domain: each kind of records that is sent has the next one.
pub const MAX_DOMAIN: u32 = u32::MAX - 8;

/// Who collects by IPFIX, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ipfix {
    /// How it travels.
    pub transport: Transport,
    /// The collector.
    pub host: Host,
    /// What is sent, each kind in an observation domain of its own: their sums are the same traffic.
    pub records: Vec<Additive>,
    /// Observation domain of the first.
    pub domain: u32,
    /// Private enterprise number of the sensor's own information elements.
    pub enterprise: u32,
}

/// How IPFIX messages travel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In datagrams of at most so many bytes. Sent is delivered.
    Udp {
        /// Bytes of a message.
        mtu: u32,
    },
    /// Over TCP.
    Tcp,
    /// Over TLS (RFC 7011, section 11.1).
    Tls(Tls),
}

/// Records that add up to the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Additive {
    /// By prefix.
    Prefix,
    /// By watched network, upstream and class.
    Network,
    /// By watched network and far end.
    Counterpart,
}

impl Additive {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Prefix, Self::Network, Self::Counterpart];

    /// The name in records and configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Prefix => "prefix",
            Self::Network => "network",
            Self::Counterpart => "counterpart",
        }
    }
}

impl FromStr for Additive {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(|kind| format!("{:?}", kind.name())).join(", ");
            ValueError::new(format!("{} is no kind of records that add up; write one of {names}", quote(text)))
        })
    }
}
