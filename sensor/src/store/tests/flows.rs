//! Archives of flows as a past: what is in the store is what the flows have, and what flows cannot tell is not told.

mod mixed;

use std::{collections::BTreeMap, fmt::Write as _, fs, net::IpAddr, num::NonZeroU32, path::PathBuf};

use jiff::civil::date;
use proptest::prelude::*;

use super::*;
use crate::{
    config::Config,
    flows::Format,
    study::{DAY, Period, QUARTER, Question, Study, Volume},
    testing::rng::Rng,
};

const CONFIG: &str = r#"[sensor]
id = "edge"
[[interface]]
name = "capture"
mode = "mirror"
[[network]]
name = "own"
timezone = "Asia/Kathmandu"
prefixes = ["192.0.2.0/24", "2001:db8::/32"]
[[network]]
name = "other"
prefixes = ["198.51.100.120/29", "198.51.100.128/31"]
[[upstream]]
name = "northern"
asn = 64496
mac = "02:00:00:00:01:01"
neighbor = "203.0.113.1"
[[upstream]]
name = "southern"
mac = "02:00:00:00:01:02"
[[counterpart]]
kind = "geo"
file = "far.csv"
[report]
hidden_classes = ["openvpn"]
"#;
const FAR: &str = "203.0.113.0/25,CH,64500,Alpine,isp\n203.0.113.128/25,JP,64501,Pacific,hosting\n";
/// 2019-01-01T00:00:00Z.
const NEW_YEAR: i64 = 1_546_300_800;
const HEADER: &str =
    "firstSeen,lastSeen,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,outPackets,outBytes,inSrcMac,outDstMac";

/// A flow as a line of an archive has it.
#[derive(Clone, Debug)]
struct Line {
    first: i64,
    length: i64,
    ends: [IpAddr; 2],
    ports: [u16; 2],
    packets: u64,
    size: u64,
    back: u64,
    /// The last byte of the upstream's MAC; 0: none.
    mac: u8,
}

fn archive(lines: &[Line]) -> String {
    let mut text = format!("{HEADER}\n");
    for line in lines {
        let Line { first, length, ends: [from, to], ports, packets, size, back, mac } = line;
        let mac = if *mac == 0 { "00:00:00:00:00:00".to_owned() } else { format!("02:00:00:00:01:{mac:02x}") };
        writeln!(
            text,
            "{first},{},6,{from},{},{to},{},{packets},{},{back},{},{mac},{mac}",
            first + length,
            ports[0],
            ports[1],
            packets * size,
            back * size
        )
        .unwrap();
    }
    text
}

/// A folder with a configuration, a store and an archive.
struct Place {
    folder: TempDir,
    config: Config,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("far.csv"), FAR).unwrap();
        fs::write(folder.path().join("sensor.toml"), CONFIG).unwrap();
        let config = Config::load_for_replay(&folder.path().join("sensor.toml")).unwrap();
        Self { folder, config }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self, replaces: bool) -> Store {
        Store::open(self.folder.path(), &self.config.networks, replaces).unwrap()
    }

    fn past(&self, text: &str, sampling: u32, nature: impl Fn(Nature<'static>) -> Nature<'static>) -> Past {
        fs::write(self.path("flows.csv"), text).unwrap();
        let reading = crate::flows::tests::reading(Format::NfdumpCsv);
        let sampling = NonZeroU32::new(sampling).unwrap();
        let plain = Nature { sensor: "flows", sampling, is_scaled: false, beside: false, reading };
        let mut past = Past::open(&[self.path("flows.csv")], &self.config, nature(plain)).unwrap();
        // Several commits, also of small archives.
        past.batch = 500;
        past
    }

    fn import(&self, text: &str, sampling: u32) -> Result<Imported> {
        self.store(false).import_flows(&self.past(text, sampling, |nature| nature))
    }

    fn traffic(&self, network: &str, dimension: Dimension, step: i64) -> BTreeMap<(i64, String), Volume> {
        let archive = Archive::open(self.folder.path()).unwrap();
        let mut sums: BTreeMap<_, Volume> = BTreeMap::new();
        for part in archive.traffic(network, dimension, step, i64::MIN..i64::MAX).unwrap() {
            *sums.entry((part.start, part.name)).or_default() += part.volume;
        }
        sums
    }

    fn sum(&self, network: &str, dimension: Dimension, step: i64) -> BTreeMap<String, Volume> {
        let mut sums: BTreeMap<_, Volume> = BTreeMap::new();
        for ((_, name), volume) in self.traffic(network, dimension, step) {
            *sums.entry(name).or_default() += volume;
        }
        sums
    }

    fn study(&self, days: [(jiff::civil::Date, jiff::civil::Date); 2]) -> Study {
        let network = &self.config.networks[0];
        let [period, baseline] = days.map(|(from, to)| Period::new(from, to, &network.timezone).unwrap());
        let (name, zone) = (network.name.to_string(), network.timezone.clone());
        let hidden = self.config.report.hidden_classes.clone();
        let question = Question { network: name, zone, period, baseline, hidden, upstreams: vec![] };
        Study::of(&Archive::open(self.folder.path()).unwrap(), &question).unwrap()
    }

    fn content(&self) -> Vec<String> {
        content(&self.folder)
    }
}

