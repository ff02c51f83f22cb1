//! IPv4 and IPv6 prefixes as text and as sorted values.

use std::{
    cmp::Ordering,
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use thiserror::Error;

/// Longest piece of someone's text repeated in a message, in characters.
const MAX_QUOTED: usize = 60;
/// Bits of an IPv4 address.
const V4_BITS: u8 = 32;
/// Bytes of the longest IPv4 prefix as text: `255.255.255.255/32`.
const MAX_V4_TEXT: usize = 18;
/// Bits of an IPv6 address.
const V6_BITS: u8 = 128;

/// An IPv4 or IPv6 prefix without host bits.
///
/// Ordered by family (IPv4 first), address, length: a prefix sorts right before its more-specifics. An IPv4-mapped IPv6
/// prefix stays IPv6. Takes 18 bytes, because tables hold a million of them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    family: Family,
    /// Network byte order; IPv4 in the first four bytes, the rest 0.
    address: [u8; 16],
    len: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Family {
    V4,
    V6,
}

/// Text or numbers that are no prefix. The message is one line and says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CidrError {
    /// Nothing there.
    #[error("a prefix is missing; write one such as 192.0.2.0/24 or 2001:db8::/32")]
    Empty,
    /// The part before the slash is no address.
    #[error("{text} is not an IPv4 or IPv6 prefix; write a whole address, such as 192.0.2.0/24 or 2001:db8::/32")]
    Address {
        /// The text, quoted and shortened.
        text: String,
    },
    /// The part behind the slash is no prefix length of that family.
    #[error("{text} has no valid prefix length; write a number from 0 to {max} behind the slash")]
    Length {
        /// The text, quoted and shortened.
        text: String,
        /// Bits of an address.
        max: u8,
    },
    /// Bits behind the prefix length are set.
    #[error("{text} has host bits set; write {network} for the whole network")]
    HostBits {
        /// The text, quoted and shortened.
        text: String,
        /// The prefix without them.
        network: Cidr,
    },
}

impl Cidr {
    /// The prefix of `len` bits of an address, host bits cleared.
    ///
    /// # Errors
    /// `len` exceeds the bits of the address.
    pub fn masked(address: IpAddr, len: u8) -> Result<Self, CidrError> {
        let (family, octets, max) = match address {
            IpAddr::V4(address) => {
                let mut octets = [0; 16];
                octets[..4].copy_from_slice(&address.octets());
                (Family::V4, octets, V4_BITS)
            }
            IpAddr::V6(address) => (Family::V6, address.octets(), V6_BITS),
        };
        if len > max {
            return Err(CidrError::Length { text: quote(&format!("{address}/{len}")), max });
        }
        let mask = u128::MAX.checked_shl(u32::from(V6_BITS - len)).unwrap_or(0);
        Ok(Self { family, address: (u128::from_be_bytes(octets) & mask).to_be_bytes(), len })
    }

    /// The prefix of `len` bits of an address.
    ///
    /// # Errors
    /// `len` exceeds the bits of the address, or host bits are set.
    pub fn new(address: IpAddr, len: u8) -> Result<Self, CidrError> {
        let network = Self::masked(address, len)?;
        if network.address() != address {
            return Err(CidrError::HostBits { text: quote(&format!("{address}/{len}")), network });
        }
        Ok(network)
    }

    /// The prefix that is one address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let mut octets = [0; 16];
                octets[..4].copy_from_slice(&v4.octets());
                Self { family: Family::V4, address: octets, len: V4_BITS }
            }
            IpAddr::V6(v6) => Self { family: Family::V6, address: v6.octets(), len: V6_BITS },
        }
    }

    /// The first address.
    #[must_use]
    pub fn address(self) -> IpAddr {
        let [a, b, c, d, ..] = self.address;
        match self.family {
            Family::V4 => Ipv4Addr::new(a, b, c, d).into(),
            Family::V6 => Ipv6Addr::from(self.address).into(),
        }
    }

    /// The first address, its first bit uppermost; an IPv4 address fills the upper 32 bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        u128::from_be_bytes(self.address)
    }

    /// Network bits: 0 to 32 or 128.
    #[must_use]
    pub const fn prefix_len(self) -> u8 {
        self.len
    }

    /// Whether this is an IPv4 prefix.
    #[must_use]
    pub const fn is_v4(self) -> bool {
        matches!(self.family, Family::V4)
    }

    /// Whether every address of `other` is in this prefix; a prefix contains itself.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        let difference = u128::from_be_bytes(self.address) ^ u128::from_be_bytes(other.address);
        self.family == other.family && self.len <= other.len && difference.leading_zeros() >= u32::from(self.len)
    }

    /// Whether an address is in this prefix.
    #[must_use]
    pub fn contains_address(self, address: IpAddr) -> bool {
        self.contains(Self::host(address))
    }
}

impl Ord for Cidr {
    /// As the fields in their order; as numbers, because a million addresses are compared twenty times each to sort them.
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |cidr: &Self| (cidr.family, cidr.bits(), cidr.len);
        key(self).cmp(&key(other))
    }
}

impl PartialOrd for Cidr {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl FromStr for Cidr {
    type Err = CidrError;

