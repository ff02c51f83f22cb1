//! ClickHouse exporters.

use std::str::FromStr;

use super::{Exporter, Host, Login, Target, Tls, host::Url};
use crate::{cidr::quote, config::ValueError};

/// Database of the tables unless the configuration says otherwise.
pub(in crate::config) const DEFAULT_DATABASE: &str = "sensor";
/// What URLs begin with, each with the port that goes without saying.
pub(in crate::config) const CLICKHOUSE_SCHEMES: [(&str, u16); 2] = [("http", 8123), ("https", 8443)];
/// Which of them is over TLS.
const HTTPS: usize = 1;
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

impl ClickHouse {
    /// The server at a URL, as one of these exporters knows it, or as anybody may ask it.
    ///
    /// # Errors
    /// It is no URL of one.
    pub fn at(url: &str, exporters: &[Exporter]) -> Result<Self, ValueError> {
        let Url { scheme, hosts } = Url::parse(url.trim_end_matches('/'), &CLICKHOUSE_SCHEMES, 1)?;
        let asked = Self {
            host: hosts.into_iter().next().unwrap_or(Host { name: String::new(), port: 0 }),
            tls: (scheme == HTTPS).then(Tls::default),
            database: DEFAULT_DATABASE.to_owned(),
            login: None,
        };
        let known = exporters.iter().find_map(|exporter| {
            let Target::ClickHouse(known) = &exporter.target else { return None };
            let is_it = known.host == asked.host && known.tls.is_some() == asked.tls.is_some();
            is_it.then_some(known)
        });
        Ok(known.cloned().unwrap_or(asked))
    }
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
