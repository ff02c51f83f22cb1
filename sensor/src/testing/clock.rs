//! What work costs: processor time of a thread, memory of this process.

use std::{fs, io, time::Duration};

use super::sys;

/// Memory of this process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Its own: heap and stacks.
    pub anonymous: u64,
    /// What it maps: the program itself, and the maps that the kernel holds anyway.
    pub mapped: u64,
}

impl Memory {
    /// As it is now.
    ///
    /// # Errors
    /// `/proc/self/status` cannot be read, or does not say.
    pub fn now() -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kilobytes.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other(format!("no {name}")))
        };
        Ok(Self { anonymous: field("RssAnon")?, mapped: field("RssFile")? + field("RssShmem")? })
    }

    /// Both.
    #[must_use]
    pub fn resident(self) -> u64 {
        self.anonymous + self.mapped
    }
}

/// Processor time that this thread has used, in user space and in the kernel.
///
/// # Errors
/// The kernel does not say.
pub fn thread_time() -> io::Result<Duration> {
    sys::thread_time()
}
