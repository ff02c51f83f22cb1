//! Tables of ClickHouse, over HTTP: one INSERT for each kind of records of a piece, in the spool's own lines (`JSONEachRow`).
//!
//! Each INSERT has a token that is the same whenever the same piece is sent again: what a table has had, it and the tables behind it do not take twice
//! (ClickHouse, `insert_deduplication_token`).

mod ask;
mod reply;
#[cfg(test)]
mod tests;

use std::{
    borrow::Cow, collections::BTreeMap, convert::Infallible, error::Error as StdError, fmt::Write as _, io,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow};
use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Request, header::CONTENT_LENGTH, request::Builder},
};
use futures_util::stream;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, Error, ResponseFuture, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use jiff::Timestamp;
use serde::Deserialize;
use tokio_rustls::rustls;

pub use self::ask::Questions;
use super::{CHUNK, Failure, lines, password, pulse::Pulse, tls::Trust};
use crate::{
    config::{ClickHouse, Login},
    spool::Piece,
};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection may lie idle. Servers close theirs after 3 s or more (`keep_alive_timeout`), and what is sent just then fails.
const IDLE: Duration = Duration::from_secs(2);
/// Bytes that the kernel takes ahead of the server, about: what is with it gets there unseen.
const SEND_BUFFER: usize = 128 << 10;
/// What an INSERT is made with (ClickHouse, session settings and parameters of HTTP), whatever the user's profile says.
const SETTINGS: [(&str, &str); 12] = [
    // Repeats are known by their token, behind materialized views as well.
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    // Answered once it is in the tables, and with the state that this has in the end.
    ("async_insert", "0"),
    ("wait_end_of_query", "1"),
    // One INSERT is one block: a piece has 4 MiB of lines, and so fewer rows and bytes.
    ("max_insert_block_size", "1048576"),
    ("min_insert_block_size_rows", "1048576"),
    ("min_insert_block_size_bytes", "268435456"),
    ("input_format_parallel_parsing", "0"),
    // A sensor may say more than its tables have columns for, or less.
    ("input_format_skip_unknown_fields", "1"),
    ("input_format_defaults_for_omitted_fields", "1"),
    ("input_format_null_as_default", "1"),
    // RFC 3339.
    ("date_time_input_format", "best_effort"),
];

/// What delivers there.
pub(super) struct Sink {
    config: ClickHouse,
    /// None before the first piece, and after anything failed.
    connection: Option<Box<Connection>>,
    expires: Option<Timestamp>,
}

/// What requests are made with, as files said when it was made.
struct Connection {
    client: Http,
    /// User and password.
    login: Option<(HeaderValue, HeaderValue)>,
}

/// Keeps connections.
enum Http {
    Clear(Client<HttpConnector, Body>),
    Tls(Client<HttpsConnector<HttpConnector>, Body>),
}

/// What is read of a line.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    record: Cow<'a, str>,
    #[serde(borrow)]
    sensor: Cow<'a, str>,
}

/// The lines of a kind, and whose they are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Batch {
    sensor: String,
    lines: Vec<u8>,
}

impl Sink {
    pub(super) fn new(config: &ClickHouse) -> Self {
        Self { config: config.clone(), connection: None, expires: None }
    }

    /// Delivers a piece: every table has answered for its records.
    pub(super) async fn send(&mut self, piece: &Piece, pulse: &Pulse) -> Result<()> {
        let lines = lines(piece)?;
        let token = piece.token();
        for (kind, batch) in batches(&lines)? {
            let token = format!("{}:{token}:{kind}", batch.sensor);
            if let Err(error) = self.insert(&kind, &token, batch.lines, pulse).await {
                // What failed may be what has changed since: the next try reads it again.
                self.connection = None;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Reads certificates and passwords again, with the next connection.
    pub(super) fn renew(&mut self) {
        self.connection = None;
    }

    /// When the first certificate expires.
    pub(super) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// Puts lines into the table of their kind.
    async fn insert(&mut self, kind: &str, token: &str, lines: Vec<u8>, pulse: &Pulse) -> Result<()> {
        let uri = uri(&self.config, kind, token);
        let endpoint = endpoint(&self.config);
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => {
                let (connection, expires) = Connection::new(&self.config)?;
                self.expires = expires;
                none.insert(Box::new(connection))
            }
        };
        let request = Request::post(uri).header(CONTENT_LENGTH, lines.len());
        let sent = connection.send(request, body(lines, pulse), &endpoint)?;
        let reply = sent.await.map_err(|error| failure(error, &endpoint))?;
        reply::check(reply, &endpoint, &self.config.database).await
    }
}

impl Connection {
    /// Reads the files; with when the first certificate expires.
    fn new(config: &ClickHouse) -> Result<(Self, Option<Timestamp>)> {
        let login = config.login.as_ref().map(headers).transpose().context(Failure::Rejected)?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT));
        // A request is written whole, nothing more comes with it.
        connector.set_nodelay(true);
        connector.set_send_buffer_size(Some(SEND_BUFFER));
        let mut builder = Client::builder(TokioExecutor::new());
        builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).http1_max_buf_size(CHUNK);
        let (client, expires) = match &config.tls {
            None => (Http::Clear(builder.build(connector)), None),
            Some(tls) => {
                let Trust { client, expires } = Trust::read(tls)?;
                let secure = HttpsConnectorBuilder::new().with_tls_config((*client).clone()).https_only();
                (Http::Tls(builder.build(secure.enable_http1().wrap_connector(connector))), expires)
            }
        };
        Ok((Self { client, login }, expires))
    }

    /// Sends a request in the user's name.
    fn send(&self, mut request: Builder, body: Body, endpoint: &str) -> Result<ResponseFuture> {
        if let Some((user, password)) = &self.login {
            request = request.header("x-clickhouse-user", user).header("x-clickhouse-key", password);
        }
        let request = request.body(body);
        let request = request.with_context(|| format!("{endpoint}: no address of HTTP; correct endpoint"))?;
        Ok(match &self.client {
            Http::Clear(client) => client.request(request),
            Http::Tls(client) => client.request(request),
        })
    }
}

