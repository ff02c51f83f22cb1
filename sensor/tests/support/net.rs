//! Plain prefixes and addresses, made without the code under test.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address by its family and its bits; those of IPv4 are the upper 32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) v4: bool,
    pub(crate) bits: u128,
}

/// A prefix, without host bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Net {
    pub(crate) v4: bool,
    pub(crate) bits: u128,
    pub(crate) len: u8,
}

impl Address {
    pub(crate) fn ip(self) -> IpAddr {
        if self.v4 {
            Ipv4Addr::from_bits((self.bits >> 96) as u32).into()
        } else {
            Ipv6Addr::from_bits(self.bits).into()
        }
    }
}

impl Net {
    pub(crate) fn new(v4: bool, bits: u128, len: u8) -> Self {
        let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
        Self { v4, bits: bits & mask, len }
    }

    pub(crate) fn first(self) -> Address {
        Address { v4: self.v4, bits: self.bits }
    }
}

/// The prefixes in the order of their ids, IPv4 first, each once.
pub(crate) fn sorted(mut nets: Vec<Net>) -> Vec<Net> {
    nets.sort_by_key(|net| (!net.v4, net.bits, net.len));
    nets.dedup();
    nets
}
