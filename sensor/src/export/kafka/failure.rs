//! What librdkafka's codes mean to whoever runs the sensor.

use std::time::Duration;

use anyhow::anyhow;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use super::producer::Trouble;
use crate::{config::Kafka, export::Failure};

/// Says of a message that failed, and of what went wrong meanwhile, what it is and what to do.
pub(super) fn explain(error: &KafkaError, trouble: Option<Trouble>, to: &Kafka, patience: Duration) -> anyhow::Error {
    let hosts: Vec<String> = to.brokers.iter().map(ToString::to_string).collect();
    let (brokers, topic) = (hosts.join(", "), &to.topic);
    let code = error.rdkafka_error_code();
    // A message that had no chance in time says nothing of why.
    let is_late = matches!(code, Some(Code::MessageTimedOut | Code::OperationTimedOut));
    let (code, reason) = match trouble {
        Some((code, reason)) if is_late || code_of(error, Code::Fatal) => (Some(code), reason),
        _ => (code, error.to_string()),
    };
    // Of a connection that broke only its state says what it was about; in TLS 1.3 a broker refuses a certificate when the handshake is over here.
    let is_of_tls = ["in state SSL_HANDSHAKE", "SSL alert number"].iter().any(|part| reason.contains(part));
    let code = match code {
        Some(Code::BrokerTransportFailure) if is_of_tls => Some(Code::SSL),
        Some(Code::BrokerTransportFailure) if reason.contains("in state AUTH_") => Some(Code::Authentication),
        code => code,
    };
    let (failure, text) = match code {
        Some(Code::BrokerTransportFailure | Code::Resolve | Code::AllBrokersDown) => {
            (Failure::Connect, format!("{brokers}: {reason}; start the brokers, or correct endpoint"))
        }
        Some(Code::SSL) => {
            (Failure::Tls, format!("{brokers}: {reason}; correct ca, cert and key, or the certificates of the brokers"))
        }
        Some(Code::Authentication | Code::SaslAuthenticationFailed | Code::UnsupportedSASLMechanism) => {
            (Failure::Tls, format!("{brokers}: {reason}; correct sasl, username and password_file, or the user there"))
        }
        Some(Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition) => (
            Failure::Rejected,
            format!(
                "{brokers}: there is no topic {topic:?}; create the topic (kafka-topics.sh --create --topic {topic} --partitions 12), or correct topic"
            ),
        ),
        Some(Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed) => (
            Failure::Rejected,
            format!(
                "{brokers}: {reason}; allow the user of the sensor to write to topic {topic:?}, or correct username"
            ),
        ),
        Some(Code::MessageSizeTooLarge | Code::InvalidMessageSize) => (
            Failure::Rejected,
            format!("{brokers}: {reason}; raise max.message.bytes of topic {topic:?} to 1048588, Kafka's default"),
        ),
        Some(Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend) => (
            Failure::Rejected,
            format!("{brokers}: {reason}; start the other brokers, or lower min.insync.replicas of topic {topic:?}"),
        ),
        _ if is_late => (
            Failure::Broken,
            format!(
                "{brokers}: no answer within {patience:?}; see to the brokers, and to the leaders and replicas of topic {topic:?}"
            ),
        ),
        _ => (Failure::Broken, format!("{brokers}: {reason}; see to the brokers' logs")),
    };
    anyhow!(text).context(failure)
}

/// Of two things that went wrong with a piece, the one that says why: with idempotence on, messages behind a refused one fail for reasons that only
/// follow from it, and a connection that librdkafka has no more use for takes what was under way with it.
pub(super) fn telling(one: KafkaError, other: KafkaError) -> KafkaError {
    let follows = |error: &KafkaError| {
        let code = error.rdkafka_error_code();
        matches!(
            code,
            None | Some(
                Code::Fatal
                    | Code::BrokerDestroy
                    | Code::PurgeQueue
                    | Code::PurgeInflight
                    | Code::GaplessGuarantee
                    | Code::OutOfOrderSequenceNumber
                    | Code::Fail
            )
        )
    };
    if follows(&one) && !follows(&other) { other } else { one }
}

fn code_of(error: &KafkaError, code: Code) -> bool {
    error.rdkafka_error_code() == Some(code)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Host;

    #[test]
    fn a_connection_that_broke_is_about_what_librdkafka_says_of_it() {
        let to = Kafka {
            brokers: vec![Host { name: "kafka-1.example".to_owned(), port: 9093 }],
            topic: "sensor".to_owned(),
            tls: None,
            login: None,
        };
        let alert = "Receive failed: error:0A00045C:SSL routines::tlsv13 alert certificate required: SSL alert number 116 (after 0ms in state APIVERSION_QUERY)";
        for (reason, failure, fix) in [
            (alert, Failure::Tls, "correct ca, cert and key"),
            ("Disconnected (after 3ms in state SSL_HANDSHAKE)", Failure::Tls, "correct ca, cert and key"),
            ("Disconnected (after 3ms in state AUTH_REQ)", Failure::Tls, "correct sasl, username and password_file"),
            // A broker that died.
            (
                "SSL routines::unexpected eof while reading (after 9s in state UP)",
                Failure::Connect,
                "start the brokers",
            ),
        ] {
            let error = KafkaError::MessageProduction(Code::MessageTimedOut);
            let trouble = Some((Code::BrokerTransportFailure, reason.to_owned()));
            let error = explain(&error, trouble, &to, Duration::from_secs(20));
            assert_eq!(Failure::of(&error), failure, "{error:#}");
            assert!(format!("{error:#}").contains(fix), "{error:#}");
        }
    }
}
