//! Kafka exporters.

use std::str::FromStr;

use super::{Host, Login, Tls};
use crate::{cidr::quote, config::ValueError};

/// Most brokers to ask first; they tell of the rest.
pub const MAX_BROKERS: usize = 16;
/// Where messages go unless the configuration says otherwise.
pub(in crate::config) const DEFAULT_TOPIC: &str = "sensor";
/// Longest name of a topic, in Kafka itself.
const MAX_TOPIC_LEN: usize = 249;

/// A Kafka cluster, and the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kafka {
    /// Brokers that are asked first.
    pub brokers: Vec<Host>,
    /// Where messages go.
    pub topic: String,
    /// Over TLS, and how; `None`: in the clear.
    pub tls: Option<Tls>,
    /// As whom; `None`: as nobody.
    pub login: Option<(Sasl, Login)>,
}

/// How a password is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sasl {
    /// RFC 4616; over TLS alone.
    Plain,
    /// RFC 7677.
    ScramSha256,
    /// The same with SHA-512.
    #[default]
    ScramSha512,
}

/// Name of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Topic(pub(in crate::config) String);

impl FromStr for Topic {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_topic =
            (1..=MAX_TOPIC_LEN).contains(&text.len()) && text.bytes().all(fits) && !matches!(text, "." | "..");
        if !is_topic {
            let rule = "write 1 to 249 ASCII letters, digits, \".\", \"_\" and \"-\"";
            return Err(ValueError::new(format!("{} is no name of a topic; {rule}", quote(text))));
        }
        Ok(Self(text.to_owned()))
    }
}
