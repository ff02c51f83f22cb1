//! A small disk: full, read-only, or dead with all that was not synced.

use std::{
    fs::{self, File},
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    process::Command,
};

use crate::ballast;

/// More than all the records that wait for the longest fault.
const LEN: u64 = 32 << 20;
/// `FS_IOC_SHUTDOWN` (ext4, Linux 4.10), and its way that writes nothing any more, as when the power fails.
const SHUTDOWN: libc::c_ulong = 0x8004_587d;
const WITHOUT_FLUSH: u32 = 2;

/// A file system in a file; unmounted when dropped.
pub(crate) struct Disk {
    image: PathBuf,
    at: PathBuf,
}

impl Disk {
    /// Makes one beside a folder, and mounts it there.
    pub(crate) fn new(at: &Path) -> Self {
        let image = at.with_extension("img");
        File::create(&image).unwrap().set_len(LEN).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&image));
        fs::create_dir_all(at).unwrap();
        let disk = Self { image, at: at.to_owned() };
        disk.mount();
        run(Command::new("chmod").arg("0700").arg(at));
        disk
    }

    fn mount(&self) {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop"]).args([&self.image, &self.at]));
    }

    /// Takes what is left of it, to the last byte.
    pub(crate) fn fill(&self) {
        ballast::fill(&self.at);
    }

    /// Gives it back.
    pub(crate) fn free(&self) {
        ballast::free(&self.at);
    }

    /// Makes it read-only, `ro`, or `rw`. Nobody may have a file open for writing.
    pub(crate) fn remount(&self, how: &str) {
        run(Command::new("mount").args(["-o", &format!("remount,{how}")]).arg(&self.at));
    }

    /// From now on everything fails, and nothing more gets to it: what was not synced is lost.
    pub(crate) fn fail(&self) {
        let folder = File::open(&self.at).unwrap();
        // SAFETY: the call reads a number.
        let done = unsafe { libc::ioctl(folder.as_raw_fd(), SHUTDOWN, std::ptr::from_ref(&WITHOUT_FLUSH)) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Mounts it again, as it is then. Nobody may have it open.
    pub(crate) fn renew(&self) {
        run(Command::new("umount").arg(&self.at));
        self.mount();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failed test may leave something open in it.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
