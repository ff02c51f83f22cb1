//! What flows are found to be, against the labels of the shared captures, which independent tools gave them.
#![expect(clippy::unwrap_used, reason = "a label that cannot be read fails the test")]

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    net::IpAddr,
    path::Path,
};

use sensor::{
    capture::Capture,
    inspect::{Flow, Inspector, Packet, Verdict},
    replay::Framer,
};
use sensor_ebpf::class::{Class, Evidence};

/// Least share of a class's flows that must be found, where it has [`ENOUGH`].
const MIN_RECALL: f64 = 0.9;
/// Flows that a class must have for its share to mean something.
const ENOUGH: u64 = 5;
/// Ordinary flows that may be flagged as suspicious, of some six thousand.
const MAX_FALSE_ALARMS: usize = 3;

/// Captures some of whose labels say otherwise than their bytes; what is found in them is neither right nor wrong.
const DOUBTFUL: [&str; 6] = [
    // One conversation whose directions have a VLAN each; labelled as two one-way flows.
    "arkime__dns-flags0110",
    // Begins in the middle of connections, of which seven show pieces of files alone; the label is the capture's name.
    "markofu__torrential-slowness",
    // SOCKS by both ends, to port 1080; labelled Cassandra.
    "mercury__socks4_5",
    // dnscat2 under one domain, and dns2tcp's `=auth` and `=connect`; labelled as the DNS that they are, too.
    "ndpi__bad-dns-traffic",
    "suriv__dns_bug-1158",
    // A POST of a whole URL with `Proxy-Connection`, to port 8080; labelled as the HTTP that it is, too.
    "tcpdump__ipv4_tcp_http_xml_tso",
];

/// Labels that are somebody's finding; the others are guesses.
const STRONG: [&str; 8] = [
    "dpi",
    "dpi_cache",
    "ip_proto",
    "upstream_arkime",
    "upstream_zeek",
    "dataset_name",
    "client_sni_pattern",
    "dpi_2021_unspecified",
];

fn protocol(text: &str) -> Option<u8> {
    let names = [
        ("TCP", 6),
        ("UDP", 17),
        ("ICMP", 1),
        ("ICMPV6", 58),
        ("GRE", 47),
        ("ESP", 50),
        ("AH", 51),
        ("IPIP", 4),
        ("IPV6", 41),
        ("L2TP", 115),
    ];
    let text = text.trim().to_uppercase();
    text.parse().ok().or_else(|| Some(names.iter().find(|(name, _)| *name == text)?.1))
}

/// A labelled flow.
struct Label {
    flow: Flow,
    class: String,
    also_ok: HashSet<String>,
    is_one_way: bool,
}

fn labels(path: &Path) -> Vec<Label> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let columns: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let mut labels = Vec::new();
    for line in lines {
        let fields: HashMap<&str, &str> = columns.iter().copied().zip(line.split('\t')).collect();
        let confidence = fields["confidence"];
        let is_strong = STRONG.contains(&confidence)
            || confidence.ends_with("_heuristic_cfg")
            || confidence.starts_with("tshark_dissector+");
        if fields["level"] != "outer" || !fields["conflict"].is_empty() || !is_strong {
            continue;
        }
        let end = |address: &str, port: &str| {
            Some((fields[address].parse::<IpAddr>().ok()?, fields[port].parse().unwrap_or_default()))
        };
        let (Some(protocol), Some(source), Some(destination)) =
            (protocol(fields["proto"]), end("src_ip", "src_port"), end("dst_ip", "dst_port"))
        else {
            continue;
        };
        labels.push(Label {
            flow: Flow { protocol, source, destination },
            class: fields["label"].to_owned(),
            also_ok: fields["also_ok"].split([',', ';', ' ']).map(ToOwned::to_owned).collect(),
            is_one_way: fields["pkts_s2c"] == "0",
        });
    }
    labels
}

fn inspected(path: &Path) -> HashMap<Flow, Option<Verdict>> {
    let mut capture = Capture::open(path).unwrap();
    let (mut framer, mut inspector) = (Framer::default(), Inspector::default());
    while let Some(frame) = capture.next().unwrap() {
        let frame = framer.ethernet(&frame);
        if let Some(packet) = Packet::of_frame(frame.captured, frame.wire_len) {
            inspector.look(&packet, 0);
        }
    }
    inspector.finish().into_iter().map(|ended| (ended.flow.key(), ended.verdict)).collect()
}

#[test]
fn flows_are_what_their_labels_say() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    if !shared.is_dir() {
        println!("SKIP flows_are_what_their_labels_say: ../shared/captures absent");
        return;
    }
    let by_name: HashMap<&str, Class> = Class::ALL.iter().map(|class| (class.name(), *class)).collect();
    // Found and missed.
    let mut classes: BTreeMap<Class, [u64; 2]> = BTreeMap::new();
    let (mut false_alarms, mut overclaimed) = (vec![], vec![]);
    for entry in fs::read_dir(shared.join("captures")).unwrap() {
        let path = entry.unwrap().path();
        if DOUBTFUL.iter().any(|name| path.file_stem().is_some_and(|stem| stem == *name)) {
            continue;
        }
        let labels = labels(&shared.join("labels").join(path.file_stem().unwrap()).with_added_extension("tsv"));
        let found = inspected(&path);
        for label in labels {
            let verdict = found.get(&label.flow.key()).copied().flatten();
            let is_guess = |verdict: &Verdict| verdict.class.is_suspicious() && verdict.evidence == Evidence::Port;
            let class = verdict.filter(|verdict| !is_guess(verdict)).map_or(Class::Unknown, |verdict| verdict.class);
            let is_right = class.name() == label.class || label.also_ok.contains(class.name());
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            if label.is_one_way && verdict.is_some_and(|verdict| verdict.evidence == Evidence::Confirmed) {
                overclaimed.push((name.clone(), label.flow));
            }
            let wanted = by_name.get(label.class.as_str()).filter(|class| **class != Class::Unknown);
            if let Some(wanted) = wanted.filter(|_| !label.also_ok.contains("unknown")) {
                classes.entry(*wanted).or_default()[usize::from(!is_right)] += 1;
            }
            let is_ordinary = label.class.starts_with("benign:") || wanted.is_some_and(|class| !class.is_suspicious());
            if is_ordinary && class.is_suspicious() && !is_right {
                false_alarms.push((name, label.flow, label.class, class.name()));
            }
        }
    }
    let mut poor = vec![];
    for (class, [found, missed]) in classes {
        let recall = found as f64 / (found + missed) as f64;
        println!("{:14} {found:5} of {:5} found: {recall:.3}", class.name(), found + missed);
        if recall < MIN_RECALL && found + missed >= ENOUGH {
            poor.push(class.name());
        }
    }
    println!("{} ordinary flows flagged: {false_alarms:?}", false_alarms.len());
    assert_eq!(poor, Vec::<&str>::new(), "found too rarely");
    assert!(false_alarms.len() <= MAX_FALSE_ALARMS);
    assert_eq!(overclaimed, vec![], "called confirmed though one-way");
}
