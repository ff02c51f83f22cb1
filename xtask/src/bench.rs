//! The benchmark: what a packet, a table and a tick cost on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value};

use crate::{
    ebpf::{self, BINARY, TARGET, Toolchain},
    exec, setup,
    steps::Steps,
    test::runner_variable,
    workspace_root,
};

/// How to go on when the reason is above.
const AGAIN: &str = "the reason is above; then again: cargo xtask bench";
/// Packets in the kernel, tables on the host, the agent's tick.
const PARTS: [&str; 3] = ["datapath", "host", "agent"];

/// `cargo xtask bench`: every part, or with `only` the rows of the first one whose name contains that.
pub fn bench(json: Option<&Path>, rounds: Option<u32>, only: Option<&str>) -> Result<()> {
    let toolchain = setup::setup()?;
    ensure!(exec::may_elevate()?, "loading programs needs root, and there is no sudo here; run as root");
    let mut steps = Steps::new("bench", 1 + PARTS.len());
    let object = steps.run("build the programs of the benchmark", || object(&toolchain))?;
    let mut results = Map::new();
    for part in PARTS {
        if part != PARTS[0] && only.is_some() {
            break;
        }
        let file = object.with_file_name(format!("{part}.json"));
        let mut cargo = exec::host_cargo(&workspace_root());
        cargo.args(["bench", "--quiet", "--locked", "--package", "sensor", "--bench", part, "--", "--json"]).arg(&file);
        if let Some(rounds) = rounds {
            cargo.args(["--rounds", &rounds.to_string()]);
        }
        if part == PARTS[0] {
            cargo.arg("--object").arg(&object).args(only.map(|only| format!("--only={only}")));
        }
        if !exec::is_root()? {
            cargo.env(runner_variable(&toolchain.rust.host), "sudo -E");
        }
        steps.run(part, || Ok((exec::run(&mut cargo, AGAIN)?, String::from("ok"))))?;
        add(&mut results, &file)?;
    }
    steps.finish();
    let Some(path) = json else { return Ok(()) };
    let text = format!("{:#}\n", Value::Object(results));
    let folder = env::current_dir().context("cannot tell the current folder")?;
    fs::write(folder.join(path), text).with_context(|| format!("{}: cannot write", path.display()))
}

/// Appends the lists of one part's results to those of the others.
fn add(results: &mut Map<String, Value>, file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("{}: cannot read", file.display()))?;
    let part: Map<String, Value> = serde_json::from_str(&text).with_context(|| file.display().to_string())?;
    for (name, list) in part {
        match (results.get_mut(&name), list) {
            (Some(Value::Array(all)), Value::Array(list)) => all.extend(list),
            (_, list) => drop(results.insert(name, list)),
        }
    }
    Ok(())
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
