//! One capture whose traffic is known from how it was made: the real binary replays it, and prints its records or sends them to collectors.
#![allow(dead_code, reason = "each test needs a part of it")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    net::{Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    process::Command,
};

use sensor::{
    capture::{LinkType, Timestamp, write::PcapWriter},
    testing::tcp::{self, CLIENT_MAC, SERVER_MAC},
};
use serde_json::Value;
use tempfile::TempDir;

use crate::command;

/// Packets and bytes by what they are of: `prefix`, `network`, `moved` (what network records take off earlier ones) or `counterpart`, and what tells
/// records of that kind apart.
pub(crate) type Sums = BTreeMap<String, [u64; 2]>;

/// Prefixes of the network `lab`: 10.0.0.0/24 and those that follow.
const LAB: u8 = 40;
/// What else is counted; the last one by a table, for no network.
const OTHERS: [(&str, &str); 4] =
    [("lab", "2001:db8:1::/48"), ("office", "192.0.2.0/24"), ("office", "192.0.2.128/25"), ("", "198.18.0.0/15")];
/// What is known of far ends.
const KNOWN: &str =
    "203.0.113.0/25,DE,64500,Example,isp\n203.0.113.128/25,FR,64501,,hosting\n2001:db8:2::/48,NL,64503,Six,isp\n";
/// A list that a part of them is on.
const LIST: &str = "203.0.113.7\n203.0.113.200\n";
/// Where all of that stands in a configuration; one of the routers has a name.
const TABLES: &str = r#"
[accounting]
tables = ["table.txt"]
[[upstream]]
name = "transit"
asn = 64496
mac = "02:00:00:00:00:04"
[[counterpart]]
kind = "geo"
file = "geo.csv"
[[list]]
name = "watch"
file = "watch.csv"
"#;
/// When the capture begins, and how long it is, in seconds.
pub(crate) const BEGIN: u32 = 1_700_000_000;
const LENGTH: u32 = 180;
/// Routers behind which far ends are, and the one that connections go by, alone: what these had is not made up for by others.
const ROUTERS: [[u8; 6]; 2] = [CLIENT_MAC, [2, 0, 0, 0, 0, 3]];
const TRANSIT: [u8; 6] = [2, 0, 0, 0, 0, 4];

/// Packets in it that have both ends in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Both {
    None,
    Some,
}

/// A folder with the capture, and what is in that.
pub(crate) struct History {
    pub(crate) folder: TempDir,
    /// By prefix and direction, as [`said`] names them.
    pub(crate) prefixes: Sums,
    /// All packets with an end in the table, and all that have both there.
    pub(crate) matched: [u64; 2],
    pub(crate) both: [u64; 2],
    frames: Vec<(u32, Vec<u8>)>,
    /// Of its first packet.
    begin: u32,
}

impl History {
    pub(crate) fn new(both: Both) -> Self {
        Self::at(BEGIN, both)
    }

