//! What people hand over by mistake is refused with one line that names it and says what to do; nothing else is printed.
#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

#[path = "support/command.rs"]
mod command;
#[path = "support/nobody.rs"]
mod nobody;
#[path = "support/pcap.rs"]
mod pcap;
#[path = "support/refusal.rs"]
mod refusal;

use std::{
    fs::{self, File, Permissions},
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use sensor::{
    bpf::may_load,
    capture::{
        LinkType, Timestamp,
        write::{ByteOrder, PcapWriter, PcapngWriter},
    },
};
use tempfile::TempDir;

use self::{
    command::{Run, finish, sensor},
    nobody::unprivileged,
    pcap::ipv4,
    refusal::{one_line, refused},
};

/// A configuration with nothing wrong but that its interface is not there.
const CONFIG: &str = "[sensor]\nid = \"edge-1\"\n[[interface]]\nname = \"nosuch0\"\n[[network]]\nname = \"lab\"\nprefixes = [\"192.0.2.0/24\"]\n";

/// A folder that other users can look into.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    folder
}

fn write(folder: &TempDir, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

fn replay(captures: &[&Path]) -> Run {
    let fixed = ["replay", "--engine", "native"].map(Path::new);
    finish(&mut sensor(fixed.iter().chain(captures)))
}

fn check(config: &Path) -> Run {
    finish(&mut sensor([Path::new("check"), Path::new("--config"), config]))
}

/// A good capture.
fn good(folder: &TempDir) -> PathBuf {
    write(folder, "good.pcap", pcap::bytes(&[ipv4(1, [192, 0, 2, 1], [192, 0, 2, 2], 40)]))
}

#[test]
fn captures_that_are_not_there_or_no_files() {
    let folder = folder();
    let missing = folder.path().join("missing.pcap");
    refused("missing", &replay(&[&missing]), &["missing.pcap", "cannot open", "check the path"]);
    refused("a folder", &replay(&[folder.path()]), &[folder.path().to_str().unwrap(), "is a directory"]);
    refused("empty", &replay(&[&write(&folder, "empty.pcap", "")]), &["empty.pcap is empty", "record it again"]);
    refused("empty input", &finish(&mut sensor(["replay", "--engine", "native", "-"])), &["empty"]);
}

#[test]
fn a_bad_capture_behind_a_good_one_is_refused_before_anything_is_counted() {
    let folder = folder();
    let missing = folder.path().join("missing.pcap");
    refused("the second missing", &replay(&[&good(&folder), &missing]), &["missing.pcap", "cannot open"]);
}

#[test]
fn files_that_are_no_captures() {
    let folder = folder();
    let binary = fs::read(env!("CARGO_BIN_EXE_sensor")).unwrap();
    let files: [(&str, &[u8]); 5] = [
        ("notes.txt", b"20:15 the router was rebooted\n"),
        ("picture.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01"),
        ("program", &binary[..4096]),
        ("zeros", &[0; 4096]),
        ("config.toml", CONFIG.as_bytes()),
    ];
    for (name, bytes) in files {
        let run = replay(&[&write(&folder, name, bytes)]);
        refused(name, &run, &[name, "is not a capture", "give a pcap or pcapng file"]);
    }
    for (name, magic) in [("a.zst", &b"\x28\xb5\x2f\xfd...."[..]), ("a.bz2", b"BZh9...."), ("a.zip", b"PK\x03\x04....")]
    {
        let run = replay(&[&write(&folder, name, magic)]);
        refused(name, &run, &[name, "not supported", "sensor replay -"]);
    }
}

#[test]
fn captures_cut_inside_their_header() {
    let folder = folder();
    let classic = PcapWriter::new(Vec::new(), LinkType::Ethernet).unwrap().into_inner();
    let ng = PcapngWriter::new(Vec::new(), ByteOrder::Little).unwrap().into_inner();
    for whole in [&classic, &ng] {
        for len in 1..whole.len() {
            let run = replay(&[&write(&folder, "cut.pcap", &whole[..len])]);
            let says = if len < 4 { "is not a capture" } else { "ends inside its file header" };
            refused(&format!("{len} bytes"), &run, &["cut.pcap", says]);
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&classic).unwrap();
    let zipped = encoder.finish().unwrap();
    refused("gzip header", &replay(&[&write(&folder, "cut.pcap.gz", &zipped[..11])]), &["cut.pcap.gz", "ends inside"]);
}

#[test]
fn link_types_that_are_not_read() {
    let folder = folder();
    for (number, name) in [(189, "USB_LINUX"), (220, "USB_LINUX_MMAPPED"), (147, "LINKTYPE_147")] {
        let mut writer = PcapWriter::new(Vec::new(), LinkType::from(number)).unwrap();
        let refuse = |what: &str, capture: Vec<u8>| {
            let path = write(&folder, "other.pcap", capture);
            refused(what, &replay(&[&path]), &["other.pcap", name, "not supported", "convert the capture"]);
        };
        refuse("without a frame", PcapWriter::new(Vec::new(), LinkType::from(number)).unwrap().into_inner());
        writer.write_frame(Timestamp::EPOCH, 60, &[0; 60]).unwrap();
        refuse(name, writer.into_inner());
    }
}

#[test]
fn prefix_files_that_cannot_be_read() {
    let folder = folder();
    let capture = good(&folder);
    let refuse = |what: &str, path: &Path, parts: &[&str]| {
        let fixed = ["replay", "--engine", "native", "--prefixes"].map(Path::new);
        refused(what, &finish(&mut sensor(fixed.iter().chain(&[path, &capture]))), parts);
    };
    refuse("missing", &folder.path().join("missing.txt"), &["missing.txt", "cannot open", "check the path"]);
    refuse("a folder", folder.path(), &["is a directory"]);
    let line = write(&folder, "host.txt", "192.0.2.0/24\n# lab\n198.51.100.7/24\n");
    refuse("host bits", &line, &["host.txt:3: ", "host bits", "write 198.51.100.0/24"]);
    refuse("a word", &write(&folder, "word.txt", "prefixes\n"), &["word.txt:1: ", "write a whole address"]);
    refuse("binary", &write(&folder, "binary", [0xff, 0xfe, 0, 1]), &["binary:1: ", "not UTF-8"]);
    let updates = write(&folder, "updates", b"\x65\0\0\0\0\x10\0\x04\0\0\0\x01\0");
    refuse("an MRT updates file", &updates, &["updates: MRT record 1 at byte 0", "updates file", "give a RIB dump"]);
    refuse("a cut MRT dump", &write(&folder, "rib", b"\x65\0\0\0\0\x0d\0\x02\0\0\0\x09"), &["rib in MRT record 1"]);
    refuse("xz", &write(&folder, "list.xz", b"\xfd7zXZ\0\0\0\0\0\0\0"), &["list.xz", "xz", "use gzip"]);
}

#[test]
fn usage_errors_exit_with_2_and_say_what_is_expected() {
    let folder = folder();
    let capture = good(&folder);
    let capture = capture.to_str().unwrap();
    for (arguments, parts) in [
        (vec!["replay", "--watch", "10.0.0.1/8", capture], vec!["--watch <CIDR>", "host bits set", "10.0.0.0/8"]),
        (vec!["replay", "--watch", "banana", capture], vec!["--watch <CIDR>", "\"banana\"", "write a whole address"]),
        (vec!["replay", "--watch", "10.0.0.0/33", capture], vec!["--watch <CIDR>", "from 0 to 32"]),
        (vec!["replay", "--interval", "7s", capture], vec!["--interval <DURATION>", "\"6s\" or \"8s\""]),
        (vec!["replay", "--engine", "fpga", capture], vec!["--engine <ENGINE>", "kernel, native"]),
        (vec!["replay", "--sensor-id", "a b", capture], vec!["--sensor-id <NAME>", "is not a sensor id"]),
        (vec!["replay"], vec!["<FILE>..."]),
        (vec!["run", "--config", "a.toml", "-i", "eth0"], vec!["--config", "cannot be used with"]),
        (vec!["run", "--config", "a.toml", "--no-egress"], vec!["--config", "cannot be used with"]),
        (vec!["check"], vec!["--config <FILE>"]),
        (vec!["repaly", capture], vec!["replay"]),
    ] {
        let run = finish(&mut sensor(&arguments));
        assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""), "{arguments:?}: {run:?}");
        assert!(run.stderr.starts_with("error: "), "{arguments:?}: {}", run.stderr);
        for part in parts {
            assert!(run.stderr.contains(part), "{arguments:?}: {part:?} is missing: {}", run.stderr);
        }
    }
}

