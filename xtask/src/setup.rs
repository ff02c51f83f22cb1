//! Finds or installs what the eBPF object needs; what is there already is used and left alone.

use std::{path::Path, process::Command};

use anyhow::{Context as _, Result, bail};

use crate::{
    ebpf::{
        Toolchain, linker,
        rust::{Release, Rust},
    },
    exec,
    steps::Steps,
};

/// Debian's names for compiler, cargo and library source, the most recent line first.
///
/// The "web" line follows Rust releases in stable Debian, for the browsers.
const DEBIAN_RUST: &[[&str; 3]] = &[["rustc-web", "cargo-web", "rust-web-src"], ["rustc", "cargo", "rust-src"]];

/// apt-get's options: no questions, nothing of the user's removed, and patience with another apt at work.
const APT_INSTALL: &[&str] =
    &["-q", "-y", "-o", "DPkg::Lock::Timeout=120", "install", "--no-install-recommends", "--no-remove"];

/// What to repeat after a step done by hand.
const AGAIN: &str = "cargo xtask setup";

/// `cargo xtask setup`.
pub fn setup() -> Result<Toolchain> {
    let mut steps = Steps::new("setup", 3);
    let rust = steps.run("Rust with the core library's source", || {
        let (rust, how) = match complete_rust() {
            Some(rust) => (rust, "present"),
            None => (install_rust()?, "installed"),
        };
        let remark = format!("{how}: {}", rust.describe());
        Ok((rust, remark))
    })?;
    let bpf_linker = steps.run(&linker::describe(&rust), || {
        let file = linker::path(&rust)?;
        if linker::works(&file) {
            let remark = format!("present: {}", file.display());
            return Ok((file, remark));
        }
        let file = linker::install(&rust, &llvm_library(&rust)?)?;
        if !linker::works(&file) {
            bail!("{}: built, but does not start; remove its folder, then again: {AGAIN}", file.display());
        }
        let remark = format!("built: {}", file.display());
        Ok((file, remark))
    })?;
    steps.run("what librdkafka is built with (feature kafka)", || Ok(((), kafka_headers()?)))?;
    steps.finish();
    Ok(Toolchain { rust, bpf_linker })
}

/// The feature of the sensor that builds librdkafka, as cargo takes it for a workspace.
pub(crate) const KAFKA_FEATURE: &str = "sensor/kafka";

/// What librdkafka is built with, and the Debian packages it is in: a program by name, a header by its path.
const KAFKA_NEEDS: [(&str, &str); 5] = [
    ("make", "make"),
    ("gcc", "gcc"),
    ("pkg-config", "pkg-config"),
    ("/usr/include/openssl/ssl.h", "libssl-dev"),
    ("/usr/include/zlib.h", "zlib1g-dev"),
];

/// Installs what librdkafka is built with, where apt can; elsewhere it says what is missing, for a sensor without Kafka goes without.
fn kafka_headers() -> Result<String> {
    let missing = missing(&KAFKA_NEEDS);
    install_missing(&missing).or_else(|error| Ok(format!("missing: {}; {error:#}", missing.join(", "))))
}

/// Installs these, or says that they are to be installed by hand.
pub(crate) fn install_missing(packages: &[&str]) -> Result<String> {
    if packages.is_empty() {
        return Ok("present".to_owned());
    }
    if exec::in_path("apt-get").is_none() || !exec::may_elevate()? {
        return Ok(format!("missing, and to be installed by hand: {}", packages.join(", ")));
    }
    apt_install(packages)?;
    Ok(format!("installed: {}", packages.join(", ")))
}

/// Programs that tests call, and the Debian packages they are in.
const TEST_PROGRAMS: [(&str, &str); 3] = [("ip", "iproute2"), ("ethtool", "ethtool"), ("bpftool", "bpftool")];

/// Collectors that tests send to, a browser that shows what they read, and the Debian packages they are in: a program by name, a file by its path.
const COLLECTORS: [(&str, &str); 7] = [
    ("nfcapd", "nfdump"),
    ("nfacctd", "pmacct"),
    ("tshark", "tshark"),
    ("ipfixDump", "libfixbuf-tools"),
    ("/usr/lib/python3/dist-packages/ipfix/__init__.py", "python3-ipfix"),
    ("promtool", "prometheus"),
    ("chromium", "chromium"),
];

/// Installs what tests call, where apt can; tests that miss one of them say so.
pub fn test_programs() -> Result<String> {
    install_missing(&[missing(&TEST_PROGRAMS), missing(&COLLECTORS)].concat())
}

