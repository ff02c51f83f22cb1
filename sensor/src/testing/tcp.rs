//! TCP connections, frame by frame.

/// An address and a port.
pub type End = ([u8; 4], u16);

/// Of whoever opens connections, as the sensor's link shows it.
pub const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// Of whoever answers.
pub const SERVER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A frame of a connection.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Whether the client sends it.
    pub by_client: bool,
    /// From the destination MAC to the last byte of the payload.
    pub frame: Vec<u8>,
}

/// A TCP segment in an Ethernet frame without padding.
pub fn segment(
    [to_mac, from_mac]: [[u8; 6]; 2],
    [from, to]: [End; 2],
    sequence: u32,
    flags: u8,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = [to_mac, from_mac].concat();
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((40 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 1, 0, 0, 64, 6, 0, 0]);
    frame.extend(from.0);
    frame.extend(to.0);
    frame.extend([from.1, to.1].into_iter().flat_map(u16::to_be_bytes));
    frame.extend(sequence.to_be_bytes());
    frame.extend([0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    frame.extend(payload);
    frame
}

/// A handshake, and one line each way in two pieces: the server's first.
pub fn connection(client: End, server: End, lines: [&str; 2]) -> Vec<Sent> {
    let sent = |by_client, sequence, flags, payload: &[u8]| {
        let (macs, ends) = match by_client {
            true => ([SERVER_MAC, CLIENT_MAC], [client, server]),
            false => ([CLIENT_MAC, SERVER_MAC], [server, client]),
        };
        Sent { by_client, frame: segment(macs, ends, sequence, flags, payload) }
    };
    let mut frames = vec![sent(true, 99, 2, &[]), sent(false, 499, 18, &[]), sent(true, 100, 16, &[])];
    for (by_client, mut sequence, line) in [(false, 500, lines[1]), (true, 100, lines[0])] {
        let (first, second) = line.as_bytes().split_at(3.min(line.len()));
        for part in [first, second] {
            frames.push(sent(by_client, sequence, 24, part));
            sequence += part.len() as u32;
        }
    }
    frames
}
