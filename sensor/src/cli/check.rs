//! `sensor check`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::{config::Config, preflight};

#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl CheckArgs {
    pub(super) fn execute(self) -> Result<()> {
        let config = Config::load(&self.config)?;
        preflight::check(&config, &mut std::io::stdout().lock())
    }
}
