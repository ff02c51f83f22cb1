//! Floods.

use std::net::IpAddr;

use super::*;
use crate::testing::rng::Rng;

#[test]
fn floods_of_flows_are_counted_in_flat_memory() {
    const FLOWS: u32 = 250_000;
    let mut inspector = Inspector::default();
    let mut rng = Rng::new(5);
    let payload: Vec<u8> = (0..1400).map(|_| rng.next_u64() as u8).collect();
    for number in 0..FLOWS {
        let flow = Flow {
            protocol: 17,
            source: (IpAddr::from(number.to_be_bytes()), 1 + (number % 60_000) as u16),
            destination: (IpAddr::from([192, 0, 2, 1]), 40_001),
        };
        let packet = Packet { flow, length: 1428, tcp: None, payload: &payload, payload_len: 1400 };
        inspector.look(&packet);
        assert!(inspector.held_bytes <= MAX_HELD);
    }
    let held: usize = inspector.flows.iter().map(Followed::held_bytes).sum();
    assert_eq!(held, inspector.held_bytes);
    assert!(inspector.given_up() > 0);
    assert_eq!(inspector.flows().map(|found| found.packets[0]).sum::<u64>(), u64::from(FLOWS));
    assert_eq!(inspector.flows().map(|found| found.bytes[0]).sum::<u64>(), 1428 * u64::from(FLOWS));
}

#[test]
fn both_directions_are_one_flow() {
    let mut inspector = Inspector::default();
    let (one, other) = ((IpAddr::from([192, 0, 2, 9]), 4000), (IpAddr::from([198, 51, 100, 1]), 9));
    for (source, destination) in [(other, one), (one, other), (other, one)] {
        let flow = Flow { protocol: 17, source, destination };
        inspector.look(&Packet { flow, length: 32, tcp: None, payload: &[0; 4], payload_len: 4 });
    }
    let found: Vec<Found> = inspector.flows().collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].flow.source, found[0].packets, found[0].bytes), (other, [2, 1], [64, 32]));
}
