//! Exporters: each in a thread of its own, reading from the spool at its own pace.
//!
//! A collector that hangs, lies or is gone holds up its own exporter and nothing else: neither the tick, nor counting, nor another exporter. What it
//! has not acknowledged stays in the spool and is tried again, ever more rarely.

mod backoff;
mod clickhouse;
mod ends;
mod history;
mod ipfix;
mod jsonl;
mod kafka;
mod password;
mod pulse;
mod status;
#[cfg(test)]
mod tests;
mod tls;

use std::{
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use jiff::Timestamp;
use tokio::{
    sync::{oneshot, watch},
    time::{sleep, timeout_at},
};

pub use self::status::{Failure, Progress, Status};
use self::{backoff::Backoff, ends::Ends, pulse::Pulse};
pub use self::{clickhouse::Questions, history::History};
use crate::{
    config::{Exporter, Host, Target},
    own::OwnTraffic,
    spool::{Lost, Piece, Reader, Spool},
};

/// How long nothing of a piece may get anywhere.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long a piece may take in all: of 4 MiB, that is 7 kB/s.
const LONGEST: Duration = Duration::from_secs(600);
/// Bytes that are handed on at a time.
const CHUNK: usize = 64 << 10;
/// How long they may go on delivering at the end.
const PATIENCE: Duration = Duration::from_secs(5);
/// How much longer it is waited for those that are in the middle of something.
const GRACE: Duration = Duration::from_secs(1);

/// The exporters of a running sensor.
#[derive(Debug)]
pub struct Exporters {
    /// Until when what waits may be delivered.
    stop: watch::Sender<Option<Instant>>,
    /// How often files beside the configuration were to be read again.
    renewals: watch::Sender<u64>,
    statuses: Vec<Arc<Status>>,
    own: Arc<OwnTraffic>,
    /// Those that run: name, and when it has ended.
    running: Vec<(String, oneshot::Receiver<()>)>,
}

/// Where an exporter delivers to.
enum Sink {
    Jsonl(jsonl::Sink),
    Ipfix(ipfix::Sink),
    Kafka(kafka::Sink),
    ClickHouse(clickhouse::Sink),
}

impl Sink {
    fn new(target: &Target) -> Self {
        match target {
            Target::Jsonl(jsonl) => Self::Jsonl(jsonl::Sink::new(jsonl)),
            Target::Ipfix(ipfix) => Self::Ipfix(ipfix::Sink::new(ipfix)),
            Target::Kafka(kafka) => Self::Kafka(kafka::Sink::new(kafka)),
            Target::ClickHouse(clickhouse) => Self::ClickHouse(clickhouse::Sink::new(clickhouse)),
        }
    }

    /// Delivers a piece: once this returns, its collector is answerable for it. So many records were lost before it, ever.
    async fn send(&mut self, piece: &Piece, lost: u64, pulse: &Pulse) -> Result<()> {
        match self {
            Self::Jsonl(sink) => sink.send(piece, pulse).await,
            Self::Ipfix(sink) => sink.send(piece, lost, pulse).await,
            Self::Kafka(sink) => sink.send(piece).await,
            Self::ClickHouse(sink) => sink.send(piece, pulse).await,
        }
    }

    /// Reads certificates and passwords again, with the next connection.
    fn renew(&mut self) {
        match self {
            Self::Jsonl(_) => {}
            Self::Ipfix(sink) => sink.renew(),
            Self::Kafka(sink) => sink.renew(),
            Self::ClickHouse(sink) => sink.renew(),
        }
    }

    /// With whom it speaks beside those of the configuration, as far as that is known by now.
    fn more_ends(&self) -> Vec<Host> {
        match self {
            Self::Kafka(sink) => sink.brokers(),
            Self::Jsonl(_) | Self::Ipfix(_) | Self::ClickHouse(_) => vec![],
        }
    }

    /// When the first certificate expires.
    fn expires(&self) -> Option<Timestamp> {
        match self {
            Self::Jsonl(_) => None,
            Self::Ipfix(sink) => sink.expires(),
            Self::Kafka(sink) => sink.expires(),
            Self::ClickHouse(sink) => sink.expires(),
        }
    }
}

impl Exporters {
    /// Starts an exporter for each; the spool was opened for all of them. With whom they speak is known when this returns, or its name could not be
    /// looked up within two seconds.
    ///
    /// # Errors
    /// There can be no further thread.
    pub fn start(exporters: &[Exporter], spool: &Arc<Spool>) -> Result<Self> {
        Self::start_with(DEADLINE, exporters, spool)
    }

    /// The same with a deadline for pieces that get nowhere.
    fn start_with(deadline: Duration, exporters: &[Exporter], spool: &Arc<Spool>) -> Result<Self> {
        let ((stop, _), (renewals, _)) = (watch::channel(None), watch::channel(0));
        let (mut running, mut statuses, own) = (vec![], vec![], Arc::default());
        let (announced, all_announced) = mpsc::channel::<()>();
        for exporter in exporters {
            let name = exporter.name.to_string();
            let reader = spool.reader(&name).with_context(|| format!("exporter {name:?} is not in the spool"))?;
            let (sink, stopping) = (Sink::new(&exporter.target), stop.subscribe());
            let status = Arc::new(Status::new(&name, exporter.target.name()));
            statuses.push(Arc::clone(&status));
            let ends = Ends::new(&exporter.target, &own);
            let mut task = Task::new(reader, (sink, ends), stopping, renewals.subscribe(), status, deadline);
            let (ended, end) = oneshot::channel();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start an exporter; allow more threads and files")?;
            let announced = announced.clone();
            let run = move || {
                runtime.block_on(async {
                    task.ends.announce().await;
                    drop(announced);
                    task.run().await;
                });
                // Whoever waits for it may be gone.
                let _ = ended.send(());
            };
            thread::Builder::new()
                .name(format!("export {name}"))
                .spawn(run)
                .context("cannot start the thread of an exporter; allow more")?;
            running.push((name, end));
        }
        drop(announced);
        // Nothing is sent for it: this ends when the last of them has said with whom it will speak.
        let _ = all_announced.recv();
        Ok(Self { stop, renewals, statuses, own, running })
    }

    /// How they are doing, in the order of the configuration.
    pub fn statuses(&self) -> &[Arc<Status>] {
        &self.statuses
    }

    /// With whom they speak.
    pub fn own(&self) -> &Arc<OwnTraffic> {
        &self.own
    }

    /// Lets them read certificates and passwords again. What they deliver meanwhile is not cut.
    pub fn renew(&self) {
        self.renewals.send_modify(|renewals| *renewals += 1);
    }

    /// As [`Exporters::finish`], for who has no runtime.
    ///
    /// # Errors
    /// None can be had.
    pub fn finish_blocking(self) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.context("cannot start the runtime; allow more files")?.block_on(self.finish());
        Ok(())
    }

    /// Lets exporters deliver what they can within some seconds, and ends them. What they could not stays in the spool.
    pub async fn finish(self) {
        let until = Instant::now() + PATIENCE;
        self.stop.send_replace(Some(until));
        // One that is stuck where nothing can wake it ends with the process.
        let last = until + GRACE;
        for (name, end) in self.running {
            if timeout_at(last.into(), end).await.is_err() {
                tracing::warn!("exporter {name:?} is still busy; what it has not delivered waits in the spool");
            }
        }
    }
}

