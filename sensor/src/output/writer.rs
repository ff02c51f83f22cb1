//! Writes summaries in a thread of its own: a reader that has stopped reading must not keep the sensor from stopping.

use std::{
    io::{self, BufWriter},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::Format;
use crate::summary::Summary;

/// Summaries that may wait for a slow reader; beyond, ticks wait too, and intervals grow instead of getting lost.
const QUEUE: usize = 8;
/// How long the last summaries are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to standard output.
#[derive(Debug)]
pub struct Writer {
    queue: mpsc::Sender<Summary>,
    outcome: oneshot::Receiver<io::Result<()>>,
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// There can be no further thread.
    pub fn start(format: Format) -> Result<Self> {
        let (queue, mut summaries) = mpsc::channel::<Summary>(QUEUE);
        let (report, outcome) = oneshot::channel();
        let write = move || {
            let mut out = BufWriter::new(io::stdout().lock());
            let mut result = Ok(());
            while let Some(summary) = summaries.blocking_recv() {
                result = format.write(&summary, &mut out);
                if result.is_err() {
                    break;
                }
            }
            // Nobody waits for it any more where the end came first.
            let _ = report.send(result);
        };
        thread::Builder::new().name("output".to_owned()).spawn(write).context("cannot start the thread that writes")?;
        Ok(Self { queue, outcome })
    }

    /// Waits until the queue has room for a summary.
    ///
    /// # Errors
    /// Writing has failed.
    pub async fn ready(&mut self) -> Result<()> {
        if self.queue.reserve().await.is_ok() { Ok(()) } else { Err(self.failure().await) }
    }

    /// Hands over a summary; waits while the queue is full.
    ///
    /// # Errors
    /// Writing has failed.
    pub async fn send(&mut self, summary: Summary) -> Result<()> {
        if self.queue.send(summary).await.is_ok() { Ok(()) } else { Err(self.failure().await) }
    }

    /// Why the thread has ended before its queue was closed.
    async fn failure(&mut self) -> anyhow::Error {
        match (&mut self.outcome).await {
            Ok(Err(error)) => anyhow::Error::new(error).context("cannot write the records"),
            Ok(Ok(())) | Err(_) => anyhow!("the thread that writes the records has ended"),
        }
    }

    /// Hands over the last summaries and waits until all are written.
    ///
    /// # Errors
    /// Writing failed, or took too long.
    pub async fn finish(mut self, last: impl IntoIterator<Item = Summary>) -> Result<()> {
        let all = async {
            for summary in last {
                self.send(summary).await?;
            }
            drop(self.queue);
            match self.outcome.await {
                Ok(result) => result.context("cannot write the records"),
                Err(_) => bail!("the thread that writes the records has ended"),
            }
        };
        match timeout(PATIENCE, all).await {
            Ok(result) => result,
            Err(_) => bail!("standard output takes nothing: the last records were given up after {PATIENCE:?}"),
        }
    }
}
