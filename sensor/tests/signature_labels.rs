//! What the first packets of flows are guessed to be, against the labels of the shared captures.
#![expect(clippy::unwrap_used, reason = "a label that cannot be read fails the test")]

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    net::IpAddr,
    path::Path,
};

use sensor::{
    capture::Capture,
    inspect::{Flow, Packet},
    replay::Framer,
};
use sensor_ebpf::{
    class::{Class, Evidence, Family},
    signature::{Opening, guess},
};

/// Packets with a payload that are asked about, of a flow.
const ASKED: u8 = 8;
/// Ordinary flows that the captures have, at least.
const LEAST_ORDINARY: u64 = 3_000;

/// Captures with ordinary flows that are suspicious all the same.
const EXPLAINED: [&str; 2] = [
    // SOCKS 4 by both ends, to port 1080; labelled Cassandra.
    "mercury__socks4_5",
    // Requests to a tracker over HTTP; labelled as the HTTP that they are, too.
    "ndpi__bt-http",
];

/// Percent of the flows of a class that are found by payload, at least: what was measured, rounded down. Classes that need more than 16 bytes or more
/// than one packet (tunnels in the DNS, Tor, Shadowsocks, Ethereum) have none.
const FLOORS: &[(Class, u64)] = &[
    (Class::OpenVpn, 58),
    (Class::WireGuard, 90),
    (Class::Ipsec, 89),
    (Class::Pptp, 75),
    (Class::Gre, 96),
    (Class::Ipip, 99),
    (Class::Ssh, 96),
    (Class::Socks, 89),
    (Class::Stratum, 10),
    (Class::BitcoinP2p, 100),
    (Class::MoneroP2p, 100),
    (Class::Telnet, 100),
    (Class::Irc, 100),
    (Class::BitTorrent, 84),
    (Class::HttpProxy, 50),
    (Class::Ftp, 78),
    (Class::Smtp, 96),
    (Class::Imap, 100),
    (Class::Pop3, 100),
    (Class::Dns, 98),
    (Class::Tls, 99),
    (Class::Quic, 96),
    (Class::Rdp, 90),
    (Class::Smb, 96),
    (Class::Http, 99),
    (Class::Ntp, 93),
    (Class::Sip, 97),
];

fn is_suspicious(class: Class) -> bool {
    let ordinary = [Family::Mail, Family::File, Family::Naming, Family::Web, Family::Unknown];
    !ordinary.contains(&class.family()) && ![Class::Rdp, Class::Sip].contains(&class)
}

fn protocol(text: &str) -> Option<u8> {
    let names = [("TCP", 6), ("UDP", 17), ("ICMP", 1), ("ICMPV6", 58), ("GRE", 47), ("ESP", 50), ("AH", 51)];
    let more = [("IPIP", 4), ("IPV6", 41), ("L2TP", 115)];
    let text = text.trim().to_uppercase();
    text.parse().ok().or_else(|| Some(names.iter().chain(&more).find(|(name, _)| *name == text)?.1))
}

/// A labelled flow: its key, its class, and the other names that are no error.
struct Label {
    flow: Flow,
    class: String,
    also_ok: String,
}

fn labels(path: &Path) -> Vec<Label> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let label = |line: &str| {
        let fields: HashMap<&str, &str> = columns.iter().copied().zip(line.split('\t')).collect();
        let is_guess =
            ["match_by_port", "match_by_ip", "custom_rule", "tshark_dissector"].contains(&fields["confidence"]);
        if fields["level"] != "outer" || !fields["conflict"].is_empty() || is_guess {
            return None;
        }
        let end = |address, port| Some((fields[address].parse::<IpAddr>().ok()?, fields[port].parse().unwrap_or(0)));
        let (source, destination) = (end("src_ip", "src_port")?, end("dst_ip", "dst_port")?);
        let flow = Flow { protocol: protocol(fields["proto"])?, source, destination }.key();
        Some(Label { flow, class: fields["label"].to_owned(), also_ok: fields["also_ok"].to_owned() })
    };
    lines.filter_map(label).collect()
}

