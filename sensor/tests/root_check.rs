//! `sensor check` in namespaces of its own: what it finds about interfaces, and that the command it names puts it right.
#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

#[path = "support/command.rs"]
mod command;
#[path = "support/root.rs"]
mod root;

use std::{
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use aya::{
    Ebpf, EbpfLoader,
    programs::{Xdp, XdpMode},
};
use sensor::{
    bpf::{Hook, Kernel, interface_index},
    prefix::SetBuilder,
    testing::netns::{LINK, Link, Wire, within},
};
use tempfile::NamedTempFile;

use self::{
    command::{Run, finish, sensor},
    root::is_root,
};

/// Not the default, nor what any interface outside the namespace has.
const MTU: usize = 1432;
/// For a link to go, on a machine that has other things to do.
const DEADLINE: Duration = Duration::from_secs(60);
/// As long as `sensor_inline`.
const OTHERS: &str = "others_inline";
const SECOND: Link = Link { inside: "ingress2", outside: "egress2" };

/// `sensor check` for these interfaces in the namespace of the sensor, where `/sys` is still that of the machine.
fn check(wire: &Wire, interfaces: &[&str]) -> Run {
    let sections = interfaces.iter().map(|name| format!("[[interface]]\nname = \"{name}\"\n"));
    let network = "[[network]]\nname = \"lab\"\nprefixes = [\"192.0.2.0/24\"]\n".to_owned();
    let file = NamedTempFile::with_suffix(".toml").unwrap();
    fs::write(file.path(), sections.chain([network]).collect::<String>()).unwrap();
    let inner = sensor(["check", "--config", file.path().to_str().unwrap()]);
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{}", wire.sensor));
    // A mount that ends with the command.
    command.args(["unshare", "--mount", "sh", "-c", "mount -t bpf bpf /sys/fs/bpf && exec \"$@\"", "sh"]);
    finish(command.arg(inner.get_program()).args(inner.get_args()).env_remove("RUST_LOG"))
}

/// The lines of a check that begin with a word.
fn lines<'a>(run: &'a Run, word: &str) -> Vec<&'a str> {
    run.stdout.lines().filter(|line| line.starts_with(word)).collect()
}

#[track_caller]
fn passes(run: &Run) {
    assert_eq!((run.status, run.stderr.as_str(), lines(run, "missing")), (Some(0), "", vec![]), "{}", run.stdout);
}

/// The only line that keeps `sensor run` from working.
#[track_caller]
fn refused(run: &Run) -> &str {
    let missing = lines(run, "missing");
    assert!(missing.len() == 1 && run.status == Some(1), "{run:?}");
    missing[0]
}

