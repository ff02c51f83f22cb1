//! How a command reaches the agent that runs: a socket in its state folder, one request and one answer, each a line of JSON.
//!
//! Whoever can write to the folder can replace the journal; the socket gives nobody more than that (mode 0600, and the peer must be
//! the owner of the folder or root). A peer that says nothing, too much or nonsense is answered or dropped, and delays nobody.

mod client;
mod listener;
#[cfg(test)]
mod tests;

use std::{
    fs::File,
    io,
    os::fd::AsRawFd as _,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use self::{
    client::ask,
    listener::{Asked, Listener, remove_left},
};

/// Name of the socket in the state folder, and the one it is made under.
const SOCKET: &str = "control";
const TEMPORARY: &str = "control-new";
/// Longest request in bytes, its line end included: a command and a path.
const MAX_REQUEST_LEN: usize = 8 << 10;
/// Longest answer in bytes, its line end included.
const MAX_ANSWER_LEN: usize = 64 << 10;
/// How long a peer has to say what it wants, and to take the answer.
const PEER_DEADLINE: Duration = Duration::from_secs(2);
/// How long a command waits for its answer: a full table is read in seconds, and the programs of thirty interfaces are verified in some
/// ten.
const ANSWER_DEADLINE: Duration = Duration::from_secs(120);
/// Peers that are listened to at the same time; further ones wait.
const MAX_PEERS: usize = 4;

/// What is asked of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Read the configuration anew, and count by it.
    Reload {
        /// The file that the command validated, which must be the agent's own; absolute.
        config: PathBuf,
    },
}

/// What the agent answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// It counts by the new configuration.
    Reloaded(Reloaded),
    /// Everything is as it was.
    Refused {
        /// Why, and what to do.
        reason: String,
    },
}

/// What a reload changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reloaded {
    /// Which table of its epoch is in force now.
    pub generation: u32,
    /// What became of the prefixes.
    pub prefixes: PrefixChanges,
    /// What became of the networks, by name.
    pub networks: NetworkChanges,
    /// Why the counters go on in new maps under a new epoch; `None`: they go on in place.
    pub new_maps: Option<String>,
    /// Keys whose values hold from the next start of the agent alone.
    pub from_next_start: Vec<String>,
    /// Reading the configuration and its tables, in milliseconds.
    pub read_ms: f64,
    /// Numbering the prefixes, building the table and writing its manifest; with new maps also loading the programs.
    pub build_ms: f64,
    /// From writing the table to the end of the grace period; with new maps until no old program runs any more.
    pub flip_ms: f64,
}

/// What became of the prefixes, by CIDR.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrefixChanges {
    /// New ones.
    pub added: u64,
    /// Those that are gone.
    pub removed: u64,
    /// Those that bill another network, or are watched or counted for another reason: they begin anew.
    pub moved: u64,
    /// Those that go on.
    pub kept: u64,
}

/// What became of the networks, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkChanges {
    /// New ones.
    pub added: u64,
    /// Those that are gone.
    pub removed: u64,
    /// Those that go on.
    pub kept: u64,
}

/// A way to the state folder that is short whatever its path is: the address of a socket has room for 107 bytes.
struct ShortPath {
    folder: File,
}

impl ShortPath {
    fn open(folder: &Path) -> io::Result<Self> {
        Ok(Self { folder: File::open(folder)? })
    }

    /// The path of a name in the folder, as long as this value lives.
    fn join(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}/{name}", self.folder.as_raw_fd()))
    }
}
