//! The side that asks.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context as _, Result, anyhow, bail};

use super::{ANSWER_DEADLINE, Answer, MAX_ANSWER_LEN, MAX_REQUEST_LEN, PEER_DEADLINE, Request, SOCKET, ShortPath};

/// Asks the agent that keeps its state in `state_dir`, and waits for its answer.
///
/// # Errors
/// No agent runs there, it may not be asked by this user, or it does not answer.
pub fn ask(state_dir: &Path, request: &Request) -> Result<Answer> {
    let mut line = serde_json::to_vec(request).context("the request cannot be written as text")?;
    line.push(b'\n');
    if line.len() > MAX_REQUEST_LEN {
        bail!("a request of {} bytes is too long: at most {MAX_REQUEST_LEN}", line.len());
    }
    let connected = ShortPath::open(state_dir).and_then(|folder| UnixStream::connect(folder.join(SOCKET)));
    let mut stream = connected.map_err(|error| explain(error, state_dir))?;
    let told = |result: io::Result<()>| result.context("the agent cannot be asked: it has ended, or takes nothing");
    told(stream.set_write_timeout(Some(PEER_DEADLINE)))?;
    told(stream.set_read_timeout(Some(ANSWER_DEADLINE)))?;
    told(stream.write_all(&line))?;
    let mut answer = Vec::new();
    let limit = MAX_ANSWER_LEN as u64 + 1;
    match BufReader::new(stream.take(limit)).read_until(b'\n', &mut answer) {
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            bail!("the agent has not answered for {ANSWER_DEADLINE:?}; it may still be at it: its log will tell")
        }
        Err(error) => return Err(error).context("the agent has ended before it answered; its log will tell"),
        Ok(_) if answer.last() != Some(&b'\n') => bail!("the agent has ended before it answered; its log will tell"),
        Ok(_) => {}
    }
    serde_json::from_slice(&answer).context("the agent's answer is not understood: is it of another version?")
}

fn explain(error: io::Error, state_dir: &Path) -> anyhow::Error {
    let shown = state_dir.display();
    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) {
        return anyhow!("no agent runs that keeps its state in {shown}: start one with `sensor run --config FILE`");
    }
    anyhow::Error::new(error).context(format!("cannot ask the agent of {shown}: be root, or its user"))
}
