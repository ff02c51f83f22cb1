//! IPFIX as collectors that others wrote read it: one capture is replayed to each, and what each reports by prefix, by network and class and by
//! counterpart is what the same replay prints, to the byte.
//!
//! The programs are Debian's: nfdump, pmacct, tshark, libfixbuf-tools and python3-ipfix. `cargo xtask test collectors` installs them; a test whose
//! program is missing says so. What a program cannot tell stands in `docs/ipfix.md`.
#![expect(clippy::unwrap_used, reason = "a collector that does not start fails the test")]
#![expect(clippy::print_stdout, reason = "why a test was skipped")]

#[path = "collectors/certificates.rs"]
mod certificates;
#[path = "support/command.rs"]
mod command;
#[path = "collectors/history.rs"]
mod history;
#[path = "collectors/reported.rs"]
mod reported;
#[path = "collectors/running.rs"]
mod running;

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use sensor::capture::{LinkType, Timestamp, write::PcapWriter};
use sensor_ebpf::class::Class;
use serde_json::Value;

use self::{
    certificates::{NAME, certificates},
    history::{Both, History, Sums, add, assert_same, part, said, total},
    reported::{ENTERPRISE, OWN, Row, sums},
    running::{Running, eventually, free_port},
};

/// All domains.
const ALL: &str = "records = [\"prefix\", \"network\", \"counterpart\"]\n";

/// Whether a program is there; says so if not.
fn has(test: &str, program: &str) -> bool {
    let folders = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
    let is_there = folders.iter().any(|folder| Path::new(folder).join(program).exists());
    if !is_there {
        println!("SKIP {test}: no {program} here; install it with: cargo xtask test collectors");
    }
    is_there
}

fn exporter(endpoint: &str, more: &str) -> String {
    format!("[[exporter]]\ntype = \"ipfix\"\nendpoint = \"{endpoint}\"\n{more}")
}

/// Asks a program to end, and waits.
fn interrupt(mut program: Running) {
    let signal = ["-s", "INT", &program.0.id().to_string()].map(str::to_owned);
    Command::new("kill").args(signal).status().unwrap();
    eventually("the collector ends", || program.0.try_wait().unwrap().is_some());
}

/// What waits to be read from a UDP port of loopback, as `/proc/net/udp` shows it; `None`: nobody has it.
fn unread(port: u16) -> Option<u64> {
    let sockets = fs::read_to_string("/proc/net/udp").unwrap();
    let socket = sockets.lines().find(|line| line.contains(&format!(":{port:04X} ")))?;
    let queues = socket.split_whitespace().nth(4).unwrap();
    u64::from_str_radix(queues.split_once(':').unwrap().1, 16).ok()
}

/// Starts a collector on a UDP port, replays to it, and has it read all.
fn collect(collector: &mut Command, port: u16, history: &History, more: &str) -> Running {
    let running = Running::start(collector.stdout(Stdio::null()).stderr(Stdio::null()));
    eventually("the collector listens", || unread(port).is_some());
    history.export(&exporter(&format!("udp://127.0.0.1:{port}"), more), &[]);
    eventually("the collector has read all", || unread(port) == Some(0));
    running
}

/// What nfdump reports of a history that is sent to its collector.
fn nfdump(history: &History, more: &str) -> Vec<Value> {
    let (port, files) = (free_port(), tempfile::tempdir().unwrap());
    let mut nfcapd = Command::new("nfcapd");
    nfcapd.args(["-b", "127.0.0.1", "-t", "3600", "-I", "edge", "-p", &port.to_string(), "-w"]).arg(files.path());
    interrupt(collect(&mut nfcapd, port, history, more));
    let mut paths = fs::read_dir(files.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_nfcapd =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("nfcapd.2"));
    let output = Command::new("nfdump").arg("-r").arg(paths.find(is_nfcapd).unwrap()).args(["-o", "json"]).output();
    serde_json::from_slice(&output.unwrap().stdout).unwrap()
}

/// What nfdump's flows add up to: prefixes; networks by direction alone, and counterparts by direction and AS, since it knows no names.
fn of_nfdump(flows: &[Value]) -> Sums {
    let mut sums = Sums::new();
    for flow in flows {
        let number = |name: &str| flow[name].as_u64().unwrap_or_default();
        let (direction, end) = if number("direction") == 1 { ("out", "src") } else { ("in", "dst") };
        let key = match number("export_sysid") {
            1 => {
                let address = ["4", "6"].iter().find_map(|version| flow[format!("{end}{version}_addr")].as_str());
                format!("prefix {}/{} {direction}", address.unwrap(), number(&format!("{end}_mask")))
            }
            2 => format!("network {direction}"),
            _ => format!("counterpart {direction} {}", number(if direction == "out" { "dst_as" } else { "src_as" })),
        };
        add(&mut sums, key, number("in_packets"), number("in_bytes"));
    }
    sums
}

