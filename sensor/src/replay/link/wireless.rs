//! IEEE 802.11, bare or behind a radiotap header.

use super::{Header, Payload, le16};

/// Radiotap: version, padding, length of everything before the 802.11 header.
pub(super) fn radiotap(frame: &[u8]) -> Option<Header> {
    ieee802_11(frame, usize::from(le16(frame, 2)?))
}

/// The MAC header (IEEE 802.11-2020, 9.3.2) at `start`, of a data frame; LLC stands behind it unless the frame is encrypted.
pub(super) fn ieee802_11(frame: &[u8], start: usize) -> Option<Header> {
    const TYPE: u8 = 0b1100;
    const DATA: u8 = 0b1000;
    const NO_DATA: u8 = 0b0100_0000;
    const QOS: u8 = 0b1000_0000;
    const FROM_AND_TO_DS: u8 = 0b11;
    const PROTECTED: u8 = 0b0100_0000;
    const HT_CONTROL: u8 = 0b1000_0000;
    const AGGREGATE: u8 = 0b1000_0000;
    const BASE_LEN: usize = 24;
    const ADDRESS_LEN: usize = 6;
    const QOS_LEN: usize = 2;
    const HT_CONTROL_LEN: usize = 4;
    let &[kind, flags] = frame.get(start..)?.first_chunk()?;
    if kind & TYPE != DATA || kind & NO_DATA != 0 || flags & PROTECTED != 0 {
        return Some(Header { len: start, payload: Payload::NotIp });
    }
    let mut len = start + BASE_LEN;
    if flags & FROM_AND_TO_DS == FROM_AND_TO_DS {
        len += ADDRESS_LEN;
    }
    if kind & QOS != 0 {
        if frame.get(len)? & AGGREGATE != 0 {
            // Several packets in one frame: none of them is the frame's own.
            return Some(Header { len, payload: Payload::NotIp });
        }
        len += QOS_LEN;
        if flags & HT_CONTROL != 0 {
            len += HT_CONTROL_LEN;
        }
    }
    frame.get(..len)?;
    Some(Header { len, payload: Payload::Llc })
}
