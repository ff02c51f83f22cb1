//! Counterparts in a replay: every watched packet is told once under what its far end is, to the byte, and so the records of a network and
//! direction add up to what the network had.
#![expect(clippy::unwrap_used, reason = "a file that cannot be written fails the test")]

#[path = "support/random.rs"]
mod random;
#[path = "support/root.rs"]
mod root;

use std::{collections::BTreeMap, fmt::Write as _, fs, io::Write as _, net::Ipv4Addr, path::Path};

use sensor::{
    capture::{LinkType, Timestamp, write::PcapWriter},
    cidr::Cidr,
    config::Config,
    pipeline::prefix_set,
    replay::{EngineKind, Options, replay},
};
use serde_json::Value;
use tempfile::TempDir;

use self::{random::Random, root::is_root};

/// Whose addresses are watched, and their networks.
const WATCHED: [(&str, &str); 3] = [("lab", "192.0.2.0/24"), ("lab", "2001:db8:1::/48"), ("site", "198.51.100.0/24")];

/// What is known of addresses, each row beside what a record says of it.
const KNOWN: [(&str, &str, &str); 6] = [
    ("203.0.113.0/24,DE,64500,Example,isp", "203.0.113.0/24", "DE 64500 Example []"),
    ("203.0.113.128/25,FR,64501,,hosting", "203.0.113.128/25", "FR 64501 - [hosting]"),
    ("198.51.100.0/24,US,64502,Site,isp", "198.51.100.0/24", "US 64502 Site []"),
    ("2001:db8:2::/48,NL,64503,Six,isp", "2001:db8:2::/48", "NL 64503 Six []"),
    ("10.0.0.0/8,JP,,,", "10.0.0.0/8", "JP - - []"),
    ("10.9.0.0/16,,64504,,", "10.9.0.0/16", "JP 64504 - []"),
];

/// Packets, L3 bytes and frame bytes by network, direction and far end.
type Sums = BTreeMap<(String, String, String), [u64; 3]>;

fn stage(limits: &str, table: &str, list: &str) -> (TempDir, Config) {
    let folder = tempfile::tempdir().unwrap();
    let mut text = format!("[sensor]\n{limits}\n[[counterpart]]\nfile = \"geo.csv\"\n");
    fs::write(folder.path().join("geo.csv"), table).unwrap();
    if !list.is_empty() {
        fs::write(folder.path().join("pools.csv"), list).unwrap();
        text += "[[list]]\nname = \"pools\"\nfile = \"pools.csv\"\n";
    }
    for name in ["lab", "site"] {
        let prefixes: Vec<&str> = WATCHED.iter().filter(|(network, _)| *network == name).map(|(_, net)| *net).collect();
        writeln!(text, "[[network]]\nname = \"{name}\"\nprefixes = {prefixes:?}").unwrap();
    }
    let path = folder.path().join("sensor.toml");
    fs::write(&path, text).unwrap();
    let config = Config::load_for_replay(&path).unwrap();
    (folder, config)
}

