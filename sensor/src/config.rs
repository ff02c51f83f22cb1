//! Configuration: one TOML file, or the command line where there is none.
//!
//! Two layers. `raw` takes the text apart into values that know where they stand; `check` turns them into a [`Config`],
//! which is valid throughout. Both collect every problem instead of stopping at the first, each with file, line, column
//! and the fix. Whoever holds a [`Config`] need not check it again.

mod check;
mod error;
mod events;
mod export;
mod labels;
mod limits;
mod memory;
mod metrics;
mod nearest;
mod raw;
mod store;
#[cfg(test)]
mod tests;
mod upstream;
mod values;

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use self::check::Purpose;
pub(crate) use self::upstream::octets;
pub use self::{
    error::{ConfigError, Problem},
    events::{
        DEFAULT_EVENT_WEEKS, Events, MAX_BLIND, MAX_EVENT_NUMBER, MAX_EVENT_WEEKS, MAX_LEAST_RATE, MIN_EVENT_WEEKS,
    },
    export::{
        Additive, ClickHouse, DEFAULT_ENTERPRISE, DEFAULT_KEEP, DEFAULT_MTU, DEFAULT_ROTATE, DEFAULT_SPOOL,
        DEFAULT_SPOOL_AGE, DEFAULT_SPOOL_SIZE, Exporter, Host, Identity, Ipfix, Jsonl, Kafka, Login, MAX_BROKERS,
        MAX_DOMAIN, MAX_EXPORTERS, MAX_KEEP, MAX_MTU, MAX_ROTATE, MAX_SPOOL_AGE, MAX_SPOOL_SIZE, MIN_MTU, MIN_ROTATE,
        MIN_SPOOL_AGE, MIN_SPOOL_SIZE, Sasl, Target, Tls, Transport,
    },
    labels::{
        Counterpart, CounterpartKind, DEFAULT_LEARN, Learn, List, MAX_COUNTERPARTS, MAX_LEARN, MAX_LISTS, Report,
    },
    limits::{
        DEFAULT_ACTIVITY_ADDRESSES, DEFAULT_COUNTERPARTS, DEFAULT_FLOWS, DEFAULT_SAMPLES_PER_SECOND, Limits,
        MAX_ACTIVITY_ADDRESSES, MAX_COUNTERPART_ROWS, MAX_FLOWS, MAX_SAMPLES_PER_SECOND, MIN_ACTIVITY_ADDRESSES,
        MIN_COUNTERPART_ROWS, MIN_FLOWS,
    },
    memory::{DEFAULT_MEMORY, MAX_MEMORY, MIN_MEMORY, Memory},
    metrics::Metrics,
    store::{Age, MAX_AGE_DAYS, MIN_AGE_DAYS, MIN_HISTORY_DAYS, Retention, Store},
    upstream::{MAX_UPSTREAM_ADDRESSES, MAX_UPSTREAMS, MAX_VLAN, Upstream},
    values::{
        DEFAULT_INTERVAL, InterfaceName, Interval, MAX_INTERFACE_NAME_LEN, MAX_INTERVAL, MAX_NAME_LEN,
        MAX_SENSOR_ID_LEN, MIN_INTERVAL, Name, SensorId, ValueError,
    },
};
use crate::{cidr::Cidr, spool::Bounds};

/// Largest configuration file in bytes. Long prefix lists belong into accounting tables.
pub const MAX_CONFIG_BYTES: u64 = 1 << 20;
/// Where state is kept unless the configuration says otherwise.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/sensor";
/// Where systemd mounts the BPF file system, and everybody expects it.
pub const DEFAULT_BPFFS: &str = "/sys/fs/bpf";
/// Name of the one network that `--watch` makes.
pub const WATCH_NETWORK: &str = "watch";
/// Name of the sensor in the records of a replay, where nothing names it.
pub const REPLAY_SENSOR: &str = "replay";

/// A valid configuration.
///
/// Holds at least one interface and something to count, a network or an accounting table; read for a replay it may lack both.
/// Interface names, network names and table paths are unique, each network has at least one prefix, and no prefix belongs to
/// two networks. Names of upstreams and of lists are unique, too; [`Upstream`] says what holds of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name of this sensor in everything it exports.
    pub sensor_id: SensorId,
    /// Export period.
    pub interval: Interval,
    /// Most memory that all its maps take in the kernel.
    pub memory: Memory,
    /// Where everything is that outlives the agent; `None`: nothing does, as with a command line that has no file.
    pub keep: Option<Keep>,
    /// Where packets are counted, in the order of the file.
    pub interfaces: Vec<Interface>,
    /// What is watched, in the order of the file.
    pub networks: Vec<Network>,
    /// Tables of prefixes that are only counted; relative names were resolved against the folder of the file.
    pub tables: Vec<PathBuf>,
    /// How much is remembered of watched traffic, and looked into.
    pub limits: Limits,
    /// Named neighbours, in the order of the file.
    pub upstreams: Vec<Upstream>,
    /// What the other end is, in the order of the file.
    pub counterparts: Vec<Counterpart>,
    /// Known endpoints, in the order of the file.
    pub lists: Vec<List>,
    /// What reports go by.
    pub report: Report,
    /// Which differences to their history are events.
    pub events: Events,
    /// How much may wait until exporters have delivered it.
    pub spool: Bounds,
    /// Where records go, in the order of the file; without any, to standard output.
    pub exporters: Vec<Exporter>,
    /// Where metrics and health can be asked for; `None`: nowhere.
    pub metrics: Option<Metrics>,
    /// Where years of records are kept, and how long; `None`: nowhere, unless the command line names a folder.
    pub store: Option<Store>,
}

