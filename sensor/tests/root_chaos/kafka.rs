//! librdkafka's own cluster, and a consumer that keeps what it reads.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use jiff::Timestamp;
use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};
use sensor::testing::netns::within;

use crate::check::Seen;

const TOPIC: &str = "records";
const PARTITIONS: i32 = 4;
const BROKERS: i32 = 3;
const POLL: Duration = Duration::from_millis(20);
/// Requests that are refused at a time.
const REFUSALS: usize = 3;

/// What becomes of brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// None.
    Well,
    /// One of them is gone.
    OneGone,
    /// All are.
    AllGone,
    /// They refuse what they are sent, and take it, perhaps, when it comes again.
    Refuse,
}

/// A cluster in a network namespace.
pub(crate) struct Kafka {
    /// Where brokers listen.
    pub(crate) brokers: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    next: Mutex<Option<Trouble>>,
    /// How often each record was read.
    had: Mutex<BTreeMap<String, usize>>,
    seen: Mutex<Seen>,
    over: AtomicBool,
}

impl Kafka {
    pub(crate) fn start(namespace: &str) -> Self {
        let shared = Arc::<Shared>::default();
        let (own, namespace) = (Arc::clone(&shared), namespace.to_owned());
        let (tell, told) = mpsc::channel();
        // Threads of librdkafka are in the namespace of whoever makes the client.
        let run = move || {
            let serve = || {
                own.run(&tell);
                Ok(())
            };
            within(&namespace, serve).unwrap();
        };
        let thread = Some(thread::spawn(run));
        Self { brokers: told.recv().unwrap(), shared, thread }
    }

    /// From now on.
    pub(crate) fn behave(&self, trouble: Trouble) {
        *self.shared.next.lock().unwrap() = Some(trouble);
    }

    /// The end of the last interval that was read.
    pub(crate) fn last_end(&self) -> Option<Timestamp> {
        self.shared.seen.lock().unwrap().last_end()
    }

    /// The records that were read, and how often one of them came that had come before.
    pub(crate) fn had(&self) -> (Vec<String>, usize) {
        let had = self.shared.had.lock().unwrap();
        (had.keys().cloned().collect(), had.values().map(|times| times - 1).sum())
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn run(&self, tell: &mpsc::Sender<String>) {
        let cluster = MockCluster::new(BROKERS).unwrap();
        cluster.create_topic(TOPIC, PARTITIONS, BROKERS).unwrap();
        let brokers = cluster.bootstrap_servers();
        let consumer: BaseConsumer =
            ClientConfig::new().set("bootstrap.servers", &brokers).set("group.id", "chaos").create().unwrap();
        let mut places = TopicPartitionList::new();
        (0..PARTITIONS).for_each(|number| places.add_partition_offset(TOPIC, number, Offset::Beginning).unwrap());
        consumer.assign(&places).unwrap();
        tell.send(brokers).unwrap();
        while !self.over.load(Ordering::Relaxed) {
            let down = match self.next.lock().unwrap().take() {
                None => None,
                Some(Trouble::Well) => Some(0),
                Some(Trouble::OneGone) => Some(1),
                Some(Trouble::AllGone) => Some(BROKERS),
                Some(Trouble::Refuse) => {
                    let refusals = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED; REFUSALS];
                    cluster.request_errors(RDKafkaApiKey::Produce, &refusals);
                    None
                }
            };
            for broker in down.map_or(1..1, |_| 1..BROKERS + 1) {
                let is_down = down.is_some_and(|down| broker <= down);
                let changed = if is_down { cluster.broker_down(broker) } else { cluster.broker_up(broker) };
                changed.unwrap();
            }
            // Errors are of brokers that are gone; the consumer goes on by itself.
            let Some(Ok(message)) = consumer.poll(POLL) else { continue };
            let line = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            let record = serde_json::from_str(&line).unwrap();
            self.seen.lock().unwrap().note_line(&record);
            *self.had.lock().unwrap().entry(line).or_default() += 1;
        }
    }
}
