//! A file that takes what is left of a disk.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
};

const NAME: &str = "ballast";

/// Fills a file system to the last byte.
pub(crate) fn fill(folder: &Path) {
    let mut ballast = File::create(folder.join(NAME)).unwrap();
    for piece in [1 << 12, 1] {
        while ballast.write(&vec![1; piece]).is_ok_and(|written| written > 0) {}
    }
}

/// Whether it is there.
#[allow(dead_code, reason = "shared with tests that need other parts of it")]
pub(crate) fn is_there(folder: &Path) -> bool {
    folder.join(NAME).exists()
}

/// Makes room again.
pub(crate) fn free(folder: &Path) {
    fs::remove_file(folder.join(NAME)).unwrap();
}
