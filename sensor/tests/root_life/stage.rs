//! A sensor with everything that outlives it: two namespaces, a BPF file system, a state folder, a configuration file.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::Mutex,
};

use aya::programs::{SchedClassifier, TcAttachType};
use sensor::{
    cidr::Cidr,
    testing::{
        netns::{LINK, Link, Wire, within},
        truth::Table,
    },
};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    agent::{Agent, Ended},
    command::{self, Run},
    mount::Mount,
    totals::Totals,
    traffic::Truth,
};

const MTU: usize = 1500;
const SENSOR: &str = "edge.1";
const WATCHED: [&str; 2] = ["192.0.2.0/24", "2001:db8::/32"];
const COUNTED: [&str; 8] = [
    "198.51.100.0/24",
    "198.51.100.128/25",
    "198.51.100.129",
    "192.0.2.64/26",
    "2001:db8:1::/48",
    "2001:db8:1:2::/64",
    "2001:db8:1:2::1",
    "3fff::/20",
];

/// What the configuration file says.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) id: &'static str,
    /// Lines of each `[[interface]]` below its name.
    pub(crate) interfaces: Vec<(&'static str, &'static str)>,
    /// Counted besides what all configurations count.
    pub(crate) more: Vec<&'static str>,
    /// Further sections.
    pub(crate) text: &'static str,
}

/// Where sensors run.
pub(crate) struct Stage {
    pub(crate) wire: Wire,
    /// Of all agents that were there.
    records: Mutex<Vec<Value>>,
    /// Before its folder, which cannot be removed while something is mounted in it.
    _bpffs: Mount,
    folder: TempDir,
}

impl Default for Settings {
    fn default() -> Self {
        Self { id: SENSOR, interfaces: vec![(LINK.inside, "")], more: vec![], text: "" }
    }
}

impl Settings {
    /// What it counts.
    pub(crate) fn table(&self) -> Table {
        let parse = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<Cidr>>();
        Table::new(&parse(&WATCHED), &parse(&[&COUNTED, self.more.as_slice()].concat()))
    }
}

