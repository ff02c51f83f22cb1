//! `sensor store`.

use std::{
    io::{self, BufWriter, Write as _},
    path::PathBuf,
};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use super::{import::ImportArgs, patience::with_patience};
use crate::{
    config::{Config, Retention},
    store::{Archive, Store},
    study::{Period, Records as _},
};

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

/// A store, and what it goes by.
#[derive(Debug, Args)]
struct Which {
    /// Folder of the store; without it that of the configuration, or the one in its state folder
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    store: Option<PathBuf>,
    /// Configuration file, which says how long what is kept; without it the defaults hold
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Say what is in a store: networks, days, rows, size
    Info {
        #[command(flatten)]
        which: Which,
    },
    /// Remove what is older than it is kept, and give the space back
    Vacuum {
        #[command(flatten)]
        which: Which,
    },
    /// Write all rows as JSON lines, for another store; or one table as CSV
    Export {
        /// Folder of the store
        #[arg(long, value_name = "DIR")]
        store: PathBuf,
        /// The rows of this table, as CSV
        #[arg(long, value_name = "TABLE")]
        csv: Option<String>,
    },
    /// Read what another store exported, or archives of flows; read twice, it is there once
    Import(ImportArgs),
}

impl StoreArgs {
    pub(super) fn execute(self) -> Result<()> {
        match self.command {
            StoreCommand::Info { which } => which.info(),
            StoreCommand::Vacuum { which } => which.vacuum(),
            StoreCommand::Export { store, csv } => {
                const FIX: &str = "cannot write the rows; free disk space, or write them elsewhere";
                let archive = Archive::open(&store)?;
                let mut out = BufWriter::new(io::stdout().lock());
                let exported = match csv {
                    Some(table) => archive.export_csv(&table, &mut out),
                    None => archive.export(&mut out),
                };
                exported.map_err(|error| {
                    let is_output = error.chain().any(|cause| cause.is::<io::Error>());
                    if is_output { error.context(FIX) } else { error }
                })
            }
            StoreCommand::Import(args) => args.execute(),
        }
    }
}

impl Which {
    /// Its folder, and the configuration, if any.
    fn found(self) -> Result<(PathBuf, Option<Config>)> {
        let config = self.config.as_deref().map(Config::load_for_replay).transpose()?;
        let configured = || config.as_ref().and_then(Config::store_folder);
        let folder = self.store.or_else(configured).context("there is no store; name its folder with --store")?;
        Ok((folder, config))
    }

    fn vacuum(self) -> Result<()> {
        let (folder, config) = self.found()?;
        // One that is there: to open it for writing would make it.
        Archive::open(&folder)?;
        let mut store = match &config {
            Some(config) => Store::open_for(&folder, config, false)?,
            None => Store::open(&folder, &[], false)?,
        };
        let removed = with_patience("removing what is too old, and giving the space back", || store.vacuum())?;
        Ok(writeln!(io::stdout(), "{removed} rows removed")?)
    }

    fn info(self) -> Result<()> {
        let (folder, config) = self.found()?;
        let archive = Archive::open(&folder)?;
        let mut out = io::stdout().lock();
        writeln!(out, "{}: {:.1} MB", folder.display(), archive.size() as f64 / 1e6)?;
        for network in archive.networks()? {
            if let Some((first, last)) = archive.days(&network)? {
                writeln!(out, "network {network}: {} to {}", Period::date(first), Period::date(last))?;
            }
        }
        for (sensor, method, first, last) in archive.sensors()? {
            writeln!(out, "sensor {sensor}: {method}, from {first:.0} to {last:.0}")?;
        }
        for level in archive.levels(&config.as_ref().map_or(Retention::DEFAULT, Config::retention))? {
            writeln!(out, "{}: {} rows, kept {}", level.name, level.rows, level.age)?;
        }
        Ok(())
    }
}