/// The surest guess about each flow of a capture, of equal ones the first.
fn guesses(path: &Path) -> HashMap<Flow, Option<(Class, Evidence)>> {
    let mut capture = Capture::open(path).unwrap();
    let mut framer = Framer::default();
    let mut flows: HashMap<Flow, (u8, Option<(Class, Evidence)>)> = HashMap::new();
    while let Some(frame) = capture.next().unwrap() {
        let frame = framer.ethernet(&frame);
        let Some(packet) = Packet::of_frame(frame.captured, frame.wire_len) else { continue };
        let opening = Opening {
            protocol: packet.flow.protocol,
            source_port: packet.flow.source.1,
            destination_port: packet.flow.destination.1,
            payload_len: packet.payload_len,
            head: Opening::head_of(packet.payload),
        };
        let (asked, best) = flows.entry(packet.flow.key()).or_default();
        if packet.payload_len > 0 && *asked < ASKED {
            *asked += 1;
            let found = guess(&opening);
            let is_surer = |best: (Class, Evidence)| found.is_some_and(|found| found.1 > best.1);
            if best.is_none_or(is_surer) {
                *best = found;
            }
        }
    }
    flows.into_iter().map(|(flow, (_, best))| (flow, best)).collect()
}

/// What was guessed of the flows of a class.
#[derive(Clone, Copy, Debug, Default)]
struct Guessed {
    by_payload: u64,
    by_port: u64,
    otherwise: u64,
    not: u64,
}

impl Guessed {
    fn total(self) -> u64 {
        self.by_payload + self.by_port + self.otherwise + self.not
    }

    fn percent(self) -> u64 {
        self.by_payload * 100 / self.total()
    }
}

#[test]
fn suspicious_guesses_are_right() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !shared.is_dir() {
        println!("SKIP suspicious_guesses_are_right: ../shared/captures absent");
        return;
    }
    let by_name: HashMap<&str, Class> = Class::ALL.iter().map(|class| (class.name(), *class)).collect();
    let mut classes: BTreeMap<Class, Guessed> = BTreeMap::new();
    let (mut ordinary, mut by_port, mut false_alarms, mut confused) = (0, 0, vec![], vec![]);
    for entry in fs::read_dir(shared.join("captures")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let found = guesses(&path);
        for label in labels(&shared.join("labels").join(format!("{name}.tsv"))) {
            let guess = found.get(&label.flow).copied().flatten();
            let is_right = |class: Class| {
                class.name() == label.class || label.also_ok.split([',', ';', ' ']).any(|name| name == class.name())
            };
            let wanted = by_name.get(label.class.as_str()).copied().filter(|class| *class != Class::Unknown);
            if let Some(wanted) = wanted {
                let guessed = classes.entry(wanted).or_default();
                *match guess {
                    Some((class, Evidence::Payload)) if is_right(class) => &mut guessed.by_payload,
                    Some((class, _)) if is_right(class) => &mut guessed.by_port,
                    Some(_) => &mut guessed.otherwise,
                    None => &mut guessed.not,
                } += 1;
            }
            let is_ordinary = label.class.starts_with("benign:") || wanted.is_some_and(|class| !is_suspicious(class));
            ordinary += u64::from(is_ordinary);
            let Some((class, evidence)) = guess.filter(|(class, _)| is_suspicious(*class) && !is_right(*class)) else {
                continue;
            };
            if evidence < Evidence::Payload {
                by_port += u64::from(is_ordinary);
            } else if is_ordinary {
                false_alarms.push((name.clone(), label.flow, class.name()));
            } else if wanted.is_some() {
                // Of a flow that nobody named nothing is wrong.
                confused.push((name.clone(), label.flow, class.name()));
            }
        }
    }
    for (class, guessed) in &classes {
        println!("{:14} {:3} % of {:4} by payload; {guessed:?}", class.name(), guessed.percent(), guessed.total());
    }
    println!(
        "{ordinary} ordinary flows: {} flagged by payload, {by_port} by port: {false_alarms:?}",
        false_alarms.len()
    );
    let unexplained: Vec<_> = false_alarms.iter().filter(|(name, ..)| !EXPLAINED.contains(&name.as_str())).collect();
    assert_eq!(unexplained, Vec::<&(String, Flow, &str)>::new(), "ordinary flows flagged by payload");
    assert_eq!(by_port, 0, "ordinary flows flagged by port");
    assert_eq!(confused, vec![], "suspicious flows taken for another suspicious class");
    assert!(ordinary >= LEAST_ORDINARY, "too few ordinary flows to say anything: {ordinary}");
    for (class, floor) in FLOORS {
        let percent = classes.get(class).map_or(0, |guessed| guessed.percent());
        assert!(percent >= *floor, "{}: {percent} %, {floor} expected", class.name());
    }
}