    /// One that begins at this second of the epoch.
    pub(crate) fn at(begin: u32, both: Both) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (prefixes, frames) = (Sums::new(), Vec::new());
        let mut history = Self { folder, prefixes, matched: [0; 2], both: [0; 2], frames, begin };
        for second in 0..LENGTH {
            (0..8).for_each(|number| history.plain(second, number));
            if second % 10 == 3 {
                history.rest(second, both);
            }
        }
        history.connections();
        history.write();
        history
    }

    /// A packet of a prefix of the lab, either way.
    fn plain(&mut self, second: u32, number: u32) {
        let [.., a, b] = (second * 8 + number).wrapping_mul(2_654_435_761).to_be_bytes();
        let (inside, far) = ([10, 0, a % LAB, b], [203, 0, 113, a]);
        let name = format!("10.0.{}.0/24", a % LAB);
        let bytes = 40 + u16::from(b) * 5;
        match number % 3 {
            0 => self.add(second, v4(a, far, inside, bytes), bytes, [None, Some(&name)]),
            _ => self.add(second, v4(a, inside, far, bytes), bytes, [Some(&name), None]),
        }
    }

    /// One packet of everything else.
    fn rest(&mut self, second: u32, both: Both) {
        let last = second as u8;
        let far = [198, 51, 100, last];
        self.add(second, v4(last, [192, 0, 2, 1], far, 61), 61, [Some("192.0.2.0/24"), None]);
        self.add(second, v4(last, far, [192, 0, 2, 129], 62), 62, [None, Some("192.0.2.128/25")]);
        self.add(second, v4(last, [198, 19, 0, 1], far, 63), 63, [Some("198.18.0.0/15"), None]);
        self.add(second, v4(last, far, [203, 0, 113, 1], 64), 64, [None, None]);
        for (number, bytes) in [(0x2, 65), (0x3, 66)] {
            let [inside, far] =
                [0x1, number].map(|number| Ipv6Addr::new(0x2001, 0xdb8, number, 0, 0, 0, 0, last.into()));
            self.add(second, v6(last, inside, far, bytes), bytes, [Some("2001:db8:1::/48"), None]);
            self.add(second, v6(last, far, inside, bytes + 9), bytes + 9, [None, Some("2001:db8:1::/48")]);
        }
        if both == Both::Some {
            let (lab, office) = ([10, 0, 1, last], [192, 0, 2, 200]);
            self.add(second, v4(last, lab, office, 67), 67, [Some("10.0.1.0/24"), Some("192.0.2.128/25")]);
            self.add(second, v4(last, [198, 18, 0, 2], lab, 68), 68, [Some("198.18.0.0/15"), Some("10.0.1.0/24")]);
        }
    }

    /// Connections that say what they are long after they began, so that what they had moves to another class.
    fn connections(&mut self) {
        let lines = [
            ["SSH-2.0-one\r\n", "SSH-2.0-two\r\n"],
            ["GET / HTTP/1.1\r\nHost: www.example\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"],
        ];
        for number in 0..12_u8 {
            let (client, server) = (([10, 0, 30, number], 40_000), ([203, 0, 113, 100 + number * 5], 8_000));
            let began = 5 + u32::from(number) * 11;
            for (place, sent) in tcp::connection(client, server, lines[usize::from(number) % 2]).into_iter().enumerate()
            {
                let second = if place < 3 { began } else { began + 25 };
                let bytes = u16::try_from(sent.frame.len() - 14).unwrap();
                let name = "10.0.30.0/24";
                let ends = if sent.by_client { [Some(name), None] } else { [None, Some(name)] };
                let mut frame = sent.frame;
                let macs = if sent.by_client { [TRANSIT, SERVER_MAC] } else { [SERVER_MAC, TRANSIT] };
                frame[..12].copy_from_slice(&macs.concat());
                self.add(second, frame, bytes, ends);
            }
        }
    }

    /// Takes a frame, and counts its bytes for the prefixes of both ends.
    fn add(&mut self, second: u32, frame: Vec<u8>, bytes: u16, ends: [Option<&str>; 2]) {
        let count = |sum: &mut [u64; 2]| *sum = [sum[0] + 1, sum[1] + u64::from(bytes)];
        for (prefix, direction) in ends.into_iter().zip(["out", "in"]) {
            if let Some(prefix) = prefix {
                count(self.prefixes.entry(format!("prefix {prefix} {direction}")).or_default());
            }
        }
        match ends {
            [None, None] => {}
            [Some(_), Some(_)] => {
                count(&mut self.both);
                count(&mut self.matched);
            }
            _ => count(&mut self.matched),
        }
        self.frames.push((second, frame));
    }

    /// Writes the capture and the tables beside it.
    fn write(&mut self) {
        let mut frames = std::mem::take(&mut self.frames);
        frames.sort_by_key(|(second, _)| *second);
        let mut writer = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
        for (second, frame) in frames {
            let at = Timestamp::from_parts(i64::from(self.begin + second), 0);
            writer.write_frame(at, frame.len() as u32, &frame).unwrap();
        }
        for (name, bytes) in [
            ("c.pcap", writer.into_inner()),
            ("geo.csv", KNOWN.into()),
            ("watch.csv", LIST.into()),
            ("table.txt", OTHERS[3].1.into()),
        ] {
            fs::write(self.folder.path().join(name), bytes).unwrap();
        }
    }

    /// A configuration with these exporters.
    pub(crate) fn config(&self, exporters: &str) -> PathBuf {
        let mut text = TABLES.to_owned();
        for name in ["lab", "office"] {
            let lab = (0..if name == "lab" { LAB } else { 0 }).map(|number| format!("10.0.{number}.0/24"));
            let others = OTHERS.iter().filter(|(network, _)| *network == name).map(|(_, prefix)| (*prefix).to_owned());
            let prefixes: Vec<String> = lab.chain(others).collect();
            text += &format!("[[network]]\nname = \"{name}\"\nprefixes = {prefixes:?}\n");
        }
        // Of each its own: they may be replayed at the same time.
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile_in(self.folder.path()).unwrap();
        file.write_all((text + exporters).as_bytes()).unwrap();
        file.keep().unwrap().1
    }

    /// Replays it to these exporters.
    pub(crate) fn export(&self, exporters: &str, more: &[&str]) {
        let run = self.replay(exporters, &[&["--export"], more].concat());
        assert_eq!(run.status, Some(0), "{}", run.stderr);
    }

    /// Replays it with these exporters and arguments.
    fn replay(&self, exporters: &str, more: &[&str]) -> command::Run {
        command::finish(&mut self.command(exporters, more))
    }

    /// The command that does.
    pub(crate) fn command(&self, exporters: &str, more: &[&str]) -> Command {
        let (config, capture) = (self.config(exporters), self.folder.path().join("c.pcap"));
        let fixed = ["replay", "--engine", "native", "--config"].map(PathBuf::from);
        command::sensor(fixed.into_iter().chain([config, capture]).chain(more.iter().map(PathBuf::from)))
    }

    /// What a replay of it prints, which is its traffic.
    pub(crate) fn printed(&self) -> Vec<Value> {
        let records = self.records(&[]);
        self.check(&records);
        records
    }

    /// What a replay with these arguments prints.
    pub(crate) fn records(&self, more: &[&str]) -> Vec<Value> {
        let run = self.replay("", &[&["--format", "jsonl"], more].concat());
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What is printed must be the traffic that was made, or a collector that agrees with it shows nothing.
    fn check(&self, records: &[Value]) {
        let (sums, ledger) = (said(records), |name: &str| -> u64 {
            let ledgers = records.iter().filter(|record| record["record"] == "ledger");
            ledgers.map(|record| record[name].as_u64().unwrap()).sum()
        });
        let of = |kind: &str| -> Sums { part(&sums, kind) };
        assert_eq!(of("prefix"), self.prefixes);
        assert_eq!([ledger("matched_packets"), ledger("matched_bytes")], self.matched);
        assert_eq!(ledger("matched_both_packets"), self.both[0]);
        // Each class, and something that moved; far ends of all kinds.
        for wanted in ["network lab out", "moved lab", "network office in"] {
            assert!(sums.keys().any(|key| key.starts_with(wanted)), "{wanted}: {:?}", of("network"));
        }
        for wanted in [" ssh ", " http ", " unknown "] {
            assert!(of("network").keys().any(|key| key.contains(wanted)), "{wanted}: {:?}", of("network"));
        }
        for wanted in ["DE 64500", "FR 64501", "NL 64503", "unknown", "watch"] {
            assert!(of("counterpart").keys().any(|key| key.contains(wanted)), "{wanted}: {:?}", of("counterpart"));
        }
    }
}

