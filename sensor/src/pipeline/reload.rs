//! Reload of a running agent: who asks for one, how far it has come, and who waits for the answer.
//!
//! ```text
//! SIGHUP, `sensor reload` -> read and build beside everything else -> another table in place
//!                                                                  \-> new maps: load beside everything else -> hand over
//! ```
//!
//! One reload at a time. Whatever is asked for while one is under way is one more reload behind it. Whatever fails leaves the old
//! configuration in force.

pub(super) mod change;
mod hand_over;
mod prepare;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, bail};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinError, JoinHandle, spawn_blocking},
};

use self::{
    hand_over::Made,
    prepare::{Base, Figures, Prepared, Step},
};
use super::{Running, collector::Collector};
use crate::control::{Answer, Asked, Listener, Reloaded, Request};

/// Wishes for a reload, and the one under way.
pub(super) struct Reloads {
    hangup: Signal,
    listener: Option<Listener>,
    /// What to read, absolute; without it there is nothing to reload.
    file: Option<PathBuf>,
    /// A reload is wanted that has not begun; these wait for its answer.
    wanted: Option<Vec<Asked>>,
    stage: Stage,
    /// These wait for the answer of the one under way.
    waiting: Vec<Asked>,
}

/// How far the one under way has come.
enum Stage {
    /// There is none.
    Idle,
    Reading(JoinHandle<Result<Box<Prepared>>>),
    Loading(JoinHandle<Result<Box<Made>>>),
}

/// What happened.
pub(super) enum Event {
    /// A reload is wanted.
    Wanted,
    /// A configuration was read.
    Read(Result<Box<Prepared>>),
    /// Programs that count in new maps are loaded.
    Loaded(Result<Box<Made>>),
}

impl Reloads {
    /// Listens for SIGHUP, which ends no agent from here on.
    ///
    /// # Errors
    /// The signal cannot be listened for, or the current folder is gone.
    pub(super) fn new(file: Option<&Path>) -> Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("cannot listen for signals")?;
        let file = file.map(std::path::absolute).transpose().context("the current folder is gone")?;
        Ok(Self { hangup, listener: None, file, wanted: None, stage: Stage::Idle, waiting: vec![] })
    }

    /// Listens for commands, too. Where that cannot be, it is said, and SIGHUP does.
    pub(super) fn listen(&mut self, state_dir: &Path) {
        match Listener::open(state_dir) {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => tracing::warn!("{error:#}"),
        }
    }

    /// Waits for the next event. May be given up and called again.
    pub(super) async fn next(&mut self) -> Event {
        loop {
            let Self { hangup, listener, stage, .. } = self;
            tokio::select! {
                biased;
                event = stage.ended() => {
                    self.stage = Stage::Idle;
                    return event;
                }
                _ = hangup.recv() => match &self.file {
                    Some(_) => {
                        self.wanted.get_or_insert_default();
                        return Event::Wanted;
                    }
                    None => tracing::warn!("SIGHUP: there is nothing to reload without a configuration file (--config)"),
                },
                asked = heard(listener.as_mut()) => match self.check(&asked.request) {
                    Ok(()) => {
                        let waiting = self.wanted.get_or_insert_default();
                        waiting.retain(|asked| !asked.is_given_up());
                        waiting.push(asked);
                        return Event::Wanted;
                    }
                    Err(error) => asked.answer(Answer::Refused { reason: format!("{error:#}") }),
                },
            }
        }
    }

    /// Whether a command means the file that this agent reads.
    fn check(&self, request: &Request) -> Result<()> {
        let Request::Reload { config } = request;
        let Some(file) = &self.file else { bail!("the agent runs without a configuration file") };
        let real = |path: &Path| path.canonicalize().with_context(|| format!("cannot read {}", path.display()));
        if real(config)? != real(file)? {
            bail!(
                "the agent reads {} and no other file: write the new configuration there, or restart the agent",
                file.display()
            );
        }
        Ok(())
    }

    /// Begins the next one, if one is wanted and none is under way. `base` is what is in force.
    fn begin(&mut self, base: impl FnOnce() -> Base) {
        if let (Stage::Idle, Some(file)) = (&self.stage, &self.file)
            && let Some(waiting) = self.wanted.take()
        {
            let (file, base) = (file.clone(), base());
            self.waiting = waiting;
            self.stage = Stage::Reading(spawn_blocking(move || Prepared::read(&file, &base)));
        }
    }

    /// Tells everybody how it ended.
    fn end(&mut self, result: Result<Reloaded>) {
        let answer = match result {
            Ok(reloaded) => {
                log(&reloaded);
                Answer::Reloaded(reloaded)
            }
            Err(error) => {
                tracing::error!("not reloaded, the old configuration goes on: {error:#}");
                Answer::Refused { reason: format!("{error:#}") }
            }
        };
        self.waiting.drain(..).for_each(|asked| asked.answer(answer.clone()));
    }
}

