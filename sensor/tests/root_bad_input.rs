//! What only root gets far enough to be refused for.
#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

#[path = "support/command.rs"]
mod command;
#[path = "support/refusal.rs"]
mod refusal;
#[path = "support/root.rs"]
mod root;

use std::{fs, process::Command};

use sensor::capture::{LinkType, Timestamp, write::PcapWriter};
use tempfile::TempDir;

use self::{
    command::{finish, sensor},
    refusal::{one_line, refused},
    root::is_root,
};

/// The binary in a network namespace with nothing but a loopback.
fn alone(arguments: &[&str]) -> Command {
    let inner = sensor(arguments);
    let mut command = Command::new("unshare");
    command.arg("--net").arg(inner.get_program()).args(inner.get_args()).env_remove("RUST_LOG");
    command
}

#[test]
fn a_run_on_an_interface_that_is_not_there_is_refused() {
    if is_root("a_run_on_an_interface_that_is_not_there_is_refused") {
        let run = finish(&mut alone(&["run", "-i", "nosuch0", "--watch", "192.0.2.0/24"]));
        refused("nosuch0", &run, &["no interface nosuch0", "ip link"]);
    }
}

#[test]
fn a_run_never_falls_back_to_generic_xdp_by_itself() {
    if is_root("a_run_never_falls_back_to_generic_xdp_by_itself") {
        let run = finish(&mut alone(&["run", "-i", "lo", "--watch", "192.0.2.0/24"]));
        refused("lo", &run, &["lo has no native XDP", "generic"]);
    }
}

#[test]
fn an_interface_without_ethernet_headers_is_refused() {
    if !is_root("an_interface_without_ethernet_headers_is_refused") {
        return;
    }
    for generic in [None, Some("--generic")] {
        let inner = sensor(["run", "-i", "tun0", "--watch", "192.0.2.0/24"].into_iter().chain(generic));
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip tuntap add tun0 mode tun && exec \"$@\"", "sh"]);
        let run = finish(command.arg(inner.get_program()).args(inner.get_args()).env_remove("RUST_LOG"));
        refused("tun0", &run, &["tun0 is no Ethernet interface", "attach to the one"]);
    }
}

#[test]
fn check_names_the_interface_that_is_missing_and_nothing_else() {
    if !is_root("check_names_the_interface_that_is_missing_and_nothing_else") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let config = folder.path().join("sensor.toml");
    fs::write(&config, "[[interface]]\nname = \"nosuch0\"\n[[interface]]\nname = \"here0\"\n[[network]]\nname = \"lab\"\nprefixes = [\"192.0.2.0/24\"]\n").unwrap();
    let inner = sensor(["check", "--config", config.to_str().unwrap()]);
    let mut command = Command::new("unshare");
    let prepare = "mount -t bpf bpf /sys/fs/bpf && ip link add here0 type veth peer name there0";
    command.args(["--net", "--mount", "sh", "-c", &format!("{prepare} && exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(inner.get_args()).env_remove("RUST_LOG");
    let run = finish(&mut command);
    assert_eq!(run.status, Some(1), "{run:?}");
    let missing: Vec<&str> = run.stdout.lines().filter(|line| line.starts_with("missing ")).collect();
    assert!(missing.len() == 1 && missing[0].contains("no interface nosuch0"), "{}", run.stdout);
    assert!(run.stdout.contains("interface here0: MTU"), "{}", run.stdout);
    one_line("check", &run.stderr, &["1 of the above must be put right"]);
}

#[test]
fn a_table_that_takes_more_memory_than_allowed_is_refused() {
    if !is_root("a_table_that_takes_more_memory_than_allowed_is_refused") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let prefixes = |number: u32| format!("{}.{}.{}.0/24\n", 1 + (number >> 16), number >> 8 & 255, number & 255);
    fs::write(folder.path().join("table.txt"), (0..200_000).map(prefixes).collect::<String>()).unwrap();
    let (config, state) = (folder.path().join("sensor.toml"), folder.path().join("state"));
    let sensor_section = format!("[sensor]\nmemory = \"64MiB\"\nstate_dir = \"{}\"\n", state.display());
    let rest = "[[interface]]\nname = \"here0\"\n[accounting]\ntables = [\"table.txt\"]\n";
    fs::write(&config, sensor_section + rest).unwrap();
    let inner = sensor(["run", "--config", config.to_str().unwrap()]);
    let mut command = Command::new("unshare");
    let prepare = "mount -t bpf bpf /sys/fs/bpf && ip link add here0 type veth peer name there0";
    command.args(["--net", "--mount", "sh", "-c", &format!("{prepare} && exec \"$@\""), "sh"]);
    // Where reading takes a second, which depends on the machine, that is said too.
    command.arg(inner.get_program()).args(inner.get_args()).env("RUST_LOG", "warn");
    let run = finish(&mut command);
    refused("memory", &run, &["200000 prefixes need", "64 MiB are allowed", "raise memory in [sensor]"]);
    let left: Vec<_> = fs::read_dir(&state).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("manifest")), "{left:?}");
}

#[test]
fn the_kernel_engine_refuses_the_same_captures() {
    if !is_root("the_kernel_engine_refuses_the_same_captures") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("bad.pcap");
    let mut usb = PcapWriter::new(Vec::new(), LinkType::Other(189)).unwrap();
    usb.write_frame(Timestamp::EPOCH, 60, &[0; 60]).unwrap();
    for (what, bytes, parts) in [
        ("text", b"not a capture".to_vec(), ["bad.pcap", "is not a capture"]),
        ("empty", Vec::new(), ["bad.pcap", "is empty"]),
        ("another link type", usb.into_inner(), ["bad.pcap", "USB_LINUX"]),
    ] {
        fs::write(&path, bytes).unwrap();
        let run = finish(&mut sensor(["replay", "--engine", "kernel", path.to_str().unwrap()]));
        refused(what, &run, &parts);
    }
}
