//! The command line.

mod check;
mod detach;
mod import;
mod patience;
mod reload;
mod replay;
mod report;
mod run;
mod store;

use std::{io, slice};

use anyhow::Result;
use clap::{Args, Parser, Subcommand};

use crate::{
    cidr::Cidr,
    config::WATCH_NETWORK,
    prefix::{PrefixSet, SetBuilder},
    table_file::TableError,
};

/// Counts exact bytes per prefix at the border of a network, in the kernel.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Attach to interfaces and write a summary of every interval until stopped
    Run(run::RunArgs),
    /// Run capture files through the same program; the time of the capture drives the intervals
    Replay(replay::ReplayArgs),
    /// Say what a network exchanged in a period, how that changed, and how sure it is
    Report(report::ReportArgs),
    /// Look after a store: what is in it, how large it is, and what goes from one to another
    Store(store::StoreArgs),
    /// Detach what a sensor has left at work, and write its last records
    Detach(detach::DetachArgs),
    /// Have the running agent read its configuration file anew, once that was found to be valid
    Reload(reload::ReloadArgs),
    /// Check a configuration, and whether this machine can run it; changes nothing
    Check(check::CheckArgs),
}

/// What to count, where there is no configuration file.
#[derive(Clone, Debug, Default, Args)]
struct Selection {
    /// Watch this prefix; may be given more than once
    #[arg(long, value_name = "CIDR")]
    watch: Vec<Cidr>,
    /// Count the prefixes of this file (one CIDR a line, or `prefix,asn[,name]`); may be given more than once
    #[arg(long, value_name = "FILE")]
    prefixes: Vec<std::path::PathBuf>,
}

impl Cli {
    /// Does what the command line asks.
    ///
    /// # Errors
    /// The command failed; the message says where and what to do.
    pub fn execute(self) -> Result<()> {
        let result = match self.command {
            // A service that nobody reads has failed: whoever looks after it is to know.
            Command::Run(args) if args.is_service() => return args.execute(),
            Command::Run(args) => args.execute(),
            Command::Replay(args) => args.execute(),
            Command::Report(args) => args.execute(),
            Command::Store(args) => args.execute(),
            // Its records are the last, and not to be lost without a word.
            Command::Detach(args) => return args.execute(),
            Command::Reload(args) => args.execute(),
            Command::Check(args) => args.execute(),
        };
        match result {
            // Whoever reads the records has seen enough: `sensor replay FILE | head` is no failure.
            Err(error) if is_broken_pipe(&error) => Ok(()),
            result => result,
        }
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// The prefixes of a selection of the command line: one watched network, and tables that are only counted.
fn selected(selection: &Selection) -> Result<PrefixSet> {
    let mut builder = SetBuilder::default();
    if !selection.watch.is_empty() {
        builder.watch(WATCH_NETWORK, selection.watch.iter().copied())?;
    }
    for path in &selection.prefixes {
        match builder.account_tables(slice::from_ref(path)) {
            // A running sensor would stop counting without a word; who replays a capture sees at once what is missing.
            Err(error) if matches!(error.downcast_ref(), Some(TableError::Empty { .. })) => tracing::warn!("{error:#}"),
            result => result?,
        }
    }
    builder.build()
}
