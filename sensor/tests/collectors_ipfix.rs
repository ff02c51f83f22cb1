//! IPFIX as collectors that others wrote read it: one capture is replayed to each, and what each reports per prefix is what the records say, to the byte.
//!
//! The programs are Debian's: nfdump, pmacct, tshark, libfixbuf-tools and python3-ipfix. `cargo xtask test collectors` installs them; a test whose
//! program is missing says so.
#![expect(clippy::unwrap_used, reason = "a collector that does not start fails the test")]
#![expect(clippy::print_stdout, reason = "why a test was skipped")]

#[path = "support/command.rs"]
mod command;
#[path = "support/pcap.rs"]
mod pcap;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use sensor::capture::{LinkType, Timestamp, write::PcapWriter};
use serde_json::Value;
use tempfile::TempDir;

/// Packets and bytes by (source, destination), of which one is nothing.
type Sums = BTreeMap<(String, String), (u64, u64)>;

/// A program that is stopped when the test ends.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap())
    }

    /// Asks it to end, and waits.
    fn stop(mut self) {
        let signal = ["-s", "INT", &self.0.id().to_string()].map(str::to_owned);
        Command::new("kill").args(signal).status().unwrap();
        for _ in 0..200 {
            if self.0.try_wait().unwrap().is_some() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether a program is there; says so if not.
fn has(program: &str) -> bool {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let is_there = folders.iter().any(|folder| Path::new(folder).join(program).exists());
    if !is_there {
        println!("SKIP collectors_ipfix: no {program} here; install it with: cargo xtask test collectors");
    }
    is_there
}

/// A port that nobody has.
fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A capture of three minutes: 40 watched /24 of both directions, and frames that nobody watches.
fn capture(folder: &Path) -> PathBuf {
    let mut frames = vec![];
    for second in 0..180_u32 {
        for number in 0..8_u32 {
            let [.., a, b] = (second * 8 + number).wrapping_mul(2_654_435_761).to_be_bytes();
            let (inside, outside) = ([10, 0, a % 40, b], [203, 0, 113, a]);
            let length = 40 + u16::from(b) * 5;
            let (source, destination) = if number % 3 == 0 { (outside, inside) } else { (inside, outside) };
            frames.push(pcap::ipv4(1_700_000_000 + second, source, destination, length));
        }
        frames.push(pcap::ipv4(1_700_000_000 + second, [198, 51, 100, 1], [203, 0, 113, 9], 77));
    }
    let path = folder.join("c.pcap");
    fs::write(&path, pcap::bytes(&frames)).unwrap();
    path
}

/// A stage: the capture, and a configuration with one exporter.
fn stage(endpoint: &str, more: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    capture(folder.path());
    let prefixes: Vec<String> = (0..40).map(|number| format!("10.0.{number}.0/24")).collect();
    let config = format!(
        "[[network]]\nname = \"lab\"\nprefixes = {prefixes:?}\n[[exporter]]\ntype = \"ipfix\"\nendpoint = \"{endpoint}\"\n{more}"
    );
    let path = folder.path().join("sensor.toml");
    fs::write(&path, config).unwrap();
    (folder, path)
}

fn replay(folder: &Path, config: &Path, more: &[&str]) -> String {
    let (config, capture) = (config.to_str().unwrap(), folder.join("c.pcap"));
    let arguments = ["replay", "--engine", "native", "--config", config, capture.to_str().unwrap()];
    let run = command::finish(&mut command::sensor(arguments.iter().chain(more)));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    run.stdout
}

/// What records say, and the matched packets and bytes of the ledger.
fn records(folder: &Path, config: &Path) -> (Sums, (u64, u64)) {
    let (mut sums, mut matched) = (Sums::new(), (0, 0));
    for line in replay(folder, config, &["--format", "jsonl"]).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let number = |name: &str| record[name].as_u64().unwrap();
        match record["record"].as_str().unwrap() {
            "prefix" => {
                let prefix = record["prefix"].as_str().unwrap().split('/').next().unwrap().to_owned();
                let nothing = "0.0.0.0".to_owned();
                let key = if record["direction"] == "out" { (prefix, nothing) } else { (nothing, prefix) };
                let sum = sums.entry(key).or_default();
                *sum = (sum.0 + number("packets"), sum.1 + number("bytes"));
            }
            "ledger" => matched = (matched.0 + number("matched_packets"), matched.1 + number("matched_bytes")),
            _ => {}
        }
    }
    (sums, matched)
}

/// What a collector says must be what records say, and in all what the ledger says was matched.
fn compare(collected: &Sums, folder: &Path, config: &Path) {
    let (said, matched) = records(folder, config);
    assert_eq!(*collected, said);
    let total = collected.values().fold((0, 0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
    assert_eq!(total, matched);
    assert!(said.len() > 60 && matched.0 == 180 * 8, "{} {matched:?}", said.len());
}

fn add(sums: &mut Sums, record: &Value, [source, destination, packets, bytes]: [&str; 4]) {
    let text = |name: &str| record[name].as_str().unwrap().to_owned();
    let sum = sums.entry((text(source), text(destination))).or_default();
    *sum = (sum.0 + record[packets].as_u64().unwrap(), sum.1 + record[bytes].as_u64().unwrap());
}

#[test]
fn nfdump_reports_what_the_records_say() {
    if !has("nfcapd") || !has("nfdump") {
        return;
    }
    let port = free_port();
    let (folder, config) = stage(&format!("udp://127.0.0.1:{port}"), "");
    let files = folder.path().join("nf");
    fs::create_dir(&files).unwrap();
    let mut nfcapd = Command::new("nfcapd");
    nfcapd.args(["-b", "127.0.0.1", "-t", "3600", "-I", "edge", "-p", &port.to_string(), "-w"]).arg(&files);
    let nfcapd = Running::start(nfcapd.stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for_port(port);
    replay(folder.path(), &config, &["--export"]);
    thread::sleep(Duration::from_secs(1));
    nfcapd.stop();
    let file = fs::read_dir(&files).unwrap().map(|entry| entry.unwrap().path()).find(|path| is_nfcapd(path)).unwrap();
    let output = Command::new("nfdump").arg("-r").arg(file).args(["-o", "json"]).output().unwrap();
    let flows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let mut sums = Sums::new();
    for flow in &flows {
        add(&mut sums, flow, ["src4_addr", "dst4_addr", "in_packets", "in_bytes"]);
    }
    compare(&sums, folder.path(), &config);
}

fn is_nfcapd(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nfcapd.2"))
}

/// Until somebody has bound a UDP port on loopback, as `/proc/net/udp` shows it.
fn wait_for_port(port: u16) {
    let began = Instant::now();
    while !fs::read_to_string("/proc/net/udp").unwrap().contains(&format!(":{port:04X} ")) {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody listens on {port}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn pmacct_reports_what_the_records_say() {
    if !has("nfacctd") {
        return;
    }
    let port = free_port();
    let (folder, config) = stage(&format!("udp://127.0.0.1:{port}"), "");
    let (file, settings) = (folder.path().join("out.json"), folder.path().join("nfacctd.conf"));
    let text = format!(
        "daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\nplugins: print\naggregate: src_host,src_mask,dst_host,dst_mask\n\
         nfacctd_net: netflow\nnfacctd_as: netflow\nnfacctd_time_new: true\nprint_output: json\nprint_output_file: {}\n\
         print_output_file_append: true\nprint_refresh_time: 2\nprint_history: 1d\n",
        file.display()
    );
    fs::write(&settings, text).unwrap();
    let mut nfacctd = Command::new("nfacctd");
    let nfacctd = Running::start(nfacctd.arg("-f").arg(&settings).stdout(Stdio::null()).stderr(Stdio::null()));
    wait_for_port(port);
    replay(folder.path(), &config, &["--export"]);
    thread::sleep(Duration::from_secs(5));
    nfacctd.stop();
    let mut sums = Sums::new();
    for line in fs::read_to_string(&file).unwrap().lines() {
        add(&mut sums, &serde_json::from_str(line).unwrap(), ["ip_src", "ip_dst", "packets", "bytes"]);
    }
    compare(&sums, folder.path(), &config);
}

/// The messages of a replay, each as a datagram.
fn datagrams(more: &str) -> (TempDir, PathBuf, Vec<Vec<u8>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let (folder, config) = stage(&format!("udp://{}", socket.local_addr().unwrap()), more);
    let reader = thread::spawn(move || {
        let (mut messages, mut buffer) = (vec![], [0; 65_536]);
        while let Ok(len) = socket.recv(&mut buffer) {
            messages.push(buffer[..len].to_vec());
        }
        messages
    });
    replay(folder.path(), &config, &["--export"]);
    (folder, config, reader.join().unwrap())
}

const ALL: &str = "records = [\"prefix\", \"network\", \"counterpart\"]\n";

#[test]
fn fixbuf_reads_every_template_and_record() {
    if !has("ipfixDump") {
        return;
    }
    let (folder, _, messages) = datagrams(ALL);
    let file = folder.path().join("messages.ipfix");
    fs::write(&file, messages.concat()).unwrap();
    let output = Command::new("ipfixDump").arg("-i").arg(&file).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && errors.trim().is_empty(), "{errors}");
    for text in text.lines() {
        assert!(!text.contains("Error") && !text.contains("no template"), "{text}");
    }
    let octets = |line: &&str| line.contains("octetDeltaCount") && line.contains(" : ");
    assert!(text.lines().filter(octets).count() > 500, "{}", text.lines().count());
}

#[test]
fn tshark_finds_nothing_malformed() {
    if !has("tshark") {
        return;
    }
    let (folder, config, messages) = datagrams(ALL);
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    for message in &messages {
        let (udp, ip) = ((8 + message.len()) as u16, (28 + message.len()) as u16);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        frame.extend(ip.to_be_bytes());
        frame.extend([0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0xc3, 0x50, 0x12, 0x83]);
        frame.extend(udp.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(message);
        writer.write_frame(Timestamp::from_parts(1_700_000_000, 0), frame.len() as u32, &frame).unwrap();
    }
    let file = folder.path().join("messages.pcap");
    fs::write(&file, writer.into_inner()).unwrap();
    let tshark = |more: &[&str]| {
        let mut command = Command::new("tshark");
        let output = command.args(["-d", "udp.port==4739,cflow", "-r"]).arg(&file).args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(tshark(&["-Y", "_ws.malformed || _ws.expert.severity == error"]), "");
    let domain = ["-Y", "cflow.od_id == 1", "-T", "fields", "-e", "cflow.octets", "-E", "aggregator=,"];
    let octets: u64 = tshark(&domain).split([',', '\n']).filter_map(|text| text.parse::<u64>().ok()).sum();
    assert_eq!(octets, records(folder.path(), &config).1.1);
}

/// Certificates of an authority, of the collector and of the sensor, in files of these names.
fn certificates(folder: &Path) {
    use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    for name in ["collector", "sensor"] {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut certificate = CertificateParams::new(names).unwrap();
        // A certificate that is named like its issuer is one that vouches for itself.
        certificate.distinguished_name.push(DnType::CommonName, name);
        let certificate = certificate.signed_by(&key, &authority).unwrap();
        fs::write(folder.join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn python_ipfix_reads_it_over_mutual_tls() {
    let python = "/usr/bin/python3";
    let has_it = Command::new(python).args(["-c", "import ipfix"]).stderr(Stdio::null()).status();
    if !has_it.is_ok_and(|status| status.success()) {
        println!("SKIP collectors_ipfix: no python3-ipfix here; install it with: cargo xtask test collectors");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/collectors/ipfix_tls.py");
    let file = |name: &str| folder.path().join(name);
    let mut command = Command::new(python);
    command.arg(script).args([file("collector.pem"), file("collector.key"), file("ca.pem")]);
    let mut collector = Running::start(command.stdout(Stdio::piped()));
    let mut lines = BufReader::new(collector.0.stdout.take().unwrap()).lines();
    let port = lines.next().unwrap().unwrap();
    let path = |name: &str| file(name).display().to_string();
    let tls = format!("ca = {:?}\ncert = {:?}\nkey = {:?}\n", path("ca.pem"), path("sensor.pem"), path("sensor.key"));
    let (stage, config) = stage(&format!("tls://localhost:{port}"), &tls);
    replay(stage.path(), &config, &["--export"]);
    let sums: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
    let (said, matched) = records(stage.path(), &config);
    assert!(said.len() > 60);
    assert_eq!((sums["packets"].as_u64(), sums["bytes"].as_u64()), (Some(matched.0), Some(matched.1)), "{sums}");
    assert_eq!(sums["version"], "TLSv1.3");
}
