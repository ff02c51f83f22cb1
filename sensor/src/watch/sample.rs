//! What a record of a program says, in the words of those who look at it.

use std::net::{IpAddr, Ipv6Addr};

use jiff::Timestamp;
use sensor_ebpf::abi::{Direction, NetworkId, Sample, why};

use crate::{
    inspect::{Flow, Packet, Tcp, Verdict},
    sights::Sighting,
};

/// The packet of a record.
pub(super) fn packet<'a>(sample: &Sample, payload: &'a [u8]) -> Packet<'a> {
    let [source, destination] = sample.addresses.map(address);
    let [from, to] = sample.ports;
    Packet {
        flow: Flow { protocol: sample.protocol, source: (source, from), destination: (destination, to) },
        length: sample.length,
        tcp: (sample.why & why::TCP != 0).then_some(Tcp { sequence: sample.sequence, flags: sample.flags }),
        payload,
        payload_len: sample.payload_len,
    }
}

/// What it says of each watched end: that of the source, that of the destination.
pub(super) fn sightings(
    sample: &Sample,
    packet: &Packet<'_>,
    verdict: Option<Verdict>,
    at: Timestamp,
) -> impl Iterator<Item = Sighting> {
    let Flow { protocol, source, destination } = packet.flow;
    let by_source = sample.why & why::BY_OPENER != 0;
    let [from, to] = sample.networks.map(|network| NetworkId::new(network.into()));
    let sighting = move |network, direction| Sighting {
        network,
        watched: if direction == Direction::Out { source } else { destination },
        far: if direction == Direction::Out { destination } else { source },
        protocol,
        direction,
        two_way: false,
        opened_by_watched: (direction == Direction::Out) == by_source,
        tcp_flags: None,
        payload_len: 0,
        verdict,
        at,
    };
    let (two_way, payload_len) = (sample.why & why::TWO_WAY != 0, sample.payload_len);
    let tcp_flags = packet.tcp.map(|tcp| tcp.flags);
    let ends = [from.map(|network| (network, Direction::Out)), to.map(|network| (network, Direction::In))];
    ends.into_iter().flatten().map(move |(network, direction)| Sighting {
        two_way,
        tcp_flags,
        payload_len,
        ..sighting(network, direction)
    })
}

/// An address as programs write it.
fn address([leading, trailing]: [u64; 2]) -> IpAddr {
    let bits = u128::from(u64::from_be(leading)) << 64 | u128::from(u64::from_be(trailing));
    Ipv6Addr::from(bits).to_canonical()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Sample {
        Sample {
            addresses: [[0, 0xffff_c000_0201_u64.to_be()], [0x2001_0db8_0000_0000_u64.to_be(), 1_u64.to_be()]],
            ports: [1234, 53],
            protocol: 17,
            ..Sample::default()
        }
    }

    #[test]
    fn addresses_of_both_families() {
        let packet = packet(&sample(), &[]);
        assert_eq!(packet.flow.source, ("192.0.2.1".parse().unwrap(), 1234));
        assert_eq!(packet.flow.destination, ("2001:db8::1".parse().unwrap(), 53));
        assert_eq!(packet.tcp, None);
    }

    #[test]
    fn each_watched_end_sees_the_other() {
        let of = |sample: &Sample| {
            let packet = packet(sample, &[]);
            sightings(sample, &packet, None, Timestamp::UNIX_EPOCH).collect::<Vec<_>>()
        };
        assert_eq!(of(&sample()), []);
        let why = why::TCP | why::BY_OPENER | why::TWO_WAY;
        let both = Sample { networks: [3, 4], why, protocol: 6, flags: 0x12, payload_len: 9, ..sample() };
        let [source, destination] = of(&both).try_into().unwrap();
        assert_eq!((source.network.get(), source.direction, source.opened_by_watched), (3, Direction::Out, true));
        assert_eq!((destination.network.get(), destination.direction), (4, Direction::In));
        assert!(!destination.opened_by_watched && destination.two_way && destination.tcp_flags == Some(0x12));
        assert_eq!((source.watched, source.far), (destination.far, destination.watched));
        // An answer: the other end has opened the flow.
        let [answer] = of(&Sample { networks: [0, 4], why: 0, ..both }).try_into().unwrap();
        assert!(answer.opened_by_watched && !answer.two_way && answer.tcp_flags.is_none());
    }
}
