//! `sensor replay`.

use std::{
    io::{self, BufWriter},
    path::PathBuf,
};

use anyhow::{Result, bail};
use clap::Args;

use super::{Selection, selected};
use crate::{
    config::{Config, Interval, REPLAY_SENSOR, SensorId},
    export::History,
    output::Format,
    pipeline::prefix_set,
    prefix::PrefixSet,
    replay::{EngineKind, Options, replay, replay_to},
    store::Store,
};

/// Everything, where nothing else is selected.
const EVERYTHING: [&str; 2] = ["0.0.0.0/0", "::/0"];

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Captures, pcap or pcapng, plain or gzip; `-` is standard input; several are one history, in the order of their time
    #[arg(required = true, value_name = "FILE")]
    captures: Vec<PathBuf>,
    /// Which engine counts; without it the kernel's where this user may load programs, else the native one
    #[arg(long, value_enum)]
    engine: Option<EngineKind>,
    /// Take what is watched and counted from this configuration file; its interfaces are passed over
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    selection: Selection,
    /// Also write what each watched flow was found to be
    #[arg(long)]
    flows: bool,
    /// Tables for people or JSON lines for programs; without it by where standard output goes
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Length of an interval; without it that of the configuration or 10s, or everything at once in a table
    #[arg(long, value_name = "DURATION")]
    interval: Option<Interval>,
    /// Send records to the exporters of the configuration file, instead of to standard output, and wait until all have them
    #[arg(long, requires = "config", conflicts_with = "format")]
    export: bool,
    /// Keep the records in the store in this folder, instead of writing them; exporters of a configuration file have them as well
    #[arg(long, value_name = "DIR", conflicts_with = "format")]
    store: Option<PathBuf>,
    /// What the store has of the same sensor and time, of an earlier replay, makes room
    #[arg(long, requires = "store")]
    replace: bool,
    /// Name of the sensor in the records; without it that of the configuration or `replay`
    #[arg(long, value_name = "NAME")]
    sensor_id: Option<SensorId>,
}

impl ReplayArgs {
    pub(super) fn execute(self) -> Result<()> {
        let Self { captures, engine, config, selection, flows, format, interval, export, store, replace, sensor_id } =
            self;
        let selects = !selection.watch.is_empty() || !selection.prefixes.is_empty();
        let config = match &config {
            Some(_) if selects => bail!(
                "--watch and --prefixes do without a configuration file: write them into it, or leave out --config"
            ),
            Some(path) => Some(Config::load_for_replay(path)?),
            None => None,
        };
        let format = if export || store.is_some() { Format::Jsonl } else { format.unwrap_or_else(Format::of_stdout) };
        let interval = match format {
            Format::Jsonl => Some(interval.or(config.as_ref().map(|config| config.interval)).unwrap_or_default()),
            Format::Table => interval,
        };
        let sensor_id = sensor_id.as_ref().or(config.as_ref().map(|config| &config.sensor_id));
        let engine = engine.unwrap_or_else(default_engine);
        let options = Options {
            sensor: sensor_id.map_or(REPLAY_SENSOR, SensorId::as_str).to_owned(),
            interval: interval.map(Interval::duration),
            format,
            flows,
            ..Options::new(captures, engine, counted(config.as_ref(), selection)?)
        };
        let options = match &config {
            Some(config) => options.by(config)?,
            None => options,
        };
        if !export && store.is_none() {
            return replay(&options, &mut BufWriter::new(io::stdout().lock()));
        }
        let open = |folder: PathBuf| match &config {
            Some(config) => Store::open_for(&folder, config, replace),
            None => Store::open(&folder, &[], replace),
        };
        let mut store = store.map(open).transpose()?;
        let exports = |config: &&Config| export || !config.exporters.is_empty();
        let mut history = config.as_ref().filter(exports).map(History::start).transpose()?;
        replay_to(&options, &mut |summary| {
            if let Some(store) = &mut store {
                store.append(summary)?;
            }
            history.as_mut().map_or(Ok(()), |history| history.append(summary))
        })?;
        store.as_mut().map_or(Ok(()), Store::commit)?;
        history.map_or(Ok(()), History::finish)
    }
}

/// What a configuration or a command line selects; everything is watched where that is nothing.
fn counted(config: Option<&Config>, mut selection: Selection) -> Result<PrefixSet> {
    match config {
        Some(config) if !config.networks.is_empty() || !config.tables.is_empty() => prefix_set(config),
        _ => {
            if selection.watch.is_empty() && selection.prefixes.is_empty() {
                selection.watch = EVERYTHING.iter().map(|prefix| prefix.parse()).collect::<Result<_, _>>()?;
            }
            selected(&selection)
        }
    }
}

fn default_engine() -> EngineKind {
    if crate::bpf::may_load() {
        return EngineKind::Kernel;
    }
    tracing::info!("not root: counting with the native twin of the program; --engine kernel needs root");
    EngineKind::Native
}
