//! Standard output that nobody reads, until somebody does.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
    process::{Command, Stdio},
};

/// A FIFO that is full, of empty lines, and that nobody reads.
pub(crate) struct Clogged(File);

impl Clogged {
    /// Makes it in a folder; the other part is its writing end.
    pub(crate) fn new(folder: &Path) -> (Self, Stdio) {
        let path = folder.join("pipe");
        make(&path);
        let mut end = open(&path);
        for piece in [1 << 12, 1] {
            while end.write(&vec![b'\n'; piece]).is_ok_and(|written| written > 0) {}
        }
        let writer = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        (Self(end), writer.into())
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self, into: &mut Vec<u8>) {
        match self.0.read_to_end(into) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            result => panic!("nobody closes it: {result:?}"),
        }
    }
}

/// Makes a FIFO.
pub(crate) fn make(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Opens one so that nothing blocks.
pub(crate) fn open(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path).unwrap()
}
