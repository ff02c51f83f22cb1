//! Peers of all kinds.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::Shutdown,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::UnixStream,
    },
    path::PathBuf,
    thread,
};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn reload(config: &str) -> Request {
    Request::Reload { config: config.into() }
}

/// Answers so many requests, each with its own path as the reason.
fn serve(runtime: &Runtime, folder: &Path, requests: usize) -> thread::JoinHandle<Vec<Request>> {
    let mut listener = runtime.block_on(async { Listener::open(folder) }).unwrap();
    let handle = runtime.handle().clone();
    thread::spawn(move || {
        let mut heard = Vec::new();
        for _ in 0..requests {
            let asked = handle.block_on(listener.next());
            heard.push(asked.request.clone());
            let Request::Reload { config } = asked.request.clone();
            asked.answer(Answer::Refused { reason: config.display().to_string() });
        }
        heard
    })
}

fn raw(folder: &Path, bytes: &[u8], close: bool) -> String {
    let mut stream = UnixStream::connect(folder.join(SOCKET)).unwrap();
    // A peer that says too much may be cut off in the middle of it.
    let _ = stream.write_all(bytes);
    if close {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn a_request_is_answered_whatever_others_say() {
    let (runtime, folder) = (runtime(), TempDir::new().unwrap());
    let served = serve(&runtime, folder.path(), 2);
    let socket = fs::metadata(folder.path().join(SOCKET)).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o7777, 0o600);
    let refused = |bytes: &[u8], close, part: &str| {
        let answer = raw(folder.path(), bytes, close);
        let parsed: Answer = serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{error}: {answer:?}"));
        let Answer::Refused { reason } = parsed else { panic!("{answer}") };
        assert!(reason.contains(part), "{reason}");
    };
    // More silent ones than are listened to at the same time.
    thread::scope(|scope| {
        for _ in 0..2 * MAX_PEERS {
            scope.spawn(|| refused(b"{", false, "within"));
        }
    });
    refused(b"", true, "line end");
    refused(b"{\"command\":\"reload\"", true, "line end");
    for nonsense in
        [&b"\n"[..], b"\0\xff\n", b"reload\n", b"{\"command\":\"reload\"}\n", b"{\"command\":\"shout\"}\n", b"[[[[[[\n"]
    {
        refused(nonsense, false, "not understood");
    }
    refused(b"{\"command\":\"reload\",\"config\":\"/a\",\"more\":1}\n", false, "not understood");
    refused(&[b'['; MAX_REQUEST_LEN], false, "at most 8192 bytes");
    drop(UnixStream::connect(folder.path().join(SOCKET)).unwrap());
    for config in ["/etc/one.toml", "/etc/two.toml"] {
        let answer = ask(folder.path(), &reload(config)).unwrap();
        assert_eq!(answer, Answer::Refused { reason: config.to_owned() });
    }
    assert_eq!(served.join().unwrap(), [reload("/etc/one.toml"), reload("/etc/two.toml")]);
}

#[test]
fn a_path_longer_than_an_address_works_and_a_stale_socket_is_replaced() {
    let (runtime, folder) = (runtime(), TempDir::new().unwrap());
    let deep: PathBuf = folder.path().join("a".repeat(120)).join("b".repeat(120));
    fs::create_dir_all(&deep).unwrap();
    let nobody = |part: &str| {
        let error = ask(&deep, &reload("/x")).unwrap_err().to_string();
        assert!(error.contains("no agent runs") && error.contains(part), "{error}");
    };
    nobody("sensor run --config");
    // As a killed agent leaves it: nobody listens any more.
    drop(std::os::unix::net::UnixListener::bind(ShortPath::open(&deep).unwrap().join(SOCKET)).unwrap());
    nobody("sensor run --config");
    fs::write(deep.join(TEMPORARY), "as one killed while it began leaves it").unwrap();
    for _ in 0..2 {
        let served = serve(&runtime, &deep, 1);
        assert_eq!(ask(&deep, &reload("/x")).unwrap(), Answer::Refused { reason: "/x".to_owned() });
        served.join().unwrap();
        nobody("sensor run --config");
        assert!(!deep.join(SOCKET).exists(), "it goes with the agent");
    }
    let missing = ask(&folder.path().join("missing"), &reload("/x")).unwrap_err().to_string();
    assert!(missing.contains("no agent runs"), "{missing}");
}

#[test]
fn whoever_gives_up_makes_room() {
    let (runtime, folder) = (runtime(), TempDir::new().unwrap());
    let mut listener = runtime.block_on(async { Listener::open(folder.path()) }).unwrap();
    let request = [&serde_json::to_vec(&reload("/x")).unwrap()[..], b"\n"].concat();
    let mut given_up = Vec::new();
    // More than are listened to at the same time, and none of them is answered.
    for _ in 0..2 * MAX_PEERS {
        let mut stream = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
        stream.write_all(&request).unwrap();
        given_up.push(runtime.block_on(listener.next()));
        drop(stream);
    }
    let deadline = std::time::Instant::now() + 15 * PEER_DEADLINE;
    while !given_up.iter().all(Asked::is_given_up) {
        assert!(std::time::Instant::now() < deadline, "they still wait");
        thread::yield_now();
    }
}

/// As `socat` and `nc -N` do: the request, and the end of what they have to say.
#[test]
fn a_peer_that_closes_its_own_side_is_answered() {
    let (runtime, folder) = (runtime(), TempDir::new().unwrap());
    let mut listener = runtime.block_on(async { Listener::open(folder.path()) }).unwrap();
    let request = [&serde_json::to_vec(&reload("/x")).unwrap()[..], b"\n"].concat();
    let mut stream = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
    stream.write_all(&request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let asked = runtime.block_on(listener.next());
    // Longer than it takes to see that it says nothing more: a reload takes its time.
    thread::sleep(PEER_DEADLINE / 5);
    assert!(!asked.is_given_up());
    asked.answer(Answer::Refused { reason: "later".to_owned() });
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("later"), "{answer:?}");

    // The same, and gone before the answer.
    let mut stream = UnixStream::connect(folder.path().join(SOCKET)).unwrap();
    stream.write_all(&request).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let asked = runtime.block_on(listener.next());
    thread::sleep(PEER_DEADLINE / 5);
    drop(stream);
    let deadline = std::time::Instant::now() + PEER_DEADLINE;
    while !asked.is_given_up() {
        assert!(std::time::Instant::now() < deadline, "its place is not free");
        thread::yield_now();
    }
}

#[test]
fn an_agent_that_ends_meanwhile_is_said() {
    let (runtime, folder) = (runtime(), TempDir::new().unwrap());
    let mut listener = runtime.block_on(async { Listener::open(folder.path()) }).unwrap();
    let handle = runtime.handle().clone();
    let served = thread::spawn(move || drop(handle.block_on(listener.next())));
    let error = ask(folder.path(), &reload("/x")).unwrap_err().to_string();
    assert!(error.contains("has ended before it answered"), "{error}");
    served.join().unwrap();
}

#[test]
fn a_request_too_long_is_not_sent() {
    let folder = TempDir::new().unwrap();
    let error = ask(folder.path(), &reload(&"x".repeat(MAX_REQUEST_LEN))).unwrap_err().to_string();
    assert!(error.contains("too long"), "{error}");
}
