//! Packets of which nothing matters but their addresses and their length.

use super::net::Address;

/// A plain packet from `source` to `destination`, of one family, with `payload` bytes behind its IP header.
pub(crate) fn plain(source: Address, destination: Address, payload: usize) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    if source.v4 {
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend((20 + payload as u16).to_be_bytes());
        frame.extend([0, 1, 0, 0, 64, 59, 0, 0]);
        frame.extend(&source.bits.to_be_bytes()[..4]);
        frame.extend(&destination.bits.to_be_bytes()[..4]);
    } else {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend((payload as u16).to_be_bytes());
        frame.extend([59, 64]);
        frame.extend(source.bits.to_be_bytes());
        frame.extend(destination.bits.to_be_bytes());
    }
    frame.resize(frame.len() + payload, 0);
    frame
}