    /// Reads `address/length`, or a bare address as the prefix of all its bits. No white space, no leading zeros.
    fn from_str(text: &str) -> Result<Self, CidrError> {
        if text.is_empty() {
            return Err(CidrError::Empty);
        }
        let (address, len) = match text.split_once('/') {
            Some((address, len)) => (address, Some(len)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| CidrError::Address { text: quote(text) })?;
        let Some(len) = len else { return Ok(Self::host(address)) };
        let max = if address.is_ipv4() { V4_BITS } else { V6_BITS };
        let len = bits(len).filter(|len| *len <= max).ok_or_else(|| CidrError::Length { text: quote(text), max })?;
        let network = Self::masked(address, len)?;
        if network.address() != address {
            return Err(CidrError::HostBits { text: quote(text), network });
        }
        Ok(network)
    }
}

/// A prefix length in decimal, without sign or leading zero.
fn bits(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    plain.then(|| text.parse().ok())?
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.address;
        match self.family {
            // In one piece: records name a million of them, and five numbers by the formatter take longer than the rest of the line.
            Family::V4 => {
                let mut text = [0; MAX_V4_TEXT];
                let mut end = 0;
                for (number, before) in
                    [(a, None), (b, Some(b'.')), (c, Some(b'.')), (d, Some(b'.')), (self.len, Some(b'/'))]
                {
                    let digits = [number / 100, number / 10 % 10, number % 10];
                    let skip = digits[..2].iter().take_while(|digit| **digit == 0).count();
                    for byte in before.into_iter().chain(digits[skip..].iter().map(|digit| b'0' + digit)) {
                        text[end] = byte;
                        end += 1;
                    }
                }
                f.write_str(std::str::from_utf8(&text[..end]).map_err(|_| fmt::Error)?)
            }
            Family::V6 => write!(f, "{}/{}", self.address(), self.len),
        }
    }
}

impl fmt::Debug for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Someone's text as it may stand in a message: in quotes, on one line, not too long.
pub(crate) fn quote(text: &str) -> String {
    let mut quoted: String = text.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_QUOTED).is_some() {
        quoted.push_str("...");
    }
    format!("\"{quoted}\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn error(text: &str) -> String {
        text.parse::<Cidr>().unwrap_err().to_string()
    }

    #[test]
    fn text_is_that_of_address_and_length() {
        for number in 0..=u8::MAX {
            let address = Ipv4Addr::new(number, number.rotate_left(3), number / 100, u8::MAX - number);
            for len in 0..=V4_BITS {
                let cidr = Cidr::masked(address.into(), len).unwrap();
                assert_eq!(cidr.to_string(), format!("{}/{len}", cidr.address()));
            }
        }
    }

    #[test]
    fn canonical_text() {
        for (text, canonical) in [
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("192.0.2.1", "192.0.2.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("::/0", "::/0"),
            ("2001:DB8:0:0::/32", "2001:db8::/32"),
            ("2001:db8::1", "2001:db8::1/128"),
            ("::ffff:192.0.2.0/120", "::ffff:192.0.2.0/120"),
        ] {
            assert_eq!(cidr(text).to_string(), canonical);
        }
        assert!(!cidr("::ffff:192.0.2.0/120").is_v4());
        assert_eq!(size_of::<Cidr>(), 18);
    }

    #[test]
    fn errors_say_what_to_write() {
        assert_eq!(error(""), "a prefix is missing; write one such as 192.0.2.0/24 or 2001:db8::/32");
        assert_eq!(error("10.1.2.3/8"), "\"10.1.2.3/8\" has host bits set; write 10.0.0.0/8 for the whole network");
        assert_eq!(
            error("2001:db8::1/32"),
            "\"2001:db8::1/32\" has host bits set; write 2001:db8::/32 for the whole network"
        );
        for text in
            ["10/8", "10.0.0.0.0/8", "010.0.0.0/8", " 10.0.0.0/8", "fe80::1%eth0", "example.org", "/8", "a\u{0}"]
        {
            assert!(error(text).contains("write a whole address"), "{text}");
        }
        for text in ["10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/255.0.0.0", "10.0.0.0/8/8"] {
            assert!(error(text).contains("from 0 to 32 behind the slash"), "{text}");
        }
        assert!(error("::/129").contains("from 0 to 128"));
        assert_eq!(quote("a\n\"b"), r#""a\n\"b""#);
        assert!(error(&"x".repeat(5000)).len() < 200);
    }

    #[test]
    fn order_and_containment() {
        let sorted = ["0.0.0.0/0", "10.0.0.0/8", "10.0.0.0/24", "10.0.1.0/24", "::/0", "::a00:0/128"].map(cidr);
        assert!(sorted.is_sorted());
        assert!(cidr("10.0.0.0/8").contains(cidr("10.0.1.0/24")));
        assert!(!cidr("10.0.1.0/24").contains(cidr("10.0.0.0/8")));
        assert!(!cidr("0.0.0.0/0").contains(cidr("::/0")));
        assert!(cidr("::/0").contains_address("2001:db8::1".parse().unwrap()));
        assert!(!cidr("192.0.2.0/25").contains_address("192.0.2.128".parse().unwrap()));
        assert!(Cidr::new("10.0.0.1".parse().unwrap(), 8).is_err());
        assert!(Cidr::masked("10.0.0.1".parse().unwrap(), 33).is_err());
    }

    proptest! {
        #[test]
        fn text_round_trips(address: IpAddr, len in 0u8..=128) {
            let len = if address.is_ipv4() { len % 33 } else { len };
            let prefix = Cidr::masked(address, len).unwrap();
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
            prop_assert_eq!(Cidr::new(prefix.address(), len), Ok(prefix));
            prop_assert!(prefix.contains_address(address));
        }

        #[test]
        fn any_text_is_read_or_refused(text: String) {
            let _ = text.parse::<Cidr>();
        }

        #[test]
        fn near_prefixes_are_read_or_refused(text in "[0-9a-f.:/]{0,24}") {
            if let Ok(prefix) = text.parse::<Cidr>() {
                prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
            }
        }
    }
}