/// The sums of one kind.
pub(crate) fn part(sums: &Sums, kind: &str) -> Sums {
    let of_kind = sums.iter().filter(|(key, _)| key.split(' ').next() == Some(kind));
    of_kind.map(|(key, sum)| (key.clone(), *sum)).collect()
}

/// That a collector has these sums; where not, what differs.
pub(crate) fn assert_same(collected: &Sums, said: &Sums) {
    let keys: BTreeSet<&String> = collected.keys().chain(said.keys()).collect();
    let different = keys.into_iter().filter(|key| collected.get(*key) != said.get(*key));
    let different: Vec<String> =
        different.map(|key| format!("{key}: {:?}, and not {:?}", collected.get(key), said.get(key))).collect();
    assert!(different.is_empty(), "{}", different.join("\n"));
}

/// All packets and bytes of sums.
pub(crate) fn total(sums: &Sums) -> [u64; 2] {
    sums.values().fold([0; 2], |sum, part| [sum[0] + part[0], sum[1] + part[1]])
}

/// Adds to a sum, where that is something.
pub(crate) fn add(sums: &mut Sums, key: String, packets: u64, bytes: u64) {
    if [packets, bytes] != [0; 2] {
        let sum = sums.entry(key).or_default();
        *sum = [sum[0] + packets, sum[1] + bytes];
    }
}

