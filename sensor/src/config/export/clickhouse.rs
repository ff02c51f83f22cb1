//! ClickHouse exporters.

use std::str::FromStr;

use super::{Host, Login, Tls};
use crate::{cidr::quote, config::ValueError};

/// Database of the tables unless the configuration says otherwise.
pub(in crate::config) const DEFAULT_DATABASE: &str = "sensor";
/// Longest name of a database: it is a folder there.
const MAX_DATABASE_LEN: usize = 64;

/// A ClickHouse server, over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClickHouse {
    /// The server.
    pub host: Host,
    /// Over TLS, and how; `None`: in the clear.
    pub tls: Option<Tls>,
    /// The database that holds the tables.
    pub database: String,
    /// As whom; `None`: the server's default.
    pub login: Option<Login>,
}

/// Name of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct Database(pub(in crate::config) String);

impl FromStr for Database {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let begins = text.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
        if !(begins && text.len() <= MAX_DATABASE_LEN && text.bytes().all(fits)) {
            let rule = "write 1 to 64 ASCII letters, digits and \"_\", no digit first";
            return Err(ValueError::new(format!("{} is no name of a database; {rule}", quote(text))));
        }
        Ok(Self(text.to_owned()))
    }
}