/// Lines that are asked for as the server takes them.
fn body(lines: Vec<u8>, pulse: &Pulse) -> Body {
    let (mut left, pulse) = (Bytes::from(lines), pulse.clone());
    let parts = std::iter::from_fn(move || {
        pulse.beat();
        let part = left.split_to(left.len().min(CHUNK));
        (!part.is_empty()).then_some(Ok::<_, Infallible>(part))
    });
    Body::from_stream(stream::iter(parts))
}

/// User and password for a request.
fn headers(login: &Login) -> Result<(HeaderValue, HeaderValue)> {
    // What is wrong with it is not said: that would show it.
    let password = HeaderValue::from_bytes(&password::read(login)?).ok();
    let path = login.password_file.display();
    let mut password = password.with_context(|| format!("{path}: its first line is no password; correct the file"))?;
    password.set_sensitive(true);
    let user = HeaderValue::from_bytes(login.username.as_bytes());
    Ok((user.context("this name cannot be sent; correct username")?, password))
}

/// Where the server is, for people.
fn endpoint(config: &ClickHouse) -> String {
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    format!("{scheme}://{}", config.host)
}

/// Where records of a kind go.
fn uri(config: &ClickHouse, kind: &str, token: &str) -> String {
    let query = format!("INSERT INTO `{}`.`{kind}` FORMAT JSONEachRow", config.database);
    let mut uri = format!("{}/?query={}", endpoint(config), escaped(&query));
    for (name, value) in SETTINGS.into_iter().chain([("insert_deduplication_token", token)]) {
        uri.push_str(&format!("&{name}={}", escaped(value)));
    }
    uri
}

/// A part of a query as RFC 3986, section 2, has it.
fn escaped(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut uri, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            uri.push(char::from(byte));
        } else {
            // Memory takes whatever is written.
            let _ = write!(uri, "%{byte:02X}");
        }
        uri
    })
}

/// The lines of a piece by kind.
fn batches(lines: &[u8]) -> Result<BTreeMap<String, Batch>> {
    let mut batches: BTreeMap<String, Batch> = BTreeMap::new();
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        let parsed = serde_json::from_slice(line).context("a line of the spool is no record").context(Failure::Spool);
        let Line { record, sensor } = parsed?;
        if record.is_empty() || !record.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
            return Err(anyhow!("a line of the spool is of no kind of records").context(Failure::Spool));
        }
        match batches.get_mut(&*record) {
            Some(batch) => batch.lines.extend_from_slice(line),
            None => {
                let batch = Batch { sensor: sensor.into_owned(), lines: line.to_vec() };
                batches.insert(record.into_owned(), batch);
            }
        }
    }
    Ok(batches)
}

/// Why there is no reply, and what to do.
fn failure(error: Error, endpoint: &str) -> anyhow::Error {
    let (is_connect, is_tls) = (error.is_connect(), is_tls(&error));
    let error = anyhow::Error::new(error);
    if is_tls {
        error
            .context(format!("{endpoint}: correct ca, cert and key, or the server's certificate"))
            .context(Failure::Tls)
    } else if is_connect {
        error.context(format!("{endpoint}: start the server, or correct endpoint")).context(Failure::Connect)
    } else {
        let text = format!("{endpoint}: no whole answer of HTTP; see to the server, or correct endpoint");
        error.context(text).context(Failure::Broken)
    }
}

/// Whether rustls stands behind an error.
fn is_tls(error: &Error) -> bool {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if error.is::<rustls::Error>() {
            return true;
        }
        next = match error.downcast_ref::<io::Error>() {
            // What such an error wraps is not among its sources.
            Some(error) => error.get_ref().map(|wrapped| wrapped as &(dyn StdError + 'static)),
            None => error.source(),
        };
    }
    false
}
