//! Link types: what the first byte of a captured frame is.

use std::fmt;

/// Link-layer header type by its number in capture files (<https://www.tcpdump.org/linktypes.html>).
///
/// Shown the way tcpdump names it (`EN10MB`, `LINUX_SLL` ...).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LinkType {
    /// 0: BSD loopback; address family as 4 bytes in the capturing machine's byte order.
    Null,
    /// 1: Ethernet, without FCS.
    Ethernet,
    /// 9: PPP, with or without the HDLC-like address and control bytes.
    Ppp,
    /// 101, also 12 and 14 where a writer stored its system's own number: IPv4 or IPv6, no link header.
    Raw,
    /// 50: PPP in HDLC-like framing or Cisco HDLC.
    PppHdlc,
    /// 51: `PPPoE` session header, then PPP.
    PppEther,
    /// 108: OpenBSD loopback; address family as 4 bytes in network byte order.
    Loop,
    /// 113: Linux "cooked" capture, version 1.
    LinuxSll,
    /// 228: IPv4, no link header.
    Ipv4,
    /// 229: IPv6, no link header.
    Ipv6,
    /// 276: Linux "cooked" capture, version 2.
    LinuxSll2,
    /// Any other, by its number.
    Other(u32),
}

impl LinkType {
    /// The number in capture files; 101 for every variant of raw IP.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::Null => 0,
            Self::Ethernet => 1,
            Self::Ppp => 9,
            Self::Raw => 101,
            Self::PppHdlc => 50,
            Self::PppEther => 51,
            Self::Loop => 108,
            Self::LinuxSll => 113,
            Self::Ipv4 => 228,
            Self::Ipv6 => 229,
            Self::LinuxSll2 => 276,
            Self::Other(number) => number,
        }
    }
}

impl From<u32> for LinkType {
    fn from(number: u32) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 => Self::Ppp,
            // DLT_RAW is 12 on most systems and 14 on OpenBSD; old writers stored it instead of LINKTYPE_RAW.
            12 | 14 | 101 => Self::Raw,
            50 => Self::PppHdlc,
            51 => Self::PppEther,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            228 => Self::Ipv4,
            229 => Self::Ipv6,
            276 => Self::LinuxSll2,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "NULL",
            Self::Ethernet => "EN10MB",
            Self::Ppp => "PPP",
            Self::Raw => "RAW",
            Self::PppHdlc => "PPP_SERIAL",
            Self::PppEther => "PPP_ETHER",
            Self::Loop => "LOOP",
            Self::LinuxSll => "LINUX_SLL",
            Self::Ipv4 => "IPV4",
            Self::Ipv6 => "IPV6",
            Self::LinuxSll2 => "LINUX_SLL2",
            // Named only because users meet them in an error message.
            Self::Other(105) => "IEEE802_11",
            Self::Other(127) => "IEEE802_11_RADIO",
            Self::Other(189) => "USB_LINUX",
            Self::Other(220) => "USB_LINUX_MMAPPED",
            Self::Other(239) => "NFLOG",
            Self::Other(249) => "USBPCAP",
            Self::Other(number) => return write!(f, "LINKTYPE_{number}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_round_trip() {
        for number in 0..=u32::from(u16::MAX) {
            let expected = if matches!(number, 12 | 14) { 101 } else { number };
            assert_eq!(LinkType::from(number).number(), expected);
        }
        assert_eq!(LinkType::from(1).to_string(), "EN10MB");
        assert_eq!(LinkType::from(147).to_string(), "LINKTYPE_147");
    }
}
