//! Flows that never end are followed in memory that does not grow.
#![expect(clippy::unwrap_used, reason = "a figure that cannot be read fails the test")]

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
};

use sensor::inspect::{Flow, Inspector, Packet, Tcp};

/// Flows, half of them TCP.
const FLOWS: u32 = 64;
/// Packets of each before and after the first reading.
const ROUNDS: [u32; 2] = [200, 2_000];
/// What readings of the kernel may differ by; the packets between them hold 180 MB.
const TOLERANCE: u64 = 8 << 20;

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn flows_without_end_take_no_more_memory() {
    let mut inspector = Inspector::default();
    let mut payload = [0_u8; 1400];
    let mut round = |rounds: u32| {
        for at in 0..rounds {
            // Text of no known protocol, so that every judge goes on looking; gaps, so that segments are kept for later.
            payload.fill(b'A' + (at % 23) as u8);
            for flow in 0..FLOWS {
                let end = |last: u8, port| (IpAddr::from(Ipv4Addr::new(192, 0, 2, last)), port);
                let [here, there] = [end(1, 40_000 + flow as u16), end(2, 4_000)];
                let is_tcp = flow % 2 == 0;
                let (source, destination) = if at % 2 == 0 { (here, there) } else { (there, here) };
                let flow = Flow { protocol: if is_tcp { 6 } else { 17 }, source, destination };
                let tcp = is_tcp.then_some(Tcp { sequence: at.wrapping_mul(70_001), flags: 24 });
                inspector.look(&Packet { flow, length: 1440, tcp, payload: &payload, payload_len: 1400 });
            }
        }
    };
    round(ROUNDS[0]);
    let before = resident();
    round(ROUNDS[1]);
    let grown = resident().saturating_sub(before);
    assert!(grown < TOLERANCE, "{grown} bytes more");
    assert_eq!((inspector.flows().count(), inspector.overflow()), (FLOWS as usize, 0));
    assert!(
        inspector
            .flows()
            .all(|found| found.packets.iter().sum::<u64>() == ROUNDS.iter().map(|n| u64::from(*n)).sum::<u64>())
    );
}
