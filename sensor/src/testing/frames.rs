//! A generated mix of Ethernet frames, each with what is true of it by construction.
//!
//! The mix has what a border sees (VLAN tags, MPLS, PPPoE, LLC, IPv4 options, IPv6 extension headers, fragments, odd lengths) and
//! what should never be seen: frames that end inside their headers, wrong versions, stacks that are too deep.

mod addresses;
mod ip;
mod link;

use std::net::IpAddr;

use self::{addresses::Addresses, ip::Layout};
use super::rng::Rng;
use crate::cidr::Cidr;

/// Destination, source, type.
pub const ETHERNET_HEADER_LEN: usize = 14;
/// Shortest frame without FCS that a real Ethernet carries.
const MIN_ETHERNET_LEN: usize = 60;
/// One frame in so many has no countable IP header, unless only plain frames are asked for.
const ODD_ONE_IN: usize = 12;
/// One frame in so many is as large as the MTU allows.
const LARGE_ONE_IN: usize = 6;
/// Frame lengths of a mix (RFC 6985 calls it IMIX), beside random ones and the largest.
const USUAL_LENGTHS: [usize; 4] = [60, 90, 590, 1200];

/// A frame, and what is true of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// From the destination MAC to the last byte before the FCS.
    pub bytes: Vec<u8>,
    /// What must be counted.
    pub truth: Truth,
}

/// What must be counted for a frame, from how it was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// A packet with a whole IP header.
    Packet(Packet),
    /// A frame without a countable IP header: the reason as the ledger names it.
    Unparsed(&'static str),
}

/// An IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Billed L3 bytes.
    pub bytes: u64,
    /// What is wrong with its length field: the reason as the ledger names it.
    pub length_trouble: Option<&'static str>,
    /// Why its ports are not to be had, which counts where one end is watched: the reason as the ledger names it.
    pub port_trouble: Option<&'static str>,
}

/// What a generator makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Well-formed IP packets without encapsulation: what every network stack delivers.
    Plain,
    /// Everything.
    Everything,
}

