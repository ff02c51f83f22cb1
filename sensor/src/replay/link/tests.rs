//! One frame of each link layer; the bytes are written out after the documents, not made by the code under test.

use super::*;
use crate::capture::Timestamp;
use crate::{capture::Frame, replay::frame::Framer};

const IPV4: Payload = Payload::Type(0x0800);
const IPV6: Payload = Payload::Type(0x86dd);

fn check(link_type: u32, frame: &[u8], expected: (usize, Payload)) {
    let found = header(LinkType::from(link_type), frame).unwrap();
    assert_eq!((found.len, found.payload), expected, "link type {link_type}, {frame:02x?}");
}

#[test]
fn raw_ip_goes_by_its_version() {
    for link_type in [12, 14, 101, 228, 229] {
        check(link_type, &[0x45], (0, IPV4));
        check(link_type, &[0x60], (0, IPV6));
        check(link_type, &[0x10], (0, Payload::NotIp));
        check(link_type, &[], (0, Payload::Truncated));
    }
}

#[test]
fn loopback_families_in_either_byte_order() {
    for family in [[2, 0, 0, 0], [0, 0, 0, 2]] {
        check(0, &family, (4, IPV4));
        check(108, &family, (4, IPV4));
    }
    for family in [10, 24, 28, 30] {
        check(0, &[family, 0, 0, 0], (4, IPV6));
        check(0, &[0, 0, 0, family], (4, IPV6));
    }
    check(0, &[0x00, 0x08, 0, 0], (4, IPV4)); // an ethertype in place of a family
    check(0, &[0x0f, 0x00, 0x08, 0x00], (4, IPV4)); // one that a PPP driver stored
    check(0, &[7, 0, 0, 0], (4, Payload::NotIp));
    check(0, &[2, 0, 0], (0, Payload::Truncated));
}

#[test]
fn linux_cooked() {
    let mut first = [0; 16];
    first[14..].copy_from_slice(&[0x86, 0xdd]);
    check(113, &first, (16, IPV6));
    first[14..].copy_from_slice(&[0x00, 0x04]);
    check(113, &first, (16, Payload::Llc));
    check(113, &first[..15], (0, Payload::Truncated));
    let mut second = [0; 20];
    second[..2].copy_from_slice(&[0x08, 0x00]);
    check(276, &second, (20, IPV4));
    check(276, &second[..19], (0, Payload::Truncated));
}

#[test]
fn serial_lines() {
    check(9, &[0xff, 0x03, 0x00, 0x21], (4, IPV4));
    check(9, &[0x00, 0x57], (2, IPV6));
    check(9, &[0x21], (1, IPV4));
    check(9, &[0xff, 0x03, 0x02, 0x81], (4, Payload::Type(0x8847)));
    check(9, &[0xc0, 0x21], (2, Payload::NotIp));
    check(9, &[0xff, 0x03, 0x00], (0, Payload::Truncated));
    check(50, &[0x0f, 0x00, 0x08, 0x00], (4, IPV4));
    check(50, &[0xff, 0x03, 0x00, 0x57], (4, IPV6));
    check(104, &[0x8f, 0x00, 0x86, 0xdd], (4, IPV6));
    check(51, &[0x11, 0x00], (0, Payload::Type(0x8864)));
}

#[test]
fn frame_relay_with_and_without_a_protocol_number() {
    check(107, &[0x04, 0x21, 0x03, 0xcc], (4, IPV4));
    check(107, &[0x04, 0x21, 0x03, 0x00, 0x8e], (5, IPV6));
    check(107, &[0x04, 0x21, 0x03, 0x00, 0x80, 0, 0, 0, 0x08, 0x00], (10, IPV4));
    check(107, &[0x04, 0x21, 0x08, 0x00], (4, IPV4));
    check(107, &[0x04, 0x20, 0x00, 0x01, 0x03, 0xcc], (6, IPV4));
    check(107, &[0x04, 0x21, 0x03, 0xb0], (4, Payload::NotIp));
    check(107, &[0x04, 0x20, 0x00, 0x00, 0x00], (0, Payload::Truncated));
}

#[test]
fn wireless_data_frames() {
    let data = |kind: u8, flags: u8, len: usize| [vec![kind, flags], vec![0; len - 2]].concat();
    check(105, &data(0x08, 0x01, 24), (24, Payload::Llc));
    check(105, &data(0x08, 0x03, 30), (30, Payload::Llc));
    check(105, &data(0x88, 0x01, 26), (26, Payload::Llc));
    check(105, &data(0x88, 0x81, 30), (30, Payload::Llc));
    check(105, &data(0x08, 0x41, 24), (0, Payload::NotIp)); // encrypted
    check(105, &data(0x48, 0x01, 24), (0, Payload::NotIp)); // no data
    check(105, &data(0x80, 0x00, 24), (0, Payload::NotIp)); // beacon
    check(105, &data(0x08, 0x01, 23), (0, Payload::Truncated));
    check(127, &[vec![0, 0, 8, 0, 0, 0, 0, 0], data(0x08, 0x01, 24)].concat(), (32, Payload::Llc));
    check(127, &[0, 0, 200, 0], (0, Payload::Truncated));
}

#[test]
fn containers() {
    let ppi = |inner: u8| vec![0, 0, 8, 0, inner, 0, 0, 0];
    check(192, &[ppi(1), vec![0; 14]].concat(), (8, Payload::Ethernet));
    check(192, &[ppi(101), vec![0x45]].concat(), (8, IPV4));
    check(192, &ppi(192), (8, Payload::NotIp));
    let nflog = |family: u8| vec![family, 0, 0, 0, 5, 0, 1, 0, 7, 0, 0, 0, 8, 0, 9, 0, 0x45, 0, 0, 0];
    check(239, &nflog(2), (16, IPV4));
    check(239, &nflog(10), (16, IPV6));
    check(239, &[2, 0, 0, 0, 0, 0, 1, 0], (0, Payload::Truncated)); // an attribute of length 0 ends the walk too
}

#[test]
fn any_bytes_of_any_link_type_are_answered() {
    for link_type in 0..300 {
        for len in 0..40 {
            for fill in [0x00, 0x01, 0x45, 0x60, 0xff] {
                let frame = vec![fill; len];
                let Some(found) = header(LinkType::from(link_type), &frame) else { continue };
                if !matches!(found.payload, Payload::Truncated | Payload::NotIp) {
                    assert!(found.len <= len, "link type {link_type}, {len} bytes of {fill:#04x}: {found:?}");
                }
            }
        }
    }
}

#[test]
fn the_synthetic_header_is_not_counted() {
    let frame = Frame {
        timestamp: Timestamp::EPOCH,
        interface: 0,
        link_type: LinkType::Null,
        wire_len: 104,
        data: &[2, 0, 0, 0, 0x45, 0],
    };
    let mut framer = Framer::default();
    let framed = framer.ethernet(&frame);
    assert_eq!(framed.captured, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00, 0x45, 0x00]);
    assert_eq!((framed.wire_len, framed.frame_len), (114, 104));
}