fn line(first: i64, from: &str, to: &str, ports: [u16; 2], packets: u64) -> Line {
    let ends = [from, to].map(|address| address.parse().unwrap());
    Line { first, length: 0, ends, ports, packets, size: 100, back: 0, mac: 0 }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        (0_u8..4).prop_map(|last| IpAddr::from([192, 0, 2, last])),
        (120_u8..130).prop_map(|last| IpAddr::from([198, 51, 100, last])),
        (126_u8..130).prop_map(|last| IpAddr::from([203, 0, 113, last])),
    ]
}

fn lines() -> impl Strategy<Value = Vec<Line>> {
    let line = (
        0_i64..3 * 86_400,
        prop_oneof![0_i64..10, 0_i64..7200, Just(86_400_i64)],
        [address(), address()],
        prop::sample::select(vec![[40_000, 443], [25, 40_000], [40_000, 40_001]]),
        0_u64..50,
        40_u64..1500,
        0_u64..4,
        0_u8..4,
    );
    let line = line.prop_map(|(first, length, ends, ports, packets, size, back, mac)| Line {
        first: NEW_YEAR + first,
        length,
        ends,
        ports,
        packets,
        size,
        back,
        mac,
    });
    prop::collection::vec(line, 1..40)
}

/// What flows of a network add up to, the plain way: sums by what `name` says of an end's flow.
fn model(
    lines: &[Line],
    scale: i64,
    prefix: &str,
    name: impl Fn(&Line, usize, bool) -> String,
) -> BTreeMap<String, Volume> {
    let mut sums: BTreeMap<String, Volume> = BTreeMap::new();
    for line in lines {
        for (place, end) in line.ends.iter().enumerate() {
            if !end.to_string().starts_with(prefix) {
                continue;
            }
            for (packets, is_back) in [(line.packets as i64, false), (line.back as i64, true)] {
                let bytes = packets * line.size as i64 * scale;
                let direction = if (place == 0) == is_back { Direction::In } else { Direction::Out };
                if packets > 0 {
                    *sums.entry(name(line, place, is_back)).or_default() +=
                        Volume::of(direction, packets * scale, bytes);
                }
            }
        }
    }
    sums
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn a_store_has_what_flows_add_up_to(lines in lines(), sampling in 1_u32..2000) {
        let place = Place::new();
        let imported = place.import(&archive(&lines), sampling).unwrap();
        prop_assert_eq!((imported.tally.flows, imported.new), (lines.len() as u64, lines.len() as u64));
        let scale = i64::from(sampling);
        for (network, prefix) in [("own", "192.0.2."), ("other", "198.51.100.12")] {
            let all = model(&lines, scale, prefix, |_, _, _| String::new());
            let class = |line: &Line, _, _| match line.ports {
                [40_000, 443] => "tls".to_owned(),
                [25, _] => "smtp".to_owned(),
                _ => "unknown".to_owned(),
            };
            let upstream = |line: &Line, _, is_back: bool| match line.mac {
                1 if !is_back => "northern".to_owned(),
                2 if !is_back => "southern".to_owned(),
                _ => String::new(),
            };
            let country = |line: &Line, place: usize, _| match line.ends[1 - place].to_string() {
                far if far.starts_with("203.0.113.12") && *far < *"203.0.113.128" => "CH".to_owned(),
                far if far.starts_with("203") => "JP".to_owned(),
                _ => "unknown".to_owned(),
            };
            for step in [QUARTER, DAY] {
                prop_assert_eq!(&place.sum(network, Dimension::Total, step), &all, "{}", step);
                prop_assert_eq!(place.sum(network, Dimension::Class, step), model(&lines, scale, prefix, class));
                prop_assert_eq!(place.sum(network, Dimension::Upstream, step), model(&lines, scale, prefix, upstream));
            }
            prop_assert_eq!(place.sum(network, Dimension::Country, DAY), model(&lines, scale, prefix, country));
            // Flows tell no minutes.
            prop_assert!(place.sum(network, Dimension::Total, MINUTE).is_empty());
        }
        // The same once more changes nothing.
        let before = place.content();
        prop_assert_eq!(place.import(&archive(&lines), sampling).unwrap().new, 0);
        prop_assert_eq!(place.content(), before);
    }
}

