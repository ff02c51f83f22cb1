//! Against librdkafka's own cluster in this process: brokers that keep messages in memory, and fail when told to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::TcpListener,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
    producer::DefaultProducerContext,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use sensor_ebpf::abi::Direction;

use super::{sink::key, *};
use crate::{
    config::{DEFAULT_SPOOL, Exporter, Host, Kafka, Target, Tls},
    epoch::Epoch,
    export::{Exporters, Failure},
    spool::{Reader, Spool},
    summary::{Count, Key, PrefixRecord, Summary},
};

const TOPIC: &str = "records";
const PARTITIONS: i32 = 4;
const NETWORKS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(20);

type Cluster = MockCluster<'static, DefaultProducerContext>;

fn cluster() -> (Cluster, Kafka) {
    let cluster = MockCluster::new(3).unwrap();
    cluster.create_topic(TOPIC, PARTITIONS, 3).unwrap();
    let brokers: Vec<String> = cluster.bootstrap_servers().split(',').map(str::to_owned).collect();
    let kafka = kafka(&brokers);
    (cluster, kafka)
}

fn kafka(brokers: &[String]) -> Kafka {
    let host = |text: &String| {
        let (name, port) = text.rsplit_once(':').unwrap();
        Host { name: name.to_owned(), port: port.parse().unwrap() }
    };
    Kafka { brokers: brokers.iter().map(host).collect(), topic: TOPIC.to_owned(), tls: None, login: None }
}

/// An interval in which each network, and what is none's, had some prefixes.
fn summary(sequence: u64) -> Summary {
    let at = |sequence: u64| Timestamp::from_second(10 * sequence as i64).unwrap();
    let epoch = Epoch::from_bytes([7; 16]).unwrap();
    let key = Key { sensor: "edge-1".to_owned(), epoch, start: at(sequence), end: at(sequence + 1), sequence };
    let mut prefixes = vec![];
    for (number, network) in NETWORKS.into_iter().map(Some).chain([None]).enumerate() {
        for last in 0..20_u64 {
            prefixes.push(PrefixRecord {
                prefix: format!("10.{number}.{last}.0/24").parse().unwrap(),
                direction: Direction::Out,
                network: network.map(Into::into),
                count: Count { packets: 1 + last, bytes: 100 * (1 + last) + sequence, frame_bytes: 2000 + last },
            });
        }
    }
    Summary { prefixes, ..Summary::empty(key) }
}

fn spool(folder: &tempfile::TempDir, intervals: u64) -> (Arc<Spool>, Vec<Vec<u8>>) {
    let spool = Spool::open(folder.path(), DEFAULT_SPOOL, &["kafka", "truth"]).unwrap();
    (0..intervals).for_each(|sequence| spool.append(&summary(sequence)).unwrap());
    let mut lines = vec![];
    let mut reader = spool.reader("truth").unwrap();
    while let Some(piece) = reader.peek().unwrap() {
        lines
            .extend(piece.lines().unwrap().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(Vec::from));
        reader.acknowledge(&piece);
    }
    (spool, lines)
}