#[test]
fn a_run_with_nothing_to_do_is_refused() {
    let run = |arguments: &[&str]| finish(&mut sensor(arguments));
    refused(
        "no interface",
        &run(&["run", "--watch", "192.0.2.0/24"]),
        &["command line", "no interface", "add -i eth0"],
    );
    refused("nothing to count", &run(&["run", "-i", "eth0"]), &["command line", "nothing to count", "--watch"]);
    let twice = run(&["run", "-i", "eth0", "-i", "eth0", "--watch", "192.0.2.0/24"]);
    refused("one interface twice", &twice, &["eth0 is given twice", "name it once"]);
}

#[test]
fn configurations_with_one_problem_get_one_line_with_its_place() {
    let folder = folder();
    for (what, from, to, parts) in [
        ("a typo", "id =", "idd =", vec![":2:1: ", "unknown key \"idd\"", "did you mean \"id\"?"]),
        ("a typo in a section", "[[network]]", "[[netwrok]]", vec![":5:3: ", "did you mean \"network\"?"]),
        ("host bits", "192.0.2.0/24", "192.0.2.1/24", vec![":7:13: ", "host bits", "write 192.0.2.0/24"]),
        ("no prefix", "192.0.2.0/24", "lab", vec![":7:13: ", "\"lab\" is not an IPv4 or IPv6 prefix"]),
        ("a wrong type", "\"edge-1\"", "1", vec![":2:6: ", "of type integer", "write a string in quotes"]),
        ("a wrong list", "[\"192.0.2.0/24\"]", "\"192.0.2.0/24\"", vec![":7:12: ", "write a list"]),
        ("one bracket", "[[interface]]", "[interface]", vec!["[[interface]] with two brackets"]),
        ("no interface", "[[interface]]\nname = \"nosuch0\"\n", "", vec![":1:1: ", "no interface is configured"]),
        ("no prefixes", "prefixes = [\"192.0.2.0/24\"]\n", "", vec![":5:1: ", "has no prefixes"]),
        ("a long name", "nosuch0", "interface-zero-zero", vec![":4:8: ", "1 to 15 bytes"]),
        ("an interval", "id = \"edge-1\"", "interval = \"7s\"", vec![":2:12: ", "write \"6s\" or \"8s\""]),
        ("nowhere to listen", "[sensor]", "[metrics]\n[sensor]", vec![":1:1: ", "the [metrics] has no listen"]),
        ("bad syntax", "id = \"edge-1\"", "id = edge-1", vec![":2:", "correct the TOML syntax"]),
        (
            "a missing table",
            "[sensor]\n",
            "[accounting]\ntables = [\"nosuch.csv\"]\n[sensor]\n",
            vec![":2:11: ", "nosuch.csv", "correct the path"],
        ),
    ] {
        let text = CONFIG.replacen(from, to, 1);
        assert_ne!(text, CONFIG, "{what}");
        refused(what, &check(&write(&folder, "sensor.toml", text)), &[&["sensor.toml:"], &parts[..]].concat());
    }
}

