//! Everything that is checked without running the tests.

use std::process::Command;

use anyhow::Result;

use crate::{
    ebpf::{self, Toolchain},
    exec, setup,
    steps::Steps,
    tidy, workspace_root,
};

/// How to go on when a compiler's message is above.
const SEE_ABOVE: &str = "the message is above; then again: cargo xtask check";

/// `cargo xtask check`, the quick ones first.
pub fn check() -> Result<()> {
    let mut steps = Steps::new("check", 7);
    steps.run("formatting", formatting)?;
    steps.run("tidy", || tidy::tidy().map(|files| ((), format!("{files} files"))))?;
    let toolchain = Toolchain::find()?;
    steps.run("lints, host", || host_lints(&[]))?;
    steps.run("lints, host, with Kafka", || host_lints(&["--features", setup::KAFKA_FEATURE]))?;
    steps.run("lints, BPF target", || bpf_lints(&toolchain))?;
    steps.run("documentation", documentation)?;
    steps.run("licences and sources of dependencies", dependencies)?;
    steps.finish();
    Ok(())
}

fn formatting() -> Result<((), String)> {
    let mut cargo = exec::host_cargo(&workspace_root());
    exec::run(cargo.args(["fmt", "--all", "--check"]), "cargo fmt; without it: rustup component add rustfmt")?;
    done("ok")
}

fn host_lints(features: &[&str]) -> Result<((), String)> {
    let mut cargo = exec::host_cargo(&workspace_root());
    cargo.args(["clippy", "--workspace", "--all-targets"]).args(features).args(["--", "-D", "warnings"]);
    exec::run(&mut cargo, &format!("{SEE_ABOVE}; without clippy: rustup component add clippy"))?;
    done("ok")
}

/// Lints what only exists for the BPF target.
fn bpf_lints(toolchain: &Toolchain) -> Result<((), String)> {
    // Not the folder of the object: other flags there would compile the core library anew each time.
    let target_dir = ebpf::target_dir().with_file_name("ebpf-check");
    if toolchain.rust.program("cargo-clippy").is_file() {
        let mut clippy = toolchain.cargo("cargo-clippy", "clippy", &target_dir, &[]);
        exec::run(clippy.args(["--features", "bench", "--", "-D", "warnings"]), SEE_ABOVE)?;
        return done("ok");
    }
    let mut cargo = toolchain.cargo("cargo", "check", &target_dir, &["-Dwarnings"]);
    exec::run(cargo.args(["--features", "bench"]), SEE_ABOVE)?;
    done("ok, compiler warnings only: this toolchain has no clippy (Debian: rust-web-clippy)")
}

fn documentation() -> Result<((), String)> {
    let mut cargo = exec::host_cargo(&workspace_root());
    cargo.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    exec::run(cargo.env("RUSTDOCFLAGS", "-D warnings"), SEE_ABOVE)?;
    done("ok")
}

fn dependencies() -> Result<((), String)> {
    if exec::in_path("cargo-deny").is_none() {
        return done("SKIPPED: cargo-deny is not installed (cargo install cargo-deny)");
    }
    let mut deny = Command::new("cargo-deny");
    exec::run(deny.current_dir(workspace_root()).arg("check"), "the rules are in .deny.toml")?;
    done("ok")
}

fn done(remark: &str) -> Result<((), String)> {
    Ok(((), remark.to_owned()))
}
