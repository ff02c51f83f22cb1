//! Records of a network around a night in which its clocks are set, at random.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp, ToSpan as _, civil::date, tz::TimeZone};
use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence},
};
use tempfile::TempDir;

use super::{HIDDEN, Period, Question};
use crate::{
    epoch::Epoch,
    store::{
        Archive, Store,
        tests::{NETWORK, network},
    },
    study::Study,
    summary::{
        AddressSet, ClassHostRecord, Count, CounterpartRecord, Event, EventRecord, HostRecord, Key, LedgerRecord,
        Moved, NetworkRecord, ServiceRecord, Summary, UnattributedRecord,
    },
    testing::rng::Rng,
};

/// Zones, and days on which their offset changes: by an hour, by half of one, for good, or not at all.
const NIGHTS: [(&str, [i16; 3]); 7] = [
    ("Asia/Pyongyang", [2018, 5, 5]),
    ("Europe/Berlin", [2026, 3, 29]),
    ("America/St_Johns", [2026, 11, 1]),
    ("Australia/Lord_Howe", [2026, 4, 5]),
    ("Asia/Kathmandu", [1986, 1, 1]),
    ("Pacific/Apia", [2011, 12, 31]),
    ("UTC", [2026, 1, 1]),
];
/// How many there are.
pub(super) const ZONES: usize = NIGHTS.len();
/// Days of the periods, and how long before that day they begin; records begin a day earlier and end a day later.
const DAYS: [i64; 2] = [9, 7];
const BEFORE: [i64; 2] = [4, 40];
const DAY_MINUTES: i64 = 1440;
const CLASSES: [(Class, Option<Evidence>); 6] = [
    (Class::Unknown, None),
    (Class::Tls, Some(Evidence::Confirmed)),
    (Class::Tls, Some(Evidence::Port)),
    (Class::Tor, Some(Evidence::Payload)),
    (Class::Stratum, Some(Evidence::Payload)),
    (Class::BitTorrent, Some(Evidence::Confirmed)),
];
const UPSTREAMS: [Option<&str>; 3] = [Some("a"), Some("b"), None];

/// What was recorded, and what is asked.
pub(super) struct Made {
    pub(super) question: Question,
    pub(super) all: Vec<Summary>,
}

impl Made {
    /// Up to so many intervals in each period, half of them near the night.
    pub(super) fn new(zone: usize, intervals: [usize; 2], seed: u64) -> Self {
        let (name, [year, month, day]) = NIGHTS[zone];
        let zone = TimeZone::get(name).unwrap();
        let night = date(year, month as i8, day as i8);
        let mut rng = Rng::new(seed);
        let mut all = Vec::new();
        let mut periods = Vec::new();
        for place in [0, 1] {
            let first = night - BEFORE[place].days();
            periods.push(Period::new(first, first + DAYS[place].days(), &zone).unwrap());
            let begin = (first - 1.day()).to_zoned(zone.clone()).unwrap().timestamp();
            let near = (night - 3.hours()).to_zoned(zone.clone()).unwrap().timestamp();
            let mut starts: Vec<Timestamp> = (0..intervals[place])
                .map(|_| {
                    if place == 0 && rng.one_in(2) {
                        near + minutes(rng.below(360) as i64)
                    } else {
                        begin + minutes(rng.below((DAY_MINUTES * (DAYS[place] + 2)) as usize) as i64)
                    }
                })
                .collect();
            starts.sort();
            starts.dedup();
            let mut sights = Sights::default();
            for (sequence, start) in starts.into_iter().enumerate() {
                all.push(interval(place as u8 + 1, sequence as u64, start, &mut sights, &mut rng));
            }
        }
        let [period, baseline] = periods.try_into().unwrap();
        let hidden = HIDDEN.to_vec();
        Self {
            question: Question { network: NETWORK.to_owned(), zone, period, baseline, hidden, upstreams: vec![] },
            all,
        }
    }

    /// The study of all of it, from a store.
    pub(super) fn study(&self) -> Study {
        study_of(&self.question, &self.all)
    }
}

/// The study of these intervals, from a store.
pub(super) fn study_of(question: &Question, all: &[Summary]) -> Study {
    let folder = TempDir::new().unwrap();
    let zone = question.zone.iana_name().unwrap_or("UTC");
    let mut store = Store::open(folder.path(), &[network(zone)], false).unwrap();
    all.iter().for_each(|summary| _ = store.append(summary).unwrap());
    store.commit().unwrap();
    Study::of(&Archive::open(folder.path()).unwrap(), question).unwrap()
}

fn minutes(number: i64) -> SignedDuration {
    SignedDuration::from_mins(number)
}

/// What a sensor remembers of services and hosts: when each was first seen, and how often.
#[derive(Default)]
struct Sights {
    services: BTreeMap<(IpAddr, u16, u8), (Timestamp, u64)>,
    hosts: BTreeMap<(usize, IpAddr), Timestamp>,
}

fn count(rng: &mut Rng) -> Count {
    let packets = 1 + rng.below(50) as u64;
    Count { packets, bytes: packets * (40 + rng.below(1400) as u64), frame_bytes: packets * 60 }
}

