//! Captures through the packet engine, in the kernel or in this process, with the capture's own clock.

mod engine;
mod flow_book;
mod frame;
mod link;
mod source;
mod watched;

use std::{
    collections::BTreeMap,
    io::{IsTerminal, Write, stderr},
    mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::{SignedDuration, Timestamp};
use sensor_ebpf::abi::Side;

pub(crate) use self::source::Source;
use self::watched::Watched;
pub use self::{
    engine::{Engine, EngineKind},
    frame::{Framer, LinkFrame},
};
use crate::{
    bpf::{LabelPlan, REPLAY_FLOWS},
    capture::{Capture, Drops, LinkType},
    collect::{Meter, Reading},
    config::{self, Config, REPLAY_SENSOR, Report},
    counterpart::{Counterparts, Meanings},
    epoch::{Epoch, EpochHasher},
    interval::Interval,
    lists::Lists,
    output::Format,
    prefix::PrefixSet,
    summary::{FlowRecord, Key, LedgerLabel, Lost, Summary},
    upstream::Upstreams,
    watch,
};

/// Name of the one ledger of a replay: all captures together.
const LEDGER_NAME: &str = "capture";
/// A frame that is older than its interval by more is said to be.
const LATE: SignedDuration = SignedDuration::from_hours(1);
/// Frames between two looks at the progress bar.
const FRAMES_PER_PROGRESS: u64 = 4096;

/// What to replay, and how.
#[derive(Debug)]
pub struct Options {
    /// Capture files; `-` is standard input.
    pub captures: Vec<PathBuf>,
    /// Which engine counts.
    pub engine: EngineKind,
    /// Prefixes to count.
    pub set: PrefixSet,
    /// Observation domain of the records.
    pub sensor: String,
    /// Length of the intervals by capture time; `None`: one for everything.
    pub interval: Option<Duration>,
    /// How to write the summaries.
    pub format: Format,
    /// Whether to tell what each watched flow was found to be.
    pub flows: bool,
    /// Known endpoints.
    pub lists: Arc<Lists>,
    /// What far ends are, if any file says so.
    pub counterparts: Option<Counterparts>,
    /// Rows that count them, a power of two.
    pub counterpart_rows: u32,
    /// Named neighbours.
    pub upstreams: Upstreams,
    /// How much is remembered of watched traffic.
    pub limits: watch::Limits,
}

/// What estimates are drawn with: any number, so that they come out alike every time.
const SEED: u64 = 0;

impl Options {
    /// The history of these captures as one interval, in lines of JSON, of which nothing else is known.
    pub fn new(captures: Vec<PathBuf>, engine: EngineKind, set: PrefixSet) -> Self {
        Self {
            captures,
            engine,
            set,
            sensor: REPLAY_SENSOR.to_owned(),
            interval: None,
            format: Format::Jsonl,
            flows: false,
            lists: Arc::default(),
            counterparts: None,
            counterpart_rows: config::DEFAULT_COUNTERPARTS,
            upstreams: Upstreams::default(),
            limits: limits(&config::Limits::default(), &Report::default()),
        }
    }

    /// The same, with what a configuration says of other ends and neighbours, and of how much is remembered.
    ///
    /// # Errors
    /// A list or a file of counterparts cannot be read.
    pub fn by(self, config: &Config) -> Result<Self> {
        let lists = Arc::new(Lists::read(&config.lists)?);
        let counterparts = Counterparts::of(config, &lists)?;
        let counterpart_rows = config.limits.max_counterparts;
        let upstreams = Upstreams::new(&config.upstreams, &[]);
        let limits = limits(&config.limits, &config.report);
        Ok(Self { lists, counterparts, counterpart_rows, upstreams, limits, ..self })
    }
}

impl Options {
    fn labels(&self) -> Option<LabelPlan<'_>> {
        self.counterparts.as_ref().map(|table| LabelPlan { trie: &table.trie, rows: self.counterpart_rows })
    }
}

