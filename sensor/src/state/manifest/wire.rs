//! A prefix as a manifest holds it: 9 bytes for an IPv4 prefix of a full table, 12 for an IPv6 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result};
use sensor_ebpf::abi::NetworkId;
use serde::{Deserialize, Serialize};

use super::ManifestPrefix;
use crate::{cidr::Cidr, prefix::Membership};

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct WirePrefix {
    net: WireNet,
    /// 0: none.
    watched: u32,
    accounted: bool,
    /// 0: none.
    network: u32,
}

/// The network bits as a number, so that short prefixes take few bytes and none has host bits; then how many they are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum WireNet {
    V4(u32, u8),
    V6(u128, u8),
}

impl From<Cidr> for WireNet {
    fn from(cidr: Cidr) -> Self {
        let len = cidr.prefix_len();
        match cidr.address() {
            IpAddr::V4(address) => {
                Self::V4(address.to_bits().checked_shr(u32::BITS - u32::from(len)).unwrap_or(0), len)
            }
            IpAddr::V6(address) => {
                Self::V6(address.to_bits().checked_shr(u128::BITS - u32::from(len)).unwrap_or(0), len)
            }
        }
    }
}

impl TryFrom<WireNet> for Cidr {
    type Error = anyhow::Error;

    fn try_from(net: WireNet) -> Result<Self> {
        const TOO_LONG: &str = "a prefix is longer than an address";
        let (address, len): (IpAddr, u8) = match net {
            WireNet::V4(bits, len) => {
                let shift = u32::BITS.checked_sub(len.into()).context(TOO_LONG)?;
                (Ipv4Addr::from_bits(bits.checked_shl(shift).unwrap_or(0)).into(), len)
            }
            WireNet::V6(bits, len) => {
                let shift = u128::BITS.checked_sub(len.into()).context(TOO_LONG)?;
                (Ipv6Addr::from_bits(bits.checked_shl(shift).unwrap_or(0)).into(), len)
            }
        };
        Ok(Self::new(address, len)?)
    }
}

impl From<ManifestPrefix> for WirePrefix {
    fn from(prefix: ManifestPrefix) -> Self {
        let number = |network: Option<NetworkId>| network.map_or(0, NetworkId::get);
        let ManifestPrefix { cidr, membership, network } = prefix;
        Self {
            net: cidr.into(),
            watched: number(membership.watched),
            accounted: membership.accounted,
            network: number(network),
        }
    }
}

impl TryFrom<WirePrefix> for ManifestPrefix {
    type Error = anyhow::Error;

    fn try_from(wire: WirePrefix) -> Result<Self> {
        let network = |number: u32| match number {
            0 => Ok(None),
            _ => NetworkId::new(number).map(Some).context("a network number is too large"),
        };
        Ok(Self {
            cidr: wire.net.try_into()?,
            membership: Membership { watched: network(wire.watched)?, accounted: wire.accounted },
            network: network(wire.network)?,
        })
    }
}
