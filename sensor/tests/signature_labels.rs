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

/// The first of the surest guesses about each flow of a capture.
fn guesses(path: &Path) -> HashMap<Flow, Option<(Class, Evidence)>> {
    let mut capture = Capture::open(path).unwrap();
    let mut framer = Framer::default();
    let mut flows: HashMap<Flow, (u8, Option<(Class, Evidence)>, [u32; 4], u32)> = HashMap::new();
    while let Some(frame) = capture.next().unwrap() {
        let frame = framer.ethernet(&frame);
        let Some(packet) = Packet::of_frame(frame.captured, frame.wire_len) else { continue };
        if packet.payload_len == 0 {
            continue;
        }
        let opening = Opening {
            protocol: packet.flow.protocol,
            source_port: packet.flow.source.1,
            destination_port: packet.flow.destination.1,
            payload_len: packet.payload_len,
            head: Opening::head_of(packet.payload),
        };
        let (asked, best, h, l) =
            flows.entry(packet.flow.key()).or_insert((0, None, opening.head, opening.payload_len));
        if *asked < ASKED {
            *asked += 1;
            let found = guess(&opening);
            if best.is_none_or(|best| found.is_some_and(|found| found.1 > best.1)) {
                *best = found;
                (*h, *l) = (opening.head, opening.payload_len);
            }
        }
    }
    flows
        .into_iter()
        .map(|(flow, (_, best, h, l))| {
            if std::env::var("DUMP").is_ok() {
                println!(
                    "HEAD {:?} {:?} {} {}",
                    flow,
                    best,
                    l,
                    h.map(|w| w.to_be_bytes().escape_ascii().to_string()).concat()
                );
            }
            (flow, best)
        })
        .collect()
}

#[test]
fn suspicious_guesses_are_right() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !shared.is_dir() {
        println!("SKIP suspicious_guesses_are_right: ../shared/captures absent");
        return;
    }
    let by_name: HashMap<&str, Class> = Class::ALL.iter().map(|class| (class.name(), *class)).collect();
    // Right by payload, right by port, wrong, not said.
    let mut classes: BTreeMap<Class, [u64; 4]> = BTreeMap::new();
    let mut wrong = vec![];
    let mut by_port: BTreeMap<(Class, String), u64> = BTreeMap::new();
    let mut ordinary = 0;
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
                let column = match guess {
                    Some((class, Evidence::Payload)) if is_right(class) => 0,
                    Some((class, _)) if is_right(class) => 1,
                    Some(_) => 2,
                    None => 3,
                };
                classes.entry(wanted).or_default()[column] += 1;
                if std::env::var("MISS").is_ok_and(|want| want == wanted.name()) && column > 0 {
                    println!("MISS {name} {:?} {:?}", label.flow, guess);
                }
            }
            ordinary += u64::from(wanted.is_none_or(|class| !is_suspicious(class)));
            if let Some((class, evidence)) = guess.filter(|(class, _)| is_suspicious(*class) && !is_right(*class)) {
                match evidence {
                    Evidence::Payload => wrong.push((name.clone(), label.flow, label.class, class.name())),
                    _ => *by_port.entry((class, label.class)).or_default() += 1,
                }
            }
        }
    }
    for (class, [payload, port, wrong, none]) in &classes {
        let total = payload + port + wrong + none;
        println!(
            "{:14} {total:5} flows: {:.3} by payload, {:.3} by port, {wrong} as something else, {none} not",
            class.name(),
            *payload as f64 / total as f64,
            *port as f64 / total as f64
        );
    }
    println!("{ordinary} ordinary flows; suspicious by port: {by_port:?}");
    println!("wrong:");
    for w in &wrong {
        println!("{w:?}");
    }
}
