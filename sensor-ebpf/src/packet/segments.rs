//! How many packets on the wire a socket buffer stands for, where the kernel puts off cutting it (GSO).
//!
//! Pure arithmetic over what a TC program is told; no header is read for it.

/// What a socket buffer says of its segmentation, each number as the field of `__sk_buff` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Bytes of the buffer: the headers once, and everything they carry.
    pub len: u32,
    /// The same with the headers of every segment: Linux `qdisc_pkt_len_init` adds `(segments - 1) x headers`. 0, or less than
    /// `len`, where it was not worked out, or where a program before ours made the packet longer.
    pub wire_len: u32,
    /// Most bytes of payload in one segment; 0 where the packet is not cut.
    pub gso_size: u32,
    /// Segments as the sender of the buffer counted them; 0 from a tap, a virtual machine or a packet socket (`SKB_GSO_DODGY`).
    pub gso_segs: u32,
}

/// Numbers of segments that are tried, from the largest possible down: enough for headers of three times the payload.
const CANDIDATES: u32 = 4;
/// Ethernet leaves headers of 2 bytes more than a multiple of 4: 14 of its own, and multiples of 4 from tag to TCP option.
const HEADER_UNIT: u32 = 4;
const HEADER_REST: u32 = 2;

impl Offload {
    /// Bytes on the wire without FCS and without a tag kept beside the bytes: of all segments, their headers included.
    #[inline(always)]
    pub const fn wire_len(&self) -> u32 {
        if self.wire_len < self.len { self.len } else { self.wire_len }
    }

    /// Packets on the wire: 1 of an ordinary packet, and of one for which the kernel has not worked out the repeated headers, as
    /// only then the lengths are those of so many packets.
    #[inline(always)]
    pub const fn segments(&self) -> u32 {
        let repeated = self.wire_len() - self.len;
        if self.gso_size == 0 || repeated == 0 {
            1
        } else if self.gso_segs > 1 {
            self.gso_segs
        } else {
            solve(self.len, repeated, self.gso_size)
        }
    }
}

