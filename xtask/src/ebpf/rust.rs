//! A Rust installation, and what it lacks to compile for the BPF target.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use crate::exec;

/// Where Debian's packages put their compiler.
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// The core library's source below a sysroot; rustup calls the component rust-src.
const CORE_SOURCE: &str = "lib/rustlib/src/rust/library/core/Cargo.toml";

/// A compiler with its cargo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rust {
    /// The folder it is installed in: `bin/rustc`, `bin/cargo`, `lib/..`.
    pub sysroot: PathBuf,
    /// Release, e.g. 1.96.
    pub release: Release,
    /// Major version of its LLVM: the linker must read the bitcode it writes.
    pub llvm_major: u32,
    /// Target triple of this machine.
    pub host: String,
}

/// Major and minor number of a Rust release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release(pub u32, pub u32);

impl Release {
    /// The oldest release the workspace compiles with (`rust-version` in Cargo.toml).
    pub fn oldest() -> Result<Self> {
        Self::parse(env!("CARGO_PKG_RUST_VERSION"))
    }

    /// Reads `1.96`, `1.96.0` and Debian's `1.96.0+dfsg1-1`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut numbers = text.trim().split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Self(major, minor)),
            (_, _) => anyhow::bail!("`{text}` is not a Rust release like 1.96.0"),
        }
    }
}

impl Rust {
    /// The Rust that runs this task, then Debian's; each once.
    pub fn installed() -> Vec<Self> {
        let active = env::var_os("CARGO").map(|cargo| Path::new(&cargo).with_file_name("rustc"));
        let active = active.filter(|rustc| rustc.is_file()).unwrap_or_else(|| PathBuf::from("rustc"));
        let mut found: Vec<Self> = Vec::new();
        for rustc in [active.as_path(), Path::new(DEBIAN_RUSTC)] {
            // One that does not run is as good as none: setup installs one.
            if let Ok(rust) = Self::ask(rustc)
                && found.iter().all(|other| other.sysroot != rust.sysroot)
            {
                found.push(rust);
            }
        }
        found
    }

    /// What is missing for the BPF target, if anything.
    pub fn lacks(&self) -> Option<String> {
        let Release(major, minor) = self.release;
        if Release::oldest().is_ok_and(|oldest| self.release < oldest) {
            return Some(format!("release {major}.{minor} is older than {}", env!("CARGO_PKG_RUST_VERSION")));
        }
        if !self.sysroot.join(CORE_SOURCE).is_file() {
            return Some("the core library's source (rust-src)".to_owned());
        }
        (!self.program("cargo").is_file()).then(|| "cargo".to_owned())
    }

    /// The shared LLVM library this compiler uses, to be used by the linker too.
    ///
    /// Every distribution and rustup ship it with the compiler; LLVM's development packages (half a gigabyte)
    /// would only add a symbolic link.
    pub fn llvm_library(&self) -> Option<PathBuf> {
        let architecture = self.host.split('-').next().unwrap_or_default();
        let multiarch = format!("lib/{architecture}-linux-gnu");
        let versioned = format!("lib/llvm-{}/lib", self.llvm_major);
        let prefix = format!("libLLVM.so.{}.", self.llvm_major);
        ["lib", "lib64", &multiarch, &versioned].iter().find_map(|folder| {
            let entries = fs::read_dir(self.sysroot.join(folder)).ok()?;
            let mut files = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
            files.find(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)))
        })
    }

    /// One of its programs, e.g. `cargo`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.sysroot.join("bin").join(name)
    }

    /// One of its programs, ready to run without what an outer cargo left in the environment.
    pub fn command(&self, name: &str) -> Command {
        let mut command = Command::new(self.program(name));
        exec::scrub_cargo_environment(&mut command);
        command.env("CARGO", self.program("cargo")).env("RUSTC", self.program("rustc"));
        command
    }

    /// E.g. `rustc 1.96 (LLVM 22) in /usr`.
    pub fn describe(&self) -> String {
        let Release(major, minor) = self.release;
        format!("rustc {major}.{minor} (LLVM {}) in {}", self.llvm_major, self.sysroot.display())
    }

    fn ask(rustc: &Path) -> Result<Self> {
        let hint = "check the Rust installation";
        // rustup's stand-in takes the toolchain from the environment, so nothing is scrubbed here.
        let sysroot = exec::capture(Command::new(rustc).args(["--print", "sysroot"]), hint)?;
        let version = exec::capture(Command::new(rustc).arg("-vV"), hint)?;
        Self::parse(Path::new(sysroot.trim()), &version)
    }

    fn parse(sysroot: &Path, version: &str) -> Result<Self> {
        let field = |name: &str| {
            let value = version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            value.with_context(|| format!("`rustc -vV` has no line `{name}: ..`"))
        };
        let llvm = field("LLVM version")?;
        let llvm_major = llvm.split('.').next().and_then(|major| major.parse().ok());
        Ok(Self {
            sysroot: sysroot.to_path_buf(),
            release: Release::parse(field("release")?)?,
            llvm_major: llvm_major.with_context(|| format!("`{llvm}` is not an LLVM version like 22.1.8"))?,
            host: field("host")?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\n\
        commit-hash: ac68faa20\ncommit-date: 2026-05-25\nhost: x86_64-unknown-linux-gnu\nrelease: 1.96.0\n\
        LLVM version: 22.1.8\n";

    #[test]
    fn release_host_and_llvm_come_from_the_version_text() {
        let rust = Rust::parse(Path::new("/usr"), DEBIAN).unwrap();
        assert_eq!((rust.release, rust.llvm_major), (Release(1, 96), 22));
        assert_eq!(rust.host, "x86_64-unknown-linux-gnu");
        assert_eq!(rust.describe(), "rustc 1.96 (LLVM 22) in /usr");
    }

    #[test]
    fn a_compiler_without_llvm_is_refused() {
        let cranelift = DEBIAN.replace("LLVM version: 22.1.8\n", "");
        let error = Rust::parse(Path::new("/usr"), &cranelift).unwrap_err().to_string();
        assert!(error.contains("LLVM version"), "{error}");
    }

    #[test]
    fn releases_are_ordered_by_number() {
        assert!(Release::parse("1.100.0").unwrap() > Release::parse("1.96.0+dfsg1-1~deb12u2").unwrap());
        assert!(Release::parse("(none)").is_err());
    }

    #[test]
    fn a_sysroot_without_source_lacks_it() {
        let rust = Rust::parse(Path::new("/nonexistent"), DEBIAN).unwrap();
        assert!(rust.lacks().unwrap().contains("rust-src"));
        let old = Rust { release: Release(1, 85), ..rust };
        assert!(old.lacks().unwrap().contains("older than"));
    }
}
