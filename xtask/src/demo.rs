//! The sensor at work, without a network: two namespaces, a veth pair, generated traffic, and at the end what the ledger, the
//! interface and the generator say.
//!
//! Two processes. This one is the user's and builds; the stage is root's and does nothing that cargo could be asked for. Whatever
//! ends one of them - success, an error, Ctrl-C, a kill - the other notices by the pipe between them, and the stage cleans up.

mod processes;
mod records;
mod stage;
mod study;
mod verdict;
mod wire;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use anyhow::{Context as _, Result, bail};

pub use self::stage::stage;
use crate::{ebpf, exec, setup, steps::Steps, workspace_root};

/// The option of `cargo xtask demo` that makes it the stage.
const STAGE_OPTION: &str = "--stage";
/// Programs in the folder of release builds.
const SENSOR: &str = "sensor";
const TRAFFIC: &str = "examples/traffic";
/// What the sensor counts, written beside them.
const PREFIXES: &str = "demo-prefixes.txt";

/// Networks the sensor watches; documentation prefixes, like everything here.
const WATCHED: &[&str] = &["192.0.2.0/24", "2001:db8::/36"];
/// Prefixes it only counts; some are more-specifics of others.
const COUNTED: &[&str] = &[
    "198.51.100.0/24",
    "198.51.100.128/26",
    "203.0.113.0/24",
    "2001:db8:0:100::/56",
    "2001:db8:8000::/36",
    "3fff::/20",
];

/// How to go on when the reason is above.
const AGAIN: &str = "the reason is above; then again: cargo xtask demo";

/// `cargo xtask demo`.
pub fn demo() -> Result<()> {
    setup::setup()?;
    let programs = Steps::new("build", 1).run("sensor and generators", build)?;
    run_stage(&programs)?;
    study::study(&programs)
}

/// Builds all programs and returns their folder.
fn build() -> Result<(PathBuf, String)> {
    // One at a time: built together with an example, the binary would have the test support in it.
    for what in [["--bin", "sensor"], ["--example", "traffic"], ["--example", "history"]] {
        let mut cargo = exec::host_cargo(&workspace_root());
        cargo.args(["build", "--quiet", "--locked", "--release", "--package", "sensor"]).args(what);
        exec::run(&mut cargo, AGAIN)?;
    }
    let folder = ebpf::target_dir().with_file_name("release");
    let prefixes = folder.join(PREFIXES);
    fs::write(&prefixes, COUNTED.join("\n") + "\n").with_context(|| format!("{}: cannot write", prefixes.display()))?;
    let remark = folder.join(SENSOR).display().to_string();
    Ok((folder, remark))
}

/// Runs the stage with root's rights and waits for its end.
fn run_stage(programs: &Path) -> Result<()> {
    let this = env::current_exe().context("cannot tell where this program is")?;
    let mut command = Command::new(&this);
    if exec::is_root()? {
        say("as root, like this task: namespaces, sensor and generator");
    } else if exec::may_elevate()? {
        say(&format!(
            "as root, through sudo: `{} demo {STAGE_OPTION}`: namespaces, sensor and generator",
            this.display()
        ));
        command = Command::new("sudo");
        command.arg("--").arg(&this);
    } else {
        bail!("network namespaces and XDP need root, and there is no sudo here; as root run: cargo xtask demo");
    }
    let mut stage = command
        .args(["demo", STAGE_OPTION])
        .arg(programs)
        .stdin(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {command:?}"))?;
    // The stage ends when this pipe does; with the signals that sudo does not pass on, this is what reaches it.
    let pipe = Mutex::new(stage.stdin.take());
    let stopped = Arc::new(AtomicBool::new(false));
    let is_stopped = Arc::clone(&stopped);
    let close = move || {
        is_stopped.store(true, Ordering::Relaxed);
        if let Ok(mut pipe) = pipe.lock() {
            pipe.take();
        }
    };
    ctrlc::set_handler(close).context("cannot listen for signals")?;
    let status = stage.wait().context("cannot wait for the stage")?;
    if stopped.load(Ordering::Relaxed) {
        bail!("stopped before the comparison; what the demo made is removed, unless it says otherwise above");
    }
    if !status.success() {
        bail!("the demo did not come to a good end ({status}); {AGAIN}");
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the user sees what runs as root")]
fn say(line: &str) {
    println!("      {line}");
}