/// The number of segments that explains the `repeated` bytes of headers.
///
/// With headers of `h` bytes there are `n = ceil((len - h) / size)` segments and `repeated = (n - 1) x h`. Unless the headers are
/// longer than the payload of a segment `n` is `ceil(len / size)` or one less, and not both explain the same number: that takes
/// headers of which one is an odd and one an even multiple of 2.
#[inline(always)]
const fn solve(len: u32, repeated: u32, size: u32) -> u32 {
    let most = len.div_ceil(size);
    // Headers of an unusual length, where no usual one explains the number.
    let mut unusual = 0;
    let mut less = 0;
    while less < CANDIDATES {
        let segments = most.saturating_sub(less);
        if segments > 1 {
            let header = repeated / (segments - 1);
            let explains =
                header * (segments - 1) == repeated && header < len && (len - header).div_ceil(size) == segments;
            if explains && header % HEADER_UNIT == HEADER_REST {
                return segments;
            }
            if explains && unusual == 0 {
                unusual = segments;
            }
        }
        less += 1;
    }
    if unusual > 0 {
        unusual
    } else if most > 0 {
        most
    } else {
        1
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    /// What the kernel fills in, by cutting: a buffer of these headers and that payload, of unknown number of segments.
    fn cut(header: u32, payload: u32, gso_size: u32) -> (Offload, u32) {
        let mut segments = Vec::new();
        let mut left = payload;
        while left > 0 {
            segments.push(header + left.min(gso_size));
            left -= left.min(gso_size);
        }
        let wire_len = segments.iter().sum();
        (Offload { len: header + payload, wire_len, gso_size, gso_segs: 0 }, segments.len() as u32)
    }

    /// Ethernet, up to four tags or labels, IPv4 or IPv6, TCP or UDP, options, a tunnel or two.
    fn headers() -> impl Iterator<Item = u32> {
        (34..=200).step_by(4)
    }

    /// Payloads around every multiple of the size up to 40 segments, and the largest there are.
    fn payloads(size: u32) -> impl Iterator<Item = u32> {
        let around = |middle: u32| [-201_i64, -64, -40, -1, 0, 1, 33, 80].map(|off| i64::from(middle) + off);
        let all =
            (1..=40).chain([65_535 / size, 262_144 / size, 512 * 1024 / size]).flat_map(move |n| around(n * size));
        all.filter(|payload| *payload > 0).map(|payload| payload as u32)
    }

    #[test]
    fn as_many_as_cutting_gives() {
        let mut checked = 0;
        for header in headers() {
            for size in [200, 201, 216, 512, 536, 1000, 1220, 1240, 1400, 1428, 1440, 1448, 1460, 8948, 9000, 65_483] {
                for payload in payloads(size) {
                    let (offload, segments) = cut(header, payload, size);
                    assert_eq!(offload.segments(), segments, "header {header}, {offload:?}");
                    assert_eq!(offload.wire_len(), payload + segments * header);
                    checked += 1;
                }
            }
        }
        assert!(checked > 200_000, "{checked}");
    }

    /// Whether cutting into so many packets would repeat as many bytes of headers.
    fn explains(offload: &Offload, segments: u32) -> bool {
        let repeated = offload.wire_len - offload.len;
        if repeated == 0 {
            return segments == 1;
        }
        let header = repeated / (segments - 1);
        let (_, cut) = cut(header, offload.len - header, offload.gso_size);
        header * (segments - 1) == repeated && cut == segments
    }

    /// Two answers can then explain the same bytes: the one that comes out does, and nearly always it is what went in.
    fn nearly_always(headers: impl Iterator<Item = u32>, sizes: &[u32]) {
        let mut as_cut = [0_u32; 2];
        for header in headers {
            for size in sizes {
                for payload in payloads(*size) {
                    let (offload, segments) = cut(header, payload, *size);
                    let found = offload.segments();
                    assert!(explains(&offload, found), "header {header}, {offload:?}: {found}");
                    assert!(found.abs_diff(segments) <= 2, "header {header}, {offload:?}: {found}");
                    as_cut[usize::from(found == segments)] += 1;
                }
            }
        }
        assert!(as_cut[0] * 30 < as_cut[1], "{as_cut:?}");
    }

    /// The least that Linux lets a TCP peer ask for (`TCP_MIN_SND_MSS`), and what old links ask for.
    #[test]
    fn headers_that_outweigh_the_payload_are_explained() {
        nearly_always(headers().take_while(|header| *header <= 114), &[48, 64, 88, 100]);
    }

    #[test]
    fn unusual_headers_are_explained() {
        nearly_always(34..=200, &[200, 536, 1000, 1448]);
    }

    #[test]
    fn an_ordinary_packet_is_one() {
        for (len, wire_len) in [(60, 60), (1514, 1514), (1514, 0), (1518, 1514), (9014, 9014), (0, 0)] {
            let plain = Offload { len, wire_len, gso_size: 0, gso_segs: 0 };
            assert_eq!((plain.segments(), plain.wire_len()), (1, len));
            // A packet that fits one segment, and one whose headers the kernel did not find.
            for gso_segs in [0, 1, 3] {
                let offload = Offload { len, wire_len, gso_size: 700, gso_segs };
                assert_eq!((offload.segments(), offload.wire_len()), (1, len));
            }
        }
        // Some drivers leave a number behind without a size.
        assert_eq!(Offload { len: 1514, wire_len: 1514, gso_size: 0, gso_segs: 1 }.segments(), 1);
    }

    #[test]
    fn the_sender_knows_best() {
        let (offload, segments) = cut(66, 14_480, 1448);
        assert_eq!((segments, Offload { gso_segs: 10, ..offload }.segments()), (10, 10));
        // A number that went stale: the repeated headers say otherwise.
        assert_eq!(Offload { gso_segs: 1, ..offload }.segments(), 10);
        // SCTP: segments of lengths of their own (GSO_BY_FRAGS).
        assert_eq!(Offload { len: 5000, wire_len: 5102, gso_size: 0xffff, gso_segs: 4 }.segments(), 4);
    }

    #[test]
    fn any_numbers_are_answered() {
        let numbers = [0, 1, 2, 3, 13, 14, 34, 54, 1448, 65_535, 65_536, u32::MAX - 1, u32::MAX];
        for len in numbers {
            for wire_len in numbers {
                for gso_size in numbers {
                    for gso_segs in numbers {
                        let offload = Offload { len, wire_len, gso_size, gso_segs };
                        assert!(offload.segments() > 0 && offload.wire_len() >= len, "{offload:?}");
                    }
                }
            }
        }
    }
}