/// What is printed, as far as nfdump can tell it.
fn as_nfdump(said: &Sums) -> Sums {
    let mut sums = Sums::new();
    for (key, [packets, bytes]) in said {
        let words: Vec<&str> = key.split(' ').collect();
        let key = match words[0] {
            "network" => format!("network {}", words[2]),
            "counterpart" => format!("counterpart {} {}", words[2], words[4]),
            "moved" => continue,
            _ => key.clone(),
        };
        add(&mut sums, key, *packets, *bytes);
    }
    sums
}

#[test]
fn nfdump_reports_what_a_replay_prints() {
    let test = "nfdump_reports_what_a_replay_prints";
    if !has(test, "nfcapd") || !has(test, "nfdump") {
        return;
    }
    for both in [Both::None, Both::Some] {
        let history = History::new(both);
        let printed = said(&history.printed());
        // By default there are prefixes alone, and all of them together are what the ledger says was matched.
        let collected = of_nfdump(&nfdump(&history, ""));
        assert_same(&collected, &part(&printed, "prefix"));
        // Packets with both ends in the table are in two of them.
        let [packets, bytes] = total(&collected);
        assert_eq!([packets - history.both[0], bytes - history.both[1]], history.matched);
        assert_same(&of_nfdump(&nfdump(&history, ALL)), &as_nfdump(&printed));
    }
}

#[test]
fn pmacct_reports_what_a_replay_prints() {
    if !has("pmacct_reports_what_a_replay_prints", "nfacctd") {
        return;
    }
    let (history, folder, port) = (History::new(Both::Some), tempfile::tempdir().unwrap(), free_port());
    let [file, settings, elements] = ["out.json", "nfacctd.conf", "elements"].map(|name| folder.path().join(name));
    // Elements that it does not know by itself, its own kind of records among them.
    let mut primitives = "name=flowDirection field_type=61 len=1 semantics=u_int\nname=applicationId field_type=95 len=4 semantics=u_int\n".to_owned();
    for (number, name, kind, length) in OWN {
        let kind = if kind == "string" { "str" } else { "u_int" };
        primitives += &format!("name={name} field_type={ENTERPRISE}:{number} len={length} semantics={kind}\n");
    }
    fs::write(&elements, primitives).unwrap();
    // By interval: what a record takes off earlier ones is told as a property here, not as a sum.
    let own = OWN.map(|(_, name, ..)| name).join(",");
    let text = format!(
        "daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\nplugins: print\n\
         aggregate: export_proto_sysid,src_host,src_mask,dst_host,dst_mask,src_as,dst_as,flowDirection,applicationId,{own}\n\
         aggregate_primitives: {}\nnfacctd_net: netflow\nnfacctd_as: netflow\nnfacctd_time_new: true\nprint_output: json\n\
         print_output_file: {}\nprint_output_file_append: true\nprint_refresh_time: 1\nprint_history: 1d\n",
        elements.display(),
        file.display()
    );
    fs::write(&settings, text).unwrap();
    let printed = said(&history.printed());
    let told: Sums = printed.clone().into_iter().filter(|(key, _)| !key.starts_with("moved")).collect();
    let nfacctd = collect(Command::new("nfacctd").arg("-f").arg(&settings), port, &history, ALL);
    let mut rows = vec![];
    eventually("nfacctd has printed all", || {
        let text = fs::read_to_string(&file).unwrap_or_default();
        // Its last line may be half written.
        rows = reported::of_pmacct(text.rsplit_once('\n').map_or("", |(lines, _)| lines));
        let packets: u64 = rows.iter().map(|row| row.fields["packetDeltaCount"].parse::<u64>().unwrap()).sum();
        packets >= total(&told)[0]
    });
    interrupt(nfacctd);
    // It reads no names of applications: its class stays unknown.
    rows.extend(Class::ALL.iter().enumerate().map(|(number, class)| Row {
        domain: 2,
        fields: BTreeMap::from([
            ("applicationId".to_owned(), (6 << 24 | number).to_string()),
            ("applicationName".to_owned(), class.name().to_owned()),
        ]),
    }));
    assert_same(&sums(&rows), &printed);
}

/// The messages of a replay, each as a datagram.
fn datagrams(history: &History) -> Vec<Vec<u8>> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let exporter = exporter(&format!("udp://{}", socket.local_addr().unwrap()), ALL);
    let reader = thread::spawn(move || {
        let (mut messages, mut buffer) = (vec![], [0; 65_536]);
        while let Ok(len) = socket.recv(&mut buffer) {
            messages.push(buffer[..len].to_vec());
        }
        messages
    });
    history.export(&exporter, &[]);
    reader.join().unwrap()
}

