//! The end of the demo: two made-up periods of four weeks, a year apart, as captures; what the sensor makes of them, as a page.
#![expect(clippy::print_stdout, reason = "the user sees what was found, and where the page is")]

use std::{fs, path::Path, process::Command};

use anyhow::{Context as _, Result};

use super::{AGAIN, SENSOR};
use crate::{exec, steps::Steps, workspace_root};

const HISTORY: &str = "examples/history";
/// The folder for it, below `target`.
const FOLDER: &str = "demo";
const PAGE: &str = "report.html";
/// The periods that the generator makes: first days, and the days after the last.
const PERIODS: [&str; 8] =
    ["--from", "2025-09-01", "--to", "2025-09-29", "--baseline-from", "2024-09-02", "--baseline-to", "2024-09-30"];
/// Lines of the text of a study that are findings.
const FINDING: &str = "- **";

/// Makes the history, replays it into a store, and writes the report.
pub(super) fn study(programs: &Path) -> Result<()> {
    let folder = workspace_root().join("target").join(FOLDER);
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty {}; remove it", folder.display()))?;
    }
    let [config, store] = ["sensor.toml", "store"].map(|name| folder.join(name));
    let page = folder.join(PAGE);
    let sensor = |command: &str| {
        let mut sensor = Command::new(programs.join(SENSOR));
        sensor.arg(command).arg("--config").arg(&config).arg("--store").arg(&store);
        sensor
    };
    let mut steps = Steps::new("study", 3);
    steps.run("captures of two periods", || {
        exec::run(Command::new(programs.join(HISTORY)).arg(&folder), AGAIN)?;
        Ok(((), folder.display().to_string()))
    })?;
    steps.run("replay into a store", || {
        let captures = ["before.pcap", "now.pcap"].map(|name| folder.join(name));
        exec::run(sensor("replay").args(["--engine", "native"]).args(captures), AGAIN)?;
        Ok(((), store.display().to_string()))
    })?;
    let findings = steps.run("report", || {
        exec::run(sensor("report").args(PERIODS).arg("--output").arg(&page), AGAIN)?;
        let text = exec::capture(sensor("report").args(PERIODS).args(["--format", "md"]), AGAIN)?;
        Ok((text, page.display().to_string()))
    })?;
    steps.finish();
    findings.lines().filter(|line| line.starts_with(FINDING)).for_each(|line| println!("{line}"));
    println!("the page, with all figures: {}", page.display());
    Ok(())
}
