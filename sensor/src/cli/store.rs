//! `sensor store`.

use std::{
    io::{self, BufWriter, Write as _},
    path::{Path, PathBuf},
};

use anyhow::Result;
use clap::{Args, Subcommand};

use super::import::ImportArgs;
use crate::{
    store::{Archive, Store},
    study::{Period, Records as _},
};

#[derive(Debug, Args)]
pub(super) struct StoreArgs {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    /// Say what is in a store: networks, days, rows, size
    Info {
        /// Folder of the store
        #[arg(long, value_name = "DIR")]
        store: PathBuf,
    },
    /// Remove what is older than it is kept, and give the space back
    Vacuum {
        /// Folder of the store
        #[arg(long, value_name = "DIR")]
        store: PathBuf,
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
            StoreCommand::Info { store } => info(&store),
            StoreCommand::Vacuum { store } => {
                let removed = existing(&store)?.vacuum()?;
                Ok(writeln!(io::stdout(), "{removed} rows removed")?)
            }
            StoreCommand::Export { store, csv } => {
                let archive = Archive::open(&store)?;
                let mut out = BufWriter::new(io::stdout().lock());
                match csv {
                    Some(table) => archive.export_csv(&table, &mut out),
                    None => archive.export(&mut out),
                }
            }
            StoreCommand::Import(args) => args.execute(),
        }
    }
}

/// A store that is there, to be written to.
fn existing(folder: &Path) -> Result<Store> {
    Archive::open(folder)?;
    Store::open(folder, &[], false)
}

fn info(folder: &Path) -> Result<()> {
    let archive = Archive::open(folder)?;
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
    for level in archive.levels()? {
        let kept = level.days.map_or_else(|| "always".to_owned(), |days| format!("{days} days"));
        writeln!(out, "{}: {} rows, kept {kept}", level.name, level.rows)?;
    }
    Ok(())
}
