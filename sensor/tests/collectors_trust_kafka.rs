//! Kafka over TLS, with certificates of both ends, and with a user and a password: who is let in delivers all, who is not is told in one line.
//!
//! `SENSOR_COLLECTORS` names the folder with the broker's `venv`. The broker speaks neither: a part of the test does, in front of it.
#![expect(clippy::unwrap_used, reason = "a broker that cannot be had fails the test")]
#![expect(clippy::print_stdout, reason = "a test that is skipped says so")]

#[path = "collectors/broker.rs"]
mod broker;
#[path = "collectors/certificates.rs"]
mod certificates;
#[path = "support/command.rs"]
mod command;
#[path = "collectors/history.rs"]
mod history;
#[path = "collectors/running.rs"]
mod running;
#[path = "collectors/tls.rs"]
mod tls;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use sensor::config::Host;
use serde_json::Value;

use self::{
    broker::{Broker, Way},
    certificates::{NAME, certificates},
    history::{Both, History, said},
    running::Running,
    tls::{Clients, complaint, terminate},
};

const USER: &str = "probe";
/// With what SCRAM and files of lines could stumble over.
const PASSWORD: &str = "se cret,=\u{e4}";

/// An exporter with these keys, and files of `folder` where they name some.
fn exporter(broker: &Broker, scheme: &str, keys: &str) -> String {
    format!("[[exporter]]\ntype = \"kafka\"\nendpoint = \"{scheme}://{}\"\n{keys}", broker.address())
}

fn file(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// What all of these are told, at the same time: a message is tried for 20 s.
fn complaints(history: &History, exporters: &[String]) -> Vec<String> {
    thread::scope(|scope| {
        let running: Vec<_> = exporters.iter().map(|exporter| scope.spawn(|| complaint(history, exporter))).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    })
}

fn assert_had(broker: &Broker, history: &History) {
    let printed = history.printed();
    let had: Vec<Value> = broker.read(printed.len()).iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((said(&had), had.len()), (said(&printed), printed.len()));
}

#[test]
fn kafka_over_tls_is_for_whom_the_authority_vouches() {
    let history = History::new(Both::None);
    let folder = history.folder.path();
    certificates(folder);
    let Some(broker) = Broker::start_behind("kafka_over_tls_is_for_whom_the_authority_vouches", |listens| Way {
        address: Host { name: NAME.to_owned(), port: terminate(folder, Clients::Known, listens.to_string()) },
        settings: BTreeMap::from([
            ("security.protocol", "ssl".to_owned()),
            ("ssl.ca.location", file(folder, "ca.pem")),
            ("ssl.certificate.location", file(folder, "sensor.pem")),
            ("ssl.key.location", file(folder, "sensor.key")),
        ]),
        between: None,
    }) else {
        return;
    };
    let [ca, other, cert, key] = ["ca.pem", "other.pem", "sensor.pem", "sensor.key"].map(|name| file(folder, name));
    let identity = format!("cert = \"{cert}\"\nkey = \"{key}\"\n");
    let trust = |ca: &str, identity: &str| exporter(&broker, "kafka+tls", &format!("ca = \"{ca}\"\n{identity}"));
    // One that trusts another authority, and one that shows nothing of itself.
    for complaint in complaints(&history, &[trust(&other, &identity), trust(&ca, "")]) {
        assert!(complaint.contains("cannot agree on TLS"), "{complaint}");
        assert!(complaint.contains("correct ca, cert and key, or the certificates of the brokers"), "{complaint}");
    }
    assert_eq!(broker.read(0), Vec::<String>::new());
    history.export(&trust(&ca, &identity), &[]);
    assert_had(&broker, &history);
}

/// SASL in front of a broker.
fn authenticate(listens: &Host) -> (u16, Running) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/collectors/kafka_sasl.py");
    let mut command = Command::new("python3");
    command.arg(script).args([&listens.port.to_string(), USER, PASSWORD]);
    let mut between = Running::start(command.stdout(Stdio::piped()));
    let mut line = String::new();
    BufReader::new(between.0.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    (line.trim().parse().unwrap(), between)
}

/// Keys of a user, by a mechanism and with what is in a file.
fn login(folder: &Path, mechanism: &str, user: &str, password: &str) -> String {
    format!("sasl = \"{mechanism}\"\nusername = \"{user}\"\npassword_file = \"{}\"\n", file(folder, password))
}

/// What SASL lets in by a mechanism; `plain` goes over TLS.
fn knows(test: &str, mechanism: &str) {
    let history = History::new(Both::None);
    let folder = history.folder.path();
    certificates(folder);
    fs::write(folder.join("right"), format!("{PASSWORD}\n")).unwrap();
    fs::write(folder.join("wrong"), "secret\n").unwrap();
    let is_plain = mechanism == "plain";
    let Some(broker) = Broker::start_behind(test, |listens| {
        let (port, between) = authenticate(listens);
        let mut settings = BTreeMap::from([
            ("sasl.mechanism", mechanism.to_uppercase()),
            ("sasl.username", USER.to_owned()),
            ("sasl.password", PASSWORD.to_owned()),
            ("security.protocol", if is_plain { "sasl_ssl" } else { "sasl_plaintext" }.to_owned()),
        ]);
        let mut address = Host { name: "127.0.0.1".to_owned(), port };
        if is_plain {
            settings.insert("ssl.ca.location", file(folder, "ca.pem"));
            let port = terminate(folder, Clients::Anyone, address.to_string());
            address = Host { name: NAME.to_owned(), port };
        }
        Way { address, settings, between: Some(between) }
    }) else {
        return;
    };
    let ca = format!("ca = \"{}\"\n", file(folder, "ca.pem"));
    let (scheme, trust) = if is_plain { ("kafka+tls", ca.as_str()) } else { ("kafka", "") };
    let exporter =
        |user: &str, password: &str| exporter(&broker, scheme, &(login(folder, mechanism, user, password) + trust));
    for complaint in complaints(&history, &[exporter(USER, "wrong"), exporter("nobody", "right")]) {
        assert!(complaint.contains("correct sasl, username and password_file, or the user there"), "{complaint}");
        assert!(!complaint.contains("secret") && !complaint.contains(PASSWORD), "{complaint}");
    }
    assert_eq!(broker.read(0), Vec::<String>::new());
    history.export(&exporter(USER, "right"), &[]);
    assert_had(&broker, &history);
}

#[test]
fn kafka_knows_a_user_by_plain_over_tls() {
    knows("kafka_knows_a_user_by_plain_over_tls", "plain");
}

#[test]
fn kafka_knows_a_user_by_scram_sha_256() {
    knows("kafka_knows_a_user_by_scram_sha_256", "scram-sha-256");
}

#[test]
fn kafka_knows_a_user_by_scram_sha_512() {
    knows("kafka_knows_a_user_by_scram_sha_512", "scram-sha-512");
}