#[test]
fn configurations_that_cannot_be_read_get_one_line() {
    let folder = folder();
    refused("missing", &check(&folder.path().join("missing.toml")), &["missing.toml", "cannot read", "check the path"]);
    refused("a folder", &check(folder.path()), &["is a directory"]);
    refused("empty", &check(&write(&folder, "sensor.toml", "\n \n")), &["sensor.toml is empty", "[[interface]]"]);
    let long = "# far too much\n".repeat((2 << 20) / 15);
    refused("2 MiB", &check(&write(&folder, "sensor.toml", long)), &["sensor.toml", "larger than 1048576 bytes"]);
    refused("no text", &check(&write(&folder, "sensor.toml", b"[sensor]\n\xff\n")), &["sensor.toml:2: ", "UTF-8"]);
    let run = finish(&mut sensor([Path::new("run"), Path::new("--config"), &folder.path().join("missing.toml")]));
    refused("missing for run", &run, &["missing.toml", "cannot read"]);
}

#[test]
fn several_problems_get_a_line_each_in_the_order_of_the_file() {
    let folder = folder();
    let text = CONFIG.replace("id =", "idd =").replace("192.0.2.0/24", "192.0.2.1/24").replace("nosuch0", "a/b");
    let path = write(&folder, "sensor.toml", text);
    let run = check(&path);
    assert_eq!((run.status, run.stdout.as_str()), (Some(1), ""), "{run:?}");
    let problems = run.stderr.strip_prefix("sensor: ").unwrap();
    let places: Vec<String> = [2, 4, 7].map(|line| format!("{}:{line}:", path.display())).into();
    assert_eq!(problems.lines().count(), places.len(), "{problems}");
    assert!(problems.lines().zip(&places).all(|(line, place)| line.starts_with(place)), "{problems}");
}