/// Key and value of messages, by partition in their order, until there are so many different ones.
fn read(kafka: &Kafka, different: usize) -> BTreeMap<i32, Vec<(String, Vec<u8>)>> {
    let brokers: Vec<String> = kafka.brokers.iter().map(ToString::to_string).collect();
    let consumer: BaseConsumer =
        ClientConfig::new().set("bootstrap.servers", brokers.join(",")).set("group.id", "x").create().unwrap();
    let mut places = TopicPartitionList::new();
    (0..PARTITIONS).for_each(|number| places.add_partition_offset(TOPIC, number, Offset::Beginning).unwrap());
    consumer.assign(&places).unwrap();
    let (mut messages, mut seen, began) = (BTreeMap::<_, Vec<_>>::new(), BTreeSet::new(), Instant::now());
    while seen.len() < different {
        assert!(began.elapsed() < PATIENCE, "{} of {different} came", seen.len());
        let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = message.unwrap();
        let key = String::from_utf8(message.key().unwrap().to_vec()).unwrap();
        let value = message.payload().unwrap().to_vec();
        seen.insert(value.clone());
        messages.entry(message.partition()).or_default().push((key, value));
    }
    messages
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn send_all(sink: &mut Sink, reader: &mut Reader) {
    while let Some(piece) = reader.peek().unwrap() {
        runtime().block_on(sink.send(&piece)).unwrap();
        reader.acknowledge(&piece);
    }
}

#[test]
fn keys_are_of_sensor_and_network() {
    for (line, expected) in [
        (r#"{"record":"prefix","sensor":"s","network":"a b"}"#, "s/a b"),
        (r#"{"network":"n","record":"flow","sensor":"s"}"#, "s/n"),
        (r#"{"record":"ledger","sensor":"s","interface":"eth1"}"#, "s"),
    ] {
        assert_eq!(key(line.as_bytes()).unwrap(), expected);
    }
    assert!(key(b"{}").unwrap_err().to_string().contains("names no sensor"));
}

#[test]
fn records_become_messages_in_the_order_of_their_network() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, kafka) = cluster();
    let (spool, lines) = spool(&folder, 10);
    let mut sink = Sink::new(&kafka);
    send_all(&mut sink, &mut spool.reader("kafka").unwrap());
    let messages = read(&kafka, lines.len());
    // No more than once where nothing fails.
    assert_eq!(messages.values().map(Vec::len).sum::<usize>(), lines.len());
    let mut partitions = BTreeMap::new();
    for (partition, (key, _)) in
        messages.iter().flat_map(|(partition, all)| all.iter().map(move |one| (partition, one)))
    {
        assert_eq!(*partitions.entry(key.clone()).or_insert(*partition), *partition, "{key}");
    }
    assert_eq!(partitions.len(), NETWORKS.len() + 1);
    for name in partitions.keys() {
        let had = messages.values().flatten().filter(|(key, _)| key == name).map(|(_, value)| value);
        let sent = lines.iter().filter(|line| key(line).unwrap() == *name);
        assert!(had.eq(sent), "{name}");
    }
    drop(sink);
    drop(cluster);
}

#[test]
fn what_brokers_refuse_is_told_and_comes_once_they_take_it() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, kafka) = cluster();
    let (spool, lines) = spool(&folder, 5);
    let refused = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    let retried = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    cluster.request_errors(RDKafkaApiKey::Produce, &[retried, refused, refused, retried]);
    let exporter = Exporter { name: "kafka".parse().unwrap(), target: Target::Kafka(kafka.clone()) };
    let exporters = Exporters::start(&[exporter], &spool).unwrap();
    let status = Arc::clone(&exporters.statuses()[0]);
    let began = Instant::now();
    while status.progress().records < lines.len() as u64 {
        assert!(began.elapsed() < PATIENCE, "{:?}", status.progress());
        std::thread::sleep(Duration::from_millis(20));
    }
    let progress = status.progress();
    assert!(progress.failures.get(&Failure::Rejected).is_some_and(|times| *times > 0), "{progress:?}");
    assert_eq!((progress.waiting, progress.lost, progress.records), (0, 0, lines.len() as u64));
    let had: BTreeSet<Vec<u8>> = read(&kafka, lines.len()).into_values().flatten().map(|(_, value)| value).collect();
    assert_eq!(had, lines.into_iter().collect());
    let began = Instant::now();
    exporters.finish_blocking().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn brokers_that_die_and_come_back_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (cluster, kafka) = cluster();
    let (spool, lines) = spool(&folder, 20);
    let (mut sink, mut reader) = (Sink::new(&kafka), spool.reader("kafka").unwrap());
    sink.patience = Duration::from_secs(2);
    for number in 0.. {
        let Some(piece) = reader.peek().unwrap() else { break };
        if number == 10 {
            (1..=3).for_each(|broker| cluster.broker_down(broker).unwrap());
            let error = runtime().block_on(sink.send(&piece)).unwrap_err();
            assert_eq!(Failure::of(&error), Failure::Connect, "{error:#}");
            (1..=3).for_each(|broker| cluster.broker_up(broker).unwrap());
        }
        runtime().block_on(sink.send(&piece)).unwrap();
        reader.acknowledge(&piece);
    }
    let had: BTreeSet<Vec<u8>> = read(&kafka, lines.len()).into_values().flatten().map(|(_, value)| value).collect();
    assert_eq!(had, lines.into_iter().collect());
}

#[test]
fn errors_say_where_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = spool(&folder, 1);
    let piece = spool.reader("kafka").unwrap().peek().unwrap().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = listener.local_addr().unwrap().to_string();
    drop(listener);
    // Listens, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let (cluster, reached) = cluster();
    let silent = kafka(&[silent.local_addr().unwrap().to_string()]);
    let mut absent = reached.clone();
    absent.topic = "nobody".to_owned();
    let missing = RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    cluster.topic_error("nobody", missing).unwrap();
    let tls = Tls { ca: Some(folder.path().join("none.pem")), identity: None };
    for (kafka, failure, expected) in [
        (kafka(std::slice::from_ref(&refused)), Failure::Connect, "Connection refused"),
        (kafka(&["no-such-host.invalid:9092".to_owned()]), Failure::Connect, "start the brokers, or correct endpoint"),
        (silent, Failure::Broken, "no answer within 2s"),
        (absent, Failure::Rejected, "create the topic"),
        (Kafka { tls: Some(tls), ..reached.clone() }, Failure::Tls, "none.pem: cannot read"),
        // The other end speaks no TLS.
        (Kafka { tls: Some(Tls::default()), ..reached }, Failure::Tls, "correct ca, cert and key"),
    ] {
        let (mut sink, began) = (Sink::new(&kafka), Instant::now());
        sink.patience = Duration::from_secs(2);
        let error = runtime().block_on(sink.send(&piece)).unwrap_err();
        assert!(format!("{error:#}").contains(expected), "{error:#}");
        assert_eq!(Failure::of(&error), failure, "{error:#}");
        drop(sink);
        assert!(began.elapsed() < Duration::from_secs(5), "{error:#}: {:?}", began.elapsed());
    }
}
