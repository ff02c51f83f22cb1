//! What is wrong with a store, a question or a server is said in one line with what to do; nothing else is printed.
#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

#[path = "support/command.rs"]
mod command;
#[path = "bad_store/disk.rs"]
mod disk;
#[path = "root_life/mount.rs"]
mod mount;
#[path = "support/nobody.rs"]
mod nobody;
#[path = "support/pcap.rs"]
mod pcap;
#[path = "support/refusal.rs"]
mod refusal;
#[path = "support/root.rs"]
mod root;
#[path = "bad_store/site.rs"]
mod site;

use std::{
    fs::{self, OpenOptions},
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::FileExt as _,
    path::Path,
    thread,
};

use sensor::testing::rng::Rng;

use self::{
    command::{finish, sensor},
    refusal::{one_line, refused},
    site::{DAYS, FILE, PAGE, Site},
};

#[test]
fn a_store_that_is_whole_is_read() {
    let site = Site::new();
    for run in [
        site.report(&site.store(), &[]),
        site.report(&site.store(), &["--output", site.path("report.json").to_str().unwrap()]),
    ] {
        assert_eq!((run.status, &*run.stderr), (Some(0), ""), "{run:?}");
    }
    for run in site.readers(&site.store()) {
        assert_eq!((run.status, &*run.stderr), (Some(0), ""), "{run:?}");
    }
    // The one in the state folder, where nothing names another.
    let (config, what) = (site.config(), ["store", "info", "--config"]);
    let run = finish(&mut sensor(what.into_iter().chain([&*config])));
    assert!(run.status == Some(0) && run.stdout.contains("network lab: 2026-03-01 to 2026-03-02"), "{run:?}");
}

#[test]
fn questions_that_cannot_be() {
    let site = Site::new();
    let (config, store) = (site.config(), site.store());
    let ask = |arguments: &[&str]| {
        let fixed = ["report", "--config", &config, "--store", &store, "--format", "json"];
        finish(&mut sensor([&fixed, arguments].concat()))
    };
    let lab = ["--network", "lab"];
    for (what, arguments, parts) in [
        (
            "a month 13",
            vec!["--from", "2026-13-01", "--to", "2026-03-03"],
            vec!["--from \"2026-13-01\" is no date", "such as 2026-03-31"],
        ),
        ("a day 30", vec!["--from", "2026-02-30", "--to", "2026-03-03"], vec!["--from \"2026-02-30\" is no date"]),
        ("a word", vec!["--from", "2026-03-01", "--to", "today"], vec!["--to \"today\" is no date"]),
        (
            "the end first",
            vec!["--from", "2026-03-03", "--to", "2026-03-01"],
            vec!["--from and --to", "is no period", "give a later one"],
        ),
        ("no day", vec!["--from", "2026-03-01", "--to", "2026-03-01"], vec!["is no period", "the first day after it"]),
        (
            "half a baseline",
            [&DAYS[..], &["--baseline-from", "2026-02-01"]].concat(),
            vec!["--baseline-from alone", "give --baseline-to"],
        ),
        (
            "the other half",
            [&DAYS[..], &["--baseline-to", "2026-02-01"]].concat(),
            vec!["--baseline-to alone", "give --baseline-from"],
        ),
        (
            "a baseline with its end first",
            [&DAYS[..], &["--baseline-from", "2026-02-02", "--baseline-to", "2026-02-01"]].concat(),
            vec!["--baseline-from and --baseline-to", "is no period"],
        ),
        ("a time before time", vec!["--from", "-009999-01-01", "--to", "9999-12-31"], vec!["--from", "give"]),
        (
            "other years",
            vec!["--from", "2019-03-01", "--to", "2019-03-03"],
            vec!["neither period has a record", "from 2026-03-01 to 2026-03-02"],
        ),
    ] {
        let arguments: Vec<String> = arguments.into_iter().map(str::to_owned).collect();
        let arguments = with_equals(&arguments);
        let arguments: Vec<&str> = lab.into_iter().chain(arguments.iter().map(String::as_str)).collect();
        refused(what, &ask(&arguments), &parts);
    }
    refused(
        "no such network",
        &ask(&[&DAYS[..], &["--network", "lob"]].concat()),
        &["--network lob", "name one of lab, idle"],
    );
    refused("several networks", &ask(&DAYS), &["several networks", "--network", "lab, idle"]);
    refused(
        "a network without a record",
        &ask(&[&DAYS[..], &["--network", "idle"]].concat()),
        &[&store, "no record of network \"idle\""],
    );
    let nowhere = site.path("nowhere").join("report.json");
    let run = site.report(&store, &["--output", nowhere.to_str().unwrap()]);
    refused("no such folder", &run, &["cannot write", nowhere.to_str().unwrap(), "--output"]);
}

