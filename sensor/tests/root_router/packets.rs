//! Packets that a router forwards: right checksums, room in the hop limit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use sensor::testing::frames::{Frame, Packet, Truth};

/// For experiments (RFC 3692): nobody answers it.
const PROTOCOL: u8 = 253;
/// Of each interface of the router, and of each neighbour.
pub(crate) const ROUTER_MAC: &str = "02:00:5e:20:00:01";
pub(crate) const NEIGHBOUR_MAC: &str = "02:00:5e:20:00:02";
const MACS: [u8; 12] = [2, 0, 0x5e, 0x20, 0, 1, 2, 0, 0x5e, 0x20, 0, 2];

/// A frame to the router with a packet of so many bytes of payload.
pub(crate) fn packet(source: IpAddr, destination: IpAddr, hops: u8, payload: usize) -> Frame {
    let mut bytes = MACS.to_vec();
    let length = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => v4(&mut bytes, source, destination, (hops, payload)),
        (IpAddr::V6(source), IpAddr::V6(destination)) => v6(&mut bytes, source, destination, (hops, payload)),
        _ => panic!("{source} and {destination} are of different families"),
    };
    bytes.resize(bytes.len() + payload, 7);
    let truth = Truth::Packet(Packet { source, destination, bytes: length, length_trouble: None, port_trouble: None });
    Frame { bytes, truth }
}

fn v4(bytes: &mut Vec<u8>, source: Ipv4Addr, destination: Ipv4Addr, (hops, payload): (u8, usize)) -> u64 {
    let length = 20 + payload as u16;
    bytes.extend([0x08, 0x00, 0x45, 0]);
    let header = bytes.len() - 2;
    bytes.extend(length.to_be_bytes());
    bytes.extend([0, 1, 0, 0, hops, PROTOCOL, 0, 0]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    let mut sum: u32 = bytes[header..].chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    bytes[header + 10..header + 12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    length.into()
}

fn v6(bytes: &mut Vec<u8>, source: Ipv6Addr, destination: Ipv6Addr, (hops, payload): (u8, usize)) -> u64 {
    bytes.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
    bytes.extend((payload as u16).to_be_bytes());
    bytes.extend([PROTOCOL, hops]);
    bytes.extend(source.octets());
    bytes.extend(destination.octets());
    40 + payload as u64
}
