//! Pieces of the spool as messages, one a record, under a key that keeps the records of a network in order.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use rdkafka::{
    error::{KafkaError, RDKafkaErrorCode},
    producer::{FutureRecord, future_producer::OwnedDeliveryResult},
};
use serde::Deserialize;
use tokio::time::sleep;

use super::{
    failure,
    producer::{MESSAGE_TIMEOUT, Producer},
};
use crate::{
    config::{Host, Kafka},
    export::{lines, records},
    spool::Piece,
};

/// How long it waits for room in the queue where nothing of its own is in there.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// What delivers to a topic.
pub(in crate::export) struct Sink {
    config: Kafka,
    /// How long librdkafka tries a message.
    pub(super) patience: Duration,
    producer: Option<Producer>,
    /// When the first certificate expires.
    expires: Option<Timestamp>,
}

/// What of a record is in the key of its message.
#[derive(Deserialize)]
struct About {
    sensor: String,
    network: Option<String>,
}

impl Sink {
    pub(in crate::export) fn new(config: &Kafka) -> Self {
        Self { config: config.clone(), patience: MESSAGE_TIMEOUT, producer: None, expires: None }
    }

    /// Delivers a piece: all replicas that are in sync have each of its records when this returns.
    pub(in crate::export) async fn send(&mut self, piece: &Piece) -> Result<()> {
        let lines = lines(piece)?;
        let producer = match self.producer.take() {
            Some(producer) => self.producer.insert(producer),
            None => {
                let (producer, expires) = Producer::new(&self.config, &client_id(&lines)?, self.patience)?;
                self.expires = expires;
                self.producer.insert(producer)
            }
        };
        producer.troubles.forget();
        let Err(error) = deliver(producer, &self.config.topic, &lines).await? else { return Ok(()) };
        let error = failure::explain(&error, producer.troubles.take(), &self.config, self.patience);
        // One that has failed for good fails for ever, and what is in its queue comes again anyway.
        self.renew();
        Err(error)
    }

    /// Makes a new producer with the next piece; it reads certificates and passwords.
    pub(in crate::export) fn renew(&mut self) {
        self.producer = None;
    }

    /// Brokers of the cluster that it has heard of.
    pub(in crate::export) fn brokers(&self) -> Vec<Host> {
        self.producer.as_ref().map_or_else(Vec::new, |producer| producer.brokers.heard_of())
    }

    /// When the first certificate of the files expires.
    pub(in crate::export) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

/// Has all records of a piece in the queue, and waits for what became of each. Within: the first failure that says why.
async fn deliver(producer: &Producer, topic: &str, lines: &[u8]) -> Result<Result<(), KafkaError>> {
    let mut reports = VecDeque::new();
    let mut all = Ok(());
    for line in records(lines) {
        let key = key(line)?;
        let mut record = FutureRecord::to(topic).key(&key).payload(line);
        while let Err((error, unsent)) = producer.send(record).map(|report| reports.push_back(report)) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                all = both(all, Err(error));
                break;
            }
            record = unsent;
            // Room comes with the next that is answered.
            match reports.pop_front() {
                Some(report) => all = both(all, outcome(report.await)),
                None => sleep(FULL_PAUSE).await,
            }
        }
        if all.is_err() {
            break;
        }
    }
    // Also after a failure: what is under way must not arrive after what is sent again.
    for report in reports {
        all = both(all, outcome(report.await));
    }
    Ok(all)
}

fn outcome<E>(report: Result<OwnedDeliveryResult, E>) -> Result<(), KafkaError> {
    match report {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::Canceled),
    }
}

/// What became of two.
fn both(one: Result<(), KafkaError>, other: Result<(), KafkaError>) -> Result<(), KafkaError> {
    match (one, other) {
        (Err(one), Err(other)) => Err(failure::telling(one, other)),
        (one, other) => one.and(other),
    }
}

/// Whose record it is, and of which network.
fn about(line: &[u8]) -> Result<About> {
    serde_json::from_slice(line).context("a record in the spool names no sensor; report it with the version of sensor")
}

/// The key of a record's message: `sensor/network`, or `sensor` where it is about none.
pub(super) fn key(line: &[u8]) -> Result<String> {
    let About { mut sensor, network } = about(line)?;
    if let Some(network) = network {
        sensor.push('/');
        sensor.push_str(&network);
    }
    Ok(sensor)
}

/// By what brokers know the sensor in their logs and quotas.
fn client_id(lines: &[u8]) -> Result<String> {
    let first = records(lines).next();
    first.map_or_else(|| Ok("sensor".to_owned()), |line| Ok(about(line)?.sensor))
}
