//! What cannot be reloaded changes nothing: the table, the epoch and every sum are those of before.

use std::{fs, io::Write as _, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use flate2::{Compression, write::GzEncoder};
use sensor::testing::netns::LINK;

use crate::{
    agent::eventually,
    bill::Bill,
    root::is_root,
    site::{PLAIN, Rest, Site},
    stage::names,
    table::Model,
    wire::{Sending, packets},
};

/// What is wrong, how it came to be, and what must be said of it.
type Case<'a> = (&'a str, &'a dyn Fn(), &'a [&'a str]);

/// A compressed table of so many prefixes.
fn large(path: &Path, prefixes: u32) {
    let mut table = GzEncoder::new(fs::File::create(path).unwrap(), Compression::fast());
    for number in 0..prefixes {
        writeln!(table, "{}/32", std::net::Ipv4Addr::from_bits(0x0b00_0000 + number)).unwrap();
    }
    table.finish().unwrap();
}

#[test]
fn what_is_refused_changes_nothing() {
    if !is_root("what_is_refused_changes_nothing") {
        return;
    }
    let (site, model) = (Site::new("refused"), Model::steady());
    site.write(&model, PLAIN);
    let mut agent = site.started();
    let sending = Sending::new(&site.stage.wire);
    let bill = Bill::new(packets(), model.clone());
    sending.go();
    let (config, table) = (fs::read_to_string(site.config()).unwrap(), fs::read(site.table()).unwrap());
    let link = format!("[[interface]]\nname = {:?}\n", LINK.inside);
    let with = |from: &str, to: &str| {
        assert!(config.contains(from), "{from}");
        fs::write(site.config(), config.replace(from, to)).unwrap();
    };
    let text = |text: &[u8]| fs::write(site.table(), text).unwrap();
    let cases: [Case<'_>; 16] = [
        ("no TOML", &|| fs::write(site.config(), "\0\u{1}[[[").unwrap(), &["sensor.toml"]),
        ("empty", &|| fs::write(site.config(), "").unwrap(), &["sensor.toml"]),
        ("not there", &|| fs::remove_file(site.config()).unwrap(), &["sensor.toml"]),
        ("an unknown key", &|| with("interval", "intervall"), &["intervall"]),
        ("another id", &|| with("edge.1", "edge.2"), &["[sensor] id is \"edge.1\"", "detach"]),
        ("another state_dir", &|| with("/state\"", "/state2\""), &["[sensor] state_dir", "cannot become"]),
        ("another bpffs", &|| with("/bpf\"", "/bpf2\""), &["[sensor] bpffs", "cannot become"]),
        ("no interface", &|| with(&link, ""), &["interface"]),
        (
            "an interface that is not there",
            &|| with(&link, &format!("{link}[[interface]]\nname = \"absent0\"\n")),
            &["no interface absent0", "old programs are back"],
        ),
        ("no table", &|| fs::remove_file(site.table()).unwrap(), &["table.txt"]),
        ("an empty table", &|| text(b""), &["table.txt", "has no prefix"]),
        ("a table of comments", &|| text(b"# none\n\n"), &["table.txt", "has no prefix"]),
        ("garbage", &|| text(&[0xa5; 5000]), &["table.txt"]),
        ("a bad line", &|| text(b"192.0.2.0/24\n192.0.2.0/33\n"), &["table.txt", "2", "192.0.2.0/33"]),
        (
            "a table that is a folder",
            &|| fs::remove_file(site.table()).and_then(|()| fs::create_dir(site.table())).unwrap(),
            &["table.txt"],
        ),
        (
            "more than its memory holds",
            &|| {
                with("interval =", "memory = \"16MiB\"\ninterval =");
                large(&site.table(), 300_000);
            },
            &["300003 prefixes need", "16 MiB are allowed"],
        ),
    ];
    for (what, spoil, parts) in cases {
        spoil();
        let reason = site.refused();
        for part in parts {
            assert!(reason.contains(part), "{what}: {part:?} is missing: {reason}");
        }
        agent.wait_for_message("not reloaded, the old configuration goes on");
        if site.table().is_dir() {
            fs::remove_dir(site.table()).unwrap();
        }
        fs::write(site.config(), &config).unwrap();
        fs::write(site.table(), &table).unwrap();
        let reloaded = site.reloaded();
        assert_eq!((reloaded.generation, reloaded.prefixes.kept), (1, 4), "{what}");
        sending.wait(100);
    }
    sending.pause();
    let sent = sending.sent();
    let (_, records) = site.end(agent);
    bill.check(sent, &records);
    // One of its own was made for the interface that was not there, and went without ever having been used for long.
    assert!(Site::epochs(&records) <= 2);
}

/// What a reload cannot change is said by each of them, until the file says again what holds.
#[test]
fn what_holds_from_the_next_start() {
    if !is_root("what_holds_from_the_next_start") {
        return;
    }
    let (site, model) = (Site::new("nextstart"), Model::steady());
    site.write(&model, PLAIN);
    let mut agent = site.started();
    site.write(&model, Rest { sensor: "interval = \"1s\"\nmax_activity_addresses = 65536", ..PLAIN });
    for _ in 0..2 {
        assert_eq!(site.reloaded().from_next_start, ["max_activity_addresses"]);
        agent.wait_for_message("from the next start of the agent: max_activity_addresses");
    }
    site.write(&model, PLAIN);
    assert!(site.reloaded().from_next_start.is_empty());
    site.end(agent);
}

/// A BPF file system in which nothing can be pinned: what was begun for new maps goes, however often it is tried.
#[test]
fn maps_that_cannot_be_pinned() {
    if !is_root("maps_that_cannot_be_pinned") {
        return;
    }
    let (site, model) = (Site::new("nopins"), Model::steady());
    site.write(&model, PLAIN);
    let agent = site.started();
    let remount = |how: &str| {
        let status = Command::new("mount").args(["-o", how]).arg(site.stage.bpffs()).status().unwrap();
        assert!(status.success());
    };
    let other = Rest { interfaces: &[(LINK.inside, "egress = false")], ..PLAIN };
    remount("remount,ro");
    site.write(&model, other);
    for _ in 0..12 {
        let reason = site.refused();
        assert!(reason.contains("Read-only file system"), "{reason}");
    }
    // In the same maps nothing is in the way.
    site.write(&model.with_more(3), PLAIN);
    assert_eq!(site.reloaded().prefixes.added, 3);
    remount("remount,rw");
    assert!(eventually(|| site.manifests().len() == 1), "{:?}", site.manifests());
    site.write(&model, other);
    assert!(site.reloaded().new_maps.is_some());
    assert!(eventually(|| names(&site.stage.pins()).len() == 2 && site.manifests().len() == 1));
    let (_, records) = site.end(agent);
    assert_eq!(Site::epochs(&records), 2);
}

/// A disk without room for a manifest.
#[test]
fn a_manifest_that_cannot_be_written() {
    if !is_root("a_manifest_that_cannot_be_written") {
        return;
    }
    let (site, model) = (Site::new("nospace"), Model::steady());
    let small = crate::mount::Mount::new("tmpfs", "size=256k,mode=0700", &site.stage.state_dir());
    site.write(&model.with_more(200), PLAIN);
    let agent = site.started();
    let sending = Sending::new(&site.stage.wire);
    let mut bill = Bill::new(packets(), model.with_more(200));
    sending.go();
    let ballast = site.stage.state_dir().join("ballast");
    let mut file = fs::File::create(&ballast).unwrap();
    while file.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
    site.write(&model, PLAIN);
    assert!(site.refused().contains("free disk space"));
    // New maps that could not be begun leave nothing behind.
    site.write(&model, Rest { interfaces: &[(LINK.inside, "egress = false")], ..PLAIN });
    assert!(site.refused().contains("free disk space"));
    assert_eq!((names(&site.stage.pins()).len(), site.manifests().len()), (2, 1));
    site.write(&model, PLAIN);
    sending.wait(500);
    let asked = sending.sent();
    drop(file);
    fs::remove_file(&ballast).unwrap();
    assert_eq!(site.reloaded().generation, 2);
    bill.between(asked, sending.sent() + 1, model);
    sending.wait(100);
    sending.pause();
    let sent = sending.sent();
    let (_, records) = site.end(agent);
    bill.check(sent, &records);
    drop(small);
}

/// Nobody but its owner and root asks.
#[test]
fn the_socket_is_its_owners_alone() {
    if !is_root("the_socket_is_its_owners_alone") {
        return;
    }
    let site = Site::new("socket");
    site.write(&Model::steady(), Rest { sensor: "", ..PLAIN });
    let agent = site.start();
    let socket = site.stage.state_dir().join("control");
    assert!(eventually(|| socket.exists()));
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o600);
    site.end(agent);
}