/// `--from -9999-01-01` would be an option.
fn with_equals(arguments: &[String]) -> Vec<String> {
    arguments.chunks(2).map(|pair| pair.join("=")).collect()
}

#[test]
fn stores_that_are_none() {
    let site = Site::new();
    let nowhere = site.path("nowhere").to_str().unwrap().to_owned();
    let whole = fs::read(site.file()).unwrap();
    assert!(whole.len() > 40 * PAGE, "{}", whole.len());
    let of_nobody = {
        let folder = site.other("of_nobody", b"");
        fs::remove_file(Path::new(&folder).join(FILE)).unwrap();
        run_sql(&folder, "CREATE TABLE other(a)");
        folder
    };
    let later = {
        let folder = site.other("later", &whole);
        run_sql(&folder, "PRAGMA user_version = 99");
        folder
    };
    let empty = {
        let folder = site.other("empty", &whole);
        let tables = ["traffic", "prefixes", "active", "heard", "services", "class_hosts", "events", "ledger", "spans"];
        tables.iter().for_each(|table| run_sql(&folder, &format!("DELETE FROM {table}")));
        folder
    };
    let mut torn = whole.clone();
    torn[20 * PAGE..30 * PAGE].fill(0xa5);
    for (what, store, parts) in [
        ("nothing", &nowhere, &["there is no store", "sensor run --store"][..]),
        ("a file of nothing", &site.other("blank", b""), &["store.sqlite", "the file is empty"]),
        (
            "text",
            &site.other("text", &b"20:15 the router was rebooted\n".repeat(500)),
            &["store.sqlite", "cannot be used as a store", "restore it from a copy"],
        ),
        ("something else", &of_nobody, &["store.sqlite", "database of something else", "name another folder"]),
        ("a later version", &later, &["store.sqlite", "it is of version 99", "use the sensor that wrote it"]),
        (
            "cut inside",
            &site.other("cut", &whole[..whole.len() / 2 / PAGE * PAGE + 100]),
            &["store.sqlite", "restore it from a copy"],
        ),
        ("cut to its header", &site.other("header", &whole[..100]), &["store.sqlite", "restore it from a copy"]),
        ("damaged", &site.other("torn", &torn), &["store.sqlite", "restore it from a copy"]),
    ] {
        for run in site.readers(store) {
            // Some rows may be written before those that are damaged.
            one_line(what, &run.stderr, parts);
            assert_eq!(run.status, Some(1), "{what}: {run:?}");
        }
        refused(what, &site.report(store, &[]), parts);
    }
    refused("no rows", &site.report(&empty, &[]), &["there is no record of network \"lab\"", "name another store"]);
}

/// SQL for the file of a store.
fn run_sql(folder: &str, statement: &str) {
    let connection = rusqlite::Connection::open(Path::new(folder).join(FILE)).unwrap();
    connection.execute_batch(statement).unwrap();
}

/// Whatever is in the file: an answer or one line, and no panic.
#[test]
fn a_store_with_other_bits_is_answered_from_or_refused() {
    let site = Site::new();
    let whole = fs::read(site.file()).unwrap();
    let mut rng = Rng::new(11);
    let mut refusals = 0;
    for round in 0..40 {
        let folder = site.other("flipped", &whole);
        let file = OpenOptions::new().write(true).open(Path::new(&folder).join(FILE)).unwrap();
        for _ in 0..1 + round * 4 {
            let at = 100 + rng.below(whole.len() - 100);
            file.write_all_at(&[whole[at] ^ (1 << rng.below(8))], at as u64).unwrap();
        }
        for run in [site.report(&folder, &[]), finish(&mut sensor(["store", "info", "--store", &folder]))] {
            match run.status {
                Some(0) => assert_eq!(run.stderr, ""),
                _ => {
                    refusals += 1;
                    one_line("flipped", &run.stderr, &[]);
                    assert_eq!(run.status, Some(1), "{run:?}");
                }
            }
        }
    }
    assert!(refusals > 0, "nothing was damaged");
}

