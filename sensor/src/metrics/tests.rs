//! Sums, both formats, health, and the page over HTTP.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use sensor_ebpf::{
    abi::Direction,
    class::{Class, Evidence},
};

use super::{
    health::Health,
    totals::{MAX_LOSS_SERIES, MAX_NETWORK_SERIES, MAX_PREFIX_SERIES},
    *,
};
use crate::{
    cidr::Cidr,
    epoch::Epoch,
    summary::{Count, Event, EventRecord, Key, LedgerRecord, Moved, NetworkRecord, PrefixRecord},
};

const INTERVAL: Duration = Duration::from_secs(10);

fn shared(prefixes: bool) -> Shared {
    let metrics = Metrics { listen: "127.0.0.1:0".parse().unwrap(), prefixes };
    Shared::new(&metrics, &[0xab; 32], INTERVAL)
}

fn empty() -> Summary {
    let (start, end) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH + SignedDuration::from_secs(10));
    Summary::empty(Key {
        sensor: "edge".to_owned(),
        epoch: Epoch::from_bytes([1; 16]).unwrap(),
        start,
        end,
        sequence: 0,
    })
}

fn count(packets: u64) -> Count {
    Count { packets, bytes: 10 * packets, frame_bytes: 20 * packets }
}

fn network(network: &str, packets: u64, moved_packets: u64) -> NetworkRecord {
    NetworkRecord {
        network: network.into(),
        direction: Direction::In,
        upstream: Some("up".into()),
        upstream_asn: None,
        class: Class::Tls,
        family: Class::Tls.family().name(),
        evidence: Some(Evidence::Port),
        count: count(packets),
        moved: Moved { moved_packets, moved_bytes: 10 * moved_packets, moved_frame_bytes: 0 },
    }
}

fn ledger(seen_packets: u64, attached: bool) -> LedgerRecord {
    LedgerRecord {
        interface: "eth0".to_owned(),
        direction: "rx",
        seen_packets,
        seen_frame_bytes: 64 * seen_packets,
        unparsed: [("arp", seen_packets)].into(),
        attached: Some(attached),
        blind_ms: Some(1_250),
        lost: [("missed", 3)].into(),
        ..LedgerRecord::default()
    }
}

/// The number of a series.
fn value(page: &str, series: &str) -> Option<String> {
    let mut found = page.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = found.next().map(str::to_owned);
    assert_eq!(found.next(), None, "{series} twice");
    value
}

fn labels(network: &str) -> String {
    let family = Class::Tls.family().name();
    format!(
        "{{network=\"{network}\",direction=\"in\",upstream=\"up\",class=\"tls\",family=\"{family}\",evidence=\"port\"}}"
    )
}

#[test]
fn sums_grow_and_what_was_moved_is_beside_them() {
    let shared = shared(false);
    let mut first = empty();
    first.networks = vec![network("a", 5, 0)];
    first.prefixes = vec![PrefixRecord {
        prefix: "192.0.2.0/24".parse().unwrap(),
        direction: Direction::In,
        network: None,
        count: count(5),
    }];
    first.ledger = vec![ledger(7, true)];
    let mut second = empty();
    second.networks = vec![network("a", 0, 3)];
    second.ledger = vec![ledger(1, false)];
    shared.written(&first);
    let before = shared.page(Format::Text);
    shared.written(&second);
    let after = shared.page(Format::Text);
    let of = |page: &str, name: &str| value(page, &format!("edge_network_{name}_total{}", labels("a"))).unwrap();
    assert_eq!((of(&before, "bytes"), of(&after, "bytes")), ("50".to_owned(), "50".to_owned()), "never down");
    assert_eq!((of(&before, "moved_bytes"), of(&after, "moved_bytes")), ("0".to_owned(), "30".to_owned()));
    assert_eq!((of(&after, "packets"), of(&after, "moved_packets")), ("5".to_owned(), "3".to_owned()));
    assert_eq!(of(&after, "frame_bytes"), "100");
    let side = "{interface=\"eth0\",direction=\"rx\"}";
    let of = |name: &str| value(&after, &format!("edge_{name}{side}"));
    assert_eq!(of("seen_packets_total").as_deref(), Some("8"));
    assert_eq!(of("seen_frame_bytes_total").as_deref(), Some("512"));
    assert_eq!(of("interface_blind_seconds_total").as_deref(), Some("2.500"));
    assert_eq!(of("interface_attached").as_deref(), Some("0"));
    assert_eq!(of("nic_packets_total"), None, "not known is not nothing");
    let reason = "edge_unparsed_packets_total{interface=\"eth0\",direction=\"rx\",reason=\"arp\"}";
    assert_eq!(value(&after, reason).as_deref(), Some("8"));
    let lost = |reason: &str| {
        value(
            &after,
            &format!("edge_nic_lost_packets_total{{interface=\"eth0\",direction=\"rx\",reason=\"{reason}\"}}"),
        )
    };
    assert_eq!(["missed", "damaged", "if_drop"].map(lost), [Some("6".to_owned()), Some("0".to_owned()), None]);
    assert_eq!(value(&after, "edge_intervals_total").as_deref(), Some("2"));
    assert!(!after.contains("edge_prefix_"), "only on request");
}

