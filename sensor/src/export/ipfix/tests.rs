//! Messages as they are, and collectors that are there, gone, or worse.

mod collector;
mod tls;

use std::{fs, net::UdpSocket, path::Path, sync::Arc, thread, time::Duration};

use sensor_ebpf::{abi::Direction, class::Class, class::Evidence};

use self::collector::{Collector, Decoder, Manner};
use super::{element::Element, *};
use crate::{
    config::{DEFAULT_ENTERPRISE, DEFAULT_SPOOL, Exporter, Host, Target},
    epoch::Epoch,
    export::{Exporters, Progress},
    spool::{Bounds, Spool},
    summary::{Count, Key, LedgerRecord, Moved, NetworkRecord, PrefixRecord, Summary},
};

/// An interval of so many prefixes, half of them IPv6, a network and a ledger.
fn summary(sequence: u64, prefixes: u32) -> Summary {
    let at = |sequence: u64| Timestamp::from_second(10 * sequence as i64).unwrap();
    let epoch = Epoch::from_bytes([7; 16]).unwrap();
    let key = Key { sensor: "edge-1".to_owned(), epoch, start: at(sequence), end: at(sequence + 1), sequence };
    let count = |number: u64| Count { packets: number + 1, bytes: 1000 + number, frame_bytes: 1014 + number };
    let prefix = |number: u32| PrefixRecord {
        prefix: match number % 2 {
            0 => format!("10.{}.{}.0/24", number >> 8, number & 255),
            _ => format!("2001:db8:{number:x}::/48"),
        }
        .parse()
        .unwrap(),
        direction: Direction::ALL[(number / 2 % 2) as usize],
        network: Some("a".into()),
        count: count(number.into()),
    };
    let network = NetworkRecord {
        network: "a".into(),
        direction: Direction::In,
        upstream: Some("north".into()),
        upstream_asn: Some(64_500),
        class: Class::WireGuard,
        family: "vpn",
        evidence: Some(Evidence::Payload),
        count: count(7),
        moved: Moved { moved_bytes: 5, ..Moved::default() },
    };
    let ledger = LedgerRecord { interface: "eth9".to_owned(), matched_bytes: 77, ..LedgerRecord::default() };
    Summary {
        prefixes: (0..prefixes).map(prefix).collect(),
        networks: vec![network],
        ledger: vec![ledger],
        ..Summary::empty(key)
    }
}

fn config(transport: Transport, port: u16, records: &[Additive]) -> Ipfix {
    let host = Host { name: "127.0.0.1".to_owned(), port };
    Ipfix { transport, host, records: records.to_vec(), domain: 5, enterprise: DEFAULT_ENTERPRISE }
}

/// A spool of so many intervals, that an exporter named `ipfix` has not had.
fn spool(folder: &Path, intervals: u64, prefixes: u32) -> Arc<Spool> {
    let spool = Spool::open(folder, DEFAULT_SPOOL, &["ipfix"]).unwrap();
    (0..intervals).for_each(|sequence| spool.append(&summary(sequence, prefixes)).unwrap());
    spool
}

fn start(config: &Ipfix, spool: &Arc<Spool>) -> Exporters {
    Exporters::start(&[exporter(config)], spool).unwrap()
}

fn exporter(config: &Ipfix) -> Exporter {
    Exporter { name: "ipfix".parse().unwrap(), target: Target::Ipfix(config.clone()) }
}

/// Waits for up to 20 s.
fn wait(what: &str, mut is_there: impl FnMut() -> bool) {
    for _ in 0..4000 {
        if is_there() {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
    panic!("never: {what}");
}

fn finish(exporters: Exporters) {
    exporters.finish_blocking().unwrap();
}

/// What the intervals of [`summary`] say of a prefix domain, for each (sequence, address): bytes.
fn expected(intervals: u64, prefixes: u32) -> u64 {
    intervals * (0..u64::from(prefixes)).map(|number| 1000 + number).sum::<u64>()
}

#[test]
fn messages_fit_and_count_their_records() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 1, 200);
    let piece = spool.reader("ipfix").unwrap().peek().unwrap().unwrap();
    for mtu in [512, 1400, 65_507] {
        let mut sink = Sink::new(&config(Transport::Udp { mtu }, 9, &Additive::ALL));
        let mut decoder = Decoder::default();
        let lines = piece.lines().unwrap();
        // Once with templates, and once more in the same session.
        for _ in 0..2 {
            for message in sink.pack(&lines, 3).unwrap() {
                assert!(message.len() <= mtu as usize, "{} of {mtu}", message.len());
                decoder.message(&message);
            }
        }
        assert_eq!((decoder.gaps, decoder.unknown_sets), (0, 0));
        let sum = |domain, id| decoder.sum(domain, id);
        let octets = Element::OctetDeltaCount.field().id;
        assert_eq!((sum(5, octets), sum(6, octets), sum(7, octets)), (2 * expected(1, 200), 2 * 1007, 0));
        assert_eq!((sum(5, 1013), sum(6, 1006)), (2 * 77, 2 * 5));
        let lost = Element::NotSentFlowTotalCount.field().id;
        assert_eq!(sum(6, lost), 3);
        let texts: Vec<&str> = decoder.texts.iter().map(String::as_str).collect();
        for text in ["edge-1", "external", "wireguard", "north", "movedOctetDeltaCount", "eth9"] {
            assert!(texts.contains(&text), "{text}");
        }
        assert!(decoder.keys.iter().all(|(domain, key, times)| *times == 2 && *domain >= 5 && !key.is_empty()));
    }
}

