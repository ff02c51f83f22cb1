//! What happened once, as records.

use std::{net::IpAddr, sync::Arc};

use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence},
};
use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};

use super::names;
use crate::{cidr::Cidr, upstream::mac_text};

/// Something that happened, and is told once.
///
/// For people and collectors one flat object: `event`, `network`, `at`, and what the event has. In the binary form of a journal,
/// which alone is read back, a structure of its fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct EventRecord {
    /// Name of the watched network; none of what is not one network's.
    #[serde(with = "names::some_network")]
    pub network: Option<Arc<str>>,
    /// When.
    pub at: jiff::Timestamp,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event {
    /// An IPv4 address is active that never was.
    NewlyLit {
        /// Watched address.
        address: IpAddr,
    },
    /// A /24 or /64 has an active address and never had one.
    NewlyLitPrefix {
        /// The /24 or /64.
        #[serde(with = "names::prefix")]
        prefix: Cidr,
    },
    /// A watched port answered that never did.
    ServiceBorn {
        /// Watched address.
        address: IpAddr,
        /// Its port.
        port: u16,
        /// Protocol number.
        protocol: u8,
        /// What it is, as far as that was known at the end of the interval.
        #[serde(with = "names::class")]
        class: Class,
        /// How sure that is; nothing of an unknown class.
        #[serde(with = "names::some_evidence")]
        evidence: Option<Evidence>,
    },
    /// A network speaks a suspicious class that it never did, on more than a guess by port.
    ClassSeen {
        /// Class.
        #[serde(with = "names::class")]
        class: Class,
        /// How sure that is.
        #[serde(with = "names::evidence")]
        evidence: Evidence,
        /// The watched address that does.
        address: IpAddr,
    },
    /// Traffic with a neighbour that no configured upstream fits, for the first time.
    UpstreamNew {
        /// What it is called from now on.
        upstream: String,
        /// Its MAC address.
        mac: [u8; 6],
        /// The VLAN its frames are tagged with.
        vlan: Option<u16>,
    },
    /// Other hardware answers for a neighbour's address. Its traffic goes on under the name it had.
    UpstreamMacChanged {
        /// The address.
        address: IpAddr,
        /// The MAC address before.
        before: [u8; 6],
        /// The MAC address now.
        now: [u8; 6],
    },
    /// Something of watched traffic was not remembered or not told; it was counted all the same.
    Loss {
        /// What.
        what: String,
        /// How often, since the last interval.
        count: u64,
    },
    /// A network has far more traffic in a direction than it used to have at that hour of the week.
    Surge(Unusual),
    /// A network has far less.
    Collapse(Unusual),
    /// Traffic of a network takes other upstreams than it used to.
    UpstreamShift {
        /// Whether that begins or ends.
        state: Turn,
        /// Since when; nothing of longer than a week.
        since: Option<jiff::Timestamp>,
        /// Who lost most.
        from: String,
        /// Who won most.
        to: String,
        /// How much of all traffic the latter won.
        share: Fraction,
    },
    /// Nothing was counted for some time.
    SensorBlind {
        /// Whether that goes on or is over.
        state: Turn,
        /// Since when.
        since: jiff::Timestamp,
        /// How long it was up to now.
        seconds: u64,
    },
}

/// Whether what happens begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Turn {
    /// It begins.
    Began,
    /// It is over, or has become usual.
    Over,
}

impl Turn {
    /// The word in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Began => "began",
            Self::Over => "over",
        }
    }
}

/// Traffic in a direction, compared with what is usual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unusual {
    /// To the network, or from it.
    #[serde(with = "names::direction")]
    pub direction: Direction,
    /// Whether it begins or ends.
    pub state: Turn,
    /// Since when; nothing of longer than a week.
    pub since: Option<jiff::Timestamp>,
    /// L3 bytes per second in the quarter of an hour after which it is told.
    pub bytes_per_second: u64,
    /// What is usual then.
    pub usual_bytes_per_second: u64,
}

/// A part of a whole, in ten thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fraction(u16);

impl Fraction {
    const WHOLE: f64 = 10_000.0;

