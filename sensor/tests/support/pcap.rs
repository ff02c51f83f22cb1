//! Small captures of packets whose counters can be told in the head.

use std::net::Ipv4Addr;

use sensor::capture::{LinkType, Timestamp, write::PcapWriter};

/// A frame and when it was captured: seconds since the epoch.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) second: u32,
    pub(crate) frame: Vec<u8>,
}

/// An IPv4 packet of `length` bytes with its header.
pub(crate) fn ipv4(second: u32, source: [u8; 4], destination: [u8; 4], length: u16) -> Sent {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
    frame.extend(length.to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 1, 0, 0]);
    frame.extend(Ipv4Addr::from(source).octets());
    frame.extend(Ipv4Addr::from(destination).octets());
    frame.resize(14 + usize::from(length), 0);
    Sent { second, frame }
}

/// A classic capture of Ethernet frames.
pub(crate) fn bytes(frames: &[Sent]) -> Vec<u8> {
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    for Sent { second, frame } in frames {
        let at = Timestamp::from_parts(i64::from(*second), 0);
        writer.write_frame(at, frame.len() as u32, frame).unwrap();
    }
    writer.into_inner()
}
