//! Frames of a conversation.

use super::super::{
    rng::Rng,
    tcp::{self, End},
};

/// The router, which is on the side of the network.
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Bytes of an Ethernet header and an IPv4 header behind it.
const BEFORE_UDP: usize = 34;

/// Who speaks: the watched end, the far one, and the neighbour by way of whom.
pub(super) struct Talk {
    pub(super) watched: End,
    pub(super) far: End,
    pub(super) upstream: [u8; 6],
}

impl Talk {
    /// Of the side that sends: MAC addresses and ends.
    fn way(&self, by_watched: bool) -> ([[u8; 6]; 2], [End; 2]) {
        match by_watched {
            true => ([self.upstream, ROUTER], [self.watched, self.far]),
            false => ([ROUTER, self.upstream], [self.far, self.watched]),
        }
    }

    /// A TCP connection: what whoever opens it says, and the answer, in segments.
    pub(super) fn tcp(&self, opened_by_watched: bool, question: &[u8], answer: &[u8]) -> Vec<Vec<u8>> {
        let segment = |by_opener: bool, sequence, flags, payload: &[u8]| {
            let (macs, ends) = self.way(by_opener == opened_by_watched);
            tcp::segment(macs, ends, sequence, flags, payload)
        };
        let mut frames = vec![segment(true, 99, 2, &[]), segment(false, 499, 18, &[]), segment(true, 100, 16, &[])];
        for (by_opener, mut sequence, text) in [(true, 100, question), (false, 500, answer)] {
            for part in text.chunks(1400) {
                frames.push(segment(by_opener, sequence, 24, part));
                sequence += part.len() as u32;
            }
        }
        frames
    }

    /// A datagram.
    pub(super) fn udp(&self, by_watched: bool, payload: &[u8]) -> Vec<u8> {
        let (macs, ends) = self.way(by_watched);
        // As a segment, with the header of UDP in the place of that of TCP.
        let mut frame = tcp::segment(macs, ends, 0, 0, &[]);
        frame.truncate(BEFORE_UDP);
        frame[16..18].copy_from_slice(&(28 + payload.len() as u16).to_be_bytes());
        frame[23] = 17;
        frame.extend(ends.into_iter().flat_map(|(_, port)| port.to_be_bytes()));
        frame.extend((8 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    /// A handshake of WireGuard and some data.
    pub(super) fn wireguard(&self, rng: &mut Rng) -> Vec<Vec<u8>> {
        let mut random = |kind: u8, len: usize| -> Vec<u8> {
            let body = (4..len).map(|_| rng.below(256) as u8);
            [kind, 0, 0, 0].into_iter().chain(body).collect()
        };
        let (first, mut second) = (random(1, 148), random(2, 92));
        // The answer names the question's index.
        second[8..12].copy_from_slice(&first[4..8]);
        let data: Vec<Vec<u8>> = (0..6).map(|_| random(4, 1312)).collect();
        let mut frames = vec![self.udp(true, &first), self.udp(false, &second)];
        frames.extend(data.iter().enumerate().map(|(place, data)| self.udp(place % 3 == 0, data)));
        frames
    }
}