    /// The nearest one, from nothing to the whole.
    pub fn of(value: f64) -> Self {
        Self((value.clamp(0.0, 1.0) * Self::WHOLE).round() as u16)
    }

    /// From 0 to 1.
    pub fn value(self) -> f64 {
        f64::from(self.0) / Self::WHOLE
    }
}

impl Event {
    /// The names of all of them.
    pub const NAMES: [&'static str; 11] = [
        "newly_lit",
        "newly_lit_prefix",
        "service_born",
        "class_seen",
        "upstream_new",
        "upstream_mac_changed",
        "loss",
        "surge",
        "collapse",
        "upstream_shift",
        "sensor_blind",
    ];

    /// The name in records.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NewlyLit { .. } => "newly_lit",
            Self::NewlyLitPrefix { .. } => "newly_lit_prefix",
            Self::ServiceBorn { .. } => "service_born",
            Self::ClassSeen { .. } => "class_seen",
            Self::UpstreamNew { .. } => "upstream_new",
            Self::UpstreamMacChanged { .. } => "upstream_mac_changed",
            Self::Loss { .. } => "loss",
            Self::Surge(_) => "surge",
            Self::Collapse(_) => "collapse",
            Self::UpstreamShift { .. } => "upstream_shift",
            Self::SensorBlind { .. } => "sensor_blind",
        }
    }
}

/// As [`EventRecord`], for the journal.
#[derive(Serialize)]
struct Binary<'a> {
    #[serde(with = "names::some_network")]
    network: &'a Option<Arc<str>>,
    at: jiff::Timestamp,
    event: &'a Event,
}

impl Serialize for EventRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !serializer.is_human_readable() {
            return Binary { network: &self.network, at: self.at, event: &self.event }.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("event", self.event.name())?;
        if let Some(network) = &self.network {
            map.serialize_entry("network", &**network)?;
        }
        map.serialize_entry("at", &self.at)?;
        match &self.event {
            Event::NewlyLit { address } => map.serialize_entry("address", &address)?,
            Event::NewlyLitPrefix { prefix } => map.serialize_entry("prefix", &prefix.to_string())?,
            Event::ServiceBorn { address, port, protocol, class, evidence } => {
                map.serialize_entry("address", &address)?;
                map.serialize_entry("port", &port)?;
                map.serialize_entry("protocol", &protocol)?;
                map.serialize_entry("class", class.name())?;
                map.serialize_entry("family", class.family().name())?;
                map.serialize_entry("evidence", &evidence.map(Evidence::name))?;
            }
            Event::ClassSeen { class, evidence, address } => {
                map.serialize_entry("class", class.name())?;
                map.serialize_entry("family", class.family().name())?;
                map.serialize_entry("evidence", evidence.name())?;
                map.serialize_entry("address", &address)?;
            }
            Event::UpstreamNew { upstream, mac, vlan } => {
                map.serialize_entry("upstream", upstream)?;
                map.serialize_entry("mac", &Mac(*mac))?;
                if let Some(vlan) = vlan {
                    map.serialize_entry("vlan", vlan)?;
                }
            }
            Event::UpstreamMacChanged { address, before, now } => {
                map.serialize_entry("address", address)?;
                map.serialize_entry("before", &Mac(*before))?;
                map.serialize_entry("now", &Mac(*now))?;
            }
            Event::Loss { what, count } => {
                map.serialize_entry("what", what)?;
                map.serialize_entry("count", count)?;
            }
            Event::Surge(unusual) | Event::Collapse(unusual) => {
                map.serialize_entry("direction", unusual.direction.name())?;
                map.serialize_entry("state", unusual.state.name())?;
                map.serialize_entry("since", &unusual.since)?;
                map.serialize_entry("bytes_per_second", &unusual.bytes_per_second)?;
                map.serialize_entry("usual_bytes_per_second", &unusual.usual_bytes_per_second)?;
            }
            Event::UpstreamShift { state, since, from, to, share } => {
                map.serialize_entry("state", state.name())?;
                map.serialize_entry("since", since)?;
                map.serialize_entry("from", from)?;
                map.serialize_entry("to", to)?;
                map.serialize_entry("share", &share.value())?;
            }
            Event::SensorBlind { state, since, seconds } => {
                map.serialize_entry("state", state.name())?;
                map.serialize_entry("since", since)?;
                map.serialize_entry("seconds", seconds)?;
            }
        }
        map.end()
    }
}