#[test]
fn templates_come_again_over_udp() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 1, 2000);
    let piece = spool.reader("ipfix").unwrap().peek().unwrap().unwrap();
    let mut sink = Sink::new(&config(Transport::Udp { mtu: 1400 }, 9, &[Additive::Prefix]));
    let messages = sink.pack(&piece.lines().unwrap(), 0).unwrap();
    let has_templates = |message: &Vec<u8>| message[16..18] == [0, 2];
    let places: Vec<usize> = (0..messages.len()).filter(|at| has_templates(&messages[*at])).collect();
    assert!(places.len() > 3, "{places:?} of {}", messages.len());
    assert!(places.windows(2).all(|pair| pair[1] - pair[0] <= 2 * TEMPLATES_EVERY), "{places:?}");
}

#[test]
fn datagrams_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 3, 20);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let config = config(Transport::Udp { mtu: 1400 }, socket.local_addr().unwrap().port(), &[Additive::Prefix]);
    let exporters = start(&config, &spool);
    let (mut decoder, mut buffer) = (Decoder::default(), [0; 65_536]);
    while let Ok(len) = socket.recv(&mut buffer) {
        decoder.message(&buffer[..len]);
    }
    finish(exporters);
    assert_eq!((decoder.sum(5, 1), decoder.gaps), (expected(3, 20), 0));
    assert_eq!(spool.cursor("ipfix").unwrap().acknowledged, 3);
}

/// A piece is longer than what sockets hold here: what was not read cannot have been acknowledged.
#[test]
fn no_record_is_lost_over_reconnects() {
    for manner in [Manner::ResetAfter(5_000), Manner::CloseAfter(20_000), Manner::Answer] {
        let folder = tempfile::tempdir().unwrap();
        let spool = spool(folder.path(), 4, 1000);
        let collector = Collector::start(vec![manner, manner]);
        let config = config(Transport::Tcp, collector.port, &[Additive::Prefix]);
        let exporters = start(&config, &spool);
        wait("all is acknowledged", || spool.cursor("ipfix").is_some_and(|cursor| cursor.acknowledged == 4));
        let progress = exporters.statuses()[0].progress();
        finish(exporters);
        assert!(!progress.is_down && progress.failures.contains_key(&Failure::Broken), "{manner:?}: {progress:?}");
        let decoder = collector.finish();
        assert_eq!((decoder.octets_by_key(5), decoder.gaps), (expected(4, 1000), 0), "{manner:?}");
    }
}

#[test]
fn what_is_renewed_holds_from_the_next_piece_on() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 1, 10);
    let collector = Collector::start(vec![]);
    let exporters = start(&config(Transport::Tcp, collector.port, &[Additive::Prefix]), &spool);
    for sequence in 1..=2 {
        let due = spool.end();
        wait("all is acknowledged", || spool.cursor("ipfix").is_some_and(|cursor| cursor.acknowledged == due));
        exporters.renew();
        spool.append(&summary(sequence, 10)).unwrap();
    }
    wait("all is acknowledged", || spool.cursor("ipfix").is_some_and(|cursor| cursor.acknowledged == 3));
    finish(exporters);
    let decoder = collector.finish();
    assert_eq!((decoder.sessions, decoder.sum(5, 1)), (3, expected(3, 10)));
}

