//! `sensor detach`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{
    config::{Config, DEFAULT_BPFFS, DEFAULT_STATE_DIR, Keep, SensorId},
    output::Format,
    pipeline,
};

#[derive(Debug, Args)]
pub(super) struct DetachArgs {
    /// Configuration file of the sensor
    #[arg(long, value_name = "FILE", required_unless_present = "sensor_id")]
    config: Option<PathBuf>,
    /// Its name, where there is no configuration any more
    #[arg(long, value_name = "NAME", conflicts_with = "config")]
    sensor_id: Option<SensorId>,
    /// Its state folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "config", default_value = DEFAULT_STATE_DIR)]
    state_dir: PathBuf,
    /// Where the BPF file system is mounted
    #[arg(long, value_name = "FOLDER", conflicts_with = "config", default_value = DEFAULT_BPFFS)]
    bpffs: PathBuf,
    /// Keep the last records in the store in this folder as well; without it in that of the configuration, if it has `[store]`
    #[arg(long, value_name = "DIR", requires = "config")]
    store: Option<PathBuf>,
    /// Tables for people or JSON lines for programs; without it by where standard output goes
    #[arg(long, value_enum)]
    format: Option<Format>,
}

impl DetachArgs {
    pub(super) fn execute(self) -> Result<()> {
        let format = self.format.unwrap_or_else(Format::of_stdout);
        let keep = Keep { state_dir: self.state_dir, bpffs: self.bpffs };
        let (sensor, keep, config) = match (self.config, self.sensor_id) {
            (None, Some(sensor)) => (sensor, keep, None),
            (Some(path), _) => {
                let config = Config::load(&path)?;
                (config.sensor_id.clone(), config.keep.clone().unwrap_or(keep), Some(config))
            }
            (None, None) => anyhow::bail!("which sensor: give --config or --sensor-id"),
        };
        pipeline::detach(&sensor, &keep, config.as_ref(), format, self.store.as_deref())
    }
}
