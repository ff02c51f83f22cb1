//! Builds the eBPF object with a toolchain found on this machine.

pub mod elf;
pub mod linker;
pub mod rust;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result, bail};

use self::rust::Rust;
use crate::{exec, workspace_root};

/// The BPF target; its core library is compiled from source, nobody ships it compiled.
pub(crate) const TARGET: &str = "bpfel-unknown-none";

/// Package and binary of the object.
const PACKAGE: &str = "sensor-ebpf";
pub(crate) const BINARY: &str = "sensor-bpf";

/// The section with the type information the kernel checks maps and calls with.
const TYPE_SECTION: &str = ".BTF";

/// Between flags in `CARGO_ENCODED_RUSTFLAGS`.
const FLAG_SEPARATOR: &str = "\x1f";

/// What compiles and links the object.
#[derive(Debug)]
pub struct Toolchain {
    /// Compiler and cargo, with the core library's source.
    pub rust: Rust,
    /// The linker for that compiler's bitcode.
    pub bpf_linker: PathBuf,
}

impl Toolchain {
    /// The first complete toolchain; the error names the missing piece and the command that brings it.
    pub fn find() -> Result<Self> {
        let installed = Rust::installed();
        let complete: Vec<&Rust> = installed.iter().filter(|rust| rust.lacks().is_none()).collect();
        for rust in &complete {
            let bpf_linker = linker::path(rust)?;
            if linker::works(&bpf_linker) {
                return Ok(Self { rust: (*rust).clone(), bpf_linker });
            }
        }
        if let Some(rust) = complete.first() {
            let file = linker::path(rust)?;
            bail!("{} is missing at {}; run: cargo xtask setup", linker::describe(rust), file.display());
        }
        let lacking = installed.iter().filter_map(|rust| Some(format!("{} lacks {}", rust.describe(), rust.lacks()?)));
        let lacking = lacking.collect::<Vec<_>>().join("; ");
        bail!("no Rust here can compile for the BPF target: {lacking}; run: cargo xtask setup");
    }

    /// A cargo command of this toolchain for the BPF target, in the workspace, with its own target folder.
    pub fn cargo(&self, program: &str, subcommand: &str, target_dir: &Path, extra_flags: &[&str]) -> Command {
        let linker = format!("-Clinker={}", self.bpf_linker.display());
        // Without the feature every header field is read byte by byte; the machines with XDP drivers take unaligned loads.
        let unaligned = "-Ctarget-feature=+allows-misaligned-mem-access";
        // 32-bit registers and comparisons (Linux 5.1): a sixth of the instructions less than with the default.
        let instructions = "-Ctarget-cpu=v3";
        let mut flags = vec!["-Cdebuginfo=2", "-Clink-arg=--btf", unaligned, instructions, &linker];
        flags.extend(extra_flags);
        let mut cargo = self.rust.command(program);
        cargo.current_dir(workspace_root()).args([subcommand, "--locked", "--release", "--package", PACKAGE]);
        cargo.args(["--target", TARGET, "-Z", "build-std=core", "--target-dir"]).arg(target_dir);
        // Compiling the core library is an unstable feature; this opens it in a stable compiler.
        cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_ENCODED_RUSTFLAGS", flags.join(FLAG_SEPARATOR));
        cargo
    }
}

/// Builds the release object with BTF below `target_dir` and returns its path.
pub fn build(toolchain: &Toolchain, target_dir: &Path) -> Result<PathBuf> {
    let mut cargo = toolchain.cargo("cargo", "build", target_dir, &[]);
    cargo.args(["--bin", BINARY]).stdout(exec::to_stderr());
    exec::run(&mut cargo, "the compiler's message is above; with a broken toolchain: cargo xtask setup")?;
    let object = target_dir.join(TARGET).join("release").join(BINARY);
    let sections = sections(&object)?;
    if !sections.iter().any(|section| section.name == TYPE_SECTION) {
        bail!("{}: no {TYPE_SECTION} section; the linker ignored --btf, run: cargo xtask setup", object.display());
    }
    Ok(object)
}

/// `cargo xtask build-ebpf`.
#[expect(clippy::print_stdout, reason = "what a task prints")]
pub fn build_and_describe() -> Result<()> {
    let object = build(&Toolchain::find()?, &target_dir())?;
    let size = fs::metadata(&object).with_context(|| format!("{}: cannot read", object.display()))?.len();
    println!("{}: {size} bytes", object.display());
    for section in sections(&object)? {
        if section.is_program() {
            println!("  program section {}: {} bytes", section.name, section.size);
        } else if section.name == TYPE_SECTION {
            println!("  type information (BTF): {} bytes", section.size);
        }
    }
    Ok(())
}

/// Builds the object for the agent's build script, tells cargo when to do it again, and returns a copy in `OUT_DIR`.
///
/// A copy, because the target folder is shared with `cargo xtask build-ebpf` and with other profiles.
#[expect(clippy::print_stdout, reason = "how a build script speaks to cargo")]
pub fn build_for_build_script() -> Result<PathBuf> {
    // Relative to the package whose build script this is.
    for source in ["../sensor-ebpf/src", "../sensor-ebpf/Cargo.toml", "../Cargo.toml", "../Cargo.lock"] {
        println!("cargo:rerun-if-changed={source}");
    }
    let out_dir = env::var_os("OUT_DIR").context("OUT_DIR is not set: this is for build scripts")?;
    let object = build(&Toolchain::find()?, &target_dir())?;
    let copy = Path::new(&out_dir).join(BINARY);
    fs::copy(&object, &copy).with_context(|| format!("{}: cannot copy to {}", object.display(), copy.display()))?;
    Ok(copy)
}

/// Our own target folder: the outer cargo holds the lock of the usual one while it runs a build script.
pub fn target_dir() -> PathBuf {
    let root = workspace_root();
    // An absolute CARGO_TARGET_DIR replaces the root in this join.
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into())).join("ebpf")
}

fn sections(object: &Path) -> Result<Vec<elf::Section>> {
    let bytes = fs::read(object).with_context(|| format!("{}: cannot read", object.display()))?;
    elf::sections(&bytes).with_context(|| object.display().to_string())
}
