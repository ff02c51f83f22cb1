//! Writes summaries in a thread of its own: a reader that has stopped reading, or a disk that takes its time, must not keep the sensor from stopping.

use std::{
    io::{self, BufWriter},
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::Format;
use crate::{epoch::Epoch, metrics::Shared, spool::Spool, store::Store, summary::Summary};

/// Summaries that may wait for a slow reader; beyond, ticks wait too, and intervals grow instead of getting lost.
const QUEUE: usize = 8;
/// How long a spool that takes nothing is left alone.
const RETRY: Duration = Duration::from_secs(1);
/// How long the last summaries are waited for at the end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What writes a summary.
type Write = Box<dyn FnMut(&Summary) -> io::Result<()>>;

/// Where summaries go.
#[derive(Debug)]
pub enum Outlet {
    /// To standard output, in a format.
    Stdout(Format),
    /// Into the spool, from where exporters take them.
    Spool(Arc<Spool>),
}

impl Outlet {
    /// What writes a summary.
    fn open(self) -> Write {
        match self {
            Self::Stdout(format) => {
                let mut out = BufWriter::new(io::stdout().lock());
                Box::new(move |summary| format.write(summary, &mut out))
            }
            Self::Spool(spool) => Box::new(move |summary| {
                append(&spool, summary);
                Ok(())
            }),
        }
    }

    /// What takes them, in messages.
    const fn name(&self) -> &'static str {
        match self {
            Self::Stdout(_) => "standard output",
            Self::Spool(_) => "the spool",
        }
    }
}

/// Appends to a spool. As long as that takes nothing, intervals grow, and are then told as one.
fn append(spool: &Spool, summary: &Summary) {
    let mut is_said = false;
    while let Err(error) = spool.append(summary) {
        if !is_said {
            tracing::error!("{error:#}; nothing is lost: intervals grow until there is room");
        }
        is_said = true;
        thread::sleep(RETRY);
    }
    if is_said {
        tracing::info!("the spool takes records again");
    }
}

/// Puts an interval into a store. As long as that takes nothing, intervals grow, and are then told as one.
fn keep(store: &mut Store, summary: &Summary) {
    let mut is_said = false;
    while let Err(error) = store.append(summary).and_then(|_| store.commit()) {
        if !is_said {
            tracing::error!("{error:#}; nothing is lost: intervals grow until there is room");
        }
        is_said = true;
        thread::sleep(RETRY);
    }
    if is_said {
        tracing::info!("the store takes records again");
    }
}

/// The way there.
#[derive(Debug)]
pub struct Writer {
    name: &'static str,
    queue: mpsc::Sender<Summary>,
    outcome: oneshot::Receiver<io::Result<()>>,
    written: mpsc::UnboundedReceiver<(Epoch, u64)>,
}

impl Writer {
    /// Starts the thread. What is written goes into the `store` as well, and is added to `metrics`.
    ///
    /// # Errors
    /// There can be no further thread.
    pub fn start(outlet: Outlet, mut store: Option<Store>, metrics: Option<Arc<Shared>>) -> Result<Self> {
        let name = outlet.name();
        let (queue, mut summaries) = mpsc::channel::<Summary>(QUEUE);
        let (report, outcome) = oneshot::channel();
        let (note, written) = mpsc::unbounded_channel();
        let write = move || {
            let mut write = outlet.open();
            let mut result = Ok(());
            while let Some(summary) = summaries.blocking_recv() {
                result = write(&summary);
                if result.is_err() {
                    break;
                }
                if let Some(store) = &mut store {
                    keep(store, &summary);
                }
                // Once it is written and not before: what an end cuts off is written by the next run, and added there.
                if let Some(metrics) = &metrics {
                    metrics.written(&summary);
                }
                // Whether somebody wants to know is their affair.
                let _ = note.send((summary.key.epoch, summary.key.sequence));
            }
            // Nobody waits for it any more where the end came first.
            let _ = report.send(result);
        };
        thread::Builder::new().name("output".to_owned()).spawn(write).context("cannot start the thread that writes")?;
        Ok(Self { name, queue, outcome, written })
    }

    /// Epoch and sequence of summaries that were written since the last call, in their order.
    pub fn written(&mut self) -> Vec<(Epoch, u64)> {
        std::iter::from_fn(|| self.written.try_recv().ok()).collect()
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

    /// Hands over the last summaries, waits until all are written, and says which were since [`Writer::written`] was last called:
    /// all, unless there is an error.
    pub async fn finish(self, last: impl IntoIterator<Item = Summary>) -> (Vec<(Epoch, u64)>, Result<()>) {
        let Self { name, queue, outcome, mut written } = self;
        let all = async {
            for summary in last {
                if queue.send(summary).await.is_err() {
                    break;
                }
            }
            drop(queue);
            match outcome.await {
                Ok(result) => result.context("cannot write the records"),
                Err(_) => bail!("the thread that writes the records has ended"),
            }
        };
        let result = match timeout(PATIENCE, all).await {
            Ok(result) => result,
            Err(_) => Err(anyhow!("{name} takes nothing: the last records were given up after {PATIENCE:?}")),
        };
        (std::iter::from_fn(|| written.try_recv().ok()).collect(), result)
    }
}
