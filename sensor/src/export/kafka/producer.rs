//! A producer of librdkafka: its settings, what it tells meanwhile, and its end.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use rdkafka::{
    ClientConfig, ClientContext, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryFuture, FutureProducer, FutureRecord},
};

use crate::{
    config::{Host, Identity, Kafka, Login, Sasl, Tls},
    export::{Failure, password, tls::Trust},
};

/// How long librdkafka tries a message; within the 30 s that a piece has.
pub(super) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(20);
/// How long it waits for an answer of a broker, and for a connection.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a topic may be unknown before its messages fail: brokers make it at the first question, where they may.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest pause between two connections to a broker.
const MAX_RECONNECT_PAUSE: Duration = Duration::from_secs(2);
/// How long it waits for more messages of a batch.
const LINGER: Duration = Duration::from_millis(5);
/// Messages in its queue: several pieces of 4 MiB of lines of some 250 bytes.
const QUEUE_MESSAGES: usize = 1 << 16;
/// KiB in its queue, keys and values.
const QUEUE_KIB: usize = 16 << 10;
/// How long the end of a producer may hold up its exporter; longer it takes by itself.
const CLOSE: Duration = Duration::from_millis(900);
/// How often librdkafka tells of its brokers.
const STATISTICS: Duration = Duration::from_secs(5);
/// Most brokers of a cluster that are known.
const MAX_BROKERS: usize = 64;
/// Size of a batch before it is sent, in bytes: the default of brokers and librdkafka for the longest.
const BATCH_BYTES: usize = 1_000_000;

/// What went wrong between it and the brokers since a piece was begun.
#[derive(Clone, Default)]
pub(super) struct Troubles(Arc<Mutex<Option<Trouble>>>);

/// A code and what librdkafka says of it.
pub(super) type Trouble = (RDKafkaErrorCode, String);

impl Troubles {
    fn lock(&self) -> MutexGuard<'_, Option<Trouble>> {
        // It is whole whoever dies.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn forget(&self) {
        *self.lock() = None;
    }

    pub(super) fn take(&self) -> Option<Trouble> {
        self.lock().take()
    }
}

/// Brokers that a cluster has told of.
#[derive(Clone, Default)]
pub(super) struct Brokers(Arc<Mutex<Vec<Host>>>);

impl Brokers {
    /// Those told of last, `host:port` each.
    fn told<'a>(&self, nodes: impl Iterator<Item = &'a str>) {
        let hosts = nodes.filter_map(|node| {
            let (name, port) = node.rsplit_once(':')?;
            let name = name.trim_matches(['[', ']']).to_owned();
            Some(Host { name, port: port.parse().ok()? })
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = hosts.take(MAX_BROKERS).collect();
    }

    pub(super) fn heard_of(&self) -> Vec<Host> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What librdkafka tells.
struct Listener(Troubles, Brokers);

impl ClientContext for Listener {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, message: &str) {
        tracing::debug!("librdkafka: {facility} {message}");
    }

    fn stats(&self, statistics: Statistics) {
        self.1.told(statistics.brokers.values().map(|broker| broker.nodename.as_str()));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!("librdkafka: {error}: {reason}");
        let Some(code) = error.rdkafka_error_code() else { return };
        let mut last = self.0.lock();
        // That all are down comes after why each is.
        if code != RDKafkaErrorCode::AllBrokersDown || last.is_none() {
            *last = Some((code, reason.to_owned()));
        }
    }
}

/// A producer, its threads and its connections.
pub(super) struct Producer {
    /// There until it is dropped.
    inner: Option<FutureProducer<Listener>>,
    pub(super) troubles: Troubles,
    pub(super) brokers: Brokers,
}

/// What became of a message that is in the queue, or why it is not there, and the message.
type Queued<'a> = Result<DeliveryFuture, (KafkaError, FutureRecord<'a, String, [u8]>)>;

