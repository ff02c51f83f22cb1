//! `sensor replay`.

use std::{
    io::{self, BufWriter},
    path::PathBuf,
};

use anyhow::Result;
use clap::Args;

use super::{Selection, selected};
use crate::{
    config::{Interval, SensorId},
    output::Format,
    replay::{EngineKind, Options, replay},
};

/// Observation domain of a replay that names none.
const DEFAULT_SENSOR: &str = "replay";
/// Everything, where nothing else is selected.
const EVERYTHING: [&str; 2] = ["0.0.0.0/0", "::/0"];

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// Captures, pcap or pcapng, plain or gzip; `-` is standard input; several are one history
    #[arg(required = true, value_name = "FILE")]
    captures: Vec<PathBuf>,
    /// Which engine counts; without it the kernel's where this user may load programs, else the native one
    #[arg(long, value_enum)]
    engine: Option<EngineKind>,
    #[command(flatten)]
    selection: Selection,
    /// Also write what each watched flow was found to be
    #[arg(long)]
    flows: bool,
    /// Tables for people or JSON lines for programs; without it by where standard output goes
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Length of an interval; without it 10s, or everything at once in a table
    #[arg(long, value_name = "DURATION")]
    interval: Option<Interval>,
    /// Name of the sensor in the records
    #[arg(long, value_name = "NAME", default_value = DEFAULT_SENSOR)]
    sensor_id: SensorId,
}

impl ReplayArgs {
    pub(super) fn execute(self) -> Result<()> {
        let Self { captures, engine, mut selection, flows, format, interval, sensor_id } = self;
        if selection.watch.is_empty() && selection.prefixes.is_empty() {
            selection.watch = EVERYTHING.iter().map(|prefix| prefix.parse()).collect::<Result<_, _>>()?;
        }
        let format = format.unwrap_or_else(Format::of_stdout);
        let interval = match format {
            Format::Jsonl => Some(interval.unwrap_or_default()),
            Format::Table => interval,
        };
        let options = Options {
            captures,
            engine: engine.unwrap_or_else(default_engine),
            set: selected(&selection)?,
            sensor: sensor_id.to_string(),
            interval: interval.map(Interval::duration),
            format,
            flows,
        };
        replay(&options, &mut BufWriter::new(io::stdout().lock()))
    }
}

fn default_engine() -> EngineKind {
    if crate::bpf::may_load() {
        return EngineKind::Kernel;
    }
    tracing::info!("not root: counting with the native twin of the program; --engine kernel needs root");
    EngineKind::Native
}
