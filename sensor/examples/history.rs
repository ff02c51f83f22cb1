//! Writes two captures of a made-up border link, four weeks each and a year apart, and the configuration to study them by.
//!
//! `cargo xtask demo` ends with the report of what this makes. Addresses and numbers are those for documentation; what changes between the two periods
//! stands in [`PERIODS`].

#[path = "../tests/support/tcp.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod tcp;

use std::{fs, fs::File, io::BufWriter, path::PathBuf};

use anyhow::Result;
use clap::Parser;
use jiff::{SignedDuration, Zoned, civil::date, tz::TimeZone};
use sensor::{
    capture::{LinkType, Timestamp, write::PcapWriter},
    testing::rng::Rng,
};

/// Writes a history of two periods.
#[derive(Parser)]
struct Args {
    /// Folder for captures and configuration
    folder: PathBuf,
}

/// The zone of the network, 5:45 hours from UTC.
const ZONE: &str = "Asia/Kathmandu";
const DAYS: i64 = 28;
const ROUTER: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Neighbours that the network is reached by.
const UPSTREAMS: [[u8; 6]; 2] = [[2, 0, 0, 0, 1, 1], [2, 0, 0, 0, 1, 2]];
/// Far ends: the first two bytes, and their country.
const FAR: [([u8; 2], &str); 4] = [([198, 18], "CH"), ([198, 19], "JP"), ([203, 0], "SE"), ([100, 64], "KE")];
const CONFIG: &str = r#"[sensor]
id = "demo"
interval = "60s"
[[interface]]
name = "capture"
mode = "mirror"
[[network]]
name = "valley"
timezone = "Asia/Kathmandu"
prefixes = ["192.0.2.0/24", "198.51.100.0/24"]
[[upstream]]
name = "northern"
asn = 64496
mac = "02:00:00:00:01:01"
[[upstream]]
name = "southern"
asn = 64497
mac = "02:00:00:00:01:02"
[[counterpart]]
kind = "geo"
file = "far.csv"
[report]
hidden_classes = ["wireguard"]
learn = "0s"
"#;
const FAR_ENDS: &str = "198.18.0.0/16,CH,64500,Alpine,isp\n198.19.0.0/16,JP,64501,Pacific,isp\n203.0.0.0/16,SE,64502,Baltic,hosting\n100.64.0.0/16,KE,64503,Savanna,isp\n";

/// What a period is like.
struct Period {
    name: &'static str,
    first: (i16, i8, i8),
    /// Conversations on a weekday, and on a day of the weekend.
    daily: [usize; 2],
    /// Of a hundred, by the first upstream, until the half of it and from there on.
    northern: [usize; 2],
    /// Hours in which most of it is.
    busy: [usize; 2],
    /// Active addresses of both /24s.
    hosts: [usize; 2],
    /// Of a hundred, in a private network.
    hidden: usize,
    /// Whether there is a server of mail and one of names.
    has_servers: bool,
    /// Conversations with a mining pool a day, until the half of it and from there on.
    mining: [usize; 2],
}

const PERIODS: [Period; 2] = [
    Period {
        name: "before",
        first: (2024, 9, 2),
        daily: [60, 110],
        northern: [80, 80],
        busy: [18, 23],
        hosts: [24, 0],
        hidden: 5,
        has_servers: false,
        mining: [1, 1],
    },
    Period {
        name: "now",
        first: (2025, 9, 1),
        daily: [260, 120],
        northern: [75, 35],
        busy: [9, 17],
        hosts: [60, 40],
        hidden: 18,
        has_servers: true,
        mining: [1, 8],
    },
];

/// Frames of a conversation: by the watched end or not, and each with its payload.
struct Talk {
    watched: ([u8; 4], u16),
    far: ([u8; 4], u16),
    upstream: [u8; 6],
}

impl Talk {
    /// Of the side that sends: MAC addresses and ends.
    fn way(&self, by_watched: bool) -> ([[u8; 6]; 2], [tcp::End; 2]) {
        match by_watched {
            true => ([self.upstream, ROUTER], [self.watched, self.far]),
            false => ([ROUTER, self.upstream], [self.far, self.watched]),
        }
    }

    /// A TCP connection: what whoever opens it says, and the answer, in segments.
    fn tcp(&self, opened_by_watched: bool, question: &[u8], answer: &[u8]) -> Vec<Vec<u8>> {
        let segment = |by_opener: bool, sequence, flags, payload: &[u8]| {
            let (macs, ends) = self.way(by_opener == opened_by_watched);
            tcp::segment(macs, ends, sequence, flags, payload)
        };
        let mut frames = vec![segment(true, 99, 2, &[]), segment(false, 499, 18, &[]), segment(true, 100, 16, &[])];
        for (by_opener, mut sequence, text) in [(true, 100, question), (false, 500, answer)] {
            for part in text.chunks(1400) {
                frames.push(segment(by_opener, sequence, 24, part));
                sequence += part.len() as u32;
            }
        }
        frames
    }

