//! The built binary, run by a user without rights.

use std::{os::unix::process::CommandExt as _, process::Command};

use sensor::bpf::may_load;
use tempfile::TempDir;

use super::command::sensor;

/// User and group `nobody`.
const NOBODY: u32 = 65_534;

/// The binary as a user without rights, from a copy: the folder of the build may be closed to others.
pub(crate) fn unprivileged(folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = sensor(arguments);
    if may_load() {
        let copy = folder.path().join("sensor");
        // By another process: a file that this one has open for writing, a child forked meanwhile by another test has too, and
        // nobody can execute it ("text file busy").
        let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_sensor")).arg(&copy).status().unwrap();
        assert!(copied.success());
        command = Command::new(copy);
        command.args(arguments).env_remove("RUST_LOG").uid(NOBODY).gid(NOBODY);
    }
    command
}