/// Packages of what is not there.
fn missing<'a>(needs: &[(&str, &'a str)]) -> Vec<&'a str> {
    let is_there = |name: &str| {
        if name.starts_with('/') { Path::new(name).is_file() } else { exec::in_path_or_sbin(name).is_some() }
    };
    needs.iter().filter(|(name, _)| !is_there(name)).map(|(_, package)| *package).collect()
}

/// A Rust that lacks nothing; one whose linker is built already comes first.
fn complete_rust() -> Option<Rust> {
    let mut complete: Vec<Rust> = Rust::installed().into_iter().filter(|rust| rust.lacks().is_none()).collect();
    let ready = complete.iter().position(|rust| linker::path(rust).is_ok_and(|file| linker::works(&file)));
    // Without a usable LLVM library a linker would have to be built from far more than is here.
    let ready = ready.or_else(|| complete.iter().position(|rust| rust.llvm_library().is_some()));
    (!complete.is_empty()).then(|| complete.swap_remove(ready.unwrap_or(0)))
}

fn install_rust() -> Result<Rust> {
    if let Some(packages) = debian_packages()? {
        apt_install(packages)?;
    } else if exec::in_path("rustup").is_some() {
        let mut rustup = Command::new("rustup");
        exec::run(rustup.args(["component", "add", "rust-src"]), "rustup adds the library source from the network")?;
    } else {
        bail!(
            "no way to get the core library's source: neither apt with Rust {} or newer nor rustup is here\n  \
             install rustup from https://rustup.rs, then: rustup component add rust-src && {AGAIN}",
            env!("CARGO_PKG_RUST_VERSION")
        );
    }
    complete_rust().context("still incomplete; try: rustup component add rust-src, then again: cargo xtask setup")
}

/// The Debian packages that are new enough, after a refresh of the package list where it does not know them.
fn debian_packages() -> Result<Option<&'static [&'static str]>> {
    if exec::in_path("apt-get").is_none() {
        return Ok(None);
    }
    if let Some(packages) = candidates()? {
        return Ok(Some(packages));
    }
    apt_update()?;
    candidates()
}

fn candidates() -> Result<Option<&'static [&'static str]>> {
    let oldest = Release::oldest()?;
    for packages in DEBIAN_RUST {
        let mut policy = Command::new("apt-cache");
        policy.env("LC_ALL", "C").args(["policy", packages[0]]);
        let text = exec::capture(&mut policy, "apt's package list may be damaged: sudo apt-get update")?;
        if candidate_release(&text).is_some_and(|release| release >= oldest) {
            return Ok(Some(packages));
        }
    }
    Ok(None)
}

/// The release apt would install, from the text of `apt-cache policy`.
fn candidate_release(policy: &str) -> Option<Release> {
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate: "))?;
    // An epoch, as in 1:1.96, is Debian's own.
    Release::parse(version.rsplit(':').next().unwrap_or(version)).ok()
}

fn apt_install(packages: &[&str]) -> Result<()> {
    let arguments: Vec<&str> = APT_INSTALL.iter().chain(packages).copied().collect();
    match exec::run_elevated("apt-get", &arguments, AGAIN) {
        Err(_) if exec::may_elevate()? => {
            // The list may name versions the mirror no longer has.
            apt_update()?;
            exec::run_elevated("apt-get", &arguments, AGAIN)
        }
        result => result,
    }
}

fn apt_update() -> Result<()> {
    exec::run_elevated("apt-get", &["-q", "-o", "DPkg::Lock::Timeout=120", "update"], AGAIN)
}

/// The shared library of the compiler's LLVM; on Debian it is a package of its own.
fn llvm_library(rust: &Rust) -> Result<std::path::PathBuf> {
    let missing = || format!("{}: its shared library libLLVM.so.{} is not there", rust.describe(), rust.llvm_major);
    if let Some(file) = rust.llvm_library() {
        return Ok(file);
    }
    if exec::in_path("apt-get").is_none() {
        bail!("{}\n  install LLVM {} with your package manager, then again: {AGAIN}", missing(), rust.llvm_major);
    }
    apt_install(&[&format!("libllvm{}", rust.llvm_major)])?;
    rust.llvm_library().with_context(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_read_from_apts_policy() {
        let policy = "rustc-web:\n  Installed: (none)\n  Candidate: 1.96.0+dfsg1-1~deb12u2\n  Version table:\n";
        assert_eq!(candidate_release(policy), Some(Release(1, 96)));
        assert_eq!(candidate_release("rustc:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(candidate_release(""), None);
    }
}