/// The records of a piece, one JSON object a line.
fn lines(piece: &Piece) -> Result<Vec<u8>> {
    let lines = piece.lines().context("a piece cannot be unpacked; allow the sensor more memory");
    lines.context(Failure::Spool)
}

/// Each of these lines, without its end.
fn records(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

/// An exporter at work.
struct Task {
    reader: Reader,
    sink: Sink,
    ends: Ends,
    stop: watch::Receiver<Option<Instant>>,
    renewals: watch::Receiver<u64>,
    status: Arc<Status>,
    backoff: Backoff,
    deadline: Duration,
    pulse: Pulse,
    /// It could not deliver, and that was said.
    is_down: bool,
}

impl Task {
    fn new(
        reader: Reader,
        (sink, ends): (Sink, Ends),
        stop: watch::Receiver<Option<Instant>>,
        renewals: watch::Receiver<u64>,
        status: Arc<Status>,
        deadline: Duration,
    ) -> Self {
        let (backoff, pulse) = (Backoff::default(), Pulse::new());
        Self { reader, sink, ends, stop, renewals, status, backoff, deadline, pulse, is_down: false }
    }

    async fn run(mut self) {
        while !self.is_over() {
            let step = self.step().await;
            self.ends.add(self.sink.more_ends());
            self.report();
            match step {
                Ok(true) => self.backoff = Backoff::default(),
                Ok(false) if self.is_stopping() => break,
                Ok(false) => {
                    self.reader.save();
                    tokio::select! {
                        () = self.reader.changed() => {}
                        Ok(()) = self.renewals.changed() => self.renew(),
                        _ = self.stop.changed() => {}
                    }
                }
                Err(error) => {
                    self.complain(&error);
                    let pause = self.backoff.next();
                    tokio::select! {
                        () = sleep(pause) => {}
                        Ok(()) = self.renewals.changed() => self.renew(),
                        _ = self.stop.changed() => {}
                    }
                    if self.is_stopping() {
                        break;
                    }
                }
            }
        }
        self.reader.save();
        let waiting = self.reader.waiting();
        if waiting > 0 {
            tracing::info!("exporter {:?}: {waiting} pieces wait in the spool for the next start", self.reader.name());
        }
    }

    /// Delivers a piece, if there is one.
    async fn step(&mut self) -> Result<bool> {
        if self.renewals.has_changed().unwrap_or(false) {
            self.renewals.mark_unchanged();
            self.renew();
        }
        let Some(piece) = self.reader.peek().context(Failure::Spool)? else { return Ok(false) };
        let lost = self.reader.cursor().lost.records + self.reader.lost_before(&piece).records;
        self.ends.announce().await;
        let deadline = self.deadline;
        match self.pulse.watch(deadline, LONGEST, self.sink.send(&piece, lost, &self.pulse)).await {
            Some(sent) => sent?,
            None => {
                self.sink.renew();
                let text = format!("nothing got there for {deadline:?}, or too little; see to the collector");
                return Err(anyhow!(text).context(Failure::Deadline));
            }
        }
        let Lost { pieces, records } = self.reader.lost_before(&piece);
        if pieces > 0 {
            let name = self.reader.name();
            tracing::error!(
                "exporter {name:?}: {records} records in {pieces} pieces before this one are lost: the spool had no room for them, or is damaged"
            );
        }
        self.reader.acknowledge(&piece);
        self.status.update(|progress| {
            progress.pieces += 1;
            progress.records += u64::from(piece.records());
            progress.acknowledged = Some(Timestamp::now());
        });
        if self.is_down {
            self.is_down = false;
            tracing::info!("exporter {:?} delivers again; {} pieces wait", self.reader.name(), self.reader.waiting());
        }
        Ok(true)
    }

    fn renew(&mut self) {
        self.sink.renew();
        self.ends.forget();
        // What failed may be what was renewed.
        self.backoff = Backoff::default();
    }

    /// Lets others see how it is doing.
    fn report(&self) {
        let (waiting, lost, expires) = (self.reader.waiting(), self.reader.cursor().lost.records, self.sink.expires());
        self.status.update(|progress| {
            (progress.waiting, progress.lost, progress.expires) = (waiting, lost, expires);
            progress.is_down = self.is_down;
        });
    }

    fn is_stopping(&self) -> bool {
        self.stop.borrow().is_some()
    }

    /// Whether there is no time left, or nobody who would give any.
    fn is_over(&self) -> bool {
        self.stop.has_changed().is_err() || self.stop.borrow().is_some_and(|until| Instant::now() >= until)
    }

    /// Counts what failed; one line for each time that it begins to fail.
    fn complain(&mut self, error: &anyhow::Error) {
        let failure = Failure::of(error);
        self.ends.forget();
        self.status.update(|progress| {
            *progress.failures.entry(failure).or_default() += 1;
            progress.is_down = true;
        });
        if !self.is_down {
            let (name, waiting) = (self.reader.name(), self.reader.waiting());
            tracing::warn!("exporter {name:?}: {error:#}; trying again, {waiting} pieces wait in the spool");
        }
        self.is_down = true;
    }
}
