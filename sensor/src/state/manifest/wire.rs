//! A prefix as a manifest holds it: 10 bytes for an IPv4 prefix of a full table, 13 for an IPv6 one.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::{Context as _, Result, ensure};
use sensor_ebpf::abi::NetworkId;
use serde::{Deserialize, Serialize};

use super::ManifestPrefix;
use crate::{
    cidr::Cidr,
    prefix::{Meaning, Membership},
};

/// Bits of [`WirePrefix::flags`].
const ACCOUNTED: u8 = 1;
const RETIRED: u8 = 1 << 1;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct WirePrefix {
    /// Ids without a meaning before this one.
    skipped: u32,
    net: WireNet,
    /// 0: none.
    watched: u32,
    flags: u8,
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
        let ManifestPrefix { skipped, meaning: Meaning { cidr, membership, network }, retired } = prefix;
        let flags = (u8::from(membership.accounted) * ACCOUNTED) | (u8::from(retired) * RETIRED);
        Self { skipped, net: cidr.into(), watched: number(membership.watched), flags, network: number(network) }
    }
}

impl TryFrom<WirePrefix> for ManifestPrefix {
    type Error = anyhow::Error;

    fn try_from(wire: WirePrefix) -> Result<Self> {
        let network = |number: u32| match number {
            0 => Ok(None),
            _ => NetworkId::new(number).map(Some).context("a network number is too large"),
        };
        ensure!(wire.flags & !(ACCOUNTED | RETIRED) == 0, "a prefix has flags that mean nothing");
        let membership = Membership { watched: network(wire.watched)?, accounted: wire.flags & ACCOUNTED != 0 };
        let meaning = Meaning { cidr: wire.net.try_into()?, membership, network: network(wire.network)? };
        Ok(Self { skipped: wire.skipped, meaning, retired: wire.flags & RETIRED != 0 })
    }
}
