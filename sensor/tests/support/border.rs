//! What is true of the made-up history, counted from its frames; and a report held against that.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
};

use jiff::{Timestamp, civil::Weekday, tz::TimeZone};
use sensor::testing::history::{self, Version};
use serde_json::Value;

/// Ports that tell what a conversation is, and as what that is found.
const CLASSES: [(u16, &str); 5] = [(80, "http"), (51_820, "wireguard"), (3333, "stratum"), (25, "smtp"), (53, "dns")];
const UPSTREAMS: [(u8, &str); 2] = [(1, "northern"), (2, "southern")];
/// The second byte of far ends, their country, system and list.
const FAR: [([u8; 2], [&str; 3]); 4] = [
    ([198, 18], ["CH", "AS64500", ""]),
    ([198, 19], ["JP", "AS64501", ""]),
    ([203, 0], ["SE", "AS64502", "hosting"]),
    ([100, 64], ["KE", "AS64503", ""]),
];
/// Bytes that a header of IPv6 has more than one of IPv4.
const LONGER: i64 = 20;
/// Shares are quotients of exact counts.
const EXACT: f64 = 1e-9;

/// Sums of a period by what is summed, as `class/http/2025-09-01`.
pub(crate) struct Truth {
    /// Packets and bytes.
    sums: BTreeMap<String, [i64; 2]>,
    /// Watched addresses, all of which have conversations.
    pub(crate) active: BTreeSet<IpAddr>,
    /// Watched ends that answer, and when each first did: address, port, protocol and class.
    pub(crate) services: BTreeMap<(IpAddr, u16, &'static str, &'static str), Timestamp>,
}

impl Truth {
    /// Of both periods, the earlier one first.
    pub(crate) fn both(version: Version) -> [Self; 2] {
        let zone = TimeZone::get("Asia/Kathmandu").unwrap();
        let nothing = || Self { sums: BTreeMap::new(), active: BTreeSet::new(), services: BTreeMap::new() };
        let mut both = [nothing(), nothing()];
        // As IPv4, whatever is asked for.
        history::each(Version::V4, |period, at, frame| {
            let place = usize::from(period.name == history::PERIODS[1].name);
            let (seconds, _) = at.to_parts();
            both[place].count(version, frame, Timestamp::from_second(seconds)?, &zone);
            Ok(())
        })
        .unwrap();
        both
    }

    fn count(&mut self, version: Version, frame: &[u8], at: Timestamp, zone: &TimeZone) {
        let is_out = frame[6..12] == [2, 0, 0, 0, 0, 1];
        let neighbour = if is_out { frame[5] } else { frame[11] };
        let (_, upstream) = UPSTREAMS.iter().find(|(last, _)| *last == neighbour).unwrap();
        let address = |place: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&frame[place..place + 4]).unwrap());
        let port = |place: usize| u16::from_be_bytes([frame[place], frame[place + 1]]);
        let ends = [(address(26), port(34)), (address(30), port(36))];
        let [watched, far] = if is_out { ends } else { [ends[1], ends[0]] };
        let (known, class) = CLASSES.iter().find(|(port, _)| [watched.1, far.1].contains(port)).unwrap();
        let (_, facts) = FAR.iter().find(|(first, _)| *first == far.0.octets()[..2]).unwrap();
        let local = zone.to_datetime(at);
        let hour = local.date().weekday().since(Weekday::Monday) as usize * 24 + local.hour() as usize;
        let (date, five) = (local.date(), at.as_second() / 300);
        let mut keys = vec![
            "total/".to_owned(),
            format!("total/{}", if is_out { "out" } else { "in" }),
            format!("hour/{hour:03}"),
            format!("five/{five}"),
            format!("day/{date}"),
            format!("upstream/{upstream}"),
            format!("upstream day/{upstream}/{date}"),
            format!("class/{class}"),
            format!("class day/{class}/{date}"),
        ];
        let kinds = ["country", "asn", "list"].iter().zip(facts).filter(|(_, fact)| !fact.is_empty());
        keys.extend(kinds.map(|(kind, fact)| format!("{kind}/{fact}")));
        let more = if version == Version::V6 { LONGER } else { 0 };
        let bytes = i64::from(port(16)) + more;
        for key in keys {
            let sum = self.sums.entry(key).or_default();
            *sum = [sum[0] + 1, sum[1] + bytes];
        }
        let end = version.address(watched.0);
        self.active.insert(end);
        // A SYN-ACK, or a datagram that is the answer.
        if is_out && watched.1 == *known && (frame[23] == 17 || frame[47] == 18) {
            let protocol = if frame[23] == 17 { "udp" } else { "tcp" };
            self.services.entry((end, watched.1, protocol, class)).or_insert(at);
        }
    }

    /// Bytes of something.
    pub(crate) fn bytes(&self, key: &str) -> i64 {
        self.sums.get(key).map_or(0, |sum| sum[1])
    }

    /// Packets of all.
    pub(crate) fn packets(&self) -> i64 {
        self.sums["total/"][0]
    }

    /// Bytes of all.
    pub(crate) fn total(&self) -> i64 {
        self.bytes("total/")
    }

    /// Bytes by what follows `kind`.
    pub(crate) fn of(&self, kind: &str) -> BTreeMap<&str, i64> {
        let under = self.sums.range(format!("{kind}/")..format!("{kind}0"));
        under.map(|(key, sum)| (&key[kind.len() + 1..], sum[1])).collect()
    }
}

