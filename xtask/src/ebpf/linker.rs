//! bpf-linker, built once per user and LLVM version, shared by every checkout.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::rust::Rust;
use crate::exec;

/// The release known to fit the aya release in Cargo.toml.
const VERSION: &str = "0.13.0";

/// Where bpf-linker for `rust` lies, whether it is there or not.
pub fn path(rust: &Rust) -> Result<PathBuf> {
    Ok(folder(rust)?.join("bin/bpf-linker"))
}

/// Whether the file is there and starts: an upgrade may have taken its LLVM library away.
pub fn works(linker: &Path) -> bool {
    linker.is_file()
        && exec::capture(Command::new(linker).arg("--version"), "").is_ok_and(|text| text.contains(VERSION))
}

/// Builds bpf-linker against the LLVM library `rust` itself uses.
pub fn install(rust: &Rust, llvm_library: &Path) -> Result<PathBuf> {
    let folder = folder(rust)?;
    let libraries = folder.join("lib");
    fs::create_dir_all(&libraries).with_context(|| format!("{}: cannot create", libraries.display()))?;
    // The linker's build looks for the first name, the started program for the second.
    link(llvm_library, &libraries.join("libLLVM.so"))?;
    link(llvm_library, &libraries.join(llvm_library.file_name().unwrap_or_default()))?;
    let mut cargo = rust.command("cargo");
    cargo.args(["install", "bpf-linker", "--quiet", "--locked", "--force", "--version", VERSION]);
    cargo.args(["--no-default-features", "--features", &format!("llvm-{}", rust.llvm_major)]);
    cargo.arg("--root").arg(&folder).env("LLVM_PREFIX", &folder);
    // Nearly all its work happens in LLVM: optimising the rest doubles this build and saves nothing later.
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "0").env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    exec::run(&mut cargo, "needs crates.io and gcc (`sudo apt-get install gcc`); then again: cargo xtask setup")?;
    path(rust)
}

/// E.g. `bpf-linker 0.13.0 for LLVM 22`.
pub fn describe(rust: &Rust) -> String {
    format!("bpf-linker {VERSION} for LLVM {}", rust.llvm_major)
}

fn folder(rust: &Rust) -> Result<PathBuf> {
    Ok(cache_folder()?.join(format!("bpf-linker-{VERSION}-llvm{}", rust.llvm_major)))
}

/// The user's cache folder, as the XDG base directory specification says.
fn cache_folder() -> Result<PathBuf> {
    let configured = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|folder| folder.is_absolute());
    let folder = configured.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cache")));
    Ok(folder.context("neither XDG_CACHE_HOME nor HOME is set: run as a user with a home folder")?.join("sensor"))
}

fn link(target: &Path, name: &Path) -> Result<()> {
    if name.is_symlink() {
        fs::remove_file(name).with_context(|| format!("{}: cannot replace", name.display()))?;
    }
    symlink(target, name).with_context(|| format!("{}: cannot create a link to {}", name.display(), target.display()))
}
