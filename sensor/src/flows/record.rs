//! What a record says, as far as it can be so.

use std::net::IpAddr;

use super::{
    Reading,
    field::{Field, Fields},
    moment,
};
use crate::config::octets;

/// The first flow of any archive: NetFlow began in 1996. Before it are clocks that were never set.
const EARLIEST: i64 = 820_454_400;
/// Longest flow in seconds: collectors end them after minutes, but may have joined them again for as long as a file covers.
const LONGEST: i64 = 31 * 86_400;
/// Fewest and most bytes of a packet: an IPv4 header, and the most that an IPv6 header can say behind it.
const PACKET_BYTES: (u64, u64) = (20, 65_575);
/// Most packets of a record: more than a link of 1 Tbit/s has in a month.
const MAX_PACKETS: u64 = 1 << 53;
/// What protocols are called that have no number in an archive; of others only ports would matter, and they have none that are known.
const PROTOCOLS: [(&str, u8); 12] = [
    ("TCP", 6),
    ("UDP", 17),
    ("ICMP", 1),
    ("ICMP6", 58),
    ("IPIP", 4),
    ("IPv6", 41),
    ("IPV6", 41),
    ("GRE", 47),
    ("ESP", 50),
    ("AH", 51),
    ("L2TP", 115),
    ("SCTP", 132),
];
/// A protocol of another name.
const OTHER_PROTOCOL: u8 = 255;

/// Packets and bytes as a record gives them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets.
    pub packets: u64,
    /// L3 bytes.
    pub bytes: u64,
}

/// A flow of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The second of its first packet, since 1970.
    pub first: i64,
    /// That of its last one.
    pub last: i64,
    /// Who sent it.
    pub source: IpAddr,
    /// Whom to.
    pub destination: IpAddr,
    /// Ports of source and destination; 0 where the protocol has none.
    pub ports: [u16; 2],
    /// IANA protocol number; 255 of one that is not known by its name.
    pub protocol: u8,
    /// What the source sent.
    pub counts: Counts,
    /// What the destination sent back, of a flow in both directions.
    pub back: Counts,
    /// Whether it was sampled and its counts were multiplied by whoever collected it.
    pub is_scaled: bool,
    /// MAC addresses: of the station that it came from, and of the one that it was handed to.
    pub macs: [Option<[u8; 6]>; 2],
    /// VLANs on these sides.
    pub vlans: [Option<u16>; 2],
    /// Whom it was handed to by address: the next hop of its route, or the neighbour that announced it.
    pub next_hops: [Option<IpAddr>; 2],
    /// Systems that it came from and went to next.
    pub systems: [Option<u32>; 2],
}

/// Why a record is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Damage {
    /// It is no object, or has another number of columns than the header.
    Syntax,
    /// It breaks off.
    Cut,
    /// It is longer than any.
    TooLong,
    /// A field is missing that each must have.
    Missing,
    /// A moment is none, or lies before there were flows, or in the future.
    Time,
    /// It ends before it begins, or lasts for more than a month.
    Duration,
    /// An address is none.
    Address,
    /// A number is none, or too large.
    Number,
    /// Its packets cannot have so many bytes.
    Size,
}

impl Damage {
    /// In words, for a list of reasons.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Syntax => "not a record",
            Self::Cut => "cut off",
            Self::TooLong => "too long",
            Self::Missing => "a field is missing",
            Self::Time => "no time, or one before 1996 or in the future",
            Self::Duration => "ends before it begins, or lasts for more than 31 days",
            Self::Address => "no address",
            Self::Number => "no number, or too large a one",
            Self::Size => "bytes that so many packets cannot have",
        }
    }
}