    /// A datagram.
    fn udp(&self, by_watched: bool, payload: &[u8]) -> Vec<u8> {
        let (macs, ends) = self.way(by_watched);
        // As a segment, with the header of UDP in the place of that of TCP.
        let mut frame = tcp::segment(macs, ends, 0, 0, &[]);
        frame.truncate(34);
        frame[16..18].copy_from_slice(&(28 + payload.len() as u16).to_be_bytes());
        frame[23] = 17;
        frame.extend(ends.into_iter().flat_map(|(_, port)| port.to_be_bytes()));
        frame.extend((8 + payload.len() as u16).to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(payload);
        frame
    }

    /// A handshake of WireGuard and some data.
    fn wireguard(&self, rng: &mut Rng) -> Vec<Vec<u8>> {
        let mut random = |kind: u8, len: usize| -> Vec<u8> {
            let body = (4..len).map(|_| rng.below(256) as u8);
            [kind, 0, 0, 0].into_iter().chain(body).collect()
        };
        let (first, mut second) = (random(1, 148), random(2, 92));
        // The answer names the question's index.
        second[8..12].copy_from_slice(&first[4..8]);
        let data: Vec<Vec<u8>> = (0..6).map(|_| random(4, 1312)).collect();
        let mut frames = vec![self.udp(true, &first), self.udp(false, &second)];
        frames.extend(data.iter().enumerate().map(|(place, data)| self.udp(place % 3 == 0, data)));
        frames
    }
}

/// The frames of a day, each with its second.
fn day(period: &Period, number: i64, is_weekend: bool, rng: &mut Rng) -> Vec<(i64, Vec<u8>)> {
    let half = usize::from(number >= DAYS / 2);
    let mut frames = Vec::new();
    let mut add = |second: i64, talk: Vec<Vec<u8>>| {
        frames.extend(talk.into_iter().enumerate().map(|(place, frame)| (second + place as i64 / 10, frame)));
    };
    let moment = |rng: &mut Rng| {
        let [from, to] = period.busy;
        let hour = if rng.below(10) < 7 { from + rng.below(to - from) } else { rng.below(24) };
        (hour * 3600 + rng.below(3590)) as i64
    };
    let talk = |rng: &mut Rng, watched: [u8; 4], port: u16, far_port: u16| {
        let ([a, b], _) = FAR[rng.below(FAR.len())];
        let far = ([a, b, rng.below(20) as u8, 1 + rng.below(200) as u8], far_port);
        let upstream = UPSTREAMS[usize::from(rng.below(100) >= period.northern[half])];
        Talk { watched: (watched, port), far, upstream }
    };
    let high = |rng: &mut Rng| 20_000 + rng.below(40_000) as u16;
    let page = [b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n".as_slice(), &[b'.'; 9000]].concat();
    for _ in 0..period.daily[usize::from(is_weekend)] {
        let host = rng.below(period.hosts[0] + period.hosts[1]);
        let watched = match host.checked_sub(period.hosts[0]) {
            None => [192, 0, 2, 10 + host as u8],
            Some(host) => [198, 51, 100, 10 + host as u8],
        };
        let (port, second) = (high(rng), moment(rng));
        if rng.below(100) < period.hidden {
            let wireguard = talk(rng, watched, port, 51_820).wireguard(rng);
            add(second, wireguard);
        } else {
            add(second, talk(rng, watched, port, 80).tcp(true, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", &page));
        }
    }
    for _ in 0..period.mining[half] {
        let (port, second) = (high(rng), moment(rng));
        let login =
            br#"{"id":1,"jsonrpc":"2.0","method":"login","params":{"login":"demo","pass":"x","agent":"XMRig/6.21.0"}}"#;
        let job = br#"{"id":1,"jsonrpc":"2.0","error":null,"result":{"id":"1","job":{"blob":"0e0e","job_id":"1","target":"b88d0600","algo":"rx/0"},"status":"OK"}}"#;
        let lines = |text: &[u8]| [text, b"\n"].concat();
        add(second, talk(rng, [192, 0, 2, 19], port, 3333).tcp(true, &lines(login), &lines(job).repeat(30)));
    }
    if period.has_servers {
        let second = moment(rng);
        let far_port = high(rng);
        add(
            second,
            talk(rng, [198, 51, 100, 25], 25, far_port).tcp(
                false,
                b"EHLO a.example\r\n",
                b"220 mail.example ESMTP\r\n250 OK\r\n",
            ),
        );
        let question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x07example\x00\x00\x01\x00\x01";
        let answer = b"\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x07example\x00\x00\x01\x00\x01\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xc0\x00\x02\x01";
        let names = talk(rng, [198, 51, 100, 53], 53, far_port);
        add(second + 60, vec![names.udp(false, question), names.udp(true, answer)]);
    }
    frames.sort_by_key(|(second, _)| *second);
    frames
}

fn main() -> Result<()> {
    let Args { folder } = Args::parse();
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("sensor.toml"), CONFIG)?;
    fs::write(folder.join("far.csv"), FAR_ENDS)?;
    let mut rng = Rng::new(1);
    for period in &PERIODS {
        let path = folder.join(period.name).with_extension("pcap");
        let mut out = PcapWriter::new(BufWriter::new(File::create(path)?), LinkType::Ethernet)?;
        let (year, month, first) = period.first;
        for number in 0..DAYS {
            let local: Zoned = date(year, month, first).to_zoned(TimeZone::get(ZONE)?)?;
            let midnight = local.timestamp() + SignedDuration::from_hours(24 * number);
            // Both begin on a Monday.
            for (second, frame) in day(period, number, number % 7 >= 5, &mut rng) {
                let at = Timestamp::from_parts(midnight.as_second() + second, 0);
                out.write_frame(at, frame.len() as u32, &frame)?;
            }
        }
    }
    Ok(())
}
