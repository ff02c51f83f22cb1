//! `sensor run`.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;

use super::Selection;
use crate::{
    config::{self, Config, InterfaceName, Interval, SensorId},
    output::Format,
    pipeline,
};

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Configuration file; the options below it do without
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Attach to this interface; may be given more than once
    #[arg(short, long, value_name = "NAME", conflicts_with = "config")]
    interface: Vec<InterfaceName>,
    #[command(flatten)]
    selection: Selection,
    /// The interfaces are taps or SPAN ports: packets end at them
    #[arg(long, conflicts_with = "config")]
    mirror: bool,
    /// Attach in the network stack where the driver has no native XDP: slower
    #[arg(long, conflicts_with = "config")]
    generic: bool,
    /// Count only what the interfaces receive, not what they send
    #[arg(long, conflicts_with = "config")]
    no_egress: bool,
    /// Export period [default: 10s]
    #[arg(long, value_name = "DURATION", conflicts_with = "config")]
    interval: Option<Interval>,
    /// Name of the sensor in the records [default: host name]
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    sensor_id: Option<SensorId>,
    /// Keep the records in the store in this folder as well; without it in that of the configuration, if it has `[store]`
    #[arg(long, value_name = "DIR", requires = "config")]
    store: Option<PathBuf>,
    /// Tables for people or JSON lines for programs; without it by where standard output goes
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl RunArgs {
    /// Whether its counting outlives it.
    pub(super) fn is_service(&self) -> bool {
        self.config.is_some()
    }

    pub(super) fn execute(self) -> Result<()> {
        let format = self.format.unwrap_or_else(Format::of_stdout);
        let selected = !self.selection.watch.is_empty() || !self.selection.prefixes.is_empty();
        let config = match &self.config {
            Some(_) if selected => {
                bail!(
                    "--watch and --prefixes do without a configuration file: write them into it, or leave out --config"
                )
            }
            Some(path) => Config::load(path)?,
            None => Config::from_args(self.args())?,
        };
        if self.format.is_some() && !config.exporters.is_empty() {
            bail!(
                "--format is for standard output, and the records of this configuration go to its exporters: leave it out, or add an \
                 [[exporter]] with type = \"jsonl\" and endpoint = \"stdout\""
            );
        }
        pipeline::run(config, self.config.as_deref(), format, self.store.as_deref())
    }

    fn args(&self) -> config::Args {
        config::Args {
            sensor_id: self.sensor_id.clone(),
            interval: self.interval,
            interfaces: self.interface.clone(),
            mode: if self.mirror { config::Mode::Mirror } else { config::Mode::Inline },
            xdp: if self.generic { config::XdpMode::Generic } else { config::XdpMode::Native },
            no_egress: self.no_egress,
            watch: self.selection.watch.clone(),
            tables: self.selection.prefixes.clone(),
        }
    }
}
