//! The one place that starts other programs: a failure says which command, how it ended and how to go on.

use std::{
    env, fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};

/// Variables an outer cargo (or the lint driver and wrapper it started) leaves behind, by prefix.
///
/// They would give the inner cargo the outer one's compiler, flags or job server.
const INHERITED_PREFIXES: &[&str] = &["CARGO", "CLIPPY", "DEP_", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN"];

/// The same, by whole name.
const INHERITED: &[&str] = &[
    "DEBUG",
    "HOST",
    "LD_LIBRARY_PATH",
    "MAKEFLAGS",
    "MFLAGS",
    "NUM_JOBS",
    "OPT_LEVEL",
    "OUT_DIR",
    "PROFILE",
    "TARGET",
];

/// What the user configures about the network and the caches stays.
const KEPT_PREFIXES: &[&str] = &["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTRIES_", "CARGO_SOURCE_"];

/// Runs `command` with its output passed through; `hint` says how to go on when it fails.
pub fn run(command: &mut Command, hint: &str) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| cannot_start(command, hint))?;
    if !status.success() {
        bail!("`{}` failed ({status})\n  {hint}", shown(command));
    }
    Ok(())
}

/// Runs `command` quietly and returns what it printed on standard output.
pub fn capture(command: &mut Command, hint: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| cannot_start(command, hint))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}\n  {hint}", shown(command), output.status, said.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of `{}`", shown(command)))
}

/// Runs `program` with root's rights: directly when we are root, else through sudo, after saying so.
///
/// `again` is the command the user repeats after doing the step by hand.
pub fn run_elevated(program: &str, arguments: &[&str], again: &str) -> Result<()> {
    let line = format!("{program} {}", arguments.join(" "));
    if !may_elevate()? {
        bail!("this step needs root, and there is no sudo here\n  as root run: {line}\n  then again: {again}");
    }
    let mut command = Command::new(if is_root()? { program } else { "sudo" });
    if !is_root()? {
        command.arg(program);
    }
    command.args(arguments);
    eprintln_step(&format!("as root: {}", shown(&command)));
    run(&mut command, &format!("try it by hand, then again: {again}"))
}

/// Whether [`run_elevated`] has a way.
pub fn may_elevate() -> Result<bool> {
    Ok(is_root()? || in_path("sudo").is_some())
}

/// Whether this process may do everything.
pub fn is_root() -> Result<bool> {
    // The owner of /proc/self is the effective user; this saves a C call and its crate.
    let process = fs::metadata("/proc/self").context("/proc/self: cannot tell which user this is")?;
    Ok(process.uid() == 0)
}

/// The file `program` would be started from.
pub fn in_path(program: &str) -> Option<PathBuf> {
    let directories = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&directories).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// The same, also where root's programs are, which many users do not have in their path.
pub fn in_path_or_sbin(program: &str) -> Option<PathBuf> {
    let sbin = ["/usr/sbin", "/sbin"].map(|directory| Path::new(directory).join(program));
    in_path(program).or_else(|| sbin.into_iter().find(|file| file.is_file()))
}

/// The cargo that runs this task, on the workspace, with the user's settings.
pub fn host_cargo(workspace_root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root);
    // `cargo run` describes xtask to us in these; for the packages built next they would be wrong.
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"].iter().any(|prefix| text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Takes away what an outer cargo put into the environment.
pub fn scrub_cargo_environment(command: &mut Command) {
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if is_inherited(&text) {
            command.env_remove(&name);
        }
    }
}

fn is_inherited(name: &str) -> bool {
    let starts_with_any = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    INHERITED.contains(&name) || (starts_with_any(INHERITED_PREFIXES) && !starts_with_any(KEPT_PREFIXES))
}

#[expect(clippy::print_stderr, reason = "the user sees what is about to run elevated")]
fn eprintln_step(line: &str) {
    eprintln!("      {line}");
}

fn cannot_start(command: &Command, hint: &str) -> String {
    format!("cannot start `{}`\n  {hint}", shown(command))
}

/// The command as one would type it.
fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    if word.contains([' ', '*', '"']) { format!("'{word}'") } else { word.to_owned() }
}

/// Standard error as a child's standard output: a build script's own output is read by cargo.
pub fn to_stderr() -> Stdio {
    Stdio::from(io::stderr())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_command_and_the_next_step() {
        let error = run(Command::new("sh").args(["-c", "exit 3"]), "install a better shell").unwrap_err().to_string();
        assert!(error.contains("`sh -c 'exit 3'` failed (exit status: 3)"), "{error}");
        assert!(error.ends_with("install a better shell"), "{error}");
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = format!("{:#}", capture(&mut Command::new("/nonexistent/tool"), "install it").unwrap_err());
        assert!(error.contains("cannot start `/nonexistent/tool`"), "{error}");
    }

    #[test]
    fn the_outer_cargo_is_scrubbed_and_the_users_settings_stay() {
        for name in ["RUSTC_WORKSPACE_WRAPPER", "CARGO_ENCODED_RUSTFLAGS", "CLIPPY_ARGS", "RUSTUP_TOOLCHAIN", "OUT_DIR"]
        {
            assert!(is_inherited(name), "{name}");
        }
        for name in ["CARGO_HOME", "CARGO_NET_OFFLINE", "RUSTUP_HOME", "PATH", "HOME"] {
            assert!(!is_inherited(name), "{name}");
        }
    }
}
