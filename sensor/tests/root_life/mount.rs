//! File systems mounted for one test.

use std::{
    fs::{self, File},
    io::Write as _,
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

    /// Fills it to the last byte, with a file named `ballast`.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        for piece in [1 << 12, 1] {
            while ballast.write(&vec![1; piece]).is_ok_and(|written| written > 0) {}
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Lazily: a failed test may leave something open in it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
