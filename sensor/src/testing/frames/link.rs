//! Link headers: what stands before an IP header, and what stands where none follows.

use crate::testing::rng::Rng;

/// Locally administered unicast addresses that no interface here has: nothing takes these frames for its own.
const MACS: [u8; 12] = [0x02, 0, 0x5e, 0x10, 0, 1, 0x02, 0, 0x5e, 0x10, 0, 2];

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;
const LLDP: u16 = 0x88cc;
const MPLS: u16 = 0x8847;
const MPLS_UPSTREAM: u16 = 0x8848;
const PPPOE_DISCOVERY: u16 = 0x8863;
const PPPOE_SESSION: u16 = 0x8864;
const EAPOL: u16 = 0x888e;
/// 802.1Q, 802.1ad, and what came before 802.1ad.
const TAGS: [u16; 4] = [0x8100, 0x88a8, 0x9100, 0x9200];
/// Tags and labels that must still be followed.
const MOST_TAGS: usize = 4;
const MOST_LABELS: usize = 8;
/// Largest value of the type field that is a length.
const MAX_802_3_LENGTH: usize = 1500;

/// The bytes before the IP header.
#[derive(Clone, Debug)]
pub(super) struct Link {
    bytes: Vec<u8>,
    /// Where an 802.3 length is to be written, of a frame that has one.
    length_at: Option<usize>,
}

impl Link {
    fn new() -> Self {
        Self { bytes: MACS.to_vec(), length_at: None }
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Longest frame that may begin with this header.
    pub(super) fn max_len(&self) -> usize {
        self.length_at.map_or(usize::MAX, |at| at + 2 + MAX_802_3_LENGTH)
    }

    /// The header of a frame that carries so many bytes behind it.
    pub(super) fn before(&self, payload: usize) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some(at) = self.length_at {
            let length = (bytes.len() + payload - at - 2) as u16;
            bytes[at..at + 2].copy_from_slice(&length.to_be_bytes());
        }
        bytes
    }

    fn with(mut self, bytes: &[u8]) -> Self {
        self.bytes.extend(bytes);
        self
    }

    fn ethertype(self, kind: u16) -> Self {
        self.with(&kind.to_be_bytes())
    }

    fn tags(mut self, rng: &mut Rng, count: usize) -> Self {
        for _ in 0..count {
            self = self.ethertype(rng.pick(&TAGS)).with(&(rng.next_u64() as u16).to_be_bytes());
        }
        self
    }

    fn labels(mut self, rng: &mut Rng, count: usize, bottom: bool) -> Self {
        self = self.ethertype(rng.pick(&[MPLS, MPLS_UPSTREAM]));
        for number in 1..=count {
            let label = (rng.next_u64() as u32 & !0x100) | if bottom && number == count { 0x100 } else { 0 };
            self = self.with(&label.to_be_bytes());
        }
        self
    }

    fn pppoe(self, protocol: &[u8]) -> Self {
        self.ethertype(PPPOE_SESSION).with(&[0x11, 0, 0, 1, 0, 0]).with(protocol)
    }

    fn llc(mut self, header: &[u8]) -> Self {
        self.length_at = Some(self.len());
        self.with(&[0, 0]).with(header)
    }
}

const fn ip(v4: bool) -> u16 {
    if v4 { IPV4 } else { IPV6 }
}

/// Ethernet II and nothing else.
pub(super) fn plain(v4: bool) -> Link {
    Link::new().ethertype(ip(v4))
}

/// Ethernet II with up to as many VLAN tags as must be followed.
pub(super) fn tagged(rng: &mut Rng, v4: bool) -> Link {
    let tags = rng.below(MOST_TAGS + 1);
    Link::new().tags(rng, tags).ethertype(ip(v4))
}

/// Any header an IP packet may stand behind; half of them plain.
pub(super) fn any(rng: &mut Rng, v4: bool) -> Link {
    if rng.one_in(2) {
        return plain(v4);
    }
    let outer = if rng.one_in(3) { Link::new().tags(rng, 1) } else { Link::new() };
    match rng.below(6) {
        0 | 1 => tagged(rng, v4),
        2 => {
            let labels = rng.between(1, MOST_LABELS);
            outer.labels(rng, labels, true)
        }
        3 => outer.pppoe(if v4 { &[0, 0x21] } else { &[0, 0x57] }),
        4 if v4 && rng.one_in(2) => outer.llc(&[6, 6, 3]),
        4 => {
            let [high, low] = ip(v4).to_be_bytes();
            outer.llc(&[0xaa, 0xaa, 3, 0, 0, 0, high, low])
        }
        _ => outer.pppoe(if v4 { &[0x21] } else { &[0x57] }),
    }
}

/// A frame of a protocol that is not IP.
pub(super) fn not_ip(rng: &mut Rng) -> (Vec<u8>, &'static str) {
    let tags = rng.below(MOST_TAGS + 1);
    let outer = Link::new().tags(rng, tags);
    let link = match rng.below(7) {
        // A gratuitous request: Ethernet, IPv4, who has.
        0 => outer.ethertype(ARP).with(&[0, 1, 8, 0, 6, 4, 0, 1]),
        1 => outer.ethertype(LLDP),
        2 => outer.ethertype(PPPOE_DISCOVERY),
        3 => outer.ethertype(EAPOL),
        // LCP in PPPoE; a pseudowire in MPLS, whose control word begins with zero (RFC 4385).
        4 => outer.pppoe(&[0xc0, 0x21]),
        5 => outer.labels(rng, 1, true).with(&[0]),
        // Spanning tree.
        _ => outer.llc(&[0x42, 0x42, 3]),
    };
    let payload = vec![0; rng.between(28, 200)];
    (link.before(payload.len()).into_iter().chain(payload).collect(), "not_ip")
}

/// More tags or labels than are followed.
pub(super) fn too_deep(rng: &mut Rng) -> (Vec<u8>, &'static str) {
    let more = rng.between(1, 4);
    let (link, reason) = if rng.one_in(2) {
        (Link::new().tags(rng, MOST_TAGS + more).ethertype(IPV4), "vlan_depth")
    } else {
        (Link::new().labels(rng, MOST_LABELS + more, true), "mpls_depth")
    };
    (link.with(&[0x45; 40]).bytes, reason)
}

/// A frame that ends inside a link header, behind the Ethernet header: shorter ones no socket sends.
pub(super) fn cut_short(rng: &mut Rng) -> (Vec<u8>, &'static str) {
    let tags = rng.below(MOST_TAGS);
    let outer = Link::new().tags(rng, tags);
    let start = outer.len() + 2;
    let mut bytes = match rng.below(4) {
        0 => outer.tags(rng, 1).ethertype(IPV4),
        1 => outer.labels(rng, 1, true),
        2 => outer.pppoe(&[0, 0x21]),
        // Not `llc`: a length of zero is one too.
        _ => outer.with(&[0, 0, 0xaa, 0xaa, 3, 0, 0, 0, 8, 0]),
    }
    .bytes;
    // The header is announced, and of what it takes at least one byte is missing.
    bytes.truncate(rng.between(start, bytes.len() - 1));
    (bytes, "truncated")
}
