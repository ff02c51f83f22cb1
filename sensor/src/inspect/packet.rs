//! A packet as the inspector sees it: whose it is, and what it carries.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sensor_ebpf::packet::{Ipv4, Ipv6, L3, L4, Payload, Ports, SliceWindow, network};

/// Protocol numbers (IANA registry).
pub(crate) mod protocol {
    /// ICMP.
    pub(crate) const ICMP: u8 = 1;
    /// IPv4 in IP.
    pub(crate) const IPIP: u8 = 4;
    /// TCP.
    pub(crate) const TCP: u8 = 6;
    /// UDP.
    pub(crate) const UDP: u8 = 17;
    /// IPv6 in IP.
    pub(crate) const IPV6: u8 = 41;
    /// Generic Routing Encapsulation.
    pub(crate) const GRE: u8 = 47;
    /// Encapsulating Security Payload.
    pub(crate) const ESP: u8 = 50;
    /// Authentication Header.
    pub(crate) const AH: u8 = 51;
    /// ICMP of IPv6.
    pub(crate) const ICMPV6: u8 = 58;
    /// L2TP version 3.
    pub(crate) const L2TP: u8 = 115;
}

/// The addresses and ports of a packet, or of the first packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Protocol number of the upper layer.
    pub protocol: u8,
    /// Source address and port; port 0 where there are none.
    pub source: (IpAddr, u16),
    /// Destination, likewise.
    pub destination: (IpAddr, u16),
}

impl Flow {
    /// The same for both directions.
    #[must_use]
    pub fn key(self) -> Self {
        if self.source <= self.destination {
            self
        } else {
            Self { source: self.destination, destination: self.source, ..self }
        }
    }
}

/// What inspection needs of a TCP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Sequence number of the first byte of the payload.
    pub sequence: u32,
    /// The flags: FIN 1, SYN 2, RST 4, PSH 8, ACK 16.
    pub flags: u8,
}

impl Tcp {
    /// Whether the packet opens its direction.
    pub const fn is_syn(self) -> bool {
        self.flags & 2 != 0
    }
}

/// A packet of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Its addresses and ports.
    pub flow: Flow,
    /// L3 bytes.
    pub length: u32,
    /// Of a TCP packet.
    pub tcp: Option<Tcp>,
    /// Captured bytes behind the headers, without the link layer's padding.
    pub payload: &'a [u8],
    /// How many there were on the wire.
    pub payload_len: u32,
}

impl<'a> Packet<'a> {
    /// The packet in a frame that starts with an Ethernet header and was `wire_len` bytes long; `None` where no flow can be named: no IP, a later
    /// fragment, a header that is cut.
    pub fn of_frame(frame: &'a [u8], wire_len: u32) -> Option<Self> {
        let window = SliceWindow::captured(frame, wire_len, wire_len);
        let (length, behind, addresses) = match network(&window).ok()? {
            L3::V4(offset) => {
                let header = Ipv4::read(&window, offset).ok()?;
                let addresses = [header.source, header.destination].map(|bits| IpAddr::from(Ipv4Addr::from(bits)));
                (header.length, header.behind(), addresses)
            }
            L3::V6(offset) => {
                let header = Ipv6::read(&window, offset).ok()?;
                let address = |[leading, trailing]: [u64; 2]| {
                    IpAddr::from(Ipv6Addr::from(u128::from(leading) << 64 | u128::from(trailing)))
                };
                let addresses = [header.source, header.destination].map(address);
                (header.length, header.behind(), addresses)
            }
        };
        let L4 { upper, ports } = behind.l4(&window).ok()?;
        let Ports { source, destination } = ports.unwrap_or(Ports::NONE);
        let flow =
            Flow { protocol: upper.protocol, source: (addresses[0], source), destination: (addresses[1], destination) };
        let payload = Payload::read(&window, upper, behind.end);
        let tcp = payload.is_tcp().then_some(Tcp { sequence: payload.sequence, flags: payload.flags as u8 });
        let end = payload.offset.saturating_add(payload.len as usize).min(frame.len());
        let bytes = frame.get(payload.offset..end).unwrap_or_default();
        Some(Self { flow, length, tcp, payload: bytes, payload_len: payload.len })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authenticated_packets_are_ah_in_both_versions() {
        let mut frame = vec![0; 12];
        frame.extend([0x86, 0xDD, 0x60, 0, 0, 0, 0, 44, 0, 64]);
        frame.extend([0; 32]);
        // Hop-by-hop options, the header of 24 bytes, and TCP that is not looked at.
        frame.extend([51, 0, 1, 4, 0, 0, 0, 0]);
        frame.extend([6, 4]);
        frame.extend([0; 34]);
        let packet = Packet::of_frame(&frame, frame.len() as u32).expect("a packet");
        assert_eq!((packet.flow.protocol, packet.flow.source.1, packet.payload_len), (protocol::AH, 0, 36));
        assert_eq!(packet.payload.first(), Some(&6));
        for cut in 0..frame.len() {
            let _ = Packet::of_frame(&frame[..cut], frame.len() as u32);
        }
    }
}
