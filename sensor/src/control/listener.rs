//! The side that answers.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result};
use tokio::{
    io::Interest,
    net::{UnixListener, UnixStream},
    sync::{Semaphore, mpsc, oneshot},
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{Answer, MAX_ANSWER_LEN, MAX_PEERS, MAX_REQUEST_LEN, PEER_DEADLINE, Request, SOCKET, ShortPath, TEMPORARY};

/// Nobody but their owner connects.
const SOCKET_MODE: u32 = 0o600;
/// The user that may do everything.
const ROOT: u32 = 0;
/// Between two looks at a peer that has nothing more to say and waits: the end of its waiting is no news of its own.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The socket. It goes with this value.
#[derive(Debug)]
pub struct Listener {
    requests: mpsc::Receiver<Asked>,
    accepting: JoinHandle<()>,
    path: PathBuf,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    answer: oneshot::Sender<Answer>,
}

impl Asked {
    /// Whether nobody waits for the answer any more.
    pub fn is_given_up(&self) -> bool {
        self.answer.is_closed()
    }

    /// Answers; where nobody waits any more, to no effect.
    pub fn answer(self, answer: Answer) {
        let _ = self.answer.send(answer);
    }
}

impl Listener {
    /// Listens in `state_dir`, which this process has locked: a socket that is there was left by an agent that has ended. Needs a
    /// tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open(state_dir: &Path) -> Result<Self> {
        let path = state_dir.join(SOCKET);
        let listen = || -> io::Result<(UnixListener, u32)> {
            let folder = ShortPath::open(state_dir)?;
            let temporary = folder.join(TEMPORARY);
            match fs::remove_file(&temporary) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let listener = UnixListener::bind(&temporary)?;
            fs::set_permissions(&temporary, Permissions::from_mode(SOCKET_MODE))?;
            fs::rename(temporary, folder.join(SOCKET))?;
            Ok((listener, fs::metadata(state_dir)?.uid()))
        };
        let (listener, owner) = listen().with_context(|| {
            format!("cannot listen on {}: `sensor reload` will not reach this agent, and SIGHUP will", path.display())
        })?;
        let (ask, requests) = mpsc::channel(MAX_PEERS);
        let accepting = tokio::spawn(accept(listener, owner, ask));
        Ok(Self { requests, accepting, path })
    }

    /// Waits for the next request. May be given up and called again.
    pub async fn next(&mut self) -> Asked {
        match self.requests.recv().await {
            Some(asked) => asked,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.accepting.abort();
        // One that is left is replaced by the next agent.
        let _ = fs::remove_file(&self.path);
    }
}

/// Removes the socket that a killed agent left in `state_dir`, which this process has locked.
pub fn remove_left(state_dir: &Path) {
    // It is nobody's, and whoever comes replaces it.
    for name in [SOCKET, TEMPORARY] {
        let _ = fs::remove_file(state_dir.join(name));
    }
}

/// Serves each peer in a task of its own.
async fn accept(listener: UnixListener, owner: u32, ask: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(MAX_PEERS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let ask = ask.clone();
                tokio::spawn(async move {
                    if stream.peer_cred().is_ok_and(|peer| [owner, ROOT].contains(&peer.uid())) {
                        serve(&stream, &ask).await;
                    }
                    drop(place);
                });
            }
            // Out of descriptors, most likely: others may be closed meanwhile.
            Err(error) => {
                tracing::warn!("a command cannot be heard: {error}; trying again");
                sleep(PEER_DEADLINE).await;
            }
        }
    }
}

async fn serve(stream: &UnixStream, ask: &mpsc::Sender<Asked>) {
    let answer = match timeout(PEER_DEADLINE, request(stream)).await {
        Ok(Ok(request)) => {
            let (answer, answered) = oneshot::channel();
            if ask.send(Asked { request, answer }).await.is_err() {
                return;
            }
            tokio::select! {
                // None where the agent ends.
                answer = answered => match answer {
                    Ok(answer) => answer,
                    Err(_) => return,
                },
                // Whoever does not wait any more keeps nobody else from being heard.
                () = gone(stream) => return,
            }
        }
        Ok(Err(reason)) => Answer::Refused { reason },
        Err(_) => Answer::Refused { reason: format!("no whole request came within {PEER_DEADLINE:?}") },
    };
    // A peer that does not take its answer is let go.
    let _ = timeout(PEER_DEADLINE, tell(stream, &answer)).await;
}

/// Waits until the peer hangs up, or says more than it should. One that has only closed its own side still takes the answer.
async fn gone(stream: &UnixStream) {
    loop {
        match stream.readable().await.and_then(|()| stream.try_read(&mut [0])) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) => break,
            Ok(_) | Err(_) => return,
        }
    }
    // Ready to be written to at once, and closed only where nobody reads any more.
    while stream.ready(Interest::WRITABLE).await.is_ok_and(|ready| !ready.is_write_closed()) {
        sleep(LOOK_AGAIN).await;
    }
}

/// Reads a request; the error is the answer.
async fn request(stream: &UnixStream) -> Result<Request, String> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            break end;
        }
        if bytes.len() >= MAX_REQUEST_LEN {
            return Err(format!("a request is one line of at most {MAX_REQUEST_LEN} bytes"));
        }
        let mut part = [0; 1024];
        stream.readable().await.map_err(|error| error.to_string())?;
        match stream.try_read(&mut part) {
            Ok(0) => return Err("a request is one line, with a line end".to_owned()),
            Ok(read) => bytes.extend_from_slice(&part[..read]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.to_string()),
        }
    };
    serde_json::from_slice(&bytes[..end])
        .map_err(|error| format!("the request is not understood: {error}; are agent and command of one version?"))
}

async fn tell(stream: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    if line.len() >= MAX_ANSWER_LEN {
        line = serde_json::to_vec(&Answer::Refused { reason: "the answer is too long; the log has it".to_owned() })?;
    }
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