/// An Ethernet frame with an IP packet of so many bytes behind its ports.
fn frame(source: &[u8], destination: &[u8], protocol: u8, ports: [u16; 2], payload: usize, fragment: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    let len = (8 + payload) as u16;
    if source.len() == 4 {
        frame.extend([0x08, 0x00, 0x45, 0]);
        frame.extend((20 + len).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(fragment.to_be_bytes());
        frame.extend([64, protocol, 0, 0]);
    } else {
        frame.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
        frame.extend(len.to_be_bytes());
        frame.extend([protocol, 64]);
    }
    frame.extend(source.iter().chain(destination));
    frame.extend(ports.into_iter().flat_map(u16::to_be_bytes));
    frame.extend(len.to_be_bytes());
    frame.extend([0, 0]);
    frame.resize(frame.len() + payload, b'x');
    frame
}

/// The longest of these prefixes that an address lies in.
fn longest<'a>(nets: impl Iterator<Item = (&'a str, &'a str)>, address: &[u8]) -> Option<&'a str> {
    let address: Cidr = match <[u8; 4]>::try_from(address) {
        Ok(four) => Ipv4Addr::from(four).to_string(),
        Err(_) => std::net::Ipv6Addr::from(<[u8; 16]>::try_from(address).unwrap()).to_string(),
    }
    .parse()
    .unwrap();
    let parsed = nets.map(|(what, net)| (what, net.parse::<Cidr>().unwrap()));
    parsed.filter(|(_, net)| net.contains(address)).max_by_key(|(_, net)| net.prefix_len()).map(|(what, _)| what)
}

/// Replays frames a tenth of a second apart, and adds up what records say: of counterparts, and of networks by interval.
fn sums(config: &Config, engine: EngineKind, frames: &[Vec<u8>]) -> (Sums, BTreeMap<String, i64>) {
    let capture = tempfile::NamedTempFile::new().unwrap();
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    for (number, frame) in (0..).zip(frames) {
        let at = Timestamp::from_parts(1_700_000_000 + number / 10, 100_000_000 * (number % 10));
        writer.write_frame(at, frame.len() as u32, frame).unwrap();
    }
    fs::write(capture.path(), writer.into_inner()).unwrap();
    let options = Options {
        interval: Some(std::time::Duration::from_secs(10)),
        ..Options::new(vec![capture.path().to_owned()], engine, prefix_set(config).unwrap())
    };
    let mut out = Vec::new();
    replay(&options.by(config).unwrap(), &mut out).unwrap();
    let (mut sums, mut differences) = (Sums::new(), BTreeMap::<String, i64>::new());
    let mut keys = std::collections::BTreeSet::new();
    for line in str::from_utf8(&out).unwrap().lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
        let number = |name: &str| record[name].as_u64().unwrap_or_default();
        let interval = format!("{} {} {}", record["sequence"], text("network"), text("direction"));
        match text("record").as_str() {
            "network" => {
                let bytes = number("bytes") as i64 - number("moved_bytes") as i64;
                *differences.entry(interval).or_default() += bytes;
            }
            "counterpart" => {
                *differences.entry(interval.clone()).or_default() -= number("bytes") as i64;
                let list: Vec<&str> =
                    record["list"].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()).collect();
                let asn = record["asn"].as_u64().map_or("-".to_owned(), |asn| asn.to_string());
                let far = match record["counterpart"].as_str() {
                    Some(far) => far.to_owned(),
                    None => format!("{} {asn} {} [{}]", text("country"), text("as_name"), list.join("|")),
                };
                assert!(keys.insert(format!("{interval} {far}")), "told twice: {record}");
                let sum = sums.entry((text("network"), text("direction"), far)).or_default();
                let more = ["packets", "bytes", "frame_bytes"].map(number);
                sum.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
            _ => {}
        }
    }
    (sums, differences)
}

/// Both engines, where this user may load programs.
fn engines(test: &str) -> Vec<EngineKind> {
    if is_root(test) { vec![EngineKind::Native, EngineKind::Kernel] } else { vec![EngineKind::Native] }
}

