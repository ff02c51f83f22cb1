//! A captured frame as the engine takes it: starting with an Ethernet header.

use crate::capture::{Frame, LinkType};

/// A frame with Ethernet in front.
#[derive(Clone, Copy, Debug)]
pub struct LinkFrame<'a> {
    /// Captured bytes.
    pub captured: &'a [u8],
    /// Length on the wire, counted from the first of `captured`.
    pub wire_len: u32,
    /// Length to count.
    pub frame_len: u32,
}

/// The frame, or `None` where its link type is not supported.
pub(super) fn link_frame<'a>(frame: &Frame<'a>) -> Option<LinkFrame<'a>> {
    match frame.link_type {
        LinkType::Ethernet => {
            // A capture may say that the wire held less than was captured; the captured bytes are the witness.
            let wire_len = frame.wire_len.max(frame.data.len() as u32);
            Some(LinkFrame { captured: frame.data, wire_len, frame_len: frame.wire_len })
        }
        _ => None,
    }
}
