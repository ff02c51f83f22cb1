//! The tasks of the workspace: one file each, the binary only dispatches.
//!
//! A library too, because the agent's build script makes the eBPF object the same way
//! `cargo xtask build-ebpf` does.

#[cfg(feature = "cli")]
pub mod bench;
pub mod check;
#[cfg(feature = "cli")]
pub mod demo;
pub mod ebpf;
pub mod exec;
pub mod setup;
pub mod steps;
pub mod test;
pub mod tidy;

use std::{
    env,
    path::{Path, PathBuf},
};

/// The checkout this task works on: the folder above the package cargo started us for.
///
/// Not the one this program was compiled in, when there is a choice: checkouts that share a target folder
/// share the program too.
pub fn workspace_root() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = Path::new(&package);
    package.parent().unwrap_or(package).to_path_buf()
}
