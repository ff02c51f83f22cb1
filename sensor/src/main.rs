//! The binary: arguments, logging, one command, one error line, an exit status.

use std::process::ExitCode;

use clap::Parser;
use sensor::{cli::Cli, logging};

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start();
    match cli.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            logging::fatal(&error);
            ExitCode::FAILURE
        }
    }
}
