//! Every shared capture through the kernel's program and through its twin: the same counters after each.
#![expect(clippy::unwrap_used, reason = "an engine that fails fails the test")]

#[path = "support/root.rs"]
mod root;
#[path = "support/watched.rs"]
mod watched;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use sensor::{
    bpf::{Buffers, Hook, Kernel, MAX_FRAME_LEN, MIN_FRAME_LEN, REPLAY_FLOWS, TestRun},
    capture::{Capture, LinkType},
    cidr::Cidr,
    collect::Meter,
    native::Native,
    prefix::{PrefixSet, SetBuilder},
    replay::{EngineKind, Options, replay},
    testing::socket,
    watch::Memory as _,
};
use sensor_ebpf::{
    abi::{Clock, Counter},
    packet::{Ipv4, L3, SliceWindow, link},
};
use serde_json::Value;

use self::{
    root::is_root,
    watched::{attend, rows, samples},
};

/// Accounting prefixes: the first /24s that the captures have addresses in.
const ACCOUNTED: usize = 5_000;

fn captures() -> Option<Vec<PathBuf>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures/captures");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    Some(paths)
}

/// Gives `to` every Ethernet frame of a capture: its bytes, its length on the wire, its length to count.
fn frames(path: &Path, mut to: impl FnMut(&[u8], u32, u32)) {
    let mut capture = Capture::open(path).unwrap();
    while let Some(frame) = capture.next().unwrap() {
        if frame.link_type == LinkType::Ethernet {
            to(frame.data, frame.wire_len.max(frame.data.len() as u32), frame.wire_len);
        }
    }
}

fn set(captures: &[PathBuf]) -> PrefixSet {
    let mut accounted = BTreeSet::new();
    for path in captures {
        frames(path, |data, wire_len, _| {
            let window = SliceWindow::captured(data, wire_len, wire_len);
            if let Ok(L3::V4(offset)) = link(&window)
                && let Ok(header) = Ipv4::read(&window, offset)
            {
                accounted.extend([header.source, header.destination].map(|address| address & 0xffff_ff00));
            }
        });
        if accounted.len() >= ACCOUNTED {
            break;
        }
    }
    let mut builder = SetBuilder::default();
    builder.watch("everything", ["0.0.0.0/0", "::/0"].map(|text| text.parse().unwrap())).unwrap();
    for address in accounted.into_iter().take(ACCOUNTED) {
        builder.account(Cidr::new(IpAddr::V4(Ipv4Addr::from_bits(address)), 24).unwrap());
    }
    builder.build().unwrap()
}

/// A clock that stands at one second, from which on everything is told once more.
fn at(now: u32) -> Clock {
    Clock { now, since: now }
}

/// What all rows count together.
fn total(rows: &BTreeMap<String, Counter>) -> Counter {
    rows.values().fold(Counter::default(), |total, counter| total.sum(counter))
}

/// The captures, where this test can run; says why where it cannot.
#[expect(clippy::print_stdout, reason = "how a test tells the test report that it skipped")]
fn captures_for(test: &str) -> Option<Vec<PathBuf>> {
    let captures = captures();
    if captures.is_none() {
        println!("SKIP {test}: ../shared/captures absent");
    }
    captures.filter(|_| is_root(test))
}

