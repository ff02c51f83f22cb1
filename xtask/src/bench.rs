//! The benchmark: what a packet, a table and a tick cost on this machine.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use crate::{
    ebpf::{self, BINARY, TARGET, Toolchain},
    exec, setup,
    steps::Steps,
    test::runner_variable,
    workspace_root,
};

/// How to go on when the reason is above.
const AGAIN: &str = "the reason is above; then again: cargo xtask bench";

/// `cargo xtask bench`; `options` are passed to the benchmark.
pub fn bench(json: Option<&Path>, options: &[String]) -> Result<()> {
    let toolchain = setup::setup()?;
    ensure!(exec::may_elevate()?, "loading programs needs root, and there is no sudo here; run as root");
    let object = Steps::new("build", 1).run("programs of the benchmark", || object(&toolchain))?;
    let mut cargo = exec::host_cargo(&workspace_root());
    cargo.args(["bench", "--quiet", "--locked", "--package", "sensor", "--bench", "datapath", "--", "--object"]);
    cargo.arg(object).args(options);
    if let Some(json) = json {
        let folder = std::env::current_dir().context("cannot tell the current folder")?;
        cargo.arg("--json").arg(folder.join(json));
    }
    if !exec::is_root()? {
        cargo.env(runner_variable(&toolchain.rust.host), "sudo -E");
    }
    exec::run(&mut cargo, AGAIN)
}

/// Builds the object that has the programs of the benchmark beside those of the sensor.
fn object(toolchain: &Toolchain) -> Result<(PathBuf, String)> {
    // Not the folder of the object that the agent carries: with a feature more it would be compiled anew each time.
    let target_dir = ebpf::target_dir().with_file_name("ebpf-bench");
    let mut cargo = toolchain.cargo("cargo", "build", &target_dir, &[]);
    exec::run(cargo.args(["--bin", BINARY, "--features", "bench"]), AGAIN)?;
    let object = target_dir.join(TARGET).join("release").join(BINARY);
    let remark = object.display().to_string();
    Ok((object, remark))
}
