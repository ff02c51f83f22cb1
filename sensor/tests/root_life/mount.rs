//! File systems mounted for one test.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system at a folder; unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts a file system of that kind, made with these options, at a folder that it makes.
    pub(crate) fn new(kind: &str, options: &str, at: &Path) -> Self {
        fs::create_dir_all(at).unwrap();
        let mut command = Command::new("mount");
        command.args(["-t", kind, "-o", options, kind]).arg(at);
        assert!(command.status().unwrap().success(), "{command:?}");
        Self(at.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a failed test may leave something open in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