#[test]
fn a_collector_that_is_not_there_is_told_of_and_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 1, 10);
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let exporters = start(&config(Transport::Tcp, port, &[Additive::Prefix]), &spool);
    wait("it is told", || exporters.statuses()[0].progress().failures.contains_key(&Failure::Connect));
    let collector = Collector::start_at(port, vec![]);
    wait("all is acknowledged", || spool.cursor("ipfix").is_some_and(|cursor| cursor.acknowledged == 1));
    finish(exporters);
    assert_eq!(collector.finish().sum(5, 1), expected(1, 10));

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let host = Host { name: "no-such-host.invalid".to_owned(), port: 4739 };
    let error = runtime.block_on(Wire::tcp(&host)).err().unwrap();
    let text = format!("{error:#}");
    assert!(text.starts_with("cannot connect: no-such-host.invalid:4739: unknown host; correct endpoint"), "{text}");
}

/// A piece may take longer than the deadline, as long as it gets on.
#[test]
fn a_slow_collector_has_everything_once() {
    let folder = tempfile::tempdir().unwrap();
    let spool = spool(folder.path(), 1, 4_000);
    let collector = Collector::start(vec![Manner::Slow]);
    let config = config(Transport::Tcp, collector.port, &[Additive::Prefix]);
    let deadline = Duration::from_secs(1);
    let (exporters, began) = (Exporters::start_with(deadline, &[exporter(&config)], &spool).unwrap(), Instant::now());
    wait("all is acknowledged", || spool.cursor("ipfix").is_some_and(|cursor| cursor.acknowledged == 1));
    assert!(began.elapsed() > deadline, "{:?}", began.elapsed());
    finish(exporters);
    let decoder = collector.finish();
    assert_eq!((decoder.sessions, decoder.sum(5, 1)), (1, expected(1, 4_000)));
}

/// What the spool has no room for while nobody collects is what a collector is told as not sent, and nothing else is missing there.
#[test]
fn what_the_spool_gives_up_is_told_exactly() {
    const INTERVALS: u64 = 400;
    const PREFIXES: u32 = 40;
    let folder = tempfile::tempdir().unwrap();
    let bounds = Bounds { max_bytes: 64 << 10, ..DEFAULT_SPOOL };
    let port = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let config = config(Transport::Tcp, port, &[Additive::Prefix]);
    // Two lives, each with its part; intervals of two epochs in turn are not merged.
    for part in 0..2 {
        let spool = Spool::open(folder.path(), bounds, &["ipfix"]).unwrap();
        let exporters = start(&config, &spool);
        for sequence in part * INTERVALS / 2..(part + 1) * INTERVALS / 2 {
            let mut summary = summary(sequence, PREFIXES);
            summary.key.epoch = Epoch::from_bytes([1 + (sequence % 2) as u8; 16]).unwrap();
            spool.append(&summary).unwrap();
        }
        finish(exporters);
    }
    let spool = Spool::open(folder.path(), bounds, &["ipfix"]).unwrap();
    let collector = Collector::start_at(port, vec![]);
    let exporters = start(&config, &spool);
    wait("all is acknowledged", || spool.cursor("ipfix").is_some_and(|cursor| cursor.acknowledged == INTERVALS));
    let progress = exporters.statuses()[0].progress();
    finish(exporters);
    let decoder = collector.finish();
    let of_an_interval = u64::from(PREFIXES) + 2;
    let lost = progress.lost / of_an_interval;
    assert!(lost > 100 && lost < INTERVALS - 20 && progress.lost == lost * of_an_interval, "{progress:?}");
    assert_eq!(decoder.octets_by_key(5), expected(INTERVALS - lost, PREFIXES));
    assert_eq!(spool.take_lost()["ipfix"].records, progress.lost);
    assert_eq!(decoder.sum(5, Element::NotSentFlowTotalCount.field().id), progress.lost);
}

#[test]
fn a_collector_that_does_not_read_gets_no_more() {
    let folder = tempfile::tempdir().unwrap();
    // More than sockets hold.
    let spool = spool(folder.path(), 2, 60_000);
    let collector = Collector::start(vec![Manner::Silent]);
    let exporters = start(&config(Transport::Tcp, collector.port, &[Additive::Prefix]), &spool);
    thread::sleep(Duration::from_secs(1));
    assert_eq!(spool.cursor("ipfix").unwrap().acknowledged, 0);
    let began = Instant::now();
    finish(exporters);
    assert!(began.elapsed() < Duration::from_secs(8));
    drop(collector);
    assert_eq!(spool.cursor("ipfix").unwrap().acknowledged, 0);
}