/// How much a replay remembers: it ends, and until then it forgets no flow.
fn limits(limits: &config::Limits, report: &Report) -> watch::Limits {
    watch::Limits::new(&config::Limits { flows: REPLAY_FLOWS, ..*limits }, report, SEED)
}

/// Replays all captures as one history, the one that begins first first, and writes its summaries to `out`.
///
/// # Errors
/// A capture that cannot be opened or whose link type is not supported, a kernel that refuses the program, a writer that fails.
/// A capture that breaks off is not one: what could be read is counted, and a warning says where it ended.
pub fn replay(options: &Options, out: &mut dyn Write) -> Result<()> {
    replay_to(options, &mut |summary| options.format.write(summary, out).context("cannot write the records"))
}

/// The same, with whoever takes summaries instead of a writer.
///
/// # Errors
/// As [`replay`], and whatever is said of a summary.
pub fn replay_to(options: &Options, out: &mut dyn FnMut(&Summary) -> Result<()>) -> Result<()> {
    let mut hasher = EpochHasher::new(&options.sensor, options.interval, &options.set);
    if let Some(counterparts) = &options.counterparts {
        hasher.counterparts(&counterparts.content);
    }
    let mut sources = Vec::new();
    for path in &options.captures {
        let source = Source::open(path)?;
        // Whether it is a capture that can be read, before anything is counted.
        if let Some(link_type) = source.capture()?.link_type().filter(|link_type| !link::is_known(*link_type)) {
            return Err(unsupported(path, link_type));
        }
        let begins = source.capture()?.next()?.map(|frame| frame.timestamp);
        sources.push((begins, source));
    }
    // Time goes forward, in whatever order they are named; one without a frame changes nothing.
    sources.sort_by_key(|(begins, _)| *begins);
    for (_, source) in &sources {
        hasher.capture(source.bytes()?).with_context(|| format!("cannot read {}", source.name().display()))?;
    }
    let engine = Engine::new(options.engine, &options.set, options.labels())?;
    let mut history = History::new(options, engine, hasher.finish(), out);
    for (_, source) in &sources {
        history.add(source)?;
    }
    history.finish()
}

fn unsupported(name: &Path, link_type: LinkType) -> anyhow::Error {
    anyhow!(
        "{}: link type {link_type} is not supported; record on an interface with IP, or convert the capture",
        name.display()
    )
}

/// The summaries as they come.
struct History<'a> {
    options: &'a Options,
    out: &'a mut dyn FnMut(&Summary) -> Result<()>,
    engine: Engine,
    epoch: Epoch,
    reported: Reading,
    current: Option<Interval>,
    sequence: u64,
    watched: Watched,
    meanings: Meanings,
    /// In the interval.
    lost: BTreeMap<Lost, u64>,
}

impl<'a> History<'a> {
    fn new(
        options: &'a Options,
        mut engine: Engine,
        epoch: Epoch,
        out: &'a mut dyn FnMut(&Summary) -> Result<()>,
    ) -> Self {
        let reported = Reading::zero(options.set.len(), Side::COUNT as usize);
        let watched = Watched::new(options, &mut engine);
        let meanings = Meanings::begin(options.counterparts.as_ref());
        let (current, sequence, lost) = (None, 0, BTreeMap::new());
        Self { options, out, engine, epoch, reported, current, sequence, watched, meanings, lost }
    }