impl Stage {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, &[LINK])
    }

    pub(crate) fn with(name: &str, links: &[Link]) -> Self {
        let folder = TempDir::with_prefix("sensor-life-").unwrap();
        let bpffs = Mount::new("bpf", "mode=0700", &folder.path().join("bpf"));
        let wire = Wire::new(&format!("life-{name}"), links, MTU).unwrap();
        Self { wire, records: Mutex::default(), _bpffs: bpffs, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn bpffs(&self) -> PathBuf {
        self.folder.path().join("bpf")
    }

    /// The folder of the sensor's pins.
    pub(crate) fn pins(&self) -> PathBuf {
        self.bpffs().join("sensor").join(SENSOR.replace('.', "%2e"))
    }

    /// Writes a configuration file and returns its path.
    pub(crate) fn configure(&self, settings: &Settings) -> String {
        let path = self.folder.path().join("sensor.toml");
        let table = self.folder.path().join("table.txt");
        fs::write(&table, [&COUNTED, settings.more.as_slice()].concat().join("\n")).unwrap();
        let (state_dir, bpffs) = (self.state_dir(), self.bpffs());
        let mut text = format!(
            "[sensor]\nid = {:?}\ninterval = \"1s\"\nstate_dir = {state_dir:?}\nbpffs = {bpffs:?}\n\
             [accounting]\ntables = [\"table.txt\"]\n\
             [[network]]\nname = \"own\"\nprefixes = {WATCHED:?}\n",
            settings.id
        );
        for (name, lines) in &settings.interfaces {
            writeln!(text, "[[interface]]\nname = {name:?}\n{lines}").unwrap();
        }
        text += settings.text;
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// The command `sensor` with these arguments, in the namespace of the sensor. Not by `ip netns exec`, which hides mounts.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.wire.sensor)).arg(env!("CARGO_BIN_EXE_sensor"));
        command.args(arguments).env_remove("RUST_LOG");
        command
    }

    /// Runs a command of the sensor to its end.
    pub(crate) fn finish(&self, arguments: &[&str]) -> Run {
        command::finish(&mut self.command(arguments))
    }

    /// Starts `sensor run`.
    pub(crate) fn start(&self, settings: &Settings) -> Agent {
        let config = self.configure(settings);
        Agent::spawn(&mut self.command(&["run", "--config", &config, "--format", "jsonl"]))
    }

    /// The same, once it has written its first record.
    pub(crate) fn started(&self, settings: &Settings) -> Agent {
        let mut agent = self.start(settings);
        agent.wait_for_record();
        agent
    }

    /// Ends an agent by a signal, and keeps its records.
    pub(crate) fn stop(&self, agent: Agent, signal: &str) -> Ended {
        let ended = agent.stop(signal);
        assert_eq!(ended.status.success(), signal != "KILL", "{signal}, {}: {:#?}", ended.status, ended.messages);
        self.keep(&ended.records);
        ended
    }

    /// Keeps records for the sum.
    pub(crate) fn keep(&self, records: &[Value]) {
        self.records.lock().unwrap().extend_from_slice(records);
    }

    /// What was kept.
    pub(crate) fn records(&self) -> Vec<Value> {
        self.records.lock().unwrap().clone()
    }

    /// `sensor detach`, which must leave nothing; keeps its records.
    pub(crate) fn detach(&self, settings: &Settings) -> Vec<Value> {
        let config = self.configure(settings);
        let run = self.finish(&["detach", "--config", &config, "--format", "jsonl"]);
        assert_eq!(run.status, Some(0), "{run:?}");
        let records: Vec<Value> = run.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        self.keep(&records);
        self.assert_gone(settings);
        records
    }

    /// Nothing is pinned or attached.
    pub(crate) fn assert_gone(&self, settings: &Settings) {
        let left = self.bpffs().join("sensor");
        assert!(!left.exists(), "{:?}", names(&self.pins()));
        for (name, _) in &settings.interfaces {
            if let Ok(shown) = self.wire.show(name) {
                assert!(!shown.contains("xdp"), "{shown}");
                let classifiers = || Ok(SchedClassifier::query_tcx(name, TcAttachType::Egress)?.1.len());
                assert_eq!(within(&self.wire.sensor, classifiers).unwrap(), 0);
            }
        }
    }

    /// The records of all agents so far, each once.
    pub(crate) fn totals(&self) -> Totals {
        Totals::of(&self.records.lock().unwrap())
    }

    /// All records against everything that was sent over the one interface.
    pub(crate) fn check(&self, settings: &Settings, truth: &Truth) -> Totals {
        let (totals, table) = (self.totals(), settings.table());
        let (name, lines) = settings.interfaces[0];
        totals.side(name, "rx").check_cells(&truth.rx.tally(&table));
        let mut all = truth.rx.tally(&table);
        if !lines.contains("egress = false") {
            totals.side(name, "tx").check_cells(&truth.tx.tally(&table));
            all = truth.tally(&table);
        }
        totals.check_prefixes(&all);
        assert!(totals.unattributed.is_empty(), "{:?}", totals.unattributed);
        println!("{} packets, {} records written again", all.seen.packets, totals.repeated);
        totals
    }
}

/// The names in a folder, sorted; none where there is no such folder.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).map_or_else(|_| vec![], |entries| entries.map(Result::unwrap).collect());
    let mut names: Vec<String> = entries.iter().map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A number of the environment, or the default.
pub(crate) fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// Where random moments begin: printed, and given back by `SENSOR_SEED`.
pub(crate) fn seed(test: &str) -> u64 {
    let drawn = u64::from(std::process::id());
    let seed = number("SENSOR_SEED", drawn as usize) as u64;
    println!("{test}: SENSOR_SEED={seed}");
    seed
}
