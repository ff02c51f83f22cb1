//! From raw values to a valid configuration.

mod events;
mod export;
mod labels;
mod metrics;
mod store;
mod upstreams;

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt::Display,
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
    str::FromStr,
};

use jiff::tz::{self, TimeZone};
use sensor_ebpf::abi::MAX_NETWORKS;

use super::{
    Args, Config, ConfigError, DEFAULT_BPFFS, DEFAULT_STATE_DIR, Interface, InterfaceName, Keep, Mode, Name, Network,
    REPLAY_SENSOR, Role, WATCH_NETWORK, XdpMode,
    error::Problems,
    export::DEFAULT_SPOOL,
    host_name,
    nearest::nearest,
    raw::{RawConfig, RawInterface, RawNetwork, RawSensor, Text},
};
use crate::cidr::{Cidr, quote};

/// Where a problem with the whole file is shown.
const START: Range<usize> = 0..0;

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To count on interfaces.
    Run,
    /// To count captures: there are no interfaces, and where nothing is watched all is.
    Replay,
}

/// Checks a whole file; `None` where a part of the configuration could not be made. What is wrong is added.
pub(super) fn check(raw: &RawConfig, path: &Path, purpose: Purpose, problems: &mut Problems<'_>) -> Option<Config> {
    let folder = path.parent().unwrap_or(Path::new(""));
    // A mistyped section is missing too: to say so would be noise.
    let complete = problems.is_empty();
    let mut check = Check { problems, folder };
    let sensor = check.sensor(&raw.sensor, purpose);
    let interfaces = check.interfaces(&raw.interfaces);
    let networks = check.networks(&raw.networks);
    let tables = check.tables(&raw.tables);
    // A capture may come from anywhere; and names that were wrong by themselves would all be missing.
    let known = (purpose == Purpose::Run && interfaces.len() == raw.interfaces.len()).then_some(&*interfaces);
    let upstreams = check.upstreams(&raw.upstreams, known);
    let counterparts = check.counterparts(&raw.counterparts);
    let lists = check.lists(&raw.lists);
    let (report, events) = (check.report(&raw.report), check.events(&raw.events));
    let (spool, exporters) = (check.spool(&raw.spool), check.exporters(&raw.exporters));
    let metrics = raw.metrics.as_ref().and_then(|raw| check.metrics(raw));
    let keep = sensor.as_ref().and_then(|sensor| sensor.keep.as_ref());
    let store = raw.store.as_ref().zip(keep).map(|(raw, keep)| check.store(raw, &keep.state_dir));
    check.weeks(&raw.events, &events, store.as_ref());
    let complete = complete && purpose == Purpose::Run;
    if raw.interfaces.is_empty() && complete {
        check.problems.add(&START, "no interface is configured; add [[interface]] with name = \"eth0\"");
    }
    if raw.networks.is_empty() && raw.tables.is_empty() && complete {
        let fix = "add [[network]] with name and prefixes, or [accounting] with tables";
        check.problems.add(&START, format!("nothing to count is configured; {fix}"));
    }
    sensor.map(|sensor| Config {
        interfaces,
        networks,
        tables,
        upstreams,
        counterparts,
        lists,
        report,
        events,
        spool,
        exporters,
        metrics,
        store,
        ..sensor
    })
}

/// Checks a command line.
pub(super) fn from_args(args: Args) -> Result<Config, ConfigError> {
    let mut problems = Problems::of_command_line();
    let Args { sensor_id, interval, interfaces, mode, xdp, no_egress, mut watch, tables } = args;
    let sensor_id = sensor_id.map_or_else(host_name, Ok);
    if let Err(reason) = &sensor_id {
        problems.add(&START, format!("the host name cannot name this sensor ({reason}); use a configuration file"));
    }
    if interfaces.is_empty() {
        problems.add(&START, "no interface is given; add -i eth0");
    }
    for (index, name) in interfaces.iter().enumerate() {
        if interfaces[..index].contains(name) {
            problems.add(&START, format!("interface {name} is given twice; name it once"));
        }
    }
    if watch.is_empty() && tables.is_empty() {
        problems.add(&START, "nothing to count is given; add --watch 192.0.2.0/24");
    }
    watch.sort();
    watch.dedup();
    let watched = (!watch.is_empty()).then(|| WATCH_NETWORK.parse::<Name>().ok()).flatten();
    let networks = watched.map(|name| Network { name, timezone: TimeZone::UTC, prefixes: watch });
    let interface = |name| {
        let interface = Interface::new(name, mode, xdp);
        Interface { egress: interface.egress && !no_egress, ..interface }
    };
    let config = sensor_id.ok().map(|sensor_id| Config {
        sensor_id,
        interval: interval.unwrap_or_default(),
        memory: Default::default(),
        keep: None,
        interfaces: interfaces.into_iter().map(interface).collect(),
        networks: networks.into_iter().collect(),
        tables,
        limits: Default::default(),
        upstreams: vec![],
        counterparts: vec![],
        lists: vec![],
        report: Default::default(),
        events: Default::default(),
        spool: DEFAULT_SPOOL,
        exporters: vec![],
        metrics: None,
        store: None,
    });
    problems.finish(config)
}

