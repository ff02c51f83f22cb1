//! The kernel engine: loads program instances that share one set of maps, attaches them, runs frames through them.

pub(crate) mod array;
mod attach;
mod billed;
mod counters;
mod cpus;
mod egress;
mod external;
mod labels;
mod layout;
mod maps;
mod pinned;
mod pins;
mod ring;
mod sys;
mod test_run;
mod watching;

use std::{io, num::NonZero, path::Path, thread};

use anyhow::{Context, Result, bail};
use aya::{Ebpf, EbpfLoader};
use aya_log::EbpfLogger;
use sensor_ebpf::abi::{Settings, map_name};
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{Interest, unix::AsyncFd},
    task::JoinHandle,
};

pub use self::{
    attach::{Attachment, Buffers, Hook, interface_index, link_was_detached},
    cpus::cpus,
    egress::{EgressAttachment, EgressFilter, EgressHook, EgressLink, remove_egress_filter},
    layout::{Footprint, LabelPlan, Layout, Room, TooLarge, Wanted},
    maps::SharedMaps,
    pinned::{Identity, PinnedSet},
    pins::{InstanceDir, check_bpffs},
    ring::SampleRing,
    test_run::{MAX_FRAME_LEN, MIN_FRAME_LEN, TestRun},
};
use self::{
    cpus::is_shared,
    sys::{DetachedBpffs, GracePeriod},
};
pub(crate) use self::{
    layout::Watched,
    sys::{seconds_since_boot, stay_on_cpu},
};
use crate::{
    collect::{Meter, Reading, SparseReading},
    config::{DEFAULT_FLOWS, DEFAULT_MEMORY, Memory},
    prefix::{PrefixSet, Trie},
    random,
};

/// The object as built from `sensor-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("SENSOR_EBPF_OBJECT"));

/// SHA-256 of the object: which programs these are.
pub fn object_hash() -> [u8; 32] {
    Sha256::digest(OBJECT).into()
}

/// Where the read-only constants of an instance stand in the object.
const SETTINGS: &str = map_name::SETTINGS;
/// aya's own constant: what the program logs at all.
const LOG_LEVEL: &str = "AYA_LOG_LEVEL";

/// The manifest of maps that end with their process, whose ids nobody else will have to read.
pub const NO_MANIFEST: [u8; 32] = [0; 32];

/// Flows that a replay remembers: it ends none before its captures do.
pub const REPLAY_FLOWS: u32 = 1 << 20;

/// CPUs that verify programs at the same time, at most: a router has other things to do.
const MAX_LOADERS: usize = 4;

/// Programs in the kernel and the maps they count in.
pub struct Kernel {
    instances: Vec<Instance>,
    maps: SharedMaps,
    /// Keeps the shared maps findable for instances to come, where they are pinned nowhere else.
    #[expect(dead_code, reason = "held, never looked at")]
    pins: Option<DetachedBpffs>,
}

/// One copy of the programs, with constants of its own.
pub struct Instance {
    ebpf: Ebpf,
    log: Option<LogTask>,
}

/// Forwards the log of one instance; ends with it.
struct LogTask(JoinHandle<()>);

impl Drop for LogTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What an instance must know of its interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterfaceKind {
    /// It is internal: it has a ledger, and bills nobody.
    pub internal: bool,
    /// Packets of both directions are received at it.
    pub tap: bool,
}

/// What the programs are loaded for.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'a> {
    /// Prefixes to count.
    pub set: &'a PrefixSet,
    /// Their table.
    pub trie: &'a Trie,
    /// What each interface is.
    pub interfaces: &'a [InterfaceKind],
    /// Flows of watched networks that are remembered.
    pub flows: u32,
    /// What labels far ends; `None`: they are not told apart.
    pub labels: Option<LabelPlan<'a>>,
    /// Most memory that the maps may take.
    pub memory: Memory,
}

impl Kernel {
    /// Loads one instance for each of `interfaces` external interfaces and puts the table of `set` in force. Nothing of it outlives
    /// this value.
    ///
    /// # Errors
    /// Missing rights, a kernel that refuses a map or program, or no memory for them.
    pub fn load(set: &PrefixSet, trie: &Trie, interfaces: u32) -> Result<Self> {
        let interfaces = vec![InterfaceKind::default(); interfaces as usize];
        let (flows, memory) = (DEFAULT_FLOWS, DEFAULT_MEMORY);
        Self::load_for(&Plan { set, trie, interfaces: &interfaces, flows, labels: None, memory })
    }