fn addresses(random: &mut Random, six: bool) -> (Vec<u8>, Vec<u8>) {
    let last = random.below(200) as u8;
    if six {
        let address = |net: u8, last: u8| {
            let mut address = [0x20, 0x01, 0x0d, 0xb8, 0, net, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            address[15] = last;
            address.to_vec()
        };
        return (address(1, last), address(2 + random.below(2) as u8, 7));
    }
    let far = match random.below(6) {
        0 => [203, 0, 113, random.below(256) as u8],
        1 => [198, 51, 100, random.below(256) as u8],
        2 => [10, random.below(12) as u8, 1, 1],
        3 => [8, 8, 8, 8],
        4 => [203, 0, 113, 200],
        _ => [192, 0, 2, 250],
    };
    (vec![192, 0, 2, last], far.to_vec())
}

#[test]
fn far_ends_are_told_to_the_byte_and_add_up() {
    let table: String = KNOWN.iter().map(|(row, _, _)| format!("{row}\n")).collect();
    let (_folder, config) = stage("", &table, "203.0.113.200,3333\n");
    let mut random = Random::new(7);
    let (mut frames, mut truth) = (Vec::new(), Sums::new());
    for _ in 0..3_000 {
        let six = random.wide().is_multiple_of(4);
        let (mut source, mut destination) = addresses(&mut random, six);
        let mut ports = [1024 + random.below(6) as u16, 443];
        if random.below(2) == 0 {
            std::mem::swap(&mut source, &mut destination);
            ports.reverse();
        }
        let fragment = if !six && random.below(10) == 0 { 0x0010 } else { 0 };
        let payload = random.below(900) as usize;
        let frame = frame(&source, &destination, [6, 17][random.below(2) as usize], ports, payload, fragment);
        let ends = [(&source, &destination, "out"), (&destination, &source, "in")];
        for (near, far, direction) in ends {
            let Some(network) = longest(WATCHED.into_iter(), near) else { continue };
            let mut what =
                longest(KNOWN.iter().map(|(_, net, what)| (*what, *net)), far).unwrap_or("unknown").to_owned();
            if far == &[203, 0, 113, 200] {
                what = "FR 64501 - [hosting|pools]".to_owned();
            }
            let sum = truth.entry((network.to_owned(), direction.to_owned(), what)).or_default();
            let len = frame.len() as u64;
            [1, len - 14, len].into_iter().zip(sum).for_each(|(more, sum)| *sum += more);
        }
        frames.push(frame);
    }
    assert!(truth.len() == 18, "{truth:?}");
    for engine in engines("far_ends_are_told_to_the_byte_and_add_up") {
        let (sums, differences) = sums(&config, engine, &frames);
        assert_eq!(sums, truth, "{engine:?}");
        assert!(differences.len() > 60 && differences.values().all(|bytes| *bytes == 0), "{engine:?}: {differences:?}");
    }
}

/// There are rows for 1,024 far ends of a network and direction, less those that find no place.
#[test]
fn what_there_is_no_room_for_is_told_as_other() {
    let row = |number: u32| format!("20.{}.{}.0/24,,{}\n", number >> 8, number & 255, 1 + number);
    let table: String = (0..3_000).map(row).collect();
    let (_folder, config) = stage("max_counterparts = 1024", &table, "");
    let frames: Vec<Vec<u8>> = (0..3_000_u32)
        .map(|number| frame(&[20, (number >> 8) as u8, number as u8, 9], &[192, 0, 2, 1], 17, [53, 1024], 100, 0))
        .collect();
    let mut told = Vec::new();
    for engine in engines("what_there_is_no_room_for_is_told_as_other") {
        let (sums, differences) = sums(&config, engine, &frames);
        assert!(differences.values().all(|bytes| *bytes == 0), "{engine:?}: {differences:?}");
        let other = ("lab".to_owned(), "in".to_owned(), "other".to_owned());
        let all: u64 = sums.values().map(|sum| sum[0]).sum();
        assert_eq!(all, 3_000);
        assert!((3_000 - 1_024..2_500).contains(&sums[&other][0]), "{:?}", sums[&other]);
        told.push(sums);
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "engines differ");
}

#[test]
fn without_files_there_are_no_counterparts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sensor.toml");
    fs::File::create(&path)
        .unwrap()
        .write_all(b"[[network]]\nname = \"lab\"\nprefixes = [\"192.0.2.0/24\"]\n")
        .unwrap();
    let config = Config::load_for_replay(Path::new(&path)).unwrap();
    let frames = [frame(&[8, 8, 8, 8], &[192, 0, 2, 1], 17, [53, 1024], 100, 0)];
    assert!(sums(&config, EngineKind::Native, &frames).0.is_empty());
}