#[test]
fn fixbuf_reports_what_a_replay_prints() {
    if !has("fixbuf_reports_what_a_replay_prints", "ipfixDump") {
        return;
    }
    let history = History::new(Both::Some);
    let [messages, elements] = ["messages.ipfix", "elements.xml"].map(|name| history.folder.path().join(name));
    fs::write(&messages, datagrams(&history).concat()).unwrap();
    let records = OWN.map(|(number, name, kind, _)| {
        format!(
            "<record><name>{name}</name><dataType>{kind}</dataType><cert:enterpriseId>{ENTERPRISE}</cert:enterpriseId>\
             <elementId>{number}</elementId></record>"
        )
    });
    let registry = "xmlns=\"http://www.iana.org/assignments\" xmlns:cert=\"http://www.cert.org/ipfix\" id=\"ipfix\"";
    let text = format!(
        "<?xml version=\"1.0\"?><registry {registry}><registry id=\"ipfix-information-elements\">{}</registry></registry>",
        records.concat()
    );
    fs::write(&elements, text).unwrap();
    let output = Command::new("ipfixDump").arg("-e").arg(&elements).arg("-i").arg(&messages).output().unwrap();
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && errors.trim().is_empty(), "{errors}");
    for text in text.lines() {
        assert!(!text.contains("Error") && !text.contains("no template"), "{text}");
    }
    assert_same(&sums(&reported::of_fixbuf(&text)), &said(&history.printed()));
}

#[test]
fn tshark_finds_nothing_malformed_and_what_a_replay_prints() {
    if !has("tshark_finds_nothing_malformed_and_what_a_replay_prints", "tshark") {
        return;
    }
    let history = History::new(Both::Some);
    let mut writer = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap();
    for message in &datagrams(&history) {
        let (udp, ip) = ((8 + message.len()) as u16, (28 + message.len()) as u16);
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0];
        frame.extend(ip.to_be_bytes());
        frame.extend([0, 1, 0, 0, 64, 17, 0, 0, 127, 0, 0, 1, 127, 0, 0, 1, 0xc3, 0x50, 0x12, 0x83]);
        frame.extend(udp.to_be_bytes());
        frame.extend([0, 0]);
        frame.extend(message);
        writer.write_frame(Timestamp::from_parts(1_700_000_000, 0), frame.len() as u32, &frame).unwrap();
    }
    let file = history.folder.path().join("messages.pcap");
    fs::write(&file, writer.into_inner()).unwrap();
    let tshark = |more: &[&str]| {
        let mut command = Command::new("tshark");
        let output = command.args(["-d", "udp.port==4739,cflow", "-r"]).arg(&file).args(more).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(tshark(&["-Y", "_ws.malformed || _ws.expert.severity == error"]), "");
    let rows = reported::of_tshark(&tshark(&["-T", "json", "--no-duplicate-keys"]));
    assert_same(&sums(&rows), &said(&history.printed()));
}

#[test]
fn python_ipfix_reports_over_mutual_tls_what_a_replay_prints() {
    let python = "/usr/bin/python3";
    let has_it = Command::new(python).args(["-c", "import ipfix"]).stderr(Stdio::null()).status();
    if !has_it.is_ok_and(|status| status.success()) {
        println!(
            "SKIP python_ipfix_reports_over_mutual_tls_what_a_replay_prints: no python3-ipfix here; install it with: cargo xtask test collectors"
        );
        return;
    }
    let history = History::new(Both::Some);
    certificates(history.folder.path());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/collectors/ipfix_tls.py");
    let file = |name: &str| history.folder.path().join(name);
    let mut command = Command::new(python);
    command.arg(script).args([file("collector.pem"), file("collector.key"), file("ca.pem")]);
    command.args(OWN.map(|(number, name, kind, length)| format!("{name}({ENTERPRISE}/{number})<{kind}>[{length}]")));
    let mut collector = Running::start(command.stdout(Stdio::piped()));
    let mut lines = BufReader::new(collector.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let port = lines.next().unwrap();
    let path = |name: &str| file(name).display().to_string();
    let trust = format!("ca = {:?}\ncert = {:?}\nkey = {:?}\n", path("ca.pem"), path("sensor.pem"), path("sensor.key"));
    history.export(&exporter(&format!("tls://{}:{port}", NAME), &(trust + ALL)), &[]);
    assert_eq!(lines.next().unwrap(), "TLSv1.3");
    let lines: Vec<String> = lines.collect();
    assert_same(&sums(&reported::of_python(lines.iter().map(String::as_str))), &said(&history.printed()));
}