/// What a list of a report says by the `key` of each row, where that is not 0.
pub(crate) fn column<'a>(rows: &'a Value, key: &str, what: &str) -> BTreeMap<&'a str, i64> {
    let rows = rows.as_array().unwrap().iter();
    let number = |row: &'a Value| (row[key].as_str().unwrap(), row[what].as_i64().unwrap());
    rows.map(number).filter(|(_, number)| *number != 0).collect()
}

/// A share of all.
pub(crate) fn assert_share(have: &Value, part: i64, whole: i64, what: &str) {
    let want = part as f64 / whole as f64;
    assert!((have.as_f64().unwrap() - want).abs() < EXACT, "{what}: {have} for {want}");
}

/// A list of texts.
pub(crate) fn texts(what: &Value) -> BTreeSet<String> {
    what.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// An active address as a report has it: of IPv6 a /64 counts as one, and is told as that.
pub(crate) fn told(address: &IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// The services of a report, without their times.
fn services(report: &Value) -> BTreeSet<(IpAddr, u16, &str, &str)> {
    let service = |one: &'_ Value| {
        let address = one["address"].as_str().unwrap().parse().unwrap();
        (address, u16::try_from(one["port"].as_u64().unwrap()).unwrap())
    };
    let all = report["services"].as_array().unwrap().iter();
    all.map(|one| {
        let (address, port) = service(one);
        (address, port, one["protocol"].as_str().unwrap(), one["class"].as_str().unwrap())
    })
    .collect()
}

/// What needs no clock: of the period, however long it took.
pub(crate) fn check_sums(report: &Value, now: &Truth) {
    let volume = &report["volume"];
    let sums = ["bytes", "packets", "in_bytes", "out_bytes"].map(|key| volume[key].as_i64().unwrap());
    assert_eq!(sums, [now.total(), now.packets(), now.bytes("total/in"), now.bytes("total/out")]);
    assert_eq!(column(&report["upstreams"], "name", "bytes"), now.of("upstream"));
    for kind in ["country", "asn", "list"] {
        assert_eq!(column(&report["counterparts"][kind], "name", "bytes"), now.of(kind), "{kind}");
    }
    for row in report["upstreams"].as_array().unwrap() {
        assert_share(&row["share"], row["bytes"].as_i64().unwrap(), now.total(), "upstreams");
    }
    assert_eq!(report["addresses"]["active"], now.active.len());
    let services_now: BTreeSet<_> = now.services.keys().copied().collect();
    assert_eq!(services(report), services_now);
}
