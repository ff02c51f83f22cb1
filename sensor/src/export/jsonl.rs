//! JSON lines to standard output, into a file that is rotated, or to a Unix socket.

mod file;

use std::{io::Write as _, path::PathBuf};

use anyhow::{Context as _, Result};
use tokio::{io::AsyncWriteExt as _, net::UnixStream};

use self::file::Rotated;
use super::{CHUNK, Failure, lines, pulse::Pulse};
use crate::{config::Jsonl, spool::Piece};

/// What writes lines.
pub(super) struct Sink(To);

/// Where they go.
enum To {
    Stdout,
    File(Rotated),
    Socket { path: PathBuf, stream: Option<UnixStream> },
}

impl Sink {
    pub(super) fn new(config: &Jsonl) -> Self {
        Self(match config.clone() {
            Jsonl::Stdout => To::Stdout,
            Jsonl::File { path, rotate, keep } => To::File(Rotated::new(path, rotate, keep)),
            Jsonl::Socket(path) => To::Socket { path, stream: None },
        })
    }

    /// Writes the lines of a piece. Of a file they are on disk when this returns; a socket or a pipe has taken them, and what its reader had not read when
    /// it died is lost.
    pub(super) async fn send(&mut self, piece: &Piece, pulse: &Pulse) -> Result<()> {
        let lines = lines(piece)?;
        match &mut self.0 {
            To::Stdout => {
                let mut out = std::io::stdout().lock();
                let written = out.write_all(&lines).and_then(|()| out.flush());
                written.context("cannot write to standard output; see to whoever reads it")
            }
            To::File(file) => {
                let written = file.write(&lines);
                written.with_context(|| format!("cannot write {}; free disk space, or correct the path", file.name()))
            }
            To::Socket { path, stream } => {
                // Half of a piece may have been taken: whoever listens begins anew with a whole one.
                let mut open = match stream.take() {
                    Some(open) => open,
                    None => {
                        let open = UnixStream::connect(&*path).await;
                        let open = open.with_context(|| format!("{}: start whoever listens there", path.display()));
                        open.context(Failure::Connect)?
                    }
                };
                for part in lines.chunks(CHUNK) {
                    let written = open.write_all(part).await;
                    let written = written.with_context(|| format!("{}: see to whoever listens there", path.display()));
                    written.context(Failure::Broken)?;
                    pulse.beat();
                }
                *stream = Some(open);
                Ok(())
            }
        }
    }
}