    /// The same for interfaces of any role.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn load_for(plan: &Plan<'_>) -> Result<Self> {
        Self::load_detached(plan, false)
    }

    /// Loads one instance whose lengths come from the capture.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn load_for_replay(set: &PrefixSet, trie: &Trie, labels: Option<LabelPlan<'_>>) -> Result<Self> {
        let interfaces = &[InterfaceKind { internal: false, tap: true }];
        Self::load_detached(&Plan { set, trie, interfaces, flows: REPLAY_FLOWS, labels, memory: DEFAULT_MEMORY }, true)
    }

    fn load_detached(plan: &Plan<'_>, replay: bool) -> Result<Self> {
        let pins = DetachedBpffs::new().map_err(explain_rights)?;
        let mut kernel = Self::load_at(&pins.path(), plan.layout_for(Room::None)?, plan.interfaces, replay)?;
        kernel.maps.number_flows_by(if replay { random::replay_keys() } else { random::draw_keys()? })?;
        kernel.maps.publish_with(plan.trie, plan.label_trie(), NO_MANIFEST)?;
        Ok(Self { pins: Some(pins), ..kernel })
    }

    /// Loads one instance for each interface of the plan, with new maps that are pinned in `directory`. Puts the table of the plan in
    /// force, and the manifest that names its ids.
    ///
    /// # Errors
    /// As [`Kernel::load`].
    pub fn load_pinned(directory: &Path, plan: &Plan<'_>, manifest: [u8; 32]) -> Result<Self> {
        let mut kernel = Self::load_at(directory, plan.layout()?, plan.interfaces, false)?;
        kernel.maps.number_flows_by(random::draw_keys()?)?;
        kernel.maps.publish_with(plan.trie, plan.label_trie(), manifest)?;
        Ok(kernel)
    }

    /// Loads one instance for each interface with the maps that were left pinned in `directory` with this layout. The
    /// table in force stays.
    ///
    /// # Errors
    /// As [`Kernel::load`], or a map is of another shape.
    pub fn load_left(directory: &Path, layout: Layout, interfaces: &[InterfaceKind]) -> Result<Self> {
        Self::load_at(directory, layout, interfaces, false)
    }

    fn load_at(directory: &Path, layout: Layout, interfaces: &[InterfaceKind], replay: bool) -> Result<Self> {
        let shared = is_shared(layout.slices())?;
        let mut instances = Vec::new();
        for (interface, kind) in (0..).zip(interfaces) {
            instances.push(Instance::load(directory, &layout, layout.settings(interface, *kind, replay, shared))?);
        }
        let maps = SharedMaps::open(directory, layout, !replay)?;
        Ok(Self { instances, maps, pins: None })
    }

    /// The instance of interface number `interface`, as counted when loading.
    ///
    /// # Errors
    /// There is no such instance.
    pub fn instance(&mut self, interface: usize) -> Result<&mut Instance> {
        let loaded = self.instances.len();
        self.instances
            .get_mut(interface)
            .with_context(|| format!("no program instance {interface}: only {loaded} were loaded"))
    }

    /// Loads the programs that each interface needs, in the order of the plan: for XDP, and whether the classifier too. The kernel verifies
    /// every instance by itself, several at once.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load_programs(&mut self, wanted: &[(Hook, bool)]) -> Result<()> {
        let mut work: Vec<_> = self.instances.iter_mut().zip(wanted).collect();
        let share = work.len().div_ceil(loaders()).max(1);
        thread::scope(|scope| {
            let load = |work: &mut [(&mut Instance, &(Hook, bool))]| {
                work.iter_mut().try_for_each(|(instance, (hook, egress))| {
                    instance.load_all([*hook])?;
                    if *egress { instance.load_egress() } else { Ok(()) }
                })
            };
            let threads: Vec<_> = work.chunks_mut(share).map(|share| scope.spawn(move || load(share))).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("loading programs panicked")))
        })
    }

    /// The maps, to put another table in force.
    pub fn maps(&mut self) -> &mut SharedMaps {
        &mut self.maps
    }

    /// The maps, to look at.
    pub fn shared_maps(&self) -> &SharedMaps {
        &self.maps
    }
}

impl Plan<'_> {
    fn label_trie(&self) -> Option<&Trie> {
        self.labels.map(|labels| labels.trie)
    }

    /// The layout of maps that outlive the agent.
    ///
    /// # Errors
    /// They would take more memory than they may, or the CPUs cannot be counted.
    pub fn layout(&self) -> Result<Layout> {
        self.layout_for(Room::ForReloads)
    }

    fn layout_for(&self, room: Room) -> Result<Layout> {
        Ok(Layout::new(&self.wanted(cpus()?, room))?)
    }

    /// What maps for that many CPUs must hold.
    pub fn wanted(&self, cpus: u32, room: Room) -> Wanted<'_> {
        let Self { set, trie, interfaces, flows, labels, memory } = *self;
        Wanted {
            trie,
            highest_id: set.highest_id(),
            highest_network: set.highest_network(),
            flows,
            labels,
            cpus,
            interfaces: interfaces.len() as u32,
            memory: memory.bytes(),
            room,
        }
    }
}

