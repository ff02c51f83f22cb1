//! The same frames with addresses of either version of IP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const ETHERNET_LEN: usize = 14;
const V4_LEN: usize = 20;
/// The first bytes of all addresses of IPv6; those of an address of IPv4 follow.
const DOCUMENTATION: [u8; 4] = [0x20, 0x01, 0x0d, 0xb8];

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6: each address has a /64 of its own, 192.0.2.1 is 2001:db8:c000:201::1.
    V6,
}

impl Version {
    /// An address, by what it is of IPv4.
    pub fn address(self, v4: Ipv4Addr) -> IpAddr {
        match self {
            Self::V4 => v4.into(),
            Self::V6 => Ipv6Addr::from(mapped(v4.octets())).into(),
        }
    }

    /// A prefix of that length, likewise.
    pub fn prefix(self, v4: [u8; 4], len: u8) -> String {
        match self {
            Self::V4 => format!("{}/{len}", Ipv4Addr::from(v4)),
            Self::V6 => {
                let mut bytes = mapped(v4);
                bytes[8..].fill(0);
                format!("{}/{}", Ipv6Addr::from(bytes), 8 * DOCUMENTATION.len() + usize::from(len))
            }
        }
    }

    /// An Ethernet frame with an IPv4 packet without options, with the header of this version. All above it stays, its checksums included.
    pub fn frame(self, v4: Vec<u8>) -> Vec<u8> {
        match self {
            Self::V4 => v4,
            Self::V6 => {
                let (link, packet) = v4.split_at(ETHERNET_LEN);
                let (header, above) = packet.split_at(V4_LEN);
                let mut frame = link[..ETHERNET_LEN - 2].to_vec();
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
                frame.extend((above.len() as u16).to_be_bytes());
                // Protocol and hops.
                frame.extend([header[9], header[8]]);
                let (addresses, _) = header[12..].as_chunks::<4>();
                frame.extend(addresses.iter().flat_map(|address| mapped(*address)));
                frame.extend(above);
                frame
            }
        }
    }
}

/// The address of IPv6 in the place of one of IPv4.
fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&DOCUMENTATION);
    bytes[4..8].copy_from_slice(&[a, b, c, d]);
    bytes[15] = 1;
    bytes
}
