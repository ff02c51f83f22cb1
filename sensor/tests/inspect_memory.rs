//! Flows are followed in memory that does not grow with what they carry.
#![expect(clippy::unwrap_used, reason = "a figure that cannot be read fails the test")]

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
};

use sensor::inspect::{Flow, Inspector, Packet, Tcp};

/// Flows, half of them TCP.
const FLOWS: u32 = 64;
/// Packets of each while it is looked at, and in all.
const PACKETS: [u32; 2] = [20, 400];
/// Bytes of a payload, far more than of any is kept: 75 MB while flows are looked at.
const PAYLOAD: usize = 60_000;
/// What all flows may take: 128 KiB each, and what readings of the kernel may be off by.
const MOST: u64 = FLOWS as u64 * (128 << 10) + (4 << 20);

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
fn flows_take_no_more_memory_than_is_kept_of_them() {
    let mut inspector = Inspector::default();
    let mut payload = vec![1_u8; PAYLOAD];
    let before = resident();
    for at in 0..PACKETS[1] {
        // Text of no known protocol, so that every judge goes on looking; gaps, so that segments are kept for later.
        payload.fill(b'A' + (at % 23) as u8);
        for flow in 0..FLOWS {
            let end = |last: u8, port| (IpAddr::from(Ipv4Addr::new(192, 0, 2, last)), port);
            let [here, there] = [end(1, 40_000 + flow as u16), end(2, 4_000)];
            let (source, destination) = if at % 2 == 0 { (here, there) } else { (there, here) };
            let is_tcp = flow % 2 == 0;
            let flow = Flow { protocol: if is_tcp { 6 } else { 17 }, source, destination };
            let tcp = is_tcp.then_some(Tcp { sequence: at.wrapping_mul(70_001), flags: 24 });
            let packet = Packet { flow, length: 60_040, tcp, payload: &payload, payload_len: PAYLOAD as u32 };
            assert!(inspector.look(&packet, 0).is_some());
        }
        // Once while flows are looked at, and once when they no longer are.
        if PACKETS.contains(&(at + 1)) {
            let grown = resident().saturating_sub(before);
            assert!(grown < MOST, "{grown} bytes more after {at} packets of each flow");
        }
    }
    assert_eq!((inspector.len(), inspector.overflow()), (FLOWS as usize, 0));
    assert_eq!(inspector.finish().len(), FLOWS as usize);
}