/// Runs a command in the namespace of the sensor; what it said where it fails.
fn inside(wire: &Wire, command: &str) -> Result<(), String> {
    let output = Command::new("ip").args(["netns", "exec", &wire.sensor, "sh", "-c", command]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    output.status.success().then_some(()).ok_or(said)
}

/// The command that a line names, in backquotes at its end.
#[track_caller]
fn command_of(line: &str) -> &str {
    line.strip_suffix('`').and_then(|line| line.rsplit_once('`')).unwrap_or_else(|| panic!("no command: {line}")).1
}

#[test]
fn an_interface_is_described_as_it_is_in_this_namespace() {
    if !is_root("an_interface_is_described_as_it_is_in_this_namespace") {
        return;
    }
    let wire = Wire::new("described", &[LINK, SECOND], MTU).unwrap();
    // Two ends of one pair, or two pairs, are two wires.
    let run = check(&wire, &[LINK.inside, SECOND.inside]);
    passes(&run);
    for name in [LINK.inside, SECOND.inside] {
        assert!(
            lines(&run, "ok").contains(&format!("ok      interface {name}: MTU {MTU}, driver veth").as_str()),
            "{run:?}"
        );
    }
    inside(&wire, "ip link add left type veth peer name right").unwrap();
    passes(&check(&wire, &["left", "right"]));
}

#[test]
fn what_is_no_ethernet_is_refused() {
    if is_root("what_is_no_ethernet_is_refused") {
        let wire = Wire::new("ethernet", &[LINK], MTU).unwrap();
        let run = check(&wire, &[LINK.inside, "lo"]);
        assert!(refused(&run).contains("interface lo is of type Loopback"), "{}", run.stdout);
    }
}

#[test]
fn stripped_tags_are_named_with_the_command_that_keeps_them() {
    if !is_root("stripped_tags_are_named_with_the_command_that_keeps_them") {
        return;
    }
    let wire = Wire::new("tags", &[LINK], MTU).unwrap();
    if let Err(error) = inside(&wire, &format!("ethtool --show-features {}", LINK.inside)) {
        println!("SKIP stripped_tags_are_named_with_the_command_that_keeps_them: {error}");
        return;
    }
    let run = check(&wire, &[LINK.inside]);
    passes(&run);
    let warnings = lines(&run, "warning");
    assert_eq!(warnings.len(), 2, "{}", run.stdout);
    assert_eq!(command_of(warnings[0]), "ethtool -K ingress rxvlan off");
    for (warning, left) in warnings.iter().zip([1, 0]) {
        inside(&wire, command_of(warning)).unwrap();
        let run = check(&wire, &[LINK.inside]);
        passes(&run);
        assert_eq!(lines(&run, "warning").len(), left, "{}", run.stdout);
    }
}

#[test]
fn an_interface_and_what_stands_on_it_are_refused() {
    if !is_root("an_interface_and_what_stands_on_it_are_refused") {
        return;
    }
    for (kind, commands) in [
        ("bridge", "ip link add upper type bridge && ip link set ingress master upper"),
        ("bond", "ip link add upper type bond && ip link set ingress down && ip link set ingress master upper"),
        ("vlan", "ip link add link ingress name upper type vlan id 5"),
        ("macvlan", "ip link add link ingress name upper type macvlan"),
    ] {
        let wire = Wire::new(kind, &[LINK, SECOND], MTU).unwrap();
        if let Err(error) = inside(&wire, commands) {
            println!("SKIP {kind} in an_interface_and_what_stands_on_it_are_refused: {error}");
            continue;
        }
        passes(&check(&wire, &["upper", SECOND.inside]));
        passes(&check(&wire, &[LINK.inside, SECOND.inside]));
        for pair in [["upper", LINK.inside], [LINK.inside, "upper"]] {
            let run = check(&wire, &[pair[0], SECOND.inside, pair[1]]);
            let said = refused(&run);
            assert!(said.contains(&format!("interfaces {} and {} carry the same packets", pair[0], pair[1])), "{said}");
        }
        // And what stands on that.
        inside(&wire, "ip link add link upper name top type macvlan").unwrap();
        assert!(refused(&check(&wire, &["top", LINK.inside])).contains("top and ingress"));
        println!("{kind}: refused");
    }
}

#[test]
fn two_ports_of_one_bridge_are_two_wires() {
    if is_root("two_ports_of_one_bridge_are_two_wires") {
        let wire = Wire::new("ports", &[LINK, SECOND], MTU).unwrap();
        let ports = [LINK.inside, SECOND.inside];
        inside(&wire, "ip link add upper type bridge").unwrap();
        ports.iter().for_each(|port| inside(&wire, &format!("ip link set {port} master upper")).unwrap());
        passes(&check(&wire, &ports));
    }
}

/// Our own object under another name: the program of somebody else.
fn foreign() -> Ebpf {
    let mut object = fs::read(env!("SENSOR_EBPF_OBJECT")).unwrap();
    let (ours, other) = (b"sensor_inline", OTHERS.as_bytes());
    for at in 0..object.len() - ours.len() {
        if object[at..].starts_with(ours) {
            object[at..at + ours.len()].copy_from_slice(other);
        }
    }
    let mut ebpf = EbpfLoader::new().load(&object).unwrap();
    xdp(&mut ebpf).load().unwrap();
    ebpf
}

fn xdp(ebpf: &mut Ebpf) -> &mut Xdp {
    ebpf.program_mut(OTHERS).unwrap().try_into().unwrap()
}

#[test]
fn a_program_that_is_attached_already_is_named() {
    if !is_root("a_program_that_is_attached_already_is_named") {
        return;
    }
    let wire = Wire::new("program", &[LINK, SECOND], MTU).unwrap();
    let mut ebpf = foreign();
    let program = xdp(&mut ebpf);
    within(&wire.sensor, || Ok(program.attach_to_if_index(interface_index(LINK.inside)?, XdpMode::Driver)?)).unwrap();
    let id = program.info().unwrap().id();
    // And a sensor at work.
    let mut builder = SetBuilder::default();
    builder.watch("lab", ["192.0.2.0/24".parse().unwrap()]).unwrap();
    let set = builder.build().unwrap();
    let mut kernel = Kernel::load(&set, &set.trie().unwrap(), 1).unwrap();
    let instance = kernel.instance(0).unwrap();
    let attached = within(&wire.sensor, || instance.attach(SECOND.inside, Hook::Inline, XdpMode::Driver)).unwrap();

    let run = check(&wire, &[LINK.inside, SECOND.inside]);
    let said = refused(&run);
    assert!(said.contains(&format!("interface ingress has another XDP program, {OTHERS} (id {id})")), "{said}");
    let ours = |run: &Run| lines(run, "warning").iter().filter(|line| line.contains("sensor_inline")).count();
    assert_eq!(ours(&run), 1, "{}", run.stdout);
    drop((ebpf, attached));
    // A program that another test starts holds copies of the descriptors until it is itself.
    let deadline = Instant::now() + DEADLINE;
    while [LINK, SECOND].iter().any(|link| wire.show(link.inside).unwrap().contains("prog/xdp")) {
        assert!(Instant::now() < deadline, "the programs stay attached");
        thread::sleep(Duration::from_millis(5));
    }
    let run = check(&wire, &[LINK.inside, SECOND.inside]);
    passes(&run);
    assert_eq!(ours(&run), 0, "{}", run.stdout);
}

#[test]
fn a_program_that_nobody_holds_goes_with_the_command_named() {
    if !is_root("a_program_that_nobody_holds_goes_with_the_command_named") {
        return;
    }
    let wire = Wire::new("forgotten", &[LINK], MTU).unwrap();
    let mut ebpf = foreign();
    let id = xdp(&mut ebpf).info().unwrap().id();
    for place in ["xdpdrv", "xdpgeneric"] {
        // Over netlink, so that it stays when its loader has gone.
        if let Err(error) = inside(&wire, &format!("bpftool net attach {place} id {id} dev ingress")) {
            println!("SKIP a_program_that_nobody_holds_goes_with_the_command_named: {error}");
            return;
        }
        let run = check(&wire, &[LINK.inside]);
        assert_eq!(command_of(refused(&run)), format!("ip link set dev ingress {place} off"));
        inside(&wire, command_of(refused(&run))).unwrap();
        passes(&check(&wire, &[LINK.inside]));
    }
}