/// Flows of some months, one every ten minutes.
fn months() -> Vec<Line> {
    let mut rng = Rng::new(5);
    let line = |number: i64| Line {
        first: NEW_YEAR + 600 * number,
        length: rng.below(1800) as i64,
        ends: [[192, 0, 2, rng.below(200) as u8].into(), [203, 0, 113, rng.below(200) as u8].into()],
        ports: [40_000, 443],
        packets: 1 + rng.below(9) as u64,
        size: 100,
        back: 0,
        mac: 1,
    };
    (0..6000).map(line).collect()
}

#[test]
fn what_was_cut_off_goes_on_where_it_ended() {
    let whole = Place::new();
    let text = archive(&months());
    let number = months().len() as u64;
    assert_eq!(whole.import(&text, 10).unwrap().new, number);
    let expected = whole.content();
    let pages = |pragma| -> i64 {
        let connection = Connection::open(whole.path(FILE)).unwrap();
        connection.pragma_query_value(None, pragma, |row| row.get(0)).unwrap()
    };
    let (all, mut cut) = (pages("page_count"), 0);
    for part in 1..4 {
        let place = Place::new();
        let mut store = place.store(false);
        // As on a disk that is full: what was committed before that is there, and nothing else.
        store.connection.pragma_update(None, "max_page_count", all * part / 4).unwrap();
        store.import_flows(&place.past(&text, 10, |nature| nature)).unwrap_err();
        drop(store);
        let rest = place.import(&text, 10).unwrap();
        cut += u32::from(rest.new < number);
        assert_eq!(place.content(), expected, "{part}");
    }
    assert_eq!(cut, 3);
}

#[test]
fn months_follow_each_other_and_the_same_time_is_taken_once() {
    let place = Place::new();
    let all = months();
    let (january, february) = all.split_at(4464);
    place.import(&archive(january), 10).unwrap();
    // What began in January and ended in February is in the files of February.
    let mut february = february.to_vec();
    february[0].first -= 1800;
    place.import(&archive(&february), 10).unwrap();
    let error = |result: Result<Imported>| format!("{:#}", result.unwrap_err());
    // Another sampling of the same files is another history of the same time.
    let other = archive(january);
    let refused = error(place.import(&other, 20));
    assert!(refused.contains("import with --replace"), "{refused}");
    let before = place.sum("own", Dimension::Total, DAY);
    place.store(true).import_flows(&place.past(&other, 20, |nature| nature)).unwrap();
    let bytes = |sums: &BTreeMap<String, Volume>| sums[""].bytes();
    let january: i64 = january.iter().map(|line| (line.packets * line.size) as i64).sum();
    assert_eq!(bytes(&place.sum("own", Dimension::Total, DAY)), bytes(&before) + 10 * january);
    // By another name it is another sensor.
    let named = |nature: Nature<'static>| Nature { sensor: "elsewhere", ..nature };
    place.store(false).import_flows(&place.past(&other, 20, named)).unwrap();
}

