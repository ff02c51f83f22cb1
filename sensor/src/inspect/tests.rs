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

/// A control connection announces a transfer; a file in it that looks like a control connection announces nothing.
#[test]
fn transfers_are_announced_by_control_connections_alone() {
    let (client, server) = (IpAddr::from([192, 0, 2, 9]), IpAddr::from([198, 51, 100, 1]));
    let mut inspector = Inspector::default();
    let mut say = |source: (IpAddr, u16), destination: (IpAddr, u16), sequence: u32, text: &str| {
        let flow = Flow { protocol: 6, source, destination };
        let payload = text.as_bytes();
        let tcp = Some(Tcp { sequence, flags: 24 });
        inspector.look(&Packet { flow, length: 40, tcp, payload, payload_len: payload.len() as u32 });
    };
    let (control, listening) = ((client, 40_000), (server, 21));
    say(listening, control, 1, "220 FTP ready\r\n");
    say(control, listening, 1, "USER me\r\n");
    say(listening, control, 16, "331 more\r\n");
    say(listening, control, 26, "227 Entering Passive Mode (198,51,100,1,4,1)\r\n");
    say((client, 40_001), (server, 1025), 1, "220 FTP ready\r\nPORT 192,0,2,9,4,2\r\n");
    say((server, 1026), (client, 1026), 1, "what");
    let found: Vec<_> = inspector.flows().map(|found| found.verdict.map(|verdict| verdict.class)).collect();
    assert_eq!(found, [Some(Class::Ftp), Some(Class::Ftp), None]);
}
