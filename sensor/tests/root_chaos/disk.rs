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
    /// It is ext4; without loop devices it is memory, which never fails.
    can_fail: bool,
}

impl Disk {
    /// Makes one beside a folder, and mounts it there.
    pub(crate) fn new(at: &Path) -> Self {
        let image = at.with_extension("img");
        File::create(&image).unwrap().set_len(LEN).unwrap();
        fs::create_dir_all(at).unwrap();
        let mut disk = Self { image, at: at.to_owned(), can_fail: true };
        disk.can_fail =
            tried(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk.image)) && tried(&mut disk.mount());
        if !disk.can_fail {
            println!(
                "SKIP a disk that fails: no ext4 on a loop device here; install e2fsprogs, or load the module loop"
            );
            run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={LEN}"), "tmpfs"]).arg(at));
        }
        run(Command::new("chmod").arg("0700").arg(at));
        disk
    }

    fn mount(&self) -> Command {
        let mut command = Command::new("mount");
        command.args(["-t", "ext4", "-o", "loop"]).args([&self.image, &self.at]);
        command
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
        if !self.can_fail {
            return;
        }
        let folder = File::open(&self.at).unwrap();
        // SAFETY: the call reads a number.
        let done = unsafe { libc::ioctl(folder.as_raw_fd(), SHUTDOWN, std::ptr::from_ref(&WITHOUT_FLUSH)) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// Mounts it again, as it is then. Nobody may have it open.
    pub(crate) fn renew(&self) {
        if self.can_fail {
            run(Command::new("umount").arg(&self.at));
            run(&mut self.mount());
            // That it was given back may be among what is lost.
            if ballast::is_there(&self.at) {
                println!("what filled the disk is back");
                ballast::free(&self.at);
            }
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failed test may leave something open in it.
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
    }
}

fn run(command: &mut Command) {
    assert!(tried(command), "{command:?}");
}

/// Whether a command is there and does what it should.
fn tried(command: &mut Command) -> bool {
    command.status().is_ok_and(|status| status.success())
}
