//! A captured frame as the engine takes it: starting with an Ethernet header.

use super::link::{Header, Payload, ethertype, header};
use crate::capture::Frame;

/// Bytes of the Ethernet header that takes the place of another link header.
const SYNTHETIC_LEN: usize = 14;
/// A type field that announces an 802.3 frame: LLC follows. Any length would do, the parser does not use it.
const LENGTH_FIELD: u16 = 0;

/// A frame with Ethernet in front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkFrame<'a> {
    /// Captured bytes.
    pub captured: &'a [u8],
    /// Length on the wire, counted from the first of `captured`.
    pub wire_len: u32,
    /// Length to count: that of the wire, with the link header it had there.
    pub frame_len: u32,
}

/// Gives frames of any known link type an Ethernet header, in memory that is used again and again.
#[derive(Debug, Default)]
pub struct Framer {
    buffer: Vec<u8>,
}

impl Framer {
    /// The frame as the engine takes it; one of a link type that this version does not know is not IP.
    pub fn ethernet<'a>(&'a mut self, frame: &Frame<'a>) -> LinkFrame<'a> {
        let Header { len, payload } =
            header(frame.link_type, frame.data).unwrap_or(Header { len: 0, payload: Payload::NotIp });
        // A capture may say that the wire held less than was captured; the captured bytes are the witness.
        let wire_len = frame.wire_len.max(frame.data.len() as u32);
        let kind = match payload {
            // A link header in front of Ethernet is not part of the Ethernet frame, but of what is counted.
            Payload::Ethernet => {
                let captured = frame.data.get(len..).unwrap_or_default();
                let wire_len = wire_len.saturating_sub(len as u32);
                return LinkFrame { captured, wire_len, frame_len: frame.wire_len };
            }
            Payload::Truncated => return LinkFrame { captured: &[], wire_len: 0, frame_len: frame.wire_len },
            Payload::Type(kind) => kind,
            Payload::Llc => LENGTH_FIELD,
            Payload::NotIp => ethertype::RESERVED,
        };
        let packet = frame.data.get(len..).unwrap_or_default();
        self.buffer.clear();
        self.buffer.resize(SYNTHETIC_LEN - size_of::<u16>(), 0);
        self.buffer.extend(kind.to_be_bytes());
        self.buffer.extend(packet);
        let wire_len = wire_len.saturating_sub(len as u32).saturating_add(SYNTHETIC_LEN as u32);
        LinkFrame { captured: &self.buffer, wire_len, frame_len: frame.wire_len }
    }
}
