//! Servers that are none, or not well; and what an INSERT looks like.

use std::{fs, path::Path, sync::Arc, time::Instant};

use sensor_ebpf::abi::Direction;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::timeout,
};

use super::*;
use crate::{
    config::{DEFAULT_SPOOL, Host, Tls},
    epoch::Epoch,
    spool::Spool,
    summary::{Count, Key, PrefixRecord, Summary, UnattributedRecord},
};

fn config(port: u16) -> ClickHouse {
    let host = Host { name: "127.0.0.1".to_owned(), port };
    ClickHouse { host, tls: None, database: "sensor".to_owned(), login: None }
}

/// A spool that holds an interval with records of two kinds.
fn spool(folder: &Path) -> Arc<Spool> {
    let spool = Spool::open(folder, DEFAULT_SPOOL, &["c"]).unwrap();
    let at = |second| Timestamp::from_second(second).unwrap();
    let epoch = Epoch::from_bytes([7; 16]).unwrap();
    let key = Key { sensor: "edge-1".to_owned(), epoch, start: at(10), end: at(20), sequence: 3 };
    let count = Count { packets: 1, bytes: 20, frame_bytes: 34 };
    let prefix = "10.0.0.0/8".parse().unwrap();
    let prefixes = Direction::ALL.map(|direction| PrefixRecord { prefix, direction, network: None, count }).into();
    let unattributed = vec![UnattributedRecord { direction: Direction::In, count }];
    spool.append(&Summary { prefixes, unattributed, ..Summary::empty(key) }).unwrap();
    spool
}

/// Sends the piece to a server that reads a request and answers with these bytes for each; what was asked, and what came of it.
async fn sent(answers: &[&[u8]], change: impl FnOnce(&mut ClickHouse)) -> (Vec<String>, Result<()>) {
    let folder = tempfile::tempdir().unwrap();
    let piece = spool(folder.path()).reader("c").unwrap().peek().unwrap().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(listener.local_addr().unwrap().port());
    change(&mut config);
    let answers: Vec<Vec<u8>> = answers.iter().map(|answer| answer.to_vec()).collect();
    let server = tokio::spawn(async move {
        let mut requests = vec![];
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 1 << 16];
            let mut len = 0;
            // Head and body, whose last line ends it.
            while len == 0 || !request[..len].ends_with(b"}\n") {
                let read = stream.read(&mut request[len..]).await.unwrap();
                len += read;
                if read == 0 || request[..len].first() == Some(&0x16) {
                    break;
                }
            }
            requests.push(String::from_utf8_lossy(&request[..len]).into_owned());
            // Whoever was told enough may have gone.
            let _ = stream.write_all(&answer).await;
        }
        requests
    });
    let mut sink = Sink::new(&config);
    let result = timeout(Duration::from_secs(20), sink.send(&piece, &Pulse::new())).await.expect("an answer in time");
    assert_eq!(sink.connection.is_none(), result.is_err());
    let requests = if result.is_ok() { server.await.unwrap() } else { vec![] };
    (requests, result)
}

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn a_piece_is_an_insert_for_each_kind_and_the_same_once_more() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, "se cret\r\nother\n").unwrap();
    let login = |config: &mut ClickHouse| {
        config.login = Some(Login { username: "probe".to_owned(), password_file: file.clone() });
    };
    let (requests, result) = sent(&[FINE, FINE], login).await;
    result.unwrap();
    let (again, result) = sent(&[FINE, FINE], login).await;
    result.unwrap();
    let lines: Vec<&str> = requests.iter().flat_map(|request| request.lines()).collect();
    let begins = |begin: &str| lines.iter().filter(|line| line.starts_with(begin)).count();
    for kind in ["prefix", "unattributed"] {
        let insert = format!("POST /?query=INSERT%20INTO%20%60sensor%60.%60{kind}%60%20FORMAT%20JSONEachRow&");
        assert_eq!(begins(&insert), 1, "{lines:?}");
        let token =
            format!("&insert_deduplication_token=edge-1%3A{}%3A3%3A10000%3A0%3A3%3A{kind} HTTP/1.1", "07".repeat(16));
        assert!(lines.iter().any(|line| line.ends_with(&token)), "{lines:?}");
    }
    assert_eq!((begins("{\"record\":\"prefix\","), begins("{\"record\":\"unattributed\",")), (2, 1));
    assert_eq!((begins("x-clickhouse-user: probe"), begins("x-clickhouse-key: se cret")), (2, 2));
    let first =
        |requests: &[String]| requests.iter().map(|request| request.lines().next().map(str::to_owned)).collect();
    let (first, second): (Vec<_>, Vec<_>) = (first(&requests), first(&again));
    assert_eq!(first, second);
}