    fn add(&mut self, source: &Source) -> Result<()> {
        let name = source.name();
        let mut capture = source.capture()?;
        let progress = progress(&capture, name);
        let mut framer = Framer::default();
        // pcapng may hold interfaces of other kinds beside those that can be read.
        let (mut known, mut unknown) = (false, None);
        let mut latest = SignedDuration::ZERO;
        while let Some(frame) = capture.next()? {
            let (seconds, nanoseconds) = frame.timestamp.to_parts();
            let moment = Timestamp::new(seconds, nanoseconds as i32).unwrap_or(Timestamp::MAX);
            latest = latest.max(self.advance(moment)?);
            self.watched.advance(moment, &mut self.engine);
            if link::is_known(frame.link_type) {
                known = true;
            } else if unknown.replace(frame.link_type) != Some(frame.link_type) {
                tracing::warn!("{}: frames of link type {} count as not_ip", name.display(), frame.link_type);
            }
            let frame = framer.ethernet(&frame);
            self.engine.count(frame)?;
            self.watched.take(frame, &mut self.engine)?;
            self.lose(capture.take_drops());
            if capture.frames().is_multiple_of(FRAMES_PER_PROGRESS) {
                progress.set_position(capture.bytes_read());
            }
        }
        // Most stand behind the last frame.
        self.lose(capture.take_drops());
        if let Some(link_type) = unknown.filter(|_| !known) {
            return Err(unsupported(name, link_type));
        }
        progress.finish_and_clear();
        if latest > LATE {
            let name = name.display();
            tracing::warn!(
                "{name}: frames up to {latest:#} older than others before them count with these; sort them by time (reordercap, mergecap)"
            );
        }
        if let Some(damage) = capture.damage() {
            tracing::warn!("{}: {damage}; what stands before it is counted", name.display());
        }
        Ok(())
    }

    fn lose(&mut self, drops: Drops) {
        for (reason, packets) in [(Lost::IfDrop, drops.interface), (Lost::OsDrop, drops.system)] {
            if packets > 0 {
                let sum = self.lost.entry(reason).or_default();
                *sum = sum.saturating_add(packets);
            }
        }
    }

    /// Closes the interval that a frame of that time lies behind; a frame older than the interval belongs to it all the same. By how much it is older.
    fn advance(&mut self, moment: Timestamp) -> Result<SignedDuration> {
        let Some(length) = self.options.interval else {
            let whole = self.current.get_or_insert(Interval { start: moment, end: moment });
            whole.start = whole.start.min(moment);
            whole.end = whole.end.max(moment);
            return Ok(SignedDuration::ZERO);
        };
        match self.current {
            Some(current) if moment < current.end => return Ok(current.start.duration_since(moment)),
            Some(current) => {
                self.report(current, Vec::new())?;
                self.current = Some(Interval::holding(moment, length));
            }
            None => self.current = Some(Interval::holding(moment, length)),
        }
        Ok(SignedDuration::ZERO)
    }

    fn finish(mut self) -> Result<()> {
        let last = self.current.unwrap_or(Interval { start: Timestamp::UNIX_EPOCH, end: Timestamp::UNIX_EPOCH });
        let flows = self.watched.finish(&mut self.engine);
        self.report(last, flows)
    }

    fn report(&mut self, interval: Interval, flows: Vec<FlowRecord>) -> Result<()> {
        let watched = self.watched.interval(interval.end, &mut self.engine);
        let delta = self.engine.since(&self.reported)?;
        let label = LedgerLabel {
            interface: LEDGER_NAME.to_owned(),
            replay_fallback: self.engine.take_fallbacks(),
            lost: mem::take(&mut self.lost),
            ..LedgerLabel::default()
        };
        let key = Key {
            sensor: self.options.sensor.clone(),
            epoch: self.epoch,
            start: interval.start,
            end: interval.end,
            sequence: self.sequence,
        };
        let summary = Summary::new(key, &delta, &self.options.set, &[label], &watched, &self.meanings);
        let summary = Summary { flows, ..summary };
        (self.out)(&summary)?;
        delta.add_to(&mut self.reported)?;
        self.sequence += 1;
        Ok(())
    }
}

fn progress(capture: &Capture, name: &Path) -> ProgressBar {
    const TEMPLATE: &str = "{msg} [{bar:40}] {bytes} of {total_bytes}, {eta} left";
    let Some(size) = capture.size().filter(|_| stderr().is_terminal()) else { return ProgressBar::hidden() };
    let style = ProgressStyle::with_template(TEMPLATE).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(size).with_style(style).with_message(name.display().to_string())
}