#[test]
fn without_rights_the_kernel_engine_says_how_to_go_on() {
    let folder = folder();
    let capture = good(&folder);
    let capture = capture.to_str().unwrap();
    let run = finish(&mut unprivileged(&folder, &["replay", "--engine", "kernel", capture]));
    refused("replay", &run, &["needs root", "sudo", "--engine native"]);
    let run = finish(&mut unprivileged(&folder, &["run", "-i", "lo", "--watch", "192.0.2.0/24"]));
    refused("run", &run, &["needs root", "sudo"]);
}

#[test]
fn without_rights_a_replay_counts_natively_and_says_so() {
    let folder = folder();
    let capture = good(&folder);
    let run = finish(&mut unprivileged(&folder, &["replay", capture.to_str().unwrap()]));
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stderr.lines().count() == 1 && run.stderr.contains("not root"), "{}", run.stderr);
    assert_eq!(run.stdout.lines().filter(|line| line.contains(r#""seen_packets":1"#)).count(), 1, "{}", run.stdout);
}

#[test]
fn check_without_rights_lists_all_that_is_missing() {
    let folder = folder();
    let config = write(&folder, "sensor.toml", CONFIG.replace("id =", "bpffs = \"/proc\"\nid ="));
    let run = finish(&mut unprivileged(&folder, &["check", "--config", config.to_str().unwrap()]));
    assert_eq!(run.status, Some(1), "{run:?}");
    let missing: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("missing ")).collect();
    assert_eq!(missing.len(), 3, "{}", run.stdout);
    for (line, word) in missing.iter().zip(["nosuch0", "mount -t bpf bpf /proc", "root"]) {
        assert!(line.contains(word), "{line}");
    }
    one_line("check", &run.stderr, &["3 of the above must be put right"]);
}

#[test]
fn files_that_may_not_be_read_say_so() {
    let folder = folder();
    let capture = good(&folder);
    fs::set_permissions(&capture, Permissions::from_mode(0o000)).unwrap();
    if !may_load() {
        // The owner meets his own permission bits too.
        assert!(File::open(&capture).is_err());
    }
    let run = finish(&mut unprivileged(&folder, &["replay", "--engine", "native", capture.to_str().unwrap()]));
    refused("a closed capture", &run, &["good.pcap", "ermission denied", "check the path and its permissions"]);
}