#[test]
fn files_that_are_no_export() {
    let site = Site::new();
    let into = site.path("into").to_str().unwrap().to_owned();
    let import =
        |name: &str| finish(&mut sensor(["store", "import", "--store", &into, site.path(name).to_str().unwrap()]));
    let export = finish(&mut sensor(["store", "export", "--store", &site.store()])).stdout;
    refused("no file", &import("missing"), &["missing", "cannot open", "check the path"]);
    refused("a folder", &import("store"), &["store", "cannot be read", "sensor store export"]);
    for (name, text, line) in [
        ("text", "20:15 the router was rebooted\n".to_owned(), 1),
        ("cut", export[..export.len() - 5].to_owned(), export.lines().count()),
        ("other table", "{\"table\":\"flows\"}\n".to_owned(), 1),
        ("half a row", "{\"table\":\"ledger\",\"start\":5}\n".to_owned(), 1),
        ("text for a number", export.lines().next().unwrap().replace(":0,", ":[],") + "\n", 1),
        ("bytes", "\0\u{1}\u{2}".repeat(3000), 1),
    ] {
        fs::write(site.path(name), text).unwrap();
        refused(name, &import(name), &[name, &format!("line {line} is none of `sensor store export`")]);
    }
    let run = finish(&mut sensor(["store", "export", "--store", &site.store(), "--csv", "flows"]));
    refused("a table", &run, &["\"flows\" is no table", "name one of spans, traffic"]);
}

/// A server that answers everything with this, once a connection.
fn server(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut question = [0; 4096];
            // The answer is the same whatever was asked.
            let _ = stream.read(&mut question);
            let _ = stream.write_all(answer);
        }
    });
    url
}

#[test]
fn servers_that_are_no_clickhouse() {
    let site = Site::new();
    let config = site.config();
    let ask = |url: &str| {
        let fixed = ["report", "--config", &config, "--network", "lab", "--format", "json", "--clickhouse", url];
        finish(&mut sensor(fixed.into_iter().chain(DAYS)))
    };
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    refused("nobody", &ask(&closed), &[&closed, "start the server, or correct endpoint"]);
    refused("no URL", &ask("clickhouse"), &["--clickhouse", "clickhouse"]);
    refused("no such host", &ask("http://nosuch.invalid:8123"), &["nosuch.invalid", "correct endpoint"]);
    for (what, answer, parts) in [
        ("500", &b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 6\r\nConnection: close\r\n\r\nbroken"[..], &["this is not ClickHouse, it says: broken", "correct endpoint"][..]),
        ("an exception", b"HTTP/1.1 404 Not Found\r\nX-ClickHouse-Exception-Code: 60\r\nContent-Length: 8\r\nConnection: close\r\n\r\nCode: 60", &["Code: 60", "schema.sql"]),
        ("a web page", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>", &["this is not ClickHouse", "correct endpoint"]),
        ("no HTTP", b"SSH-2.0-OpenSSH_9.2\r\n", &["no whole answer of HTTP", "correct endpoint"]),
        ("half an answer", b"HTTP/1.1 200 OK\r\nX-ClickHouse-Server-Display-Name: a\r\nContent-Length: 900\r\n\r\n{\"name\"", &["half an answer"]),
        ("other rows", b"HTTP/1.1 200 OK\r\nX-ClickHouse-Server-Display-Name: a\r\nContent-Length: 10\r\nConnection: close\r\n\r\n{\"a\":true}", &["tables are of another version", "apply docs/clickhouse/schema.sql"]),
    ] {
        let url = server(answer);
        refused(what, &ask(&url), &[&[&*url], parts].concat());
    }
}