#[test]
fn what_is_known_begins_at_nothing() {
    let shared = shared(true);
    let mut known = empty();
    known.networks = vec![network("a", 5, 0)];
    known.ledger = vec![ledger(7, true)];
    shared.begin(Some(&known), Table::default(), Sources::default());
    let page = shared.page(Format::Text);
    let of = |page: &str| value(page, &format!("edge_network_bytes_total{}", labels("a")));
    assert_eq!(of(&page).as_deref(), Some("0"));
    let seen = "edge_seen_packets_total{interface=\"eth0\",direction=\"rx\"}";
    assert_eq!(value(&page, seen).as_deref(), Some("0"));
    shared.written(&known);
    assert_eq!(of(&shared.page(Format::Text)).as_deref(), Some("50"));
}

#[test]
fn there_are_only_so_many_series_and_no_byte_is_lost_by_it() {
    let shared = shared(true);
    let mut summary = empty();
    let more = 3;
    summary.networks = (0..MAX_NETWORK_SERIES + more).map(|number| network(&number.to_string(), 1, 0)).collect();
    let prefix = |number: usize| -> Cidr { format!("10.{}.{}.0/24", number >> 8, number & 255).parse().unwrap() };
    let record =
        |number| PrefixRecord { prefix: prefix(number), direction: Direction::Out, network: None, count: count(1) };
    summary.prefixes = (0..MAX_PREFIX_SERIES + more).map(record).collect();
    let loss = |number: usize| Event::Loss { what: number.to_string(), count: 2 };
    let event = |number| EventRecord { network: None, at: Timestamp::UNIX_EPOCH, event: loss(number) };
    summary.events = (0..MAX_LOSS_SERIES + more).map(event).collect();
    shared.written(&summary);
    shared.written(&summary);
    let page = shared.page(Format::OpenMetrics);
    let lines = |name: &str| page.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
    let sum = |name: &str| -> u64 {
        let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    for (name, most, each) in [
        ("edge_network_bytes_total", MAX_NETWORK_SERIES, 20),
        ("edge_prefix_packets_total", MAX_PREFIX_SERIES, 2),
        ("edge_loss_total", MAX_LOSS_SERIES, 4),
    ] {
        assert_eq!((lines(name), sum(name)), (most + 1, each * (most + more) as u64), "{name}");
    }
    let overflow = |series: &str| value(&page, &format!("edge_metrics_overflow_total{{series=\"{series}\"}}")).unwrap();
    assert_eq!(["networks", "prefixes", "losses"].map(overflow), ["6", "6", "6"]);
    assert_eq!(
        value(&page, "edge_prefix_packets_total{prefix=\"other\",direction=\"other\"}").as_deref(),
        Some("6"),
        "there is one for everything else"
    );
}

#[test]
fn formats_differ_as_they_should_and_labels_are_escaped() {
    let shared = shared(false);
    let mut summary = empty();
    summary.networks = vec![network("a\"b\\c\nd", 1, 0)];
    shared.written(&summary);
    let [text, open] = [Format::Text, Format::OpenMetrics].map(|format| shared.page(format));
    let sample = format!("edge_network_bytes_total{} 10\n", labels(r#"a\"b\\c\nd"#));
    for page in [&text, &open] {
        assert!(page.contains(&sample), "{page}");
        assert!(page.ends_with('\n') && !page.contains("\n\n"));
    }
    assert!(text.contains("# TYPE edge_network_bytes_total counter\n") && !text.contains("# EOF"));
    assert!(open.contains("# TYPE edge_network_bytes counter\n") && open.ends_with("\n# EOF\n"));
    let build =
        format!("edge_build_info{{version=\"{}\",object=\"{}\"}} 1\n", env!("CARGO_PKG_VERSION"), "ab".repeat(32));
    assert!(text.contains(&format!("# TYPE edge_build_info gauge\n{build}")), "{text}");
    assert!(open.contains(&format!("# TYPE edge_build info\n{build}")), "{open}");
    for (accept, format) in [
        ("", Format::Text),
        ("*/*", Format::Text),
        ("text/plain;version=0.0.4", Format::Text),
        ("application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.5", Format::OpenMetrics),
    ] {
        assert_eq!(Format::accepted(accept), format, "{accept}");
    }
}

#[test]
fn health_is_told_by_the_clock_that_nobody_sets() {
    let mut health = Health::new(INTERVAL);
    let begun = Instant::now();
    assert!(health.is_alive(begun + 100 * INTERVAL).is_ok(), "a start takes its time");
    assert_eq!(health.is_ready(), Err("starting: not attached yet".to_owned()));
    health.begin(begun, Table::default());
    assert_eq!(health.is_ready(), Err("attached; the first interval is not over".to_owned()));
    assert!(health.is_alive(begun + 4 * INTERVAL).is_ok());
    let error = health.is_alive(begun + 4 * INTERVAL + Duration::from_secs(1)).unwrap_err();
    assert!(error.starts_with("the next interval is 31 s late"), "{error}");
    let mut summary = empty();
    let late = summary.key.end + SignedDuration::from_millis(1_500);
    summary.ledger = vec![ledger(1, true)];
    health.committed(&summary, (begun + 5 * INTERVAL, late), Table::default(), INTERVAL);
    assert_eq!((health.is_ready(), health.is_alive(begun + 9 * INTERVAL)), (Ok(()), Ok(())));
    assert_eq!(health.last.unwrap().lag, Duration::from_millis(1_500));
    summary.ledger = vec![ledger(1, false)];
    health.committed(&summary, (begun + 6 * INTERVAL, late), Table::default(), INTERVAL);
    assert!(health.is_ready().unwrap_err().starts_with("attached to no interface"));
}

/// What the server answers to a request.
fn ask(server: &Server, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

#[test]
fn the_page_and_health_are_answered_over_http() {
    let shared = Arc::new(shared(false));
    let server = Server::start("127.0.0.1:0".parse().unwrap(), Arc::clone(&shared)).unwrap();
    let get = |path: &str, more: &str| ask(&server, &format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n"));
    // Nobody holds a place by saying nothing; as many may as leave one free.
    let _silent: Vec<TcpStream> = (0..7).map(|_| TcpStream::connect(server.address()).unwrap()).collect();
    let (head, body) = get("/healthz", "");
    assert!(head.starts_with("HTTP/1.1 200") && body == "ok\n", "{head} {body}");
    let (head, body) = get("/readyz", "");
    assert!(head.starts_with("HTTP/1.1 503") && body == "starting: not attached yet\n", "{head} {body}");
    let mut summary = empty();
    summary.ledger = vec![ledger(1, true)];
    shared.begin(None, Table { prefixes: 3, networks: 2, generation: 1 }, Sources::default());
    shared.committed(&summary, Table { prefixes: 4, networks: 2, generation: 2 }, INTERVAL);
    assert!(get("/readyz", "").0.starts_with("HTTP/1.1 200"));
    let (head, body) = get("/metrics", "");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/plain; version=0.0.4"), "{head}");
    assert!(head.to_lowercase().contains("connection: close"), "{head}");
    assert_eq!(value(&body, "edge_table_prefixes").as_deref(), Some("4"));
    assert_eq!(value(&body, "edge_last_interval_end_timestamp_seconds").as_deref(), Some("10.000"));
    let (head, body) = get("/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(head.contains("application/openmetrics-text; version=1.0.0") && body.ends_with("# EOF\n"), "{head}");
    assert!(get("/", "").0.starts_with("HTTP/1.1 404"));
    assert!(ask(&server, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").0.starts_with("HTTP/1.1 405"));
    let error = Server::start(server.address(), Arc::clone(&shared)).unwrap_err();
    assert!(format!("{error:#}").starts_with("[metrics]: cannot listen on 127.0.0.1:"), "{error:#}");
}