/// Folders of what outlives the agent; absolute paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Journal and manifests.
    pub state_dir: PathBuf,
    /// Where the BPF file system is mounted: maps and links are pinned there, in a folder named by the sensor id.
    pub bpffs: PathBuf,
}

/// An interface to attach to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the kernel.
    pub name: InterfaceName,
    /// Whether packets travel on.
    pub mode: Mode,
    /// How the program is attached.
    pub xdp: XdpMode,
    /// Where it leads.
    pub role: Role,
    /// Whether what it sends is counted too.
    pub egress: bool,
}

impl Interface {
    /// An external interface; what it sends is counted where packets travel on.
    pub fn new(name: InterfaceName, mode: Mode, xdp: XdpMode) -> Self {
        Self { name, mode, xdp, role: Role::default(), egress: mode == Mode::Inline }
    }
}

/// Where an interface leads, which says whether packets are billed at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Role {
    /// To a neighbouring network: its packets are billed, each at the first such interface it meets.
    #[default]
    External,
    /// Into the own network: its packets are counted in the ledger alone, for they are billed at the border.
    Internal,
}

impl Role {
    /// The word in configuration and records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::External => "external",
            Self::Internal => "internal",
        }
    }
}

/// What becomes of the packets of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They travel on, counted: the sensor never drops a packet here.
    #[default]
    Inline,
    /// A tap or mirror port: packets of both directions arrive here, and end here.
    Mirror,
}

/// Where in the receive path XDP runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver. Without support there, attaching fails; it never falls back silently.
    #[default]
    Native,
    /// In the network stack: any driver, slower. Only on request.
    Generic,
}

/// A named group of watched prefixes.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Its name in records and reports.
    pub name: Name,
    /// The zone its hours and weekends are told in.
    pub timezone: TimeZone,
    /// What belongs to it, each prefix once, in the order of the file. Another network may hold a more-specific: a packet
    /// belongs to the network of its longest watched prefix.
    pub prefixes: Vec<Cidr>,
}

/// What the command line says where no file is given; unset fields take their defaults.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// Name of this sensor.
    pub sensor_id: Option<SensorId>,
    /// Export period.
    pub interval: Option<Interval>,
    /// Interfaces, all of the same mode.
    pub interfaces: Vec<InterfaceName>,
    /// What becomes of their packets.
    pub mode: Mode,
    /// How the program is attached to them.
    pub xdp: XdpMode,
    /// Count only what they receive. A mirror port sends nothing to count anyway.
    pub no_egress: bool,
    /// Prefixes of one network called [`WATCH_NETWORK`], in UTC.
    pub watch: Vec<Cidr>,
    /// Accounting tables; relative names stay relative to the current folder.
    pub tables: Vec<PathBuf>,
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// The file cannot be read, is too large or no text; or everything that is wrong inside it, at once.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        Self::parse(&text, path)
    }

    /// Checks the text of a configuration; `path` names it in messages, and its folder is where relative paths start.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        parse(text, path, Purpose::Run)
    }

    /// Reads and checks a configuration file for a replay, which attaches to no interface: it need not name one, nor have
    /// something to count, and an upstream may name any interface. A sensor without `id` is [`REPLAY_SENSOR`].
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_for_replay(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path)?;
        parse(&text, path, Purpose::Replay)
    }

    /// Whether anything says what far ends are: a file of counterparts, or a list.
    pub fn tells_far_ends(&self) -> bool {
        !self.counterparts.is_empty() || !self.lists.is_empty()
    }

    /// Rows in which each CPU counts far ends; `None`: they are not told apart.
    pub fn counterpart_rows(&self) -> Option<u32> {
        self.tells_far_ends().then_some(self.limits.max_counterparts)
    }

    /// Where a store is unless the command line says otherwise; `None`: nowhere, as with a command line that has no file.
    pub fn store_folder(&self) -> Option<PathBuf> {
        let in_state = || self.keep.as_ref().map(|keep| keep.state_dir.join(store::FOLDER));
        self.store.as_ref().map(|store| store.path.clone()).or_else(in_state)
    }

    /// How long a store keeps what, wherever it is.
    pub fn retention(&self) -> Retention {
        self.store.as_ref().map_or(Retention::DEFAULT, |store| store.retention)
    }

    /// The configuration of a command line without a file.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn from_args(args: Args) -> Result<Self, ConfigError> {
        check::from_args(args)
    }
}

fn parse(text: &str, path: &Path, purpose: Purpose) -> Result<Config, ConfigError> {
    let mut problems = error::Problems::new(path, text);
    let raw = raw::decode(text, &mut problems);
    let config = raw.and_then(|raw| check::check(&raw, path, purpose, &mut problems));
    problems.finish(config)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let path = || path.to_owned();
    let read_error = |source| ConfigError::Read { path: path(), source };
    let file = File::open(path()).map_err(read_error)?;
    if file.metadata().map_err(read_error)?.is_dir() {
        return Err(ConfigError::Directory { path: path() });
    }
    let mut bytes = vec![];
    // The bound holds for pipes and devices too, which state no length.
    file.take(MAX_CONFIG_BYTES + 1).read_to_end(&mut bytes).map_err(read_error)?;
    if bytes.len() as u64 > MAX_CONFIG_BYTES {
        return Err(ConfigError::TooLarge { path: path() });
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ConfigError::Empty { path: path() });
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        ConfigError::NotUtf8 { path: path(), line }
    })
}

/// The name of this machine, as far as it can be a sensor's.
fn host_name() -> Result<SensorId, String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").map_err(|error: io::Error| error.to_string())?;
    name.trim().parse().map_err(|error: ValueError| error.to_string())
}
