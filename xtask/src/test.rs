//! Every test of the workspace: plain ones as the user, those that need root through sudo; one sum at the end.
#![expect(clippy::print_stdout, reason = "the test report is what this task prints")]

mod collectors;
mod tally;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail, ensure};

use self::tally::Tally;
use crate::{exec, setup, steps::Steps, workspace_root};

/// Test files with this prefix need root: they load programs and make network namespaces.
const ROOT_PREFIX: &str = "root_";
/// Test files with this suffix are of the feature `kafka`.
const KAFKA_SUFFIX: &str = "_kafka";

/// `cargo xtask test`; the last line on standard output is the sum.
pub fn test() -> Result<()> {
    let toolchain = setup::setup()?;
    let root = workspace_root();
    let (root_tests, plain_tests): (Vec<_>, Vec<_>) =
        integration_tests(&root)?.into_iter().partition(|name| name.starts_with(ROOT_PREFIX));
    let (kafka_tests, plain_tests): (Vec<_>, Vec<_>) =
        plain_tests.into_iter().partition(|name| name.ends_with(KAFKA_SUFFIX));

    let mut plain = exec::host_cargo(&root);
    plain.args(["test", "--workspace", "--no-fail-fast", "--lib", "--bins"]).args(selected(&plain_tests));
    let mut kafka = exec::host_cargo(&root);
    kafka.args(["test", "--workspace", "--no-fail-fast", "--features", setup::KAFKA_FEATURE, "--lib"]);
    // All others ran already, without the feature.
    kafka.args(selected(&kafka_tests)).arg("kafka");
    let mut documentation = exec::host_cargo(&root);
    documentation.args(["test", "--workspace", "--no-fail-fast", "--doc"]);
    let mut elevated = exec::host_cargo(&root);
    // The whole workspace here too: with one package cargo would choose other features and compile anew.
    elevated.args(["test", "--workspace", "--no-fail-fast"]).args(selected(&root_tests));
    let mut how = "as root";
    if !exec::is_root()? {
        // cargo and the compiler stay the user's, only the finished test binaries start through sudo.
        elevated.env(runner_variable(&toolchain.rust.host), "sudo -E");
        how = "each test binary through `sudo -E`";
    }

    let mut passes = vec![
        ("plain tests".to_owned(), plain),
        ("tests of the feature kafka".to_owned(), kafka),
        ("examples in the documentation".to_owned(), documentation),
    ];
    if !root_tests.is_empty() {
        ensure!(exec::may_elevate()?, "{} tests need root, and there is no sudo here; run as root", root_tests.len());
        passes.push((format!("tests that need root, {how}"), elevated));
    }
    let mut tally = Tally::default();
    let mut steps = Steps::new("test", passes.len() + 1);
    steps.run("programs that tests call", || Ok(((), setup::test_programs()?)))?;
    for (name, mut cargo) in passes {
        steps.run(&name, || Ok(((), run_pass(&mut cargo, &mut tally)?)))?;
    }
    steps.finish();
    conclude(&tally)
}

/// `cargo xtask test collectors`: what others wrote reads what the sensor sends.
pub fn collectors() -> Result<()> {
    setup::setup()?;
    let root = workspace_root();
    let folder = root.join("target").join(collectors::FOLDER);
    let mut steps = Steps::new("test collectors", 3);
    steps.run("collectors from Debian", || Ok(((), setup::test_programs()?)))?;
    steps.run("collectors from the Python package index", || Ok(((), collectors::install(&folder)?)))?;
    let mut tests = integration_tests(&root)?;
    tests.retain(|name| name.starts_with(collectors::PREFIX));
    let mut cargo = exec::host_cargo(&root);
    cargo.args(["test", "--workspace", "--no-fail-fast", "--features", setup::KAFKA_FEATURE]).args(selected(&tests));
    cargo.env(collectors::VARIABLE, &folder);
    let mut tally = Tally::default();
    steps.run("tests", || Ok(((), run_pass(&mut cargo, &mut tally)?)))?;
    steps.finish();
    conclude(&tally)
}

/// Runs one `cargo test`, passing its lines through and counting them.
fn run_pass(cargo: &mut Command, tally: &mut Tally) -> Result<String> {
    // Shown output is the only way to see why a test that passes skipped.
    cargo.args(["--", "--show-output"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let failed_before = tally.failed();
    let mut child = cargo.spawn().context("cannot start cargo")?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("output of cargo test")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            tally.read_line(&line);
        }
    }
    if child.wait().context("cargo test")?.success() {
        return Ok("ok".to_owned());
    }
    tally.ended_badly(failed_before);
    Ok("FAILED, see above".to_owned())
}

fn conclude(tally: &Tally) -> Result<()> {
    for skip in tally.skips() {
        println!("skipped {skip}");
    }
    println!("{tally}");
    if tally.failed() > 0 {
        bail!("{} failed; one test again: cargo test --workspace <name>", tally.failed());
    }
    ensure!(tally.passed() > 0, "no test ran");
    Ok(())
}

/// `--test <name>` for each name.
fn selected(names: &[String]) -> impl Iterator<Item = &str> {
    names.iter().flat_map(|name| ["--test", name])
}

/// The variable with which cargo starts test binaries of `host` through another program.
pub(crate) fn runner_variable(host: &str) -> String {
    format!("CARGO_TARGET_{}_RUNNER", host.to_uppercase().replace(['-', '.'], "_"))
}

/// The names of all integration tests: `<package>/tests/<name>.rs` or `<package>/tests/<name>/main.rs`.
fn integration_tests(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for package in read_folder(root)? {
        let tests = package.join("tests");
        if !package.join("Cargo.toml").is_file() || !tests.is_dir() {
            continue;
        }
        for file in read_folder(&tests)? {
            let is_test = file.extension().is_some_and(|extension| extension == "rs") || file.join("main.rs").is_file();
            if let Some(name) = file.file_stem().filter(|_| is_test) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

fn read_folder(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{}: cannot list", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>();
    paths.with_context(|| format!("{}: cannot list", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runner_variable_is_cargos() {
        assert_eq!(runner_variable("x86_64-unknown-linux-gnu"), "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER");
    }

    #[test]
    fn each_test_is_selected_by_name() {
        let names = ["frames".to_owned(), "abi".to_owned()];
        assert_eq!(selected(&names).collect::<Vec<_>>(), ["--test", "frames", "--test", "abi"]);
    }
}
