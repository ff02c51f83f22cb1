//! A sensor whose records cross an interface that it watches: they are billed as what they are, to the byte, and are no news.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use sensor::{
    summary::AddressSet,
    testing::netns::{LINK, run, within},
};
use serde_json::Value;

use crate::{
    agent::{Agent, eventually},
    export::{file, records, settings},
    root::is_root,
    stage::{Settings, Stage},
};

const SENSOR: &str = "192.0.2.1";
const NEIGHBOUR: &str = "192.0.2.2";
const COLLECTOR: &str = "203.0.113.1";
const PORT: u16 = 4739;
/// IPv4 and UDP headers.
const HEADERS: i64 = 28;
/// L3 bytes of a SYN of this kernel.
const SYN: i64 = 60;
/// What somebody else says to the collector.
const QUESTION: &[u8] = b"not the sensor";

/// Counts the L3 bytes of datagrams from the sensor until it is stopped, and answers all others.
struct Collector {
    bytes: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Collector {
    fn start(stage: &Stage) -> Self {
        let socket = within(&stage.wire.peer, || Ok(UdpSocket::bind((COLLECTOR, PORT))?)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let (bytes, stop) = (Arc::new(AtomicI64::new(0)), Arc::new(AtomicBool::new(false)));
        let (sum, end) = (Arc::clone(&bytes), Arc::clone(&stop));
        let thread = thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            loop {
                match socket.recv_from(&mut buffer) {
                    Ok((len, from)) if from.ip().to_string() == SENSOR => {
                        sum.fetch_add(len as i64 + HEADERS, Ordering::Relaxed);
                    }
                    // Somebody else's question is answered: that makes it news.
                    Ok((_, from)) => drop(socket.send_to(b"not yours", from).unwrap()),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        if end.load(Ordering::Relaxed) {
                            return;
                        }
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
        Self { bytes, stop, thread }
    }

    fn stop(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Addresses on both ends of the link, and the way to ask for them.
fn address(stage: &Stage) {
    for (namespace, interface, addresses) in [
        (&stage.wire.sensor, LINK.inside, [SENSOR, NEIGHBOUR].as_slice()),
        (&stage.wire.peer, LINK.outside, &[COLLECTOR]),
    ] {
        run(namespace, &["ip", "link", "set", interface, "arp", "on"]).unwrap();
        for address in addresses {
            run(namespace, &["ip", "address", "add", &format!("{address}/32"), "dev", interface]).unwrap();
        }
    }
    run(&stage.wire.sensor, &["ip", "route", "add", COLLECTOR, "dev", LINK.inside, "src", SENSOR]).unwrap();
    run(&stage.wire.peer, &["ip", "route", "add", "192.0.2.0/24", "dev", LINK.outside]).unwrap();
}

/// All addresses that a record of this kind names.
fn told(records: &[Value], kind: &str) -> BTreeSet<String> {
    let of = records.iter().filter(|record| record["record"] == kind);
    let addresses = of.flat_map(|record| {
        let one = record["address"].as_str().map(str::to_owned);
        let set = serde_json::from_value::<AddressSet>(record["active"].clone()).unwrap_or_default();
        one.into_iter().chain(set.iter().map(|address| address.to_string())).collect::<Vec<_>>()
    });
    addresses.collect()
}

/// L3 bytes that the network sent, by class.
fn sent_by_class(records: &[Value]) -> BTreeMap<String, i64> {
    let mut known = BTreeSet::new();
    let once = records.iter().filter(|record| known.insert(record.to_string()));
    let mut sums = BTreeMap::new();
    for record in once.filter(|record| record["record"] == "network" && record["direction"] == "out") {
        let number = |name: &str| record[name].as_i64().unwrap_or_default();
        *sums.entry(record["class"].as_str().unwrap().to_owned()).or_default() +=
            number("bytes") - number("moved_bytes");
    }
    sums
}

/// The same of what is the sensor's own.
fn own(records: &[Value]) -> i64 {
    sent_by_class(records).get("sensor_export").copied().unwrap_or_default()
}

#[test]
fn what_it_sends_to_its_collectors_is_billed_as_that_and_is_no_news() {
    if !is_root("what_it_sends_to_its_collectors_is_billed_as_that_and_is_no_news") {
        return;
    }
    let stage = Stage::new("own");
    address(&stage);
    let collector = Collector::start(&stage);
    let path = stage.folder().join("records");
    let ipfix = format!("[[exporter]]\ntype = \"ipfix\"\nendpoint = \"udp://{COLLECTOR}:{PORT}\"\n");
    // Nobody listens there: it is refused, again and again.
    let refused = format!("[[exporter]]\ntype = \"clickhouse\"\nendpoint = \"http://{COLLECTOR}:8123\"\n");
    let with = settings(&(file(&path) + &ipfix + &refused + "[report]\nlearn = \"1s\"\n"));
    let spawn =
        |settings: &Settings| Agent::spawn(&mut stage.command(&["run", "--config", &stage.configure(settings)]));
    let agent = spawn(&with);
    let exported = |least| eventually(|| own(&records(&path)) > least);
    assert!(exported(0), "{:#?} {:#?}", agent.messages(), records(&path));
    agent.stop("KILL");
    let before = own(&records(&path));
    let agent = spawn(&with);
    // Another host with the same collector is no part of it.
    let other = within(&stage.wire.sensor, || Ok(UdpSocket::bind((NEIGHBOUR, 0))?)).unwrap();
    let asked = Cell::new(0);
    let ask = || {
        asked.set(asked.get() + QUESTION.len() as i64 + HEADERS);
        other.send_to(QUESTION, (COLLECTOR, PORT)).is_ok()
    };
    assert!(eventually(|| ask() && told(&records(&path), "event").contains(NEIGHBOUR)), "{:#?}", records(&path));
    assert!(eventually(|| told(&records(&path), "host").contains(NEIGHBOUR)));
    assert!(exported(before));
    assert!(agent.stop("TERM").status.success());
    let sent = collector.stop();
    let last = settings(&file(&path));
    let run = stage.finish(&["detach", "--config", &stage.configure(&last)]);
    assert_eq!(run.status, Some(0), "{run:?}");
    stage.assert_gone(&last);
    let had = records(&path);
    for kind in ["event", "host", "service", "class_host"] {
        let addresses = told(&had, kind);
        assert!(!addresses.contains(SENSOR), "{kind}: {addresses:?}");
    }
    // What was refused is some segments without a payload. What was billed before it was known as its own stays unknown where the agent was killed.
    let classes = sent_by_class(&had);
    let refused = classes.values().sum::<i64>() - sent - asked.get();
    assert!(sent > 0 && refused > 0 && refused % SYN == 0, "{classes:?}, {sent} arrived, {asked:?} asked");
    assert!(classes.keys().all(|class| ["sensor_export", "unknown"].contains(&&**class)), "{classes:?}");
}