impl Meter for Kernel {
    fn read(&mut self) -> Result<Reading> {
        self.maps.read(|| ()).map(|(reading, ())| reading)
    }

    fn since(&mut self, reported: &Reading) -> Result<SparseReading> {
        self.maps.since(reported, || ()).map(|(delta, ())| delta)
    }
}

impl Instance {
    fn load(directory: &Path, layout: &Layout, settings: Settings) -> Result<Self> {
        let log_level = program_log_level();
        let mut loader = EbpfLoader::new();
        for shape in layout.shapes() {
            let pin = directory.join(shape.name);
            if pin.exists() {
                // aya takes over whatever is pinned there.
                pinned::open(directory, &shape)?;
            }
            loader.map_max_entries(shape.name, shape.entries).map_pin_path(shape.name, pin);
        }
        let ebpf = loader
            .override_global(SETTINGS, bytemuck::bytes_of(&settings), true)
            .override_global(LOG_LEVEL, &log_level, false)
            .load(OBJECT)
            .context("cannot create the maps of the eBPF object; `sensor check` names what is missing")?;
        Ok(Self { ebpf, log: None })
    }

    /// Loads the programs of these hooks without attaching them, and says for what frames. Loading takes a good part of a second,
    /// which should not lie between two attachments.
    ///
    /// # Errors
    /// The kernel refuses a program.
    pub fn load_all(&mut self, hooks: impl IntoIterator<Item = Hook>) -> Result<Buffers> {
        let mut buffers = Buffers::Several;
        for hook in hooks {
            if self.program(hook, Buffers::Several).is_err() {
                buffers = Buffers::One;
                self.program(hook, Buffers::One)?;
            }
        }
        Ok(buffers)
    }

    /// Forwards what the programs of this instance log to tracing, from now on; needs a tokio runtime. To be called after
    /// attaching: programs can no longer be loaded once their log is being read.
    ///
    /// # Errors
    /// The log buffer cannot be mapped.
    pub fn forward_log(&mut self) -> Result<()> {
        if program_log_level() == 0 {
            return Ok(());
        }
        let logger = EbpfLogger::init(&mut self.ebpf).context("cannot read the log of the eBPF programs")?;
        // SAFETY: the logger owns its descriptor and keeps it open as long as it lives, which is within the `AsyncFd`.
        let logger = unsafe { AsyncFd::register_with_interest(logger, Interest::READABLE) };
        let mut logger = logger.context("cannot wait for the log of the eBPF programs")?;
        self.log = Some(LogTask(tokio::spawn(async move {
            while let Ok(mut guard) = logger.readable_mut().await {
                // In this order: a message that comes while the buffer is being emptied makes it ready again.
                guard.clear_ready();
                guard.get_inner_mut().flush();
            }
        })));
        Ok(())
    }
}

/// Whether this process may load programs. Being root is not enough in a container, so the first step of it is tried.
pub fn may_load() -> bool {
    DetachedBpffs::new().is_ok()
}

/// Waits until no program runs any more that began before the call.
///
/// # Errors
/// The kernel refuses the maps it takes.
pub fn wait_for_programs() -> Result<()> {
    GracePeriod::new().and_then(|grace| grace.wait()).context("cannot wait for an RCU grace period")
}

/// Threads that load programs.
fn loaders() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get).min(MAX_LOADERS)
}

/// Levels of `aya_log_common::Level`: the program's only messages are at debug, so below that it carries no logging code at all.
fn program_log_level() -> u8 {
    const DEBUG: u8 = 4;
    if tracing::enabled!(target: "sensor_bpf", tracing::Level::DEBUG) { DEBUG } else { 0 }
}

fn explain_rights(error: io::Error) -> anyhow::Error {
    match error.raw_os_error() {
        Some(libc::EPERM) => anyhow::anyhow!(
            "the kernel engine needs root (CAP_SYS_ADMIN): run it with sudo; `sensor replay --engine native` needs no rights"
        ),
        Some(libc::ENOSYS | libc::ENODEV) => {
            anyhow::anyhow!("this kernel has no BPF file system: it needs Linux 5.12 with CONFIG_BPF_SYSCALL")
        }
        _ => anyhow::Error::new(error).context("cannot make a BPF file system"),
    }
}