/// Makes a frame without a countable IP header; returns it with the reason.
type Odd = fn(&mut Rng) -> (Vec<u8>, &'static str);
const ODD: [Odd; 4] = [link::not_ip, link::too_deep, link::cut_short, bad_header];

/// An endless, reproducible stream of frames.
#[derive(Debug)]
pub struct Generator {
    rng: Rng,
    addresses: Addresses,
    max_len: usize,
    mix: Mix,
}

impl Generator {
    /// The stream of `seed` with addresses in and around `table`, for an interface with that MTU.
    pub fn new(seed: u64, table: &[Cidr], mtu: usize, mix: Mix) -> Self {
        Self { rng: Rng::new(seed), addresses: Addresses::new(table), max_len: mtu + ETHERNET_HEADER_LEN, mix }
    }

    /// The next frame.
    pub fn frame(&mut self) -> Frame {
        match self.mix {
            Mix::Plain => self.packet(),
            Mix::Everything if self.rng.one_in(ODD_ONE_IN) => self.odd(),
            Mix::Everything => self.packet(),
        }
    }

    /// An IP packet behind some link header.
    fn packet(&mut self) -> Frame {
        let rng = &mut self.rng;
        let (source, destination) = self.addresses.pair(rng);
        let v4 = source.is_ipv4();
        let link = match self.mix {
            Mix::Plain => link::plain(v4),
            Mix::Everything => link::any(rng, v4),
        };
        let room = self.max_len.min(link.max_len()) - link.len();
        let wanted = if rng.one_in(LARGE_ONE_IN) {
            self.max_len
        } else if rng.one_in(2) {
            rng.between(MIN_ETHERNET_LEN, self.max_len)
        } else {
            rng.pick(&USUAL_LENGTHS)
        };
        let room = wanted.saturating_sub(link.len()).clamp(ip::MIN_ROOM.min(room), room);
        let layout = match self.mix {
            Mix::Plain => Layout::plain(room),
            Mix::Everything => Layout::any(rng, room),
        };
        let packet = ip::build(rng, source, destination, layout);
        let mut bytes = link.before(packet.bytes.len());
        bytes.extend(&packet.bytes);
        if packet.may_be_padded && bytes.len() < MIN_ETHERNET_LEN && rng.one_in(2) {
            bytes.resize(MIN_ETHERNET_LEN, 0);
        }
        let to_the_end = (bytes.len() - link.len()) as u64;
        let truth = Packet {
            source,
            destination,
            bytes: packet.stated.unwrap_or(to_the_end),
            length_trouble: packet.length_trouble,
            port_trouble: packet.port_trouble,
        };
        Frame { bytes, truth: Truth::Packet(truth) }
    }

    /// A frame without a countable IP header.
    fn odd(&mut self) -> Frame {
        let odd = self.rng.pick(&ODD);
        let (bytes, reason) = odd(&mut self.rng);
        Frame { bytes, truth: Truth::Unparsed(reason) }
    }
}

/// A link header that announces IP, and behind it no IP header.
fn bad_header(rng: &mut Rng) -> (Vec<u8>, &'static str) {
    let v4 = rng.one_in(2);
    let link = link::tagged(rng, v4);
    let (header, reason) = ip::bad_header(rng, v4);
    let mut bytes = link.before(header.len());
    bytes.extend(header);
    (bytes, reason)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use sensor_ebpf::{abi::Outcome, packet::SliceWindow};

    use super::*;
    use crate::{native::Native, prefix::SetBuilder};

    const SEED: u64 = 7;
    const FRAMES: usize = 20_000;

    fn table() -> Vec<Cidr> {
        ["192.0.2.0/24", "192.0.2.128/25", "2001:db8::/32"].map(|text| text.parse().unwrap()).to_vec()
    }

    #[test]
    fn a_seed_means_the_same_frames() {
        let frames = |seed| {
            let mut generator = Generator::new(seed, &table(), 1500, Mix::Everything);
            (0..100).map(|_| generator.frame()).collect::<Vec<_>>()
        };
        assert_eq!(frames(SEED), frames(SEED));
        assert_ne!(frames(SEED), frames(SEED + 1));
    }

    #[test]
    fn frames_fit_an_interface() {
        for (mtu, mix) in [(1500, Mix::Everything), (9000, Mix::Everything), (1500, Mix::Plain)] {
            let mut generator = Generator::new(SEED, &table(), mtu, mix);
            let lens: Vec<usize> = (0..FRAMES).map(|_| generator.frame().bytes.len()).collect();
            let (min, max) = (lens.iter().min().copied().unwrap(), lens.iter().max().copied().unwrap());
            assert!(min >= ETHERNET_HEADER_LEN, "{min}");
            assert_eq!(max, mtu + ETHERNET_HEADER_LEN, "{mix:?}");
        }
    }

    /// The truth against the engine, without kernel or wire: who is wrong is then to be found out by hand.
    #[test]
    fn the_truth_is_what_the_engine_finds() {
        let mut builder = SetBuilder::default();
        builder.watch("all", table()).unwrap();
        let set = builder.build().unwrap();
        let mut native = Native::new(set.trie().unwrap(), set.len());
        let mut generator = Generator::new(SEED, &table(), 1500, Mix::Everything);
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for number in 0..FRAMES {
            let frame = generator.frame();
            let outcome = native.count(&SliceWindow::whole(&frame.bytes)).as_outcome().unwrap();
            match (frame.truth, outcome) {
                (Truth::Unparsed(expected), Outcome::Unparsed(found)) => {
                    assert_eq!(expected, found.name(), "seed {SEED}, frame {number}: {:02x?}", frame.bytes);
                    *kinds.entry(expected).or_default() += 1;
                }
                (Truth::Packet(packet), Outcome::Matched(_) | Outcome::Other) => {
                    for trouble in [packet.length_trouble, packet.port_trouble].into_iter().flatten() {
                        *kinds.entry(trouble).or_default() += 1;
                    }
                }
                (truth, outcome) => {
                    panic!("seed {SEED}, frame {number}: {truth:?} != {outcome:?}: {:02x?}", frame.bytes)
                }
            }
        }
        assert_eq!(kinds.len(), 6 + 6, "each reason but map_fault: {kinds:?}");
        assert!(kinds.values().all(|times| *times > 20), "{kinds:?}");
    }
}