#[test]
fn every_ethernet_frame_of_the_captures_counts_alike_in_both_engines() {
    let test = "every_ethernet_frame_of_the_captures_counts_alike_in_both_engines";
    let Some(captures) = captures_for(test) else { return };
    // What is bounded is so for each CPU.
    socket::pin_to_cpu(0).unwrap();
    let set = set(&captures);
    let trie = set.trie().unwrap();
    let mut kernel = Kernel::load_for_replay(&set, &trie, None).unwrap();
    let mut test_run = TestRun::prepare(kernel.instance(0).unwrap(), Hook::Inline, Buffers::Several).unwrap();
    let mut native = Native::watching(trie, &set, REPLAY_FLOWS).at_a_tap();
    attend(kernel.maps(), 1);
    attend(&mut native, 1);
    let mut before = (kernel.read().unwrap(), native.read().unwrap());
    let (mut given, mut left_out, mut told, mut different) = (0_u64, 0_u64, 0, Vec::new());
    for (second, path) in (1..).zip(&captures) {
        kernel.maps().set_clock(at(second));
        native.set_clock(at(second));
        let mut is_told_alike = true;
        frames(path, |data, wire_len, frame_len| {
            if !(MIN_FRAME_LEN..=MAX_FRAME_LEN).contains(&data.len()) {
                left_out += 1;
                return;
            }
            given += 1;
            native.count(&SliceWindow::captured(data, wire_len, frame_len));
            test_run.run_captured(kernel.instance(0).unwrap(), data, wire_len, frame_len).unwrap();
            let samples = (samples(kernel.maps()), samples(&mut native));
            told += samples.0.len();
            is_told_alike &= samples.0 == samples.1;
        });
        let now = (kernel.read().unwrap(), native.read().unwrap());
        if !is_told_alike
            || rows(kernel.maps()) != rows(&native)
            || now.0.since(&before.0).unwrap() != now.1.since(&before.1).unwrap()
        {
            different.push(path.file_name().unwrap().to_string_lossy().into_owned());
        }
        before = now;
    }
    println!(
        "{} captures, {given} frames, {left_out} that the kernel does not take, {told} samples, {} prefixes",
        captures.len(),
        set.len()
    );
    assert!(different.is_empty(), "the engines differ on {different:?}");
    assert_eq!(before.0.ledger[0].seen().packets, given);
    // Everything is watched: each packet with addresses is billed once by its source and once by its destination.
    let matched = before.0.ledger[0].matched();
    assert_eq!(total(&rows(kernel.maps())), matched.sum(&matched));
    assert!(given > 50_000 && told > 10_000, "only {given} frames were compared, and {told} samples");
}

/// The records of a history, without what only the kernel's engine has to tell.
fn records(captures: &[PathBuf], engine: EngineKind) -> anyhow::Result<Vec<Value>> {
    let options = Options { flows: true, ..Options::new(captures.to_vec(), engine, set(&[])) };
    let mut out = Vec::new();
    replay(&options, &mut out)?;
    let lines = str::from_utf8(&out)?.lines();
    lines
        .map(|line| {
            let mut record: Value = serde_json::from_str(line)?;
            record.as_object_mut().unwrap().remove("replay_fallback");
            Ok(record)
        })
        .collect()
}

#[test]
fn captures_of_other_links_are_one_history_in_both_engines() {
    let test = "captures_of_other_links_are_one_history_in_both_engines";
    let Some(captures) = captures_for(test) else { return };
    let is_other = |path: &Path| -> bool {
        let first = Capture::open(path).unwrap().next().unwrap().map(|frame| frame.link_type);
        first.is_some_and(|link_type| link_type != LinkType::Ethernet)
    };
    let others: Vec<PathBuf> = captures.into_iter().filter(|path| is_other(path)).collect();
    // What is not supported at all is refused by both before anything is counted; the tests of bad input see to that.
    let read = |path: &PathBuf| records(std::slice::from_ref(path), EngineKind::Native).is_ok();
    let (known, unknown): (Vec<PathBuf>, Vec<PathBuf>) = others.into_iter().partition(read);
    let (kernel, native) = (records(&known, EngineKind::Kernel).unwrap(), records(&known, EngineKind::Native).unwrap());
    assert_eq!(kernel, native);
    let ledger = native.iter().find(|record| record["record"] == "ledger").unwrap();
    println!("{} captures, {} not supported: {ledger}", known.len(), unknown.len());
    assert!(ledger["matched_packets"].as_u64() > Some(1_000), "{ledger}");
}
