//! How exporters are doing, for whoever asks meanwhile.

use std::{
    collections::BTreeMap,
    fmt::{self, Display},
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::Timestamp;

/// Why a piece could not be delivered. Stands as a context before the error that says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failure {
    /// There is no way to the collector.
    Connect,
    /// Both ends could not agree on who they are.
    Tls,
    /// The connection broke.
    Broken,
    /// The collector does not want it.
    Rejected,
    /// No answer in time.
    Deadline,
    /// The spool cannot be read.
    Spool,
    /// Something else.
    Other,
}

impl Failure {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Connect, Self::Tls, Self::Broken, Self::Rejected, Self::Deadline, Self::Spool, Self::Other];

    /// The name in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Broken => "broken",
            Self::Rejected => "rejected",
            Self::Deadline => "deadline",
            Self::Spool => "spool",
            Self::Other => "other",
        }
    }

    /// What is said of an error.
    pub(super) fn of(error: &anyhow::Error) -> Self {
        error.downcast_ref().copied().unwrap_or(Self::Other)
    }
}

impl Display for Failure {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Connect => "cannot connect",
            Self::Tls => "cannot agree on TLS",
            Self::Broken => "the connection broke",
            Self::Rejected => "the collector refuses records",
            Self::Deadline => "no answer in time",
            Self::Spool => "cannot read the spool",
            Self::Other => "cannot deliver",
        })
    }
}

/// What an exporter has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// It could not deliver when it last tried.
    pub is_down: bool,
    /// Pieces that wait for it.
    pub waiting: u64,
    /// Pieces that were delivered since the start.
    pub pieces: u64,
    /// Records in them.
    pub records: u64,
    /// Records that it could not deliver any more, ever.
    pub lost: u64,
    /// When a collector last answered for something.
    pub acknowledged: Option<Timestamp>,
    /// What failed since the start, and how often.
    pub failures: BTreeMap<Failure, u64>,
    /// When the first of the certificates that it shows or trusts by a file expires.
    pub expires: Option<Timestamp>,
}

/// An exporter, as others see it.
#[derive(Debug)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// What it speaks: `type` in the configuration.
    pub kind: &'static str,
    progress: Mutex<Progress>,
}

impl Status {
    pub(super) fn new(name: &str, kind: &'static str) -> Self {
        Self { name: name.to_owned(), kind, progress: Mutex::default() }
    }

    /// What it has come to.
    pub fn progress(&self) -> Progress {
        self.lock().clone()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        // Numbers are whole whoever dies.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