/// A MAC address as people write it.
struct Mac([u8; 6]);

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&mac_text(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_flat_for_readers_and_come_back_from_a_journal() {
        let address = "10.0.0.1".parse().unwrap();
        let unusual = |since| Unusual {
            direction: Direction::Out,
            state: Turn::Began,
            since,
            bytes_per_second: 900,
            usual_bytes_per_second: 100,
        };
        let told = |since: &str| {
            format!(
                r#""direction":"out","state":"began","since":{since},"bytes_per_second":900,"usual_bytes_per_second":100"#
            )
        };
        let [tor, confirmed] = [Class::Tor.name(), Evidence::Confirmed.name()];
        let events = [
            (Event::NewlyLit { address }, r#""address":"10.0.0.1""#.to_owned()),
            (
                Event::NewlyLitPrefix { prefix: "2001:db8::/64".parse().unwrap() },
                r#""prefix":"2001:db8::/64""#.to_owned(),
            ),
            (
                Event::ServiceBorn { address, port: 53, protocol: 17, class: Class::Unknown, evidence: None },
                r#""address":"10.0.0.1","port":53,"protocol":17,"class":"unknown","family":"unknown","evidence":null"#
                    .to_owned(),
            ),
            (
                Event::ClassSeen { class: Class::Tor, evidence: Evidence::Confirmed, address },
                format!(r#""class":"{tor}","family":"anonymity","evidence":"{confirmed}","address":"10.0.0.1""#),
            ),
            (
                Event::UpstreamNew { upstream: "x".to_owned(), mac: [2, 0, 0, 0, 0, 0xab], vlan: Some(7) },
                r#""upstream":"x","mac":"02:00:00:00:00:ab","vlan":7"#.to_owned(),
            ),
            (
                Event::UpstreamMacChanged { address, before: [2, 0, 0, 0, 0, 1], now: [2, 0, 0, 0, 0, 2] },
                r#""address":"10.0.0.1","before":"02:00:00:00:00:01","now":"02:00:00:00:00:02""#.to_owned(),
            ),
            (Event::Loss { what: "flows".to_owned(), count: 3 }, r#""what":"flows","count":3"#.to_owned()),
            (Event::Surge(unusual(Some(jiff::Timestamp::UNIX_EPOCH))), told(r#""1970-01-01T00:00:00Z""#)),
            (Event::Collapse(unusual(None)), told("null")),
            (
                Event::UpstreamShift {
                    state: Turn::Over,
                    since: None,
                    from: "a".to_owned(),
                    to: "b".to_owned(),
                    share: Fraction::of(0.30004),
                },
                r#""state":"over","since":null,"from":"a","to":"b","share":0.3"#.to_owned(),
            ),
            (
                Event::SensorBlind { state: Turn::Began, since: jiff::Timestamp::UNIX_EPOCH, seconds: 60 },
                r#""state":"began","since":"1970-01-01T00:00:00Z","seconds":60"#.to_owned(),
            ),
        ];
        assert_eq!(events.each_ref().map(|(event, _)| event.name()), Event::NAMES);
        for (event, rest) in events {
            let name = event.name();
            let record = EventRecord { network: Some("a\"b".into()), at: jiff::Timestamp::UNIX_EPOCH, event };
            assert_eq!(
                serde_json::to_string(&record).unwrap(),
                format!(r#"{{"event":"{name}","network":"a\"b","at":"1970-01-01T00:00:00Z",{rest}}}"#)
            );
            let bytes = postcard::to_stdvec(&record).unwrap();
            assert_eq!(postcard::from_bytes::<EventRecord>(&bytes).unwrap(), record);
            for len in 0..bytes.len() {
                assert!(postcard::from_bytes::<EventRecord>(&bytes[..len]).is_err());
            }
        }
    }
}
