//! `sensor store import --flows` as people call it: what is refused is said in one line, and a kill at any moment changes nothing in the end.
#![expect(clippy::unwrap_used, reason = "a command that cannot be run fails the test")]

#[path = "support/command.rs"]
mod command;
#[path = "support/refusal.rs"]
mod refusal;

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
    time::Duration,
};

use sensor::testing::rng::Rng;
use tempfile::TempDir;

use self::{
    command::{Run, finish, sensor},
    refusal::refused,
};

const CONFIG: &str = "[sensor]\nid = \"edge\"\n[[interface]]\nname = \"capture\"\nmode = \"mirror\"\n[[network]]\nname = \"own\"\n\
                      prefixes = [\"192.0.2.0/24\"]\n";
const HEADER: &str = "firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows\n";

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(TempDir::new().unwrap());
        place.write("sensor.toml", CONFIG);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn command(&self, store: &str, more: &[&str], file: &Path) -> std::process::Command {
        let [store, config] = [self.path(store), self.path("sensor.toml")];
        let [store, config, file] = [&*store, &*config, file].map(|path| path.to_str().unwrap());
        let fixed = ["store", "import", "--store", store, "--config", config, "--sampling", "10"];
        sensor(fixed.iter().chain(more).chain(&[file]))
    }

    fn import(&self, more: &[&str], file: &Path) -> Run {
        finish(&mut self.command("store", more, file))
    }

    fn export(&self, store: &str) -> Vec<String> {
        let run = finish(&mut sensor(["store", "export", "--store", self.path(store).to_str().unwrap()]));
        assert_eq!(run.status, Some(0), "{run:?}");
        let mut lines: Vec<String> = run.stdout.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// Flows of some days, in no order.
fn flows(number: usize) -> String {
    let (mut rng, mut text) = (Rng::new(3), HEADER.to_owned());
    for _ in 0..number {
        let (day, hour, minute) = (1 + rng.below(9), rng.below(24), rng.below(60));
        let (own, far, packets) = (rng.below(256), rng.below(256), 1 + rng.below(90));
        writeln!(text, "2019-01-0{day} {hour:02}:{minute:02}:00.000,{}.000,TCP,192.0.2.{own},40000,203.0.113.{far},443,{packets},{},1", rng.below(1800), 100 * packets).unwrap();
    }
    text
}

const CSV: [&str; 2] = ["--flows", "nfdump-csv"];
const JSON: [&str; 2] = ["--flows", "nfdump-json"];

#[test]
fn what_cannot_be_imported_is_refused_in_one_line() {
    let place = Place::new();
    let good = place.write("a.csv", flows(5));
    let missing = place.path("nosuch.csv");
    refused("missing", &place.import(&CSV, &missing), &["nosuch.csv", "No such file"]);
    refused("folder", &place.import(&CSV, place.0.path()), &["directory"]);
    refused("another format", &place.import(&JSON, &good), &["a.csv: line 1 is none of nfdump -o json", "--flows"]);
    let headless = place.write("b.csv", flows(5).split_once('\n').unwrap().1);
    refused("no header", &place.import(&CSV, &headless), &["b.csv: line 1 is no header", "without -q"]);
    let short = place.write("c.csv", flows(5).replace("packets,", ""));
    refused("no packets", &place.import(&CSV, &short), &["c.csv: line 1", "no column for Packets", "ipkt"]);
    let broken = place.write("d.csv", flows(50).replace("TCP,192", "TCP,392"));
    refused(
        "damaged",
        &place.import(&CSV, &broken),
        &["50 of 50 records are damaged", "d.csv:2: no address", "export the files again"],
    );
    let zone = [CSV[0], CSV[1], "--timezone", "Mars/Olympus"];
    refused("zone", &place.import(&zone, &good), &["--timezone Mars/Olympus", "Europe/Berlin"]);
    let squashed = place.write("e.csv", b"\x28\xb5\x2f\xfd rest");
    refused("compressed", &place.import(&CSV, &squashed), &["e.csv is compressed with zstd"]);
    let config = CONFIG.replace("[[network]]", "[[netwerk]]");
    fs::write(place.path("sensor.toml"), config).unwrap();
    refused("configuration", &place.import(&CSV, &good), &["sensor.toml", "netwerk"]);
    fs::write(place.path("sensor.toml"), CONFIG).unwrap();
    assert!(place.export("store").is_empty(), "nothing of it is in the store");
    // Another archive of the same time.
    assert_eq!(place.import(&CSV, &good).status, Some(0));
    let other = place.write("f.csv", flows(6));
    refused(
        "the same time",
        &place.import(&CSV, &other),
        &["has records from", "import with --replace", "--sensor-id"],
    );
    let replaced = place.import(&[CSV[0], CSV[1], "--replace"], &other);
    assert!(replaced.stdout.starts_with("6 flows read, from 2019-01-0"), "{replaced:?}");
    assert!(replaced.stdout.ends_with("; 6 of them new, 0 of no counted prefix\n"), "{replaced:?}");
    // What belongs to flows is nothing for an export of a store.
    let run = finish(&mut place.command("store", &[], &good));
    assert_eq!((run.status, &*run.stdout), (Some(2), ""));
    assert!(run.stderr.contains("--flows <FORMAT>"), "{}", run.stderr);
}

#[test]
fn some_damage_is_told_and_the_rest_is_there() {
    let place = Place::new();
    let mut text = flows(2000);
    text.push_str("2019-01-01 00:00:00.000,0.000,TCP,192.0.2.1,1,203.0.113.1,443,1,-1,1\n2019-01-");
    let run = place.import(&CSV, &place.write("a.csv", text));
    assert_eq!(run.status, Some(0), "{run:?}");
    assert!(run.stdout.starts_with("2000 flows read"), "{}", run.stdout);
    assert!(run.stderr.contains("2 of 2002 records are damaged (1 cut off; 1 no number"), "{}", run.stderr);
    assert!(run.stderr.contains("a.csv:2002: no number"), "{}", run.stderr);
}

#[test]
fn compressed_files_and_standard_input_are_read_as_well() {
    let place = Place::new();
    let text = flows(300);
    let plain = place.write("a.csv", &text);
    assert_eq!(finish(&mut place.command("plain", &CSV, &plain)).status, Some(0));
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, text.as_bytes()).unwrap();
    let packed = place.write("a.csv.gz", encoder.finish().unwrap());
    assert_eq!(finish(&mut place.command("packed", &CSV, &packed)).status, Some(0));
    let mut piped = place.command("piped", &CSV, Path::new("-"));
    assert_eq!(finish(piped.stdin(fs::File::open(&plain).unwrap())).status, Some(0));
    // The bytes are the epoch; a pipe has those of the file.
    assert_eq!(place.export("piped"), place.export("plain"));
    let without_epoch = |lines: Vec<String>| -> Vec<String> {
        let cut = |line: String| {
            line.split_once("\"epoch\":\"").map_or(line.clone(), |(head, tail)| format!("{head}{}", &tail[32..]))
        };
        lines.into_iter().map(cut).collect()
    };
    assert_eq!(without_epoch(place.export("packed")), without_epoch(place.export("plain")));
}

#[test]
fn a_kill_at_any_moment_changes_nothing_in_the_end() {
    let place = Place::new();
    let file = place.write("a.csv", flows(80_000));
    let whole = finish(&mut place.command("whole", &CSV, &file));
    assert!(whole.stdout.contains("80000 of them new"), "{whole:?}");
    let expected = place.export("whole");
    let mut killed = 0;
    // Longer each time, until it is through.
    for wait in (0..).map(|step| Duration::from_millis(20 << step)) {
        let mut child = place.command("killed", &CSV, &file).stdout(Stdio::null()).spawn().unwrap();
        thread::sleep(wait);
        let is_over = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        if is_over {
            break;
        }
        killed += 1;
    }
    assert!(killed > 0);
    assert_eq!(place.export("killed"), expected);
}
