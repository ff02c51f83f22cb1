//! Upstreams as an operator names them.

use std::{net::IpAddr, str::FromStr};

use super::{InterfaceName, Name, ValueError};
use crate::cidr::quote;

/// Most upstreams of one configuration.
pub const MAX_UPSTREAMS: usize = 255;
/// Most MAC addresses, and most neighbour addresses, of one upstream.
pub const MAX_UPSTREAM_ADDRESSES: usize = 64;
/// Highest VLAN number; 4095 is reserved, 0 is a tag without a VLAN (IEEE 802.1Q, 9.6).
pub const MAX_VLAN: u16 = 4094;

/// A neighbour that traffic is handed to or comes from, and what it is known by.
///
/// At least one criterion is given, and all that are given must hold: of a list, one entry. No neighbour fits two upstreams
/// with the same kinds of criteria.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Its name in records and reports.
    pub name: Name,
    /// Number of its autonomous system, never 0.
    pub asn: Option<u32>,
    /// Its MAC addresses, more than one with VRRP; empty: any. Never multicast or zero.
    pub macs: Vec<[u8; 6]>,
    /// Its IP addresses in the kernel's neighbour table; empty: any.
    pub neighbors: Vec<IpAddr>,
    /// The VLAN it is in, 1 to [`MAX_VLAN`].
    pub vlan: Option<u16>,
    /// The configured interface that leads to it.
    pub interface: Option<InterfaceName>,
}

/// The MAC address of one station.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Mac(pub(super) [u8; 6]);

impl FromStr for Mac {
    type Err = ValueError;

    /// Reads six bytes in hexadecimal with `:` or `-` between them.
    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fail = |why: &str| ValueError::new(format!("{} {why}", quote(text)));
        let bytes = octets(text).ok_or_else(|| {
            fail("is not a MAC address; write six bytes in hexadecimal, such as \"02:00:00:02:04:85\"")
        })?;
        if bytes == [0; 6] {
            return Err(fail("is the address of nobody; write the one that `ip neigh` shows"));
        }
        // The first bit on the wire says group (IEEE 802, 8.2).
        if bytes[0] & 1 != 0 {
            return Err(fail(
                "is a multicast address, which no neighbour sends from; write the one that `ip neigh` shows",
            ));
        }
        Ok(Self(bytes))
    }
}

/// The bytes of a MAC address, in hexadecimal with `:` or `-` between them.
pub(crate) fn octets(text: &str) -> Option<[u8; 6]> {
    let separator = if text.contains('-') { '-' } else { ':' };
    let mut bytes = [0; 6];
    let mut parts = text.split(separator);
    for byte in &mut bytes {
        let part =
            parts.next().filter(|part| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(bytes)
}

/// The address of one neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct NeighborAddress(pub(super) IpAddr);

impl FromStr for NeighborAddress {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fail = |why: &str| ValueError::new(format!("{} {why}", quote(text)));
        let address: IpAddr = text
            .parse()
            .map_err(|_| fail("is not an IP address; write one without prefix length, such as \"192.0.2.1\""))?;
        let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
        if address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast {
            return Err(fail("is the address of no single neighbour; write the one that `ip neigh` shows"));
        }
        Ok(Self(address))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses() {
        let mac = |text: &str| text.parse::<Mac>().map(|mac| mac.0).map_err(|error| error.to_string());
        for text in ["02:00:00:02:04:85", "02-00-00-02-04-85"] {
            assert_eq!(mac(text), Ok([2, 0, 0, 2, 4, 0x85]));
        }
        assert_eq!(mac("aA:bB:cc:Dd:ee:fF"), Ok([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]));
        for text in ["", "2:0:0:2:4:85", "02:00:00:02:04", "02:00:00:02:04:85:01", "02:00:00:02:04:8g", "020000020485"]
        {
            let write = "write six bytes in hexadecimal, such as \"02:00:00:02:04:85\"";
            assert_eq!(mac(text), Err(format!("\"{text}\" is not a MAC address; {write}")));
        }
        for text in ["02-00:00:02:04:85", "+2:00:00:02:04:85", " 02:00:00:02:04:85", "02:00:00:02:04:ä"] {
            assert!(mac(text).is_err(), "{text}");
        }
        assert!(mac("00:00:00:00:00:00").unwrap_err().contains("of nobody"));
        for text in ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:12", "33:33:00:00:00:01"] {
            assert!(mac(text).unwrap_err().contains("multicast"), "{text}");
        }
        // Of VRRP: what the routers of a group share (RFC 9568, 7.3).
        assert!(mac("00:00:5e:00:01:0a").is_ok());
    }

    #[test]
    fn neighbour_addresses() {
        for (text, good) in [
            ("192.0.2.1", true),
            ("fe80::1", true),
            ("192.0.2.1/24", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.18", false),
            ("ff02::12", false),
            ("127.0.0.1", false),
            ("::", false),
            ("eth0", false),
        ] {
            assert_eq!(text.parse::<NeighborAddress>().is_ok(), good, "{text}");
        }
    }
}