#[test]
fn what_a_sensor_counted_is_not_counted_again() {
    let place = Place::new();
    let mut live = history(1, "2019-01-02T00:00:00Z", 600, 3);
    live.iter_mut().flat_map(|summary| &mut summary.ledger).for_each(|side| side.attached = Some(true));
    let mut store = place.store(false);
    live.iter().for_each(|summary| _ = store.append(summary).unwrap());
    store.commit().unwrap();
    drop(store);
    let text = archive(&months()[..300]);
    let error = format!("{:#}", place.import(&text, 10).unwrap_err());
    assert!(
        error.contains("sensor \"edge\" counted from 2019-01-02T00:00:00Z") && error.contains("--beside"),
        "{error}"
    );
    let same = |nature: Nature<'static>| Nature { sensor: "edge", beside: true, ..nature };
    let error = format!("{:#}", place.store(true).import_flows(&place.past(&text, 10, same)).unwrap_err());
    assert!(error.contains("was running at 2019-01-02T00:00:00Z"), "{error}");
    let beside = |nature: Nature<'static>| Nature { beside: true, ..nature };
    assert_eq!(place.store(false).import_flows(&place.past(&text, 10, beside)).unwrap().new, 300);
    // Up to when the sensor began there is nothing to be counted twice.
    let place = Place::new();
    let mut store = place.store(false);
    live.iter().for_each(|summary| _ = store.append(summary).unwrap());
    store.commit().unwrap();
    drop(store);
    let mut before = months()[..144].to_vec();
    before[143].length = 1800;
    assert_eq!(place.import(&archive(&before), 10).unwrap().new, 144);
}

#[test]
fn counts_that_were_multiplied_are_not_multiplied_again() {
    let place = Place::new();
    let text = archive(&[line(NEW_YEAR, "192.0.2.1", "203.0.113.1", [1, 443], 1000)]);
    let scaled = |nature: Nature<'static>| Nature { is_scaled: true, ..nature };
    place.store(false).import_flows(&place.past(&text, 100, scaled)).unwrap();
    assert_eq!(place.sum("own", Dimension::Total, DAY)[""].out_packets, 1000);
    let study = place.study([(date(2019, 1, 1), date(2019, 1, 2)), (date(2018, 1, 1), date(2018, 1, 2))]);
    // Ten packets were seen.
    let error = study.coverage.sampling_error_percent.unwrap();
    assert!((error - 196.0 * (0.99_f64 / 10.0).sqrt()).abs() < 1e-9, "{error}");
}

#[test]
fn more_than_a_network_can_exchange_is_refused_as_a_whole() {
    let place = Place::new();
    let line = Line { size: 65_000, ..line(NEW_YEAR, "192.0.2.1", "203.0.113.1", [1, 443], 1 << 40) };
    let error = format!("{:#}", place.import(&archive(&vec![line; 20]), 1000).unwrap_err());
    assert!(error.contains("flows.csv: line ") && error.contains("see to --sampling"), "{error}");
    assert!(place.content().is_empty());
    let damaged = archive(&[]) + &"1,2,3\n".repeat(30);
    let error = format!("{:#}", place.import(&damaged, 1000).unwrap_err());
    assert!(error.contains("30 of 30 records are damaged (30 not a record)"), "{error}");
    assert!(place.content().is_empty());
}