impl Flow {
    /// What fields say. A record of something else than a flow (an event of a firewall or of address translation) is none: `Ok(None)`.
    ///
    /// # Errors
    /// The first thing that is wrong with them.
    pub(super) fn of(fields: &Fields<'_>, reading: &Reading) -> Result<Option<Self>, Damage> {
        if fields.get(Field::Kind).is_some_and(|kind| kind != "FLOW") {
            return Ok(None);
        }
        let text = |field| fields.get(field).ok_or(Damage::Missing);
        let seconds = |field| moment::seconds(text(field)?, &reading.zone).ok_or(Damage::Time);
        let first = seconds(Field::First)?;
        let last = match fields.get(Field::Last) {
            Some(_) => seconds(Field::Last)?,
            None => {
                let length = moment::duration(text(Field::Duration)?).ok_or(Damage::Duration)?;
                first.checked_add(length).ok_or(Damage::Duration)?
            }
        };
        if first < EARLIEST || last > reading.latest {
            return Err(Damage::Time);
        }
        if last < first || last - first > LONGEST {
            return Err(Damage::Duration);
        }
        let address = |field| text(field)?.parse::<IpAddr>().map_err(|_| Damage::Address);
        let (source, destination) = (address(Field::Source)?, address(Field::Destination)?);
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(Damage::Address);
        }
        let protocol = protocol(text(Field::Protocol)?)?;
        // What stands there of ICMP is its type and code, in several notations.
        let ports = if matches!(protocol, TCP | UDP) {
            let port = |field| fields.get(field).map_or(Ok(0), |text| text.parse().map_err(|_| Damage::Number));
            [port(Field::SourcePort)?, port(Field::DestinationPort)?]
        } else {
            [0; 2]
        };
        let counts = counts(text(Field::Packets)?, text(Field::Bytes)?)?;
        let back = match (fields.get(Field::BackPackets), fields.get(Field::BackBytes)) {
            (Some(packets), Some(bytes)) => self::counts(packets, bytes)?,
            _ => Counts::default(),
        };
        Ok(Some(Self {
            first,
            last,
            source,
            destination,
            ports,
            protocol,
            counts,
            back,
            is_scaled: fields.get(Field::Sampled).is_some_and(|sampled| sampled != "0"),
            macs: [Field::SourceMac, Field::DestinationMac].map(|field| mac(fields.get(field)?)),
            vlans: [Field::SourceVlan, Field::DestinationVlan].map(|field| positive(fields.get(field)?)),
            next_hops: [Field::NextHop, Field::BgpNextHop].map(|field| neighbour(fields.get(field)?)),
            systems: [Field::PreviousSystem, Field::NextSystem].map(|field| positive(fields.get(field)?)),
        }))
    }
}

const TCP: u8 = 6;
const UDP: u8 = 17;

fn protocol(text: &str) -> Result<u8, Damage> {
    if let Some((_, number)) = PROTOCOLS.iter().find(|(name, _)| *name == text) {
        return Ok(*number);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().map_err(|_| Damage::Number);
    }
    Ok(OTHER_PROTOCOL)
}

fn counts(packets: &str, bytes: &str) -> Result<Counts, Damage> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| Damage::Number);
    let (packets, bytes) = (number(packets)?, number(bytes)?);
    if packets > MAX_PACKETS {
        return Err(Damage::Number);
    }
    let (least, most) = PACKET_BYTES;
    if bytes < packets * least || bytes > packets.saturating_mul(most) {
        return Err(Damage::Size);
    }
    Ok(Counts { packets, bytes })
}

/// A MAC address; zeros are nobody's.
fn mac(text: &str) -> Option<[u8; 6]> {
    octets(text).filter(|bytes| *bytes != [0; 6])
}

/// A number that is not 0, which stands where nothing is known.
fn positive<T: std::str::FromStr + Default + PartialEq>(text: &str) -> Option<T> {
    text.parse().ok().filter(|number| *number != T::default())
}

/// An address that is somebody's.
fn neighbour(text: &str) -> Option<IpAddr> {
    text.parse().ok().filter(|address: &IpAddr| !address.is_unspecified())
}