struct Check<'p, 't> {
    problems: &'p mut Problems<'t>,
    /// Where relative paths start.
    folder: &'p Path,
}

impl Check<'_, '_> {
    /// The values of `[sensor]`, with the rest of the configuration empty.
    fn sensor(&mut self, raw: &RawSensor, purpose: Purpose) -> Option<Config> {
        let sensor_id = match &raw.id {
            Some(text) => self.parse(text),
            // The same history on every machine.
            None if purpose == Purpose::Replay => REPLAY_SENSOR.parse().ok(),
            None => host_name()
                .map_err(|reason| {
                    let message = format!("the host name cannot name this sensor ({reason}); add id to [sensor]");
                    self.problems.add(&START, message);
                })
                .ok(),
        };
        let interval = raw.interval.as_ref().map_or(Some(Default::default()), |text| self.parse(text));
        let memory = raw.memory.as_ref().map_or(Some(Default::default()), |text| self.parse(text));
        let state_dir = self.folder("state_dir", raw.state_dir.as_ref(), DEFAULT_STATE_DIR.into());
        let bpffs = self.folder("bpffs", raw.bpffs.as_ref(), DEFAULT_BPFFS.into());
        Some(Config {
            sensor_id: sensor_id?,
            interval: interval?,
            memory: memory?,
            keep: Some(Keep { state_dir, bpffs }),
            interfaces: vec![],
            networks: vec![],
            tables: vec![],
            limits: self.limits(raw),
            upstreams: vec![],
            counterparts: vec![],
            lists: vec![],
            report: Default::default(),
            events: Default::default(),
            spool: DEFAULT_SPOOL,
            exporters: vec![],
            metrics: None,
            store: None,
        })
    }

    fn folder(&mut self, key: &str, raw: Option<&Text>, default: PathBuf) -> PathBuf {
        let path = raw.map_or(default, |text| text.get_ref().into());
        if let Some(text) = raw.filter(|_| !path.is_absolute()) {
            let message = format!("{key} {} is a relative path; write an absolute one", quote(text.get_ref()));
            self.problems.add(&text.span(), message);
        }
        path
    }

    fn interfaces(&mut self, raw: &[RawInterface]) -> Vec<Interface> {
        let mut names = Seen::new("interface");
        raw.iter()
            .filter_map(|raw| {
                let mode = self.choice("mode", raw.mode.as_ref(), [("inline", Mode::Inline), ("mirror", Mode::Mirror)]);
                let choices = [("native", XdpMode::Native), ("generic", XdpMode::Generic)];
                let xdp = self.choice("xdp", raw.xdp.as_ref(), choices);
                let choices = [(Role::External.name(), Role::External), (Role::Internal.name(), Role::Internal)];
                let role = self.choice("role", raw.role.as_ref(), choices);
                if mode == Mode::Mirror {
                    self.mirror(raw, role);
                }
                let name = self.unique::<InterfaceName>(raw.name.as_ref()?, &mut names)?;
                let interface = Interface::new(name, mode, xdp);
                let egress = raw.egress.as_ref().map_or(interface.egress, |egress| *egress.get_ref());
                Some(Interface { role, egress, ..interface })
            })
            .collect()
    }

    /// What a mirror port cannot have: it stands beside the path of the packets, and only receives.
    fn mirror(&mut self, raw: &RawInterface, role: Role) {
        if let Some(egress) = raw.egress.as_ref().filter(|egress| *egress.get_ref()) {
            let why = "a mirror port only receives, copies of both directions";
            let message = format!("egress = true does not go with mode = \"mirror\": {why}; remove egress");
            self.problems.add(&egress.span(), message);
        }
        if let Some(text) = raw.role.as_ref().filter(|_| role == Role::Internal) {
            let why = "a mirror port is no way into the own network, and what it shows is billed";
            let message = format!("role = \"internal\" does not go with mode = \"mirror\": {why}; remove role");
            self.problems.add(&text.span(), message);
        }
    }

