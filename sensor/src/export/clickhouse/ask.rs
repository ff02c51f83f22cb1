//! Questions to a server, one at a time, from a thread without a runtime.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use axum::{
    body::{Body, Bytes},
    http::Request,
};
use http_body_util::{BodyExt as _, Limited};
use tokio::{runtime::Runtime, time::timeout};

use super::{Connection, endpoint, escaped, failure, reply};
use crate::config::ClickHouse;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Most bytes of an answer: a year of services of a large network are some 100 MB.
const MAX_LEN: usize = 1 << 30;

/// A server that is asked.
pub struct Questions {
    config: ClickHouse,
    connection: Connection,
    runtime: Runtime,
}

impl Questions {
    /// Reads the files that say who asks; connects with the first question.
    ///
    /// # Errors
    /// One of them cannot be read.
    pub fn new(config: &ClickHouse) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (connection, _) = Connection::new(config)?;
        Ok(Self {
            config: config.clone(),
            connection,
            runtime: runtime.context("cannot start the runtime; allow more files")?,
        })
    }

    /// Which server is asked.
    pub fn server(&self) -> String {
        endpoint(&self.config)
    }

    /// Asks, and has the answer's rows, a JSON object a line.
    ///
    /// # Errors
    /// The server cannot be reached, or does not answer.
    pub fn ask(&self, question: &str) -> Result<Bytes> {
        let endpoint = endpoint(&self.config);
        let uri = format!("{endpoint}/?database={}", escaped(&self.config.database));
        let answer = async {
            let sent = self.connection.send(Request::post(uri), Body::from(question.to_owned()), &endpoint)?;
            let (head, body) = sent.await.map_err(|error| failure(error, &endpoint))?.into_parts();
            let body = Limited::new(body, MAX_LEN).collect().await;
            let body = body.map_err(|error| anyhow!("{endpoint}: half an answer, or one without end: {error}"))?;
            let body = body.to_bytes();
            reply::judge_answer(head.status, &head.headers, &body, &self.config.database)
                .map_err(|text| anyhow!("{endpoint}: {text}"))?;
            Ok(body)
        };
        let answer = self.runtime.block_on(async { timeout(PATIENCE, answer).await });
        answer.unwrap_or_else(|_| Err(anyhow!("{endpoint}: no answer within {PATIENCE:?}; ask for a shorter period")))
    }
}
