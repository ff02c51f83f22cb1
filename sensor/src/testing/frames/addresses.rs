//! Addresses in, at the edges of and beside the prefixes of a table, and strangers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::{cidr::Cidr, testing::rng::Rng};

/// One address in so many has nothing to do with the table.
const STRANGER_ONE_IN: usize = 3;
/// Strangers: shared address space (RFC 6598) and unique local addresses (RFC 4193).
const STRANGER_V4: (u32, u32) = (0x6440_0000, 0x003f_ffff);
const STRANGER_V6: (u128, u128) = (0xfd00 << 112, u128::MAX >> 16);

/// The prefixes addresses are chosen around, by family.
#[derive(Debug)]
pub(super) struct Addresses {
    v4: Vec<Cidr>,
    v6: Vec<Cidr>,
}

impl Addresses {
    pub(super) fn new(table: &[Cidr]) -> Self {
        let (v4, v6) = table.iter().partition(|cidr| cidr.is_v4());
        Self { v4, v6 }
    }

    /// Source and destination, of one family.
    pub(super) fn pair(&self, rng: &mut Rng) -> (IpAddr, IpAddr) {
        let v4 = rng.one_in(2);
        (self.one(rng, v4), self.one(rng, v4))
    }

    fn one(&self, rng: &mut Rng, v4: bool) -> IpAddr {
        let table = if v4 { &self.v4 } else { &self.v6 };
        match table.get(rng.below(table.len())) {
            Some(cidr) if !rng.one_in(STRANGER_ONE_IN) => near(rng, *cidr),
            _ => stranger(rng, v4),
        }
    }
}

fn stranger(rng: &mut Rng, v4: bool) -> IpAddr {
    if v4 {
        Ipv4Addr::from_bits(STRANGER_V4.0 | rng.next_u64() as u32 & STRANGER_V4.1).into()
    } else {
        Ipv6Addr::from_bits(STRANGER_V6.0 | rng.next_u128() & STRANGER_V6.1).into()
    }
}

/// Some address of a prefix, its first or last one, or the neighbours of these.
fn near(rng: &mut Rng, cidr: Cidr) -> IpAddr {
    match cidr.address() {
        IpAddr::V4(first) => {
            let hosts = u32::MAX.checked_shr(cidr.prefix_len().into()).unwrap_or(0);
            let first = first.to_bits();
            let last = first | hosts;
            let some = first | rng.next_u64() as u32 & hosts;
            let edges = [first, last, first.wrapping_sub(1), last.wrapping_add(1), some, some, some, some];
            Ipv4Addr::from_bits(rng.pick(&edges)).into()
        }
        IpAddr::V6(first) => {
            let hosts = u128::MAX.checked_shr(cidr.prefix_len().into()).unwrap_or(0);
            let first = first.to_bits();
            let last = first | hosts;
            let some = first | rng.next_u128() & hosts;
            let edges = [first, last, first.wrapping_sub(1), last.wrapping_add(1), some, some, some, some];
            Ipv6Addr::from_bits(rng.pick(&edges)).into()
        }
    }
}