#[tokio::test]
async fn whatever_answers_says_what_to_do() {
    let endless = [b"HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: 1\r\n\r\n", [b'x'; 100_000].as_slice()].concat();
    let none = b"HTTP/1.1 404 Not Found\r\nX-ClickHouse-Exception-Code: 60\r\nContent-Length: 29\r\n\r\nCode: 60. DB::Exception: none";
    let late =
        b"HTTP/1.1 200 OK\r\nX-ClickHouse-Query-Id: 1\r\nContent-Length: 30\r\n\r\nCode: 241. DB::Exception: late\n";
    for (answer, failure, expected) in [
        (b"\x00\xff garbage\r\n\r\n".as_slice(), Failure::Broken, "no whole answer of HTTP"),
        (b"", Failure::Broken, "no whole answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\nX-Click", Failure::Broken, "no whole answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", Failure::Broken, "half an answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Failure::Rejected, "not ClickHouse, it says: hi; correct"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", Failure::Rejected, "it says: status 500; correct endpoint"),
        (
            none,
            Failure::Rejected,
            "Code: 60. DB::Exception: none; apply docs/clickhouse/schema.sql to the database sensor",
        ),
        (late, Failure::Rejected, "Code: 241. DB::Exception: late; give the server memory"),
        (&endless, Failure::Rejected, "more than 65536 bytes; correct endpoint"),
    ] {
        let (_, result) = sent(&[answer], |_| {}).await;
        let error = result.unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains(expected) && text.contains("http://127.0.0.1:"), "{text}");
        assert_eq!(Failure::of(&error), failure, "{text}");
        assert!(!text.contains('\n') && text.len() < 600, "{text}");
    }
    // The first table has it, the second does not: the piece comes again.
    let (_, result) = sent(&[FINE, b"HTTP/1.1 500 No\r\n\r\n"], |_| {}).await;
    assert_eq!(Failure::of(&result.unwrap_err()), Failure::Rejected);
}

#[tokio::test]
async fn what_cannot_be_reached_or_read_says_so() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap().port()
    };
    let (_, result) = sent(&[], |config| config.host.port = refused).await;
    let error = result.unwrap_err();
    assert_eq!(Failure::of(&error), Failure::Connect);
    assert!(format!("{error:#}").contains("start the server, or correct endpoint"), "{error:#}");

    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none");
    let login = Login { username: "probe".to_owned(), password_file: missing };
    let (_, result) = sent(&[], |config| config.login = Some(login)).await;
    let text = format!("{:#}", result.unwrap_err());
    assert!(text.contains("none: cannot read; correct password_file"), "{text}");

    let ca = folder.path().join("ca");
    let key = rcgen::KeyPair::generate().unwrap();
    fs::write(&ca, rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()).unwrap();
    let tls = Tls { ca: Some(ca), identity: None };
    // No TLS there.
    let (_, result) = sent(&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], |config| config.tls = Some(tls)).await;
    let error = result.unwrap_err();
    assert_eq!(Failure::of(&error), Failure::Tls, "{error:#}");
    assert!(format!("{error:#}").contains("https://127.0.0.1:"), "{error:#}");
}

#[tokio::test]
async fn one_who_never_answers_is_left_by_the_deadline() {
    let folder = tempfile::tempdir().unwrap();
    let piece = spool(folder.path()).reader("c").unwrap().peek().unwrap().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut sink = Sink::new(&config(listener.local_addr().unwrap().port()));
    let server = tokio::spawn(async move { (listener.accept().await.unwrap(), listener.accept().await.unwrap()) });
    for _ in 0..2 {
        assert!(timeout(Duration::from_millis(100), sink.send(&piece, &Pulse::new())).await.is_err());
        sink.renew();
    }
    server.await.unwrap();
}

/// Lines go out as the server takes them, and may take longer than the deadline.
#[tokio::test]
async fn a_slow_server_has_time_as_long_as_it_takes_some() {
    const LEN: usize = 8 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    socket2::SockRef::from(&listener).set_recv_buffer_size(CHUNK).unwrap();
    let mut sink = Sink::new(&config(listener.local_addr().unwrap().port()));
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let (mut buffer, mut read) = (vec![0; CHUNK], 0);
        while read < LEN {
            tokio::time::sleep(Duration::from_millis(10)).await;
            read += stream.read(&mut buffer).await.unwrap();
        }
        stream.write_all(FINE).await.unwrap();
    });
    let (pulse, deadline, began) = (Pulse::new(), Duration::from_millis(900), Instant::now());
    let insert = sink.insert("prefix", "t", vec![b'x'; LEN], &pulse);
    pulse.watch(deadline, Duration::from_secs(60), insert).await.expect("in time").unwrap();
    assert!(began.elapsed() > deadline, "{:?}", began.elapsed());
    server.await.unwrap();
}

#[test]
fn lines_that_are_no_records_are_no_panic() {
    for lines in ["x\n", "{}\n", r#"{"record":"a b","sensor":""}"#, r#"{"record":"","sensor":""}"#, "{\"record\":1}"] {
        let error = batches(lines.as_bytes()).unwrap_err();
        assert_eq!(Failure::of(&error), Failure::Spool, "{lines}");
    }
    assert_eq!(batches(b"").unwrap(), BTreeMap::new());
}