fn interval(epoch: u8, sequence: u64, start: Timestamp, sights: &mut Sights, rng: &mut Rng) -> Summary {
    let end = start + minutes(1);
    let key = Key { sensor: "edge".into(), epoch: Epoch::from_bytes([epoch; 16]).unwrap(), start, end, sequence };
    let mut summary = Summary::empty(key);
    for _ in 0..rng.below(6) {
        let (class, evidence) = CLASSES[rng.below(CLASSES.len())];
        let record = NetworkRecord {
            network: NETWORK.into(),
            direction: Direction::ALL[rng.below(2)],
            upstream: UPSTREAMS[rng.below(UPSTREAMS.len())].map(Into::into),
            upstream_asn: None,
            class,
            family: class.family().name(),
            evidence,
            count: count(rng),
            moved: Moved::default(),
        };
        if rng.one_in(3) && class != Class::Unknown {
            // It was told as unknown before: as much is taken off there.
            let Count { packets, bytes, frame_bytes } = record.count;
            let moved = Moved { moved_packets: packets, moved_bytes: bytes, moved_frame_bytes: frame_bytes };
            let unknown = Class::Unknown;
            summary.networks.push(NetworkRecord {
                class: unknown,
                family: unknown.family().name(),
                evidence: None,
                count: count(rng),
                moved,
                ..record.clone()
            });
        }
        summary.networks.push(record);
    }
    for _ in 0..rng.below(4) {
        let is_known = !rng.one_in(4);
        let asn = is_known.then(|| 64_500 + rng.below(3) as u32);
        summary.counterparts.push(CounterpartRecord {
            network: NETWORK.into(),
            direction: Direction::ALL[rng.below(2)],
            country: is_known.then(|| [*b"CH", *b"SE"][rng.below(2)]),
            asn,
            as_name: asn.map(|asn| format!("System {asn}").into()),
            list: ["hosting", "tor_relay"]
                .iter()
                .filter(|_| is_known && rng.one_in(3))
                .map(|list| Arc::from(*list))
                .collect(),
            counterpart: (!is_known).then_some(CounterpartRecord::UNKNOWN),
            count: count(rng),
        });
    }
    let mut active = AddressSet::default();
    (0..rng.below(4)).for_each(|_| active.insert(Ipv4Addr::new(192, 0, 2 + rng.below(3) as u8, rng.below(8) as u8)));
    summary.hosts.push(HostRecord {
        network: NETWORK.into(),
        active_addresses: active.len(),
        active,
        active_prefixes: (0..rng.below(2))
            .map(|_| format!("2001:db8:0:{}::/64", rng.below(6)).parse().unwrap())
            .collect(),
        newly_lit: AddressSet::default(),
        newly_lit_prefixes: vec![],
        initial: false,
        incomplete: false,
        flows: 3,
        one_way_flows: 1,
        asymmetric_flows: 0,
    });
    if rng.one_in(3) {
        summary.services.push(service((start, end), sights, rng));
    }
    if rng.one_in(4) {
        let place = 2 + rng.below(4);
        let (class, evidence) = CLASSES[place];
        let address = Ipv4Addr::new(192, 0, 2, rng.below(4) as u8).into();
        summary.class_hosts.push(ClassHostRecord {
            network: NETWORK.into(),
            class,
            family: class.family(),
            evidence: evidence.unwrap(),
            address,
            flows: rng.below(3) as u64,
            first: *sights.hosts.entry((place, address)).or_insert(start),
            last: end - SignedDuration::from_millis(1),
        });
    }
    summary.ledger.push(LedgerRecord {
        interface: "wan".into(),
        direction: "rx",
        seen_packets: 1 + rng.below(9) as u64,
        unparsed: some("arp", rng),
        lost: some("missed", rng).into_iter().chain(some("damaged", rng)).collect(),
        ..LedgerRecord::default()
    });
    if rng.one_in(9) {
        let (what, count) = (["flows", "services"][rng.below(2)].to_owned(), 1 + rng.below(9) as u64);
        summary.events.push(EventRecord { network: None, at: start, event: Event::Loss { what, count } });
    }
    if rng.one_in(9) {
        let direction = Direction::ALL[rng.below(2)];
        summary.unattributed.push(UnattributedRecord { direction, count: count(rng) });
    }
    summary
}

/// A few packets for a reason, or none.
fn some(reason: &'static str, rng: &mut Rng) -> BTreeMap<&'static str, u64> {
    rng.one_in(3).then(|| (reason, 1 + rng.below(5) as u64)).into_iter().collect()
}

/// One of a few services, of which it is not known at first what they are.
fn service((start, end): (Timestamp, Timestamp), sights: &mut Sights, rng: &mut Rng) -> ServiceRecord {
    let address: IpAddr = [IpAddr::from([192, 0, 2, 7]), "2001:db8::7".parse().unwrap()][rng.below(2)];
    let (port, protocol) = [(25, 6), (53, 6), (53, 17)][rng.below(3)];
    let (first, answers) = sights.services.entry((address, port, protocol)).or_insert((start, 0));
    *answers += 1;
    let class = match (*answers, port) {
        (1, _) => Class::Unknown,
        (_, 25) => Class::Smtp,
        _ => Class::Dns,
    };
    ServiceRecord {
        network: NETWORK.into(),
        address,
        port,
        protocol,
        class,
        family: class.family(),
        evidence: (class != Class::Unknown).then_some(Evidence::Confirmed),
        first: *first,
        last: end - SignedDuration::from_millis(1),
        answers: *answers,
        clients: 1,
        new: *answers == 1,
    }
}