    fn networks(&mut self, raw: &[RawNetwork]) -> Vec<Network> {
        let mut names = Seen::new("network");
        let mut owners = HashMap::new();
        let mut networks = vec![];
        for (index, raw) in raw.iter().enumerate() {
            let name = raw.name.as_ref().and_then(|text| self.unique::<Name>(text, &mut names));
            let timezone = raw.timezone.as_ref().map_or(Some(TimeZone::UTC), |text| self.timezone(text));
            let title = raw.name.as_ref().map_or("", |text| text.get_ref());
            let mut prefixes = vec![];
            for text in &raw.prefixes {
                let Some(prefix) = self.parse::<Cidr>(text) else { continue };
                match owners.entry(prefix) {
                    Entry::Vacant(entry) => {
                        entry.insert(Owner { network: index, title, span: text.span() });
                        prefixes.push(prefix);
                    }
                    Entry::Occupied(entry) => self.owned(prefix, text, entry.get(), index),
                }
            }
            if index == MAX_NETWORKS as usize {
                let span = raw.name.as_ref().map_or(START, Text::span);
                let message = format!(
                    "network {} is one too many: at most {MAX_NETWORKS} can be watched; join some",
                    quote(title)
                );
                self.problems.add(&span, message);
            }
            if let (Some(name), Some(timezone)) = (name, timezone) {
                networks.push(Network { name, timezone, prefixes });
            }
        }
        networks
    }

    /// A prefix that stands in the file before: twice in one network is once, in two networks it would bill both.
    fn owned(&mut self, prefix: Cidr, text: &Text, owner: &Owner<'_>, network: usize) {
        if owner.network != network && !self.problems.overflow() {
            let line = self.problems.line(&owner.span);
            let title = quote(owner.title);
            let message =
                format!("prefix {prefix} belongs to network {title} already (line {line}); remove it from one");
            self.problems.add(&text.span(), message);
        }
    }

    fn timezone(&mut self, text: &Text) -> Option<TimeZone> {
        let name = text.get_ref();
        if name == "UTC" {
            // Known without the system's time zone files.
            return Some(TimeZone::UTC);
        }
        let zone = tz::db().get(name).ok();
        if zone.is_none() && !self.problems.overflow() {
            let known: Vec<String> = tz::db().available().map(|name| name.to_string()).collect();
            let quoted = quote(name);
            let message = match nearest(name, known.iter().map(String::as_str)) {
                _ if known.is_empty() => {
                    format!("time zone {quoted} cannot be looked up; install the package tzdata, or write \"UTC\"")
                }
                Some(near) => format!("unknown time zone {quoted}; did you mean {near:?}?"),
                None => format!("unknown time zone {quoted}; write an IANA name, such as \"Europe/Zurich\""),
            };
            self.problems.add(&text.span(), message);
        }
        zone
    }

    /// Resolves table paths and sees that each can be opened; what is in them is read later.
    fn tables(&mut self, raw: &[Text]) -> Vec<PathBuf> {
        let mut seen = Seen::new("table");
        let mut tables = vec![];
        for text in raw {
            if let Some(path) = self.file("table", text)
                && self.first(text, &mut seen)
            {
                tables.push(path);
            }
        }
        tables
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, text: &Text) -> Option<T> {
        text.get_ref().parse().map_err(|error| self.problems.add(&text.span(), error)).ok()
    }

    /// A name that must not have come before.
    fn unique<T: FromStr<Err: Display>>(&mut self, text: &Text, seen: &mut Seen) -> Option<T> {
        let value = self.parse(text)?;
        self.first(text, seen).then_some(value)
    }

    /// Whether a text comes for the first time; if not, that is added.
    fn first(&mut self, text: &Text, seen: &mut Seen) -> bool {
        match seen.spans.entry(text.get_ref().clone()) {
            Entry::Vacant(entry) => {
                entry.insert(text.span());
                return true;
            }
            Entry::Occupied(entry) if !self.problems.overflow() => {
                let line = self.problems.line(entry.get());
                let (what, name) = (seen.what, quote(text.get_ref()));
                self.problems.add(&text.span(), format!("{what} {name} stands in line {line} already; remove one"));
            }
            Entry::Occupied(_) => {}
        }
        false
    }

    fn choice<T: Copy + Default, const N: usize>(
        &mut self,
        key: &str,
        text: Option<&Text>,
        choices: [(&str, T); N],
    ) -> T {
        let Some(text) = text else { return T::default() };
        let chosen = choices.iter().find(|(word, _)| word == text.get_ref());
        if chosen.is_none() {
            let words: Vec<String> = choices.iter().map(|(word, _)| format!("{word:?}")).collect();
            let message = format!("{key} cannot be {}; write {}", quote(text.get_ref()), words.join(" or "));
            self.problems.add(&text.span(), message);
        }
        chosen.map(|(_, value)| *value).unwrap_or_default()
    }
}

/// The network that a prefix was first seen in.
struct Owner<'a> {
    network: usize,
    title: &'a str,
    span: Range<usize>,
}

/// Values of one kind that came before, and where.
struct Seen {
    what: &'static str,
    spans: HashMap<String, Range<usize>>,
}

impl Seen {
    fn new(what: &'static str) -> Self {
        Self { what, spans: HashMap::new() }
    }
}

fn openable(path: &Path) -> io::Result<()> {
    // Asked before opening: opening a pipe waits for its other end.
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    File::open(path).map(|_| ())
}
