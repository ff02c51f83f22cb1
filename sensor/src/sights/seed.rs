//! Numbers of flows and addresses that nobody outside can foresee.

use std::net::IpAddr;

use crate::random::step as mix;

/// What makes the numbers of one history different from those of another, so that nobody can choose addresses that fall together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seed(pub(super) u64);

impl Seed {
    /// The number of a flow.
    pub(super) fn flow(self, slot: u16, watched: (IpAddr, u16), far: (IpAddr, u16), protocol: u8) -> u64 {
        let ports = u64::from(watched.1) << 16 | u64::from(far.1);
        let head = u64::from(protocol) << 48 | u64::from(slot) << 32 | ports;
        self.number([head].into_iter().chain(words(watched.0)).chain(words(far.0)))
    }

    /// The number of an address.
    pub(super) fn address(self, address: IpAddr) -> u64 {
        self.number(words(address).into_iter())
    }

    fn number(self, words: impl Iterator<Item = u64>) -> u64 {
        words.fold(mix(self.0), |number, word| mix(number ^ word))
    }
}

/// An address in two words; the upper one of an IPv4 address is not that of any IPv6 address in use.
fn words(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [u64::MAX, address.to_bits().into()],
        IpAddr::V6(address) => [(address.to_bits() >> 64) as u64, address.to_bits() as u64],
    }
}
