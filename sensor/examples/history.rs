//! Writes two captures of a made-up border link, four weeks each and a year apart, and the configuration to study them by.
//!
//! `cargo xtask demo` ends with the report of what this makes; what that is stands in `sensor::testing::history`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Parser;
use sensor::testing::history::{self, Version};

/// Writes a history of two periods.
#[derive(Parser)]
struct Args {
    /// Folder for captures and configuration
    folder: PathBuf,
}

fn main() -> Result<()> {
    history::write(&Args::parse().folder, Version::V4)
}