impl Stage {
    /// Waits for its end. May be given up and called again.
    async fn ended(&mut self) -> Event {
        match self {
            Self::Idle => std::future::pending().await,
            Self::Reading(task) => Event::Read(task.await.unwrap_or_else(panicked)),
            Self::Loading(task) => Event::Loaded(task.await.unwrap_or_else(panicked)),
        }
    }
}

fn panicked<T>(error: JoinError) -> Result<T> {
    Err(anyhow!("a fault of this program: {error}"))
}

async fn heard(listener: Option<&mut Listener>) -> Asked {
    match listener {
        Some(listener) => listener.next().await,
        None => std::future::pending().await,
    }
}

fn log(reloaded: &Reloaded) {
    let Reloaded { generation, prefixes, networks, new_maps, from_next_start, read_ms, build_ms, flip_ms } = reloaded;
    if !from_next_start.is_empty() {
        tracing::warn!("from the next start of the agent: {}", from_next_start.join(", "));
    }
    tracing::info!(
        generation,
        added = prefixes.added,
        removed = prefixes.removed,
        moved = prefixes.moved,
        kept = prefixes.kept,
        networks_added = networks.added,
        networks_removed = networks.removed,
        new_maps,
        read_ms,
        build_ms,
        flip_ms,
        "reloaded"
    );
}

impl Running {
    /// Does what an event asks for. Whatever becomes of a reload, everybody who waits for it is told.
    ///
    /// # Errors
    /// The counters cannot be read any more, as in a tick.
    pub(super) async fn reload(&mut self, event: Event, reloads: &mut Reloads) -> Result<()> {
        match event {
            Event::Wanted => {}
            Event::Read(Err(error)) => {
                self.written(None);
                reloads.end(Err(error));
            }
            Event::Read(Ok(prepared)) => self.go_to(prepared, reloads)?,
            Event::Loaded(made) => {
                let result = self.hand_over(made).await?;
                reloads.end(result);
            }
        }
        reloads.begin(|| self.base());
        Ok(())
    }

    fn base(&mut self) -> Base {
        let layout = *self.collector.kernel.maps().layout();
        let scribe = self.durable.as_mut().map(|durable| self.collector.scribe(durable));
        let (config, Collector { set, meanings, .. }) = (&self.config, &self.collector);
        tokio::task::block_in_place(|| {
            let (config, set, meanings) = (config.clone(), set.clone(), meanings.clone());
            Base { config, set, meanings, layout, scribe }
        })
    }

    /// What became of the manifest of the table to come.
    fn written(&mut self, hash: Option<[u8; 32]>) {
        if let Some(durable) = &mut self.durable {
            durable.written(hash);
        }
    }

    fn go_to(&mut self, prepared: Box<Prepared>, reloads: &mut Reloads) -> Result<()> {
        let Prepared { config, lists, step, figures } = *prepared;
        let began = Instant::now();
        let flipped = match step {
            Step::Keep => {
                self.written(None);
                false
            }
            Step::NewMaps { table, why } => {
                self.written(None);
                match self.make((config, lists), *table, why, figures) {
                    Ok(making) => reloads.stage = Stage::Loading(spawn_blocking(move || making.load())),
                    Err(error) => reloads.end(Err(error)),
                }
                return Ok(());
            }
            Step::InPlace { table, manifest } => {
                self.written(Some(manifest));
                if let Err(error) = self.collector.put_in_force(*table, manifest) {
                    reloads.end(Err(error));
                    return Ok(());
                }
                true
            }
        };
        let flip = if flipped { began.elapsed() } else { Duration::ZERO };
        self.configure(config, lists);
        // New names begin with an interval. Where nobody reads the last records, the interval goes on growing instead of the queue:
        // each id has one meaning in it.
        if flipped && self.backlog.is_empty() {
            self.tick_now()?;
        }
        reloads.end(Ok(self.reloaded(figures, flip, None)));
        Ok(())
    }

    fn reloaded(&mut self, figures: Figures, flip: Duration, new_maps: Option<String>) -> Reloaded {
        let Figures { prefixes, networks, read, build } = figures;
        let generation = self.collector.kernel.maps().generation();
        let [read_ms, build_ms, flip_ms] = [read, build, flip].map(millis);
        let mut from_next_start = self.collector.waiting_for_next_start(&self.config);
        if let Some(shipping) = &self.shipping {
            shipping.renew();
        }
        from_next_start.extend(match &self.shipping {
            Some(shipping) => shipping.waiting_for_next_start(&self.config),
            None if self.config.exporters.is_empty() => vec![],
            None => vec!["[[exporter]]"],
        });
        from_next_start.extend(self.exposed.waiting_for_next_start(&self.config));
        from_next_start.extend(self.kept.waiting_for_next_start(&self.config));
        let from_next_start = from_next_start.into_iter().map(String::from).collect();
        Reloaded { generation, prefixes, networks, new_maps, from_next_start, read_ms, build_ms, flip_ms }
    }
}

/// To a hundredth.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e5).round() / 100.0
}