impl Producer {
    /// Reads certificates and passwords; connects later. With it: when the first certificate expires.
    pub(super) fn new(config: &Kafka, client_id: &str, patience: Duration) -> Result<(Self, Option<Timestamp>)> {
        let mut settings = ClientConfig::new();
        let millis = |duration: Duration| duration.as_millis().to_string();
        let brokers: Vec<String> = config.brokers.iter().map(ToString::to_string).collect();
        settings
            .set_log_level(RDKafkaLogLevel::Info)
            .set("bootstrap.servers", brokers.join(","))
            .set("client.id", client_id)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // As clients in Java choose partitions.
            .set("partitioner", "murmur2_random")
            // In librdkafka itself; zstd would be one more library.
            .set("compression.type", "lz4")
            .set("linger.ms", millis(LINGER))
            .set("batch.size", BATCH_BYTES.to_string())
            .set("queue.buffering.max.messages", QUEUE_MESSAGES.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KIB.to_string())
            .set("message.timeout.ms", millis(patience))
            .set("socket.timeout.ms", millis(SOCKET_TIMEOUT))
            .set("socket.connection.setup.timeout.ms", millis(SOCKET_TIMEOUT))
            .set("topic.metadata.propagation.max.ms", millis(TOPIC_TIMEOUT.min(patience / 2)))
            .set("reconnect.backoff.max.ms", millis(MAX_RECONNECT_PAUSE))
            .set("statistics.interval.ms", millis(STATISTICS));
        let protocol = match (&config.tls, &config.login) {
            (None, None) => "plaintext",
            (Some(_), None) => "ssl",
            (None, Some(_)) => "sasl_plaintext",
            (Some(_), Some(_)) => "sasl_ssl",
        };
        settings.set("security.protocol", protocol);
        let expires = config.tls.as_ref().map_or(Ok(None), |tls| trust(&mut settings, tls))?;
        if let Some((sasl, login)) = &config.login {
            authenticate(&mut settings, *sasl, login)?;
        }
        let (troubles, brokers) = (Troubles::default(), Brokers::default());
        let made = settings.create_with_context(Listener(troubles.clone(), brokers.clone()));
        let fix = "librdkafka does not take these settings; correct the exporter, or allow more threads and files";
        Ok((Self { inner: Some(made.context(fix)?), troubles, brokers }, expires))
    }

    /// Has a message in the queue, if there is room.
    #[expect(clippy::result_large_err, reason = "the message that was not taken, as librdkafka gives it back")]
    pub(super) fn send<'a>(&self, record: FutureRecord<'a, String, [u8]>) -> Queued<'a> {
        match &self.inner {
            Some(producer) => producer.send_result(record),
            None => Err((KafkaError::Canceled, record)),
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        let Some(producer) = self.inner.take() else { return };
        let (closed, end) = mpsc::channel::<()>();
        // Its threads may be in the middle of finding or connecting a broker. Where no thread can be had, it is dropped here.
        let close = thread::Builder::new().name("kafka end".to_owned()).spawn(move || {
            drop(producer);
            drop(closed);
        });
        if close.is_ok() {
            // Either way there is nothing more to do.
            let _ = end.recv_timeout(CLOSE);
        }
    }
}

/// Certificates. Given back is when the first of them expires.
fn trust(settings: &mut ClientConfig, tls: &Tls) -> Result<Option<Timestamp>> {
    // librdkafka reads them by itself; this says better what is wrong with them.
    let is_of_files = tls.ca.is_some() || tls.identity.is_some();
    let expires = if is_of_files { Trust::read(tls)?.expires } else { None };
    settings.set("ssl.endpoint.identification.algorithm", "https");
    // What distributions have it as, wherever the OpenSSL that this was built with would look.
    settings.set("ssl.ca.location", tls.ca.as_ref().map_or("probe".into(), |file| file.to_string_lossy()));
    if let Some(Identity { cert, key }) = &tls.identity {
        settings.set("ssl.certificate.location", cert.to_string_lossy());
        settings.set("ssl.key.location", key.to_string_lossy());
    }
    Ok(expires)
}

/// A user and the password.
fn authenticate(settings: &mut ClientConfig, sasl: Sasl, login: &Login) -> Result<()> {
    let mechanism = match sasl {
        Sasl::Plain => "PLAIN",
        Sasl::ScramSha256 => "SCRAM-SHA-256",
        Sasl::ScramSha512 => "SCRAM-SHA-512",
    };
    // What is wrong with it is not said: that would show it.
    let password = password::read(login).map(|bytes| String::from_utf8(bytes).ok()).context(Failure::Tls)?;
    let path = login.password_file.display();
    let password = password.with_context(|| format!("{path}: its first line is no text; correct the file"));
    let password = password.context(Failure::Tls)?;
    settings.set("sasl.mechanism", mechanism).set("sasl.username", &login.username).set("sasl.password", password);
    Ok(())
}