/// What records of traffic add up to.
pub(crate) fn said<'a>(records: impl IntoIterator<Item = &'a Value>) -> Sums {
    let mut sums = Sums::new();
    for record in records {
        let text = |name: &str| record[name].as_str().unwrap_or("-");
        let number = |name: &str| record[name].as_u64().unwrap_or_default();
        let (packets, bytes) = (number("packets"), number("bytes"));
        match text("record") {
            "prefix" => add(&mut sums, format!("prefix {} {}", text("prefix"), text("direction")), packets, bytes),
            "network" => {
                let row = ["network", "direction", "upstream", "class", "evidence"].map(text).join(" ");
                add(&mut sums, format!("network {row}"), packets, bytes);
                add(&mut sums, format!("moved {row}"), number("moved_packets"), number("moved_bytes"));
            }
            "counterpart" => {
                let lists: Vec<&str> =
                    record["list"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let rest = if lists.is_empty() { text("counterpart").to_owned() } else { lists.join(",") };
                let row = ["network", "direction", "country"].map(text).join(" ");
                add(&mut sums, format!("counterpart {row} {} {rest}", number("asn")), packets, bytes);
            }
            _ => {}
        }
    }
    sums
}

/// An IPv4 packet of so many bytes, by one of the routers.
fn v4(router: u8, source: [u8; 4], destination: [u8; 4], bytes: u16) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(bytes.to_be_bytes());
    packet.extend([0, 1, 0, 0, 64, 1, 0, 0]);
    packet.extend([source, destination].map(Ipv4Addr::from).iter().flat_map(Ipv4Addr::octets));
    let is_inside = matches!(source[..2], [10, 0] | [192, 0] | [198, 18 | 19]);
    link(router, is_inside, [8, 0], packet, bytes)
}

/// The same of IPv6.
fn v6(router: u8, source: Ipv6Addr, destination: Ipv6Addr, bytes: u16) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend((bytes - 40).to_be_bytes());
    packet.extend([59, 64]);
    packet.extend([source, destination].iter().flat_map(Ipv6Addr::octets));
    link(router, source.segments()[2] == 1, [0x86, 0xdd], packet, bytes)
}

fn link(router: u8, is_out: bool, kind: [u8; 2], packet: Vec<u8>, bytes: u16) -> Vec<u8> {
    let router = ROUTERS[usize::from(router) % ROUTERS.len()];
    let macs = if is_out { [router, SERVER_MAC] } else { [SERVER_MAC, router] };
    let mut frame = [&macs.concat()[..], &kind, &packet].concat();
    frame.resize(14 + usize::from(bytes), 0);
    frame
}
